"""
A page behind a bad network: its socket cut, held and flapping, in a real Chromium.

The browser's own offline switch leaves WebSockets alone, so the faults are those of a proxy that
stands between the page and the daemon.
"""

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from syncline import blocking


sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from proxy import IN, OUT, FaultProxy


WAIT_S = 30
HEARTBEAT_S = "0.4"
QUICK = {"firstDelayS": 0.05, "delayCapS": 0.5, "ackTimeoutS": 2}
WRITES = 20


@pytest.fixture
def daemon(new_daemon, site, monkeypatch):
    """A daemon whose heartbeat finds a dead link soon."""
    monkeypatch.setenv("SYNCLINE_TIMINGS__HEARTBEAT_S", HEARTBEAT_S)
    monkeypatch.setenv("SYNCLINE_TIMINGS__SEND_TIMEOUT_S", "1.0")
    return new_daemon([site])


class Proxy:
    """A fault proxy on a thread of its own: the browser's driver has a loop on this one."""

    def __init__(self, port):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = FaultProxy(port)
        self.run(self._proxy.__aenter__())
        self.url = self._proxy.url

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def do(self, name, *args):
        """Call one of the proxy's faults, on its loop."""

        async def call():
            getattr(self._proxy, name)(*args)

        self.run(call())

    def flap(self):
        self.run(self._proxy.flap(10, up_s=0.2, down_s=0.2, seed=1))

    def close(self):
        self.run(self._proxy.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def proxy(daemon):
    made = Proxy(daemon.port)
    yield made
    made.close()


@pytest.fixture
def near(daemon):
    """A Python replica that is not behind the proxy."""
    with blocking.connect(daemon.url, models=["todo"]) as replica:
        replica.wait_live(WAIT_S)
        yield replica


@pytest.fixture
def far(private, open_page, proxy):
    """The page behind the proxy; it keeps every status that it was shown."""
    page = open_page(private, url=proxy.url, settings=QUICK)
    page.evaluate("""() => {
      window.shown = [];
      replica.onStatus(({state, pending}) => shown.push([state, pending]));
    }""")
    return page


def write_at_both(far, near, name):
    """Write at both ends at once; the page's writes are kept when this returns."""
    far.evaluate(
        """([name, count]) => void (window.writing = (async () => {
          for (let n = 0; n < count; n += 1) await todo.put(`far-${name}-${n}`, {n});
        })())""",
        [name, WRITES],
    )
    for n in range(WRITES):
        near.model("todo").put(f"near-{name}-{n}", {"n": n})
    far.evaluate("writing")


def assert_level(far, near, daemon, records, head, rounds):
    """Assert that all hold all that was written, once, with no write to nudge them."""
    far.evaluate("replica.link.waitLive(20000).then(() => replica.barrier(20000))")
    near.wait_live(WAIT_S)
    near.barrier(WAIT_S)
    held = records(daemon)
    wanted = {f"{end}-{name}-{n}" for end in ("far", "near") for name in rounds for n in range(20)}
    assert wanted == set(held)
    assert held == {record["id"]: record for record in near.model("todo").find()}
    assert held == {record["id"]: record for record in far.evaluate("todo.find()")}
    # Each write is one change of the list: none was taken twice.
    assert len(wanted) == head(daemon)
    assert [] == far.evaluate("replica.conflicts({openOnly: false})")


def assert_honest(far):
    """Assert that no status ever said live with something unsaid, and that the last one is live."""
    shown = far.evaluate("shown")
    assert [] == [status for status in shown if status[0] == "live" and status[1]]
    assert ["live", 0] == shown[-1]


FAULTS = {
    "cut and refused": ("refuse",),
    "held on the way in": ("black_hole", IN),
    "held on the way out": ("black_hole", OUT),
    "held both ways": ("black_hole",),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_page_that_is_cut_off_says_so_keeps_its_writes_and_comes_level(
    fault, far, near, proxy, daemon, records, head
):
    write_at_both(far, near, "before")
    assert_level(far, near, daemon, records, head, ["before"])

    proxy.do(*fault)
    write_at_both(far, near, "during")

    # It is found without anybody's help, and what waits is counted.
    far.wait_for_function("['offline', 'connecting'].includes(replica.status.state)")
    assert WRITES == far.evaluate("replica.status.pending")
    assert 0 < far.evaluate("replica.status.lagMs")

    proxy.do("heal")
    assert_level(far, near, daemon, records, head, ["before", "during"])
    assert_honest(far)


def test_page_whose_socket_is_reset_comes_back_by_itself(far, near, proxy, daemon, records, head):
    write_at_both(far, near, "before")
    far.evaluate("replica.link.waitLive(20000)")
    far.evaluate("shown.length = 0")

    proxy.do("cut")
    write_at_both(far, near, "during")

    far.wait_for_function("shown.some(([state]) => state === 'offline')")
    assert_level(far, near, daemon, records, head, ["before", "during"])
    assert_honest(far)


def test_page_on_a_flapping_network_loses_and_doubles_nothing(
    far, near, proxy, daemon, records, head
):
    rounds = [f"flap{turn}" for turn in range(3)]
    for name in rounds:
        write_at_both(far, near, name)
        proxy.flap()

    assert_level(far, near, daemon, records, head, rounds)
    assert_honest(far)
    states = {state for state, _ in far.evaluate("shown")}
    assert {"offline", "connecting", "catching_up", "live"} == states


def test_what_a_stranded_connection_held_back_is_nobodys_when_it_arrives(
    far, near, proxy, daemon, records, head
):
    """The push of a connection that was given up arrives after it was made again by the next."""
    proxy.do("strand")
    write_at_both(far, near, "during")
    assert_level(far, near, daemon, records, head, ["during"])

    proxy.do("heal")

    write_at_both(far, near, "after")
    assert_level(far, near, daemon, records, head, ["during", "after"])
    assert_honest(far)


def test_without_its_heartbeat_the_page_would_not_find_a_black_hole(private, open_page, proxy):
    """Shows that the tests above can go red."""
    deaf = {**QUICK, "heartbeatMisses": 1000, "ackTimeoutS": 1000, "stallTimeoutS": 1000}
    page = open_page(private, url=proxy.url, settings=deaf)
    proxy.do("black_hole")

    with pytest.raises(Exception, match="Timeout"):
        page.wait_for_function("replica.status.state !== 'live'", timeout=3000)
