import pytest

from synclined.window import Credit, Window


BEHIND, CUT, SEND, SILENT = Credit.BEHIND, Credit.CUT, Credit.SEND, Credit.SILENT


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([(10, 0, 0, SEND), (10, 0, 1, SEND)], id="a reader always has credit"),
        pytest.param([(10, 90, 0, SEND), (10, 95, 1, BEHIND)], id="the window's edge is inside"),
        pytest.param(
            [(60, 0, 0, SEND), (60, 60, 0, BEHIND), (60, 60, 1, SILENT), (1, 60, 2, SILENT)],
            id="told once, then silence",
        ),
        pytest.param(
            [(60, 0, 0, SEND), (60, 60, 0, BEHIND), (60, 26, 1, SILENT), (60, 25, 2, SEND)],
            id="credit again when a quarter is left",
        ),
        pytest.param(
            [(60, 0, 0, SEND), (60, 60, 0, BEHIND), (60, 0, 1, SEND), (60, 60, 2, BEHIND)],
            id="behind again, told again",
        ),
        pytest.param(
            [(500, 0, 0, SEND), (500, 500, 1, BEHIND), (500, 0, 2, SEND)],
            id="a frame larger than the window goes to an idle reader",
        ),
        pytest.param(
            [(10, 0, 0, SEND), (10, 10, 1, SEND), (10, 20, 19, SEND), (10, 30, 20, CUT)],
            id="nothing drained for the timeout",
        ),
        pytest.param(
            [(10, 0, 0, SEND), (10, 10, 19, SEND), (10, 19, 20, SEND), (10, 29, 39, SEND)],
            id="one byte drained starts the timeout anew",
        ),
        pytest.param(
            [(60, 0, 0, SEND), (60, 60, 10, BEHIND), (60, 60, 19, SILENT), (60, 60, 20, CUT)],
            id="who is behind is cut as well",
        ),
        pytest.param([(10, 0, 0, SEND), (10, 0, 1000, SEND)], id="idle for long is not stuck"),
        pytest.param(
            [(10, 50, 1000, SEND), (10, 60, 1019, SEND), (10, 70, 1020, CUT)],
            id="what others put there counts from when it is seen",
        ),
    ],
)
def test_credit(steps):
    """Each step: the frame's bytes, the bytes that wait, the time, what is decided."""
    window = Window(bytes_max=100, send_timeout_s=20)

    assert [step[3] for step in steps] == [window.offer(*step[:3]) for step in steps]


def test_credit_is_given_back_to_who_has_read_the_list():
    window = Window(bytes_max=100, send_timeout_s=20)
    window.offer(60, 0, 0)
    assert BEHIND is window.offer(60, 60, 1)
    assert window.is_behind

    window.caught_up()

    assert not window.is_behind
    assert SEND is window.offer(10, 60, 2)


def test_stuck_is_seen_without_a_frame_to_send():
    window = Window(bytes_max=100, send_timeout_s=20)
    window.offer(10, 0, 0)

    assert not window.is_stuck(10, 19)
    assert window.is_stuck(10, 20)


def test_an_idle_reader_has_all_its_credit_back():
    window = Window(100, 30.0)
    assert SEND is window.offer(frame_bytes=60, buffered=0, now_s=0)
    assert BEHIND is window.offer(frame_bytes=60, buffered=60, now_s=1)

    assert SEND is window.offer(frame_bytes=60, buffered=0, now_s=2)
    assert SEND is window.offer(frame_bytes=10, buffered=60, now_s=31)
    assert CUT is window.offer(frame_bytes=10, buffered=70, now_s=62)
