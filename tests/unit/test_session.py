import pytest

from syncline.effects import (
    Acknowledge,
    ApplyUpdates,
    BeginReset,
    Connect,
    Disconnect,
    DropStage,
    Mode,
    RequestChanges,
    SendHeartbeat,
    SendHello,
    SendUpdates,
)
from syncline.models import Answer, BulkResult, Cursor, Interval, ItemResult, Update
from syncline.news import Told
from syncline.protocol import Welcome
from syncline.session import Session, SessionSettings
from syncline.status import SessionState, state_shown


LEVEL = Cursor(source="list", epoch="e", seq=10, reach=10, is_whole=True, models=("todo",))


def session(cursor=LEVEL, *, has_pending=False):
    return Session(
        replica_id="me",
        models=("todo",),
        cursor=cursor,
        has_pending=has_pending,
        chance=lambda: 0.5,
        settings=SessionSettings(),
    )


def welcomed(cursor=LEVEL, *, head=10, has_pending=False, **fields):
    one = session(cursor, has_pending=has_pending)
    one.start(0.0)
    one.connected(0.0)
    welcome = Welcome(source="list", epoch="e", head=head, models={"todo": "write"}, **fields)
    return one, one.welcomed(0.0, welcome)


def interval(since, checkpoint, head=None, epoch="e"):
    return Interval(epoch=epoch, since=since, checkpoint=checkpoint, head=head or checkpoint)


def kinds(effects):
    return [type(effect) for effect in effects]


def modes(effects):
    return [effect.mode for effect in effects if isinstance(effect, ApplyUpdates)]


def test_it_connects_then_says_hello_with_its_cursor():
    one = session()

    assert [Connect] == kinds(one.start(0.0))
    hello = one.connected(0.0)[0]
    assert isinstance(hello, SendHello)
    assert ("e", 10, 10) == (hello.hello.epoch, hello.hello.seq, hello.hello.reach)


def test_good_cursor_at_the_head_is_live_at_once():
    one, effects = welcomed()

    assert [] == effects
    assert SessionState.LIVE is one.state


def test_changes_are_read_before_anything_is_pushed():
    one, effects = welcomed(head=12, has_pending=True)
    assert [RequestChanges(10)] == effects

    effects = one.page(0.0, interval(10, 12))

    assert [ApplyUpdates, SendUpdates] == kinds(effects)


def test_interval_that_was_taken_is_skipped():
    one, _ = welcomed()

    assert [] == one.changed(0.0, interval(5, 10))


def test_contiguous_interval_is_applied():
    one, _ = welcomed()

    effects = one.changed(0.0, interval(8, 12))

    assert [Mode.WHOLE] == modes(effects)
    assert 12 == one.cursor.seq


def test_gap_is_fetched():
    one, _ = welcomed()

    assert [RequestChanges(10)] == one.changed(0.0, interval(11, 12))


def test_hint_is_fetched():
    one, _ = welcomed()

    assert [RequestChanges(10)] == one.changed(0.0, interval(10, 12), carries=False)


def test_interval_of_another_epoch_is_not_taken_and_asked_about_once():
    one, _ = welcomed()

    assert [SendHeartbeat(10)] == one.changed(0.0, interval(10, 12, epoch="other"))
    assert [] == one.changed(0.0, interval(12, 13, epoch="other"))
    assert [] == one.heard_head(0.1, "e", 10)
    assert [] == one.changed(0.2, interval(13, 14, epoch="other"))


def test_list_that_began_anew_ends_the_connection_at_the_first_news_of_it():
    one, _ = welcomed()
    one.changed(0.0, interval(10, 12, epoch="new"))

    assert [Disconnect] == kinds(one.heard_head(0.1, "new", 12))


def test_pages_become_visible_with_the_whole_interval():
    one, _ = welcomed(head=20)

    first = one.page(0.0, interval(10, 15, head=20))
    assert [Mode.STAGE] == modes(first)
    assert 10 == one.cursor.seq

    last = one.page(0.0, interval(15, 20))
    assert [Mode.WHOLE] == modes(last)
    assert last[0].with_stage
    assert 20 == one.cursor.seq


def test_page_with_an_older_head_does_not_join_the_stage():
    one, _ = welcomed(head=20)
    one.page(0.0, interval(10, 15, head=20))

    effects = one.page(0.0, interval(15, 18, head=18))

    assert [] == modes(effects)


def test_whole_interval_from_the_cursor_replaces_the_stage():
    one, _ = welcomed(head=20)
    one.page(0.0, interval(10, 15, head=20))

    effects = one.changed(0.0, interval(10, 20))

    assert [DropStage, ApplyUpdates] == kinds(effects)
    assert not effects[1].with_stage


def test_first_sync_shows_rows_as_they_come():
    one, _ = welcomed(Cursor(), head=20)

    effects = one.page(0.0, interval(0, 15, head=20))

    assert [Mode.DIRECT] == modes(effects)
    assert not one.is_level


def test_reset_voids_and_stages_the_list_from_the_start():
    one, effects = welcomed(head=8, standing="reset", shared=5)

    assert [DropStage, BeginReset, RequestChanges] == kinds(effects)
    assert 0 == effects[2].since
    assert [Mode.STAGE] == modes(one.page(0.0, interval(0, 4, head=8)))


def answer(*results, epoch="e"):
    return BulkResult(epoch=epoch, checkpoint=11, results=results)


def result(kind, current_seq=None):
    rev = f"1-{1:016x}"
    current = None
    if current_seq is not None:
        current = Update(model="todo", record_id="1", rev=f"2-{2:016x}-deleted", seq=current_seq)
    return ItemResult(model="todo", record_id="1", rev=rev, answer=kind, seq=0, current=current)


def pushing():
    one, effects = welcomed(has_pending=True)
    assert [] == one.collected(0.0, has_more=False)
    return one, effects[0].push_id


def test_only_one_push_is_on_its_way():
    one, _ = pushing()

    assert [] == one.wrote(0.0)
    assert one.is_pushing


def test_backlog_is_pushed_two_at_a_time():
    one, effects = welcomed(has_pending=True)
    first = effects[0].push_id

    (second,) = one.collected(0.0, has_more=True)
    assert [] == one.collected(0.0, has_more=True)
    assert (first, second.push_id) == one.pushes

    assert [Acknowledge, SendUpdates] == kinds(one.answered(0.0, first, answer()))


def test_what_was_collected_behind_another_push_is_collected_again_alone():
    one, effects = welcomed(has_pending=True)
    first = effects[0].push_id
    (second,) = one.collected(0.0, has_more=True)

    assert [] == one.nothing_to_push(0.0, second.push_id)
    assert [] == one.wrote(0.0)
    assert [Acknowledge, SendUpdates] == kinds(one.answered(0.0, first, answer()))


def test_every_push_on_its_way_is_void_after_a_lost_answer():
    one, effects = welcomed(has_pending=True)
    one.collected(0.0, has_more=True)

    one.tick(SessionSettings().ack_timeout_s)

    assert () == one.pushes
    assert [] == one.answered(30.0, effects[0].push_id, answer())


def test_what_was_written_meanwhile_leaves_with_the_answer():
    one, push_id = pushing()
    one.wrote(0.0)

    assert [Acknowledge, SendUpdates] == kinds(
        one.answered(0.0, push_id, answer(result(Answer.APPLIED)))
    )


def test_answer_to_another_push_is_ignored():
    one, push_id = pushing()

    assert [] == one.answered(0.0, push_id + 1, answer(result(Answer.APPLIED)))


def test_answer_of_another_epoch_ends_the_connection():
    one, push_id = pushing()

    effects = one.answered(0.0, push_id, answer(result(Answer.APPLIED), epoch="new"))

    assert [Disconnect] == kinds(effects)


def test_conflict_beyond_the_cursor_is_read_before_the_next_push():
    one, push_id = pushing()

    effects = one.answered(0.0, push_id, answer(result(Answer.CONFLICT, current_seq=11)))
    assert [Acknowledge, RequestChanges] == kinds(effects)

    assert [ApplyUpdates, SendUpdates] == kinds(one.page(0.0, interval(10, 11)))


def test_lost_answer_reads_the_list_before_it_pushes_again():
    one, _ = pushing()

    effects = one.tick(SessionSettings().ack_timeout_s)

    assert RequestChanges(10) in effects
    assert SendUpdates not in kinds(effects)


def test_head_in_a_heartbeat_moves_an_idle_cursor():
    one, _ = welcomed()
    assert [SendHeartbeat(10)] == one.tick(10.0)

    assert [RequestChanges(10)] == one.heard_head(10.5, "e", 13)


def test_heartbeat_of_another_epoch_ends_the_connection():
    one, _ = welcomed()

    assert [Disconnect] == kinds(one.heard_head(0.0, "new", 13))


def test_unanswered_heartbeat_ends_the_connection():
    one, _ = welcomed()
    one.tick(10.0)

    assert Disconnect in kinds(one.tick(20.0))


def test_told_to_be_behind_it_fetches():
    one, _ = welcomed()

    assert [RequestChanges(10)] == one.behind_told(0.0)


def test_bye_comes_back_when_the_server_says():
    one, _ = welcomed()
    one.bye(0.0, 3.0, "drain")

    assert 3.0 == one.next_deadline()
    assert [Connect] == kinds(one.tick(3.0))


def test_refused_page_drops_the_stage():
    one, _ = welcomed(head=20)
    one.page(0.0, interval(10, 15, head=20))

    assert [DropStage, Disconnect] == kinds(one.lost_page(0.0, "cursor_stale"))


def test_after_a_failed_apply_the_next_stage_begins_empty():
    one, _ = welcomed(head=20)
    one.page(0.0, interval(10, 15, head=20))
    one.blocked(0.0, "disk full")
    one.reload(LEVEL)
    one.connected(1.0)
    one.welcomed(1.0, Welcome(source="list", epoch="e", head=20, models={"todo": "write"}))

    assert DropStage in kinds(one.page(1.0, interval(10, 15, head=20)))


def test_later_model_is_filled_in_up_to_the_cursor():
    old = Cursor(source="list", epoch="e", seq=10, reach=10, is_whole=True)
    one, effects = welcomed(old)
    assert RequestChanges(0, ("todo",)) in effects

    assert [Mode.BACKFILL] == modes(one.page(0.0, interval(0, 10)))
    assert ("todo",) == one.cursor.models


@pytest.mark.parametrize(
    ("is_level", "pending", "shown"),
    [
        pytest.param(True, 0, SessionState.LIVE, id="level and nothing pending"),
        pytest.param(True, 1, SessionState.CATCHING_UP, id="something pending"),
        pytest.param(False, 0, SessionState.CATCHING_UP, id="behind"),
    ],
)
def test_status_never_says_live_while_something_is_missing(is_level, pending, shown):
    assert shown is state_shown(SessionState.LIVE, is_level=is_level, pending=pending)


def test_first_sync_is_not_made_whole_by_an_older_head():
    one, _ = welcomed(Cursor(), head=20)
    one.page(0.0, interval(0, 15, head=20))

    assert [] == modes(one.changed(0.0, interval(10, 18)))
    assert [Mode.WHOLE] == modes(one.changed(0.0, interval(10, 20)))


def told(since, checkpoint):
    update = Told(model="todo", record_id="1", seq=checkpoint, rev="2-b", anchor="a" * 16)
    return Interval(
        epoch="e", since=since, checkpoint=checkpoint, head=checkpoint, updates=(update,)
    )


def test_it_says_that_it_hears_news():
    one = session()
    one.start(0.0)

    assert one.connected(0.0)[0].hello.news


def test_news_are_applied_where_the_cursor_is():
    one, _ = welcomed()

    assert [Mode.WHOLE] == modes(one.changed(0.0, told(10, 11)))


def test_news_that_leave_out_what_is_staged_are_read_instead():
    one, _ = welcomed(head=30)
    one.page(0.0, interval(10, 20, 30))

    assert [] == modes(one.changed(0.0, told(20, 31)))
    assert 31 == one.known_head


def test_a_beat_is_answered_by_its_number():
    one, _ = welcomed()

    assert [SendHeartbeat(10, 7)] == one.beat_asked(0.0, 7)
    assert [] == session().beat_asked(0.0, 7)


def test_while_answers_take_long_it_says_how_late_it_is():
    one, _ = welcomed()
    one.beat_asked(0.0, 1)
    assert 1.0 == one.next_deadline()

    assert [] == one.tick(1.0)
    assert 2.0 == one.next_deadline()
    one.beat_answered(4.0, "e", 10)

    assert 4.0 == one.late_s(4.0)
    assert 5.0 == one.next_deadline()


@pytest.mark.parametrize(
    ("behind_s", "shown"),
    [(2.9, SessionState.LIVE), (3.0, SessionState.CATCHING_UP)],
)
def test_who_waits_for_an_answer_too_long_is_not_live(behind_s, shown):
    state = state_shown(SessionState.LIVE, is_level=True, pending=0, behind_s=behind_s)

    assert shown is state
