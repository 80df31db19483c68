"""A newer connection of a replica ends the older; two of one name are told for what they are."""

from structlog.testing import capture_logs

from synclined import fencing
from synclined.fencing import FENCES_MAX, KNOWN_MAX, WINDOW_S, Fencing


def contended(logs):
    return [line["replica_id"] for line in logs if line["event"] == "replica.contended"]


def test_a_newer_connection_names_the_older_and_a_late_leaving_changes_nothing():
    fences = Fencing()

    assert fences.enter("a", "one", was="") is None
    assert fences.enter("a", "one", was="a") is None
    assert "one" == fences.enter("a", "two", was="")
    fences.leave("a", "one")
    assert "two" == fences.enter("a", "three", was="")
    assert fences.enter("b", "three", was="a") is None
    assert fences.enter("a", "four", was="") is None


def test_two_that_end_each_other_again_and_again_are_said_once_a_while():
    fences = Fencing()

    with capture_logs() as logs:
        for turn in range(5 * FENCES_MAX):
            fences.ended("copied", f"s{turn}", now_s=turn)

    assert ["copied"] == contended(logs)
    assert "copy" in next(line["hint"] for line in logs if "hint" in line)
    with capture_logs() as logs:
        for turn in range(FENCES_MAX):
            fences.ended("copied", f"t{turn}", now_s=5 * FENCES_MAX + WINDOW_S + turn)
    assert ["copied"] == contended(logs)


def test_one_that_comes_back_now_and_then_is_not():
    fences = Fencing()

    with capture_logs() as logs:
        for turn in range(100):
            fences.ended("flapping", f"s{turn}", now_s=turn * WINDOW_S / (FENCES_MAX - 2))

    assert [] == contended(logs)
    assert 100 == len(logs)


def test_what_is_kept_has_a_bound():
    fences = Fencing()

    for number in range(2 * KNOWN_MAX):
        fences.ended(f"r{number}", "s", now_s=0.0)

    assert fencing.KNOWN_MAX == len(fences._recent)
