"""A storm of clients is spread over a window that the daemon names, and nobody stays away."""

import asyncio
import time

import pytest
import socketio
from harness import TOML, Daemon

import syncline
from syncline.connection import Connection
from syncline.errors import Busy


WAIT_S = 30
SLOW = TOML.replace("[limits]", "[limits]\nconnects_per_s = 8")


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(tmp_path, toml=SLOW)
    made.start()
    yield made
    made.close()


async def test_replicas_that_come_at_once_are_told_when_to_come_back_and_all_get_in(daemon):
    reasons = set()
    replicas = [await syncline.connect(daemon.url, models=["log"]) for _ in range(24)]
    for replica in replicas:
        replica.link.on_status(lambda status: reasons.add(status.reason))
    await asyncio.gather(*(replica.link.wait_live(WAIT_S) for replica in replicas))
    for replica in replicas:
        await replica.close()

    assert "busy" in reasons


async def test_whoever_comes_back_with_its_ticket_is_let_in_while_others_press(daemon):
    async with asyncio.timeout(WAIT_S):
        busy = await _first_busy(daemon)
        again = Connection(daemon.url, ticket=busy.ticket)
        back_at = time.monotonic() + busy.delay_s
        pressing = asyncio.create_task(_press_until(daemon, back_at + 1))
        await asyncio.sleep(busy.delay_s)
        await again.open()

    assert again.is_open
    await again.close()
    await pressing


async def _first_busy(daemon):
    found = await asyncio.gather(*(_try(daemon) for _ in range(30)), return_exceptions=True)
    return next(error for error in found if isinstance(error, Busy))


async def _try(daemon):
    connection = Connection(daemon.url)
    await connection.open()
    await connection.close()


async def _press_until(daemon, end):
    while time.monotonic() < end:
        await asyncio.gather(*(_try(daemon) for _ in range(10)), return_exceptions=True)


async def test_a_stock_client_is_told_in_the_refusal_itself(daemon):
    refusals = []
    clients = [socketio.AsyncClient(reconnection=False) for _ in range(24)]
    for client in clients:
        client.on("connect_error", refusals.append)

    async def connect(client):
        try:
            await client.connect(
                daemon.url, auth={"protocol": 1}, transports=["websocket"], wait_timeout=WAIT_S
            )
        except socketio.exceptions.ConnectionError:
            return
        finally:
            await client.disconnect()

    await asyncio.gather(*map(connect, clients))

    told = refusals[0]["data"]
    assert ("busy", True) == (told["code"], told["retryable"])
    assert told["delay_ms"] > 0
    assert told["ticket"]


async def test_at_a_drain_everybody_is_given_a_time_of_its_own(daemon):
    byes = []
    many = [
        Connection(daemon.url, on_event=lambda event, said: byes.append((event, said)))
        for _ in range(12)
    ]

    async with asyncio.timeout(WAIT_S):
        for connection in many:
            await connection.open()
            await asyncio.sleep(0.13)  # As fast as the door takes them.
        await asyncio.to_thread(daemon.stop)
        while len(byes) < len(many):
            await asyncio.sleep(0.01)
    for connection in many:
        await connection.close()
    delays = sorted(said["delay_ms"] for _, said in byes)

    assert {"bye"} == {event for event, _ in byes}
    assert len(set(delays)) == len(delays)
    assert all(1000 <= delay <= 1000 + 2000 for delay in delays)
