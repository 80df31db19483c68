from synclined import absent
from synclined.absent import Absentees
from synclined.access import ANYONE
from synclined.peers import Peer


def peer(name):
    return Peer("sid", ANYONE, is_bare=not name, replica_id=name)


def names(absentees, here=()):
    return [one.peer.replica_id for one in absentees.known(here)]


def test_who_went_is_remembered_for_a_while():
    times = iter([100.0, 150.0, 159.0, 160.0, 210.0])
    absentees = Absentees(60.0, clock=lambda: next(times))
    absentees.left(peer("a"))
    absentees.left(peer("b"))

    assert ["a", "b"] == names(absentees)
    assert ["b"] == names(absentees)
    assert [] == names(absentees)


def test_who_is_back_is_not_away_and_goes_anew():
    times = iter([100.0, 101.0, 102.0, 103.0])
    absentees = Absentees(60.0, clock=lambda: next(times))
    absentees.left(peer("a"))

    assert [] == names(absentees, {"a"})
    absentees.left(peer("a"))
    assert [102_000] == [one.left_ms for one in absentees.known(())]


def test_who_never_said_hello_is_nobody():
    absentees = Absentees(60.0)
    absentees.left(peer(""))

    assert [] == names(absentees)


def test_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(absent, "ABSENT_MAX", 2)
    absentees = Absentees(60.0)
    for name in ("a", "b", "a", "c"):
        absentees.left(peer(name))

    assert ["a", "c"] == names(absentees)
