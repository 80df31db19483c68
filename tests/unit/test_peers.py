import pytest

from syncline.protocol import Hello
from synclined import peers
from synclined.access import ANYONE
from synclined.peers import WORDS_MISSED, Peer


@pytest.fixture
def peer(monkeypatch):
    """A peer, and a clock that stands where it is put."""
    made = Peer("sid", ANYONE, is_bare=True)

    class Time:
        now = 100.0

        @classmethod
        def monotonic(cls):
            return cls.now

    monkeypatch.setattr(peers, "time", Time)
    return made, Time


@pytest.mark.parametrize(
    ("seq", "good", "behind"),
    [
        pytest.param(0, True, 30, id="at first contact"),
        pytest.param(10, True, 20, id="after a while away"),
        pytest.param(30, True, 0, id="level"),
        pytest.param(30, False, 30, id="told to begin anew"),
    ],
)
def test_how_far_behind_it_is_is_known_from_the_hello(peer, seq, good, behind):
    one, _ = peer
    one.note_hello(Hello(replica="r", seq=seq), ["b", "a"], head=30, good=good)

    assert behind == one.behind_at(30)
    assert ("r", ("a", "b"), False) == (one.replica_id, one.models, one.is_bare)


def test_who_never_says_a_word_falls_behind(peer):
    one, time = peer
    one.note_hello(Hello(replica="r", seq=30), ["a"], head=30, good=True)
    time.now += 2

    assert 70 == one.behind_at(100)


def test_while_its_word_is_fresh_it_does_not_lag_by_what_was_written_since(peer):
    one, time = peer
    one.note_cursor(90, 100, heartbeat_s=10)
    time.now += 10 * WORDS_MISSED

    assert 10 == one.behind_at(500)
    time.now += 1
    assert 410 == one.behind_at(500)
