"""Those who look at a link: each is told or freed, whatever another one does."""

import asyncio

import pytest

from syncline.errors import StoreUnavailable
from syncline.onlookers import Onlookers
from syncline.status import SessionState, Status


LIVE = Status(state=SessionState.LIVE)


def broken(*_args):
    raise ValueError("a listener of somebody's")


def test_a_listener_that_raises_keeps_nobody_from_hearing():
    onlookers, heard = Onlookers(lambda: LIVE), []
    onlookers.listen(broken)
    onlookers.listen(heard.append)

    onlookers.look()

    assert [LIVE] == heard


def test_a_listener_hears_of_a_change_and_of_nothing_else():
    states = [LIVE, LIVE, Status()]
    onlookers, heard = Onlookers(lambda: states.pop(0)), []
    end = onlookers.listen(heard.append)

    onlookers.look()
    onlookers.look()
    onlookers.look()
    end()
    onlookers.look()

    assert [LIVE, Status()] == heard


def test_a_status_that_can_not_be_read_is_told_another_time():
    statuses = [StoreUnavailable("locked"), LIVE]

    def status():
        if isinstance(statuses[0], Exception):
            raise statuses.pop(0)
        return statuses[0]

    onlookers, heard = Onlookers(status), []
    onlookers.listen(heard.append)

    onlookers.look()
    onlookers.look()

    assert [LIVE] == heard


async def test_who_waits_for_what_can_not_be_told_hears_why_and_others_wait_on():
    onlookers, is_so = Onlookers(Status), []
    failing = asyncio.ensure_future(onlookers.until(broken))
    waiting = asyncio.ensure_future(onlookers.until(lambda: bool(is_so)))
    await asyncio.sleep(0)

    onlookers.look()

    with pytest.raises(ValueError, match="somebody"):
        await failing
    assert not waiting.done()
    is_so.append(True)
    onlookers.look()
    await waiting
