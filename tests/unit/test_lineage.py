import pytest

from syncline.lineage import EPOCHS_MAX, Epoch, Lineage


LINEAGE = Lineage("list", (Epoch("e1", 0), Epoch("e2", 10), Epoch("e3", 20)))


def judge(*, source="list", epoch="e3", seq=25, reach=0, head=30, horizon=0):
    return LINEAGE.judge(
        source=source, epoch=epoch, seq=seq, reach=reach, head=head, horizon=horizon
    )


@pytest.mark.parametrize(
    ("cursor", "good", "shared", "reason"),
    [
        pytest.param({"source": "", "epoch": "", "seq": 0}, True, 0, "", id="first contact"),
        pytest.param({}, True, 0, "", id="in the open epoch"),
        pytest.param({"seq": 31}, False, 30, "ahead", id="beyond the head"),
        pytest.param({"reach": 31}, False, 30, "ahead", id="a base beyond the head"),
        pytest.param({"epoch": "e1", "seq": 10}, True, 0, "", id="at an older epoch's end"),
        pytest.param({"epoch": "e1", "seq": 11}, False, 10, "ahead", id="beyond its end"),
        pytest.param(
            {"epoch": "e2", "seq": 5, "reach": 21}, False, 20, "ahead", id="a base beyond its end"
        ),
        pytest.param({"epoch": "x"}, False, 0, "epoch", id="an epoch that never was"),
        pytest.param({"source": "other"}, False, 0, "source", id="another list"),
        pytest.param({"seq": 25, "horizon": 26}, False, 30, "horizon", id="behind the horizon"),
        pytest.param({"seq": 25, "horizon": 25}, True, 0, "", id="at the horizon"),
        pytest.param({"seq": 0, "horizon": 25}, True, 0, "", id="at the very start"),
    ],
)
def test_cursor_is_judged(cursor, good, shared, reason):
    standing = judge(**cursor)

    assert (good, shared, reason) == (standing.is_good, standing.shared, standing.reason)


def test_opening_an_epoch_ends_the_one_before():
    lineage = LINEAGE.opened("e4", 30)

    assert "e4" == lineage.current
    assert not lineage.judge(source="list", epoch="e3", seq=31, reach=0, head=40, horizon=0).is_good


def test_epochs_are_bounded():
    lineage = Lineage("list", ())
    for number in range(EPOCHS_MAX + 5):
        lineage = lineage.opened(f"e{number}", number)

    assert EPOCHS_MAX == len(lineage.epochs)
