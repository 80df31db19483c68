import itertools

import pytest

from syncline.ranges import (
    Difference,
    DifferenceKind,
    Part,
    Range,
    Summary,
    compare_listed,
    differing,
    in_order,
    is_leaf,
    rest_of,
    splits_ours,
    step_of,
    summarise,
    summarise_all,
)


ROWS = [(f"{n}", f"1-{n:016x}", b'{"id":"%d"}' % n) for n in range(1, 8)]
GONE = ("5", "2-00000000000000aa-deleted", b"")
EMPTY = "e3b0c44298fc1c149afbf4c8996fb924"


def summary(after="", upto=None, **fields):
    return Summary(**{"after": after, "upto": upto, "hash": "x", **fields})


def spans(summaries):
    return [(s.after, s.upto, s.rows) for s in summaries]


def test_range_is_one_summary_over_ids_and_bodies():
    [found] = summarise([("1", "1-0000000000000001", b'{"id":"1"}')], Range())

    assert (
        Summary(
            after="",
            rows=1,
            count=1,
            hash="af4f02c4232a259d54fa0d0746db03fd",
            record_id="1",
            rev="1-0000000000000001",
        )
        == found
    )


def test_range_without_rows_has_the_hash_of_nothing():
    assert [summary(hash=EMPTY)] == summarise([], Range())


def test_tombstone_is_a_row_and_no_record():
    without = summarise(ROWS[:4] + ROWS[5:], Range())[0]
    found = summarise([*ROWS[:4], GONE, *ROWS[5:]], Range())[0]

    assert (7, 6, without.hash) == (found.rows, found.count, found.hash)
    assert found.equals(without)


def test_revisions_do_not_count():
    others = [(record_id, f"9-{'f' * 16}", body) for record_id, _, body in ROWS]

    assert summarise(ROWS, Range())[0].equals(summarise(others, Range())[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param([("1", b"{}")], [("2", b"{}")], id="id"),
        pytest.param([("1", b"{}")], [("1", b'{"a":1}')], id="body"),
        pytest.param([("a{}1", b"{}")], [("a", b"{}1{}")], id="id running into body"),
        pytest.param(
            [("a", b"{}"), ("b", b"{}")], [("a{}1:b", b"{}"), ("", b"")], id="two for one"
        ),
        pytest.param([("1", b"{}")], [], id="none"),
    ],
)
def test_other_records_are_another_summary(one, other):
    a, b = (summarise([(i, "1-0", body) for i, body in rows], Range())[0] for rows in (one, other))

    assert not a.equals(b)


def test_parts_meet_without_a_gap_and_the_last_reaches_the_end():
    found = summarise(ROWS, Range("0", "9"), every=3)

    assert [("0", "3", 3), ("3", "6", 3), ("6", "9", 1)] == spans(found)


def test_parts_of_exactly_full_ranges_leave_no_empty_one():
    assert [("", "3", 3), ("3", None, 3)] == spans(summarise(ROWS[:6], Range(), every=3))


def test_single_rows_are_named():
    found = summarise([ROWS[0], GONE], Range(), every=1)

    assert [("1", ROWS[0][1], 1), ("5", GONE[1], 0)] == [
        (s.record_id, s.rev, s.count) for s in found
    ]


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param({"rows_max": 4}, id="rows"),
        pytest.param({"summaries_max": 2}, id="summaries"),
    ],
)
def test_answer_that_was_cut_goes_on_where_it_stopped(bounds):
    ranges = [Range("", "3"), Range("3", "5"), Range("5", None)]

    def read(span):
        return (r for r in ROWS if r[0] > span.after and (span.upto is None or r[0] <= span.upto))

    gathered, rest, rounds = [], ranges, 0
    while rest:
        page = summarise_all(read, rest, every=2, **bounds)
        gathered += page
        rest = rest_of(rest, page)
        rounds += 1

    assert rounds > 1
    assert sum(s.rows for s in gathered) == len(ROWS)
    assert all(a.upto == b.after for a, b in itertools.pairwise(gathered))


def test_range_of_too_many_rows_equals_nothing():
    [found] = summarise(ROWS, Range(), rows_max=4)

    assert (None, "") == (found.upto, found.hash)
    assert not found.equals(found)


@pytest.mark.parametrize(
    ("ranges", "left"),
    [
        pytest.param([Range()], [Range("5")], id="open"),
        pytest.param([Range("1", "5"), Range("6", "9")], [Range("6", "9")], id="one is through"),
        pytest.param([Range("1", "9")], [Range("5", "9")], id="within"),
    ],
)
def test_what_is_left_after_an_answer_up_to_five(ranges, left):
    assert left == rest_of(ranges, [summary("1", "5")])


def test_nothing_is_left_after_an_open_end():
    assert [] == rest_of([Range("1", None)], [summary("1", None)])


def test_only_unequal_ranges_are_parts():
    ours = [summary(upto="3", count=1), summary("3", count=2)]
    theirs = [summary(upto="3", count=1), summary("3", count=3)]

    assert [Part(ours[1], theirs[1])] == differing(ours, theirs)


@pytest.mark.parametrize(
    ("ours", "theirs", "leaf", "by_ours", "step"),
    [
        pytest.param(10, 64, True, False, 64, id="small"),
        pytest.param(0, 100_000, True, False, 2048, id="one end has nothing"),
        pytest.param(2048, 2000, False, True, 64, id="middling"),
        pytest.param(100, 5000, False, False, 2048, id="theirs has more"),
    ],
)
def test_part_is_listed_or_split_by_the_fuller_end(ours, theirs, leaf, by_ours, step):
    part = Part(summary(rows=ours), summary(rows=theirs))

    assert (leaf, by_ours, step) == (is_leaf(part), splits_ours(part), step_of(part))


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        pytest.param([Range()], True, id="one"),
        pytest.param([Range("", "3"), Range("3", "5"), Range("7")], True, id="in order"),
        pytest.param([Range("", "3"), Range("2", "5")], False, id="overlap"),
        pytest.param([Range(), Range("2", "5")], False, id="after an open end"),
    ],
)
def test_order_of_ranges(ranges, expected):
    assert expected is in_order(ranges)


LIVE = {"rows": 1, "count": 1}
DEAD = {"rows": 1, "count": 0, "hash": EMPTY, "rev": "2-b-deleted"}


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [
        pytest.param({**LIVE, "rev": "1-a"}, {**LIVE, "rev": "1-a"}, None, id="equal"),
        pytest.param({**LIVE, "rev": "1-a"}, {**LIVE, "rev": "1-b"}, None, id="equal data"),
        pytest.param(
            {**LIVE, "rev": "1-a"}, {**LIVE, "rev": "1-a", "hash": "y"}, "rotten", id="rot"
        ),
        pytest.param(
            {**LIVE, "rev": "1-a"}, {**LIVE, "rev": "1-b", "hash": "y"}, "differing", id="differing"
        ),
        pytest.param({**LIVE, "rev": "1-a"}, None, "missing_there", id="missing there"),
        pytest.param({**LIVE, "rev": "1-a"}, DEAD, "missing_there", id="deleted there"),
        pytest.param(DEAD, {**LIVE, "rev": "1-a"}, "missing_here", id="deleted here"),
        pytest.param(DEAD, None, None, id="tombstone against nothing"),
        pytest.param(DEAD, {**DEAD, "rev": "3-c-deleted"}, None, id="two tombstones"),
    ],
)
def test_kind_of_a_difference(ours, theirs, kind):
    sides = [[] if s is None else [summary(record_id="7", **s)] for s in (ours, theirs)]

    found = compare_listed("todo", *sides)

    revs = [None if s is None else s["rev"] for s in (ours, theirs)]
    expected = Difference(
        model="todo",
        record_id="7",
        kind=DifferenceKind(kind or "differing"),
        ours=revs[0],
        theirs=revs[1],
    )
    assert ([] if kind is None else [expected]) == found
