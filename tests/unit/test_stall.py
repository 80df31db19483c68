from syncline.stall import StallWatch


def looks(*steps, limit_s=60.0):
    watch = StallWatch(limit_s)
    told = [watch.look(at, has_work=work, progress=progress) for at, work, progress in steps]
    return told, watch


def test_no_progress_for_the_limit_is_told_once_and_again_after_each_further_limit():
    told, watch = looks(*((at, True, "same") for at in (0, 50, 60, 70, 119, 120)))

    assert [False, False, True, False, False, True] == told
    assert (True, 120) == (watch.is_stalled, watch.idle_s(120))


def test_progress_ends_it():
    told, watch = looks((0, True, 1), (60, True, 1), (70, True, 2), (129, True, 2), (130, True, 2))

    assert [False, True, False, False, True] == told
    assert 60 == watch.idle_s(130)


def test_who_has_nothing_to_do_is_not_stuck():
    told, watch = looks((0, True, 1), (60, False, 1), (500, False, 1), (501, True, 1))

    assert [False] * 4 == told
    assert not watch.is_stalled
