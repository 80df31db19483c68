"""Hundreds of seeded histories of a whole network; a seed that fails prints itself."""

import pytest

from syncline.simulation import simulate


SEEDS = 300
CHUNK = 20
PROFILES = ("calm", "lossy", "broken", "crashing", "everything")


def _failures(seeds, **options):
    reports = (simulate(seed, **options) for seed in seeds)
    return [(report.seed, report.failure) for report in reports if report.failure]


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_promise_holds(first):
    assert [] == _failures(range(first, first + CHUNK))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_promise_holds_under_each_profile(profile):
    assert [] == _failures(range(1000, 1030), profile=profile)


@pytest.mark.parametrize("first", range(0, 60, CHUNK))
def test_nothing_is_lost_when_only_two_ancestors_are_kept(first):
    assert [] == _failures(range(first, first + CHUNK), ancestors_max=2)


@pytest.mark.parametrize("first", range(0, 60, CHUNK))
def test_replicas_agree_after_the_root_was_restored(first):
    assert [] == _failures(range(first, first + CHUNK), restores=True)


@pytest.mark.parametrize("first", range(0, 60, CHUNK))
def test_deletes_stay_deleted_when_tombstones_are_purged(first):
    assert [] == _failures(range(first, first + CHUNK), purges=True)


@pytest.mark.parametrize("first", range(0, 40, CHUNK))
def test_replicas_agree_after_restores_and_purges_together(first):
    assert [] == _failures(range(first, first + CHUNK), purges=True, restores=True)


FOUND = [
    pytest.param(25, {"profile": "calm"}, id="joined ancestors forget the common past first"),
    pytest.param(1015, {"profile": "calm"}, id="a parked record gives way and frees its group"),
    pytest.param(7, {"profile": "calm"}, id="an upstream back at our base ends a conflict"),
    pytest.param(5, {"profile": "calm"}, id="an applied push ends the conflict it was in"),
    pytest.param(15, {"profile": "calm"}, id="what was rebased is pushed without a write"),
    pytest.param(10, {"profile": "calm"}, id="a refusal during a conflict gives way to theirs"),
    pytest.param(142, {"profile": "calm"}, id="a strategy does not decide anew on a repeat"),
    pytest.param(85, {"profile": "broken"}, id="a daemon keeps the ancestors that it adopted"),
    pytest.param(193, {"profile": "calm"}, id="a rolled back removal restores the order"),
    pytest.param(12710, {}, id="a daemon keeps the ancestors that it joined"),
    pytest.param(165, {}, id="a first sync is whole only at the head that its rows were read at"),
    pytest.param(3, {}, id="an applied push that had given way here is taken from its answer"),
    pytest.param(
        60075,
        {"purges": True, "restores": True},
        id="a page of a first sync reaches as far as the head that it was read at",
    ),
    pytest.param(31, {"restores": True}, id="a conflict dropped at a reset is found again"),
    pytest.param(112, {"restores": True}, id="a made-up deletion has no place of its own"),
    pytest.param(78, {"purges": True}, id="a purge amid a first sync begins it anew"),
    pytest.param(801227, {}, id="a deletion meets the tombstone of a refused create"),
    pytest.param(3003347, {}, id="an amendment ends the conflict that it arrives in"),
    pytest.param(3006617, {}, id="a refused group is taken after all, by a late repeat"),
    pytest.param(2001913, {}, id="a repeat of what was given up holds what stands by now"),
    pytest.param(
        7020399,
        {"purges": True, "restores": True},
        id="a restore to a former life gives way to who knows of both",
    ),
    pytest.param(154, {}, id="a conflict ends when the upstream takes ours in"),
    pytest.param(142, {"restores": True}, id="a strategy let in what then gives way"),
    pytest.param(
        78,
        {"restores": True, "profile": "calm"},
        id="what waits again after a restore waits by itself",
    ),
    pytest.param(
        194,
        {"restores": True, "profile": "calm"},
        id="a settled conflict is listed with what theirs moved on to",
    ),
    pytest.param(
        100087,
        {"ancestors_max": 2},
        id="a transaction that the upstream has gives way to a later edit in part",
    ),
    pytest.param(
        200471,
        {"ancestors_max": 2},
        id="a transaction stays one when part of it was written the same here",
    ),
    pytest.param(300198, {}, id="a transaction that was given up is taken by a late repeat"),
]


@pytest.mark.parametrize(("seed", "options"), FOUND)
def test_seed_that_once_failed(seed, options):
    assert "" == simulate(seed, **options).failure


def test_same_seed_gives_the_same_history():
    first, second = simulate(17, steps=60), simulate(17, steps=60)

    assert first == second


def test_report_spells_out_what_was_run():
    report = simulate(3, steps=20, replicas=2, levels=1)

    assert (20, 2, 1) == (report.options.steps, report.options.replicas, report.options.levels)
    assert report.writes > 0
    assert report.messages > 0
    assert report.virtual_s > 0
