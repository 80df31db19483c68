"""
A tab that the browser freezes: another one takes the link, and nothing is lost or sent twice.

A browser freezes hidden tabs only, and the driver has every page of its own believe that it is
looked at; so these tabs are opened and spoken to past it, by the browser's own protocol.
"""

import json
import time

import pytest


WAIT_S = 60
FAILOVER_S = 5
WRITES = 400
CONNECT = """(async () => {
  window.events = [];
  syncline.setLogger((level, event) => events.push(event));
  window.replica = await syncline.connect(%s, {models: ["todo"], store: "indexeddb:todos"});
  window.todo = replica.model("todo");
  await replica.link.waitLive(20000);
})()"""
WRITE = """void (async () => {
  window.written = 0;
  for (let n = 0; n < %d; n += 1) {
    await todo.put("%s" + n, {n});
    window.written = n + 1;
  }
})()"""


class Tab:
    """One tab of a browser's window; the one that was opened last is the one that is seen."""

    def __init__(self, cdp, url):
        self._cdp = cdp
        self._asked = 0
        self._answers = {}
        self._target = cdp.send("Target.createTarget", {"url": url})["targetId"]
        attached = cdp.send("Target.attachToTarget", {"targetId": self._target, "flatten": False})
        self._session = attached["sessionId"]
        cdp.on("Target.receivedMessageFromTarget", self._heard)
        self.wait("document.readyState === 'complete' && window.syncline")

    def _heard(self, event):
        message = json.loads(event["message"])
        if event["sessionId"] == self._session and "id" in message:
            self._answers[message["id"]] = message

    def send(self, method, **params):
        self._asked += 1
        asked = json.dumps({"id": self._asked, "method": method, "params": params})
        self._cdp.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": asked})
        deadline = time.monotonic() + WAIT_S
        while self._asked not in self._answers:
            assert time.monotonic() < deadline, f"{method} was not answered"
            # Asking the browser anything lets the driver hand over what it has heard.
            self._cdp.send("Target.getTargets")
        return self._answers.pop(self._asked)["result"]

    def evaluate(self, expression):
        """Return what an expression is, once it is settled."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition, seconds=WAIT_S):
        """Wait until a condition holds; return how many seconds that took."""
        started = time.monotonic()
        while not self.evaluate(f"Boolean({condition})"):
            took_s = time.monotonic() - started
            assert took_s < seconds, f"{condition} did not come within {seconds} s"
        return time.monotonic() - started

    def freeze(self):
        self.send("Page.setWebLifecycleState", state="frozen")

    def thaw(self):
        self.send("Page.setWebLifecycleState", state="active")

    def close(self):
        self._cdp.send("Target.closeTarget", {"targetId": self._target})


@pytest.fixture
def tabs(chromium, site, daemon):
    """Two tabs of a page: the leader, which is hidden behind the other one."""
    cdp = chromium.new_browser_cdp_session()
    opened = []
    for _ in range(2):
        opened.append(Tab(cdp, site))
        opened[-1].evaluate(CONNECT % json.dumps(daemon.url))
    states = [tab.evaluate("[replica.status.tab, document.visibilityState]") for tab in opened]
    assert [["leader", "hidden"], ["follower", "visible"]] == states
    yield opened
    for tab in opened:
        tab.close()
    cdp.detach()


def test_frozen_leader_hands_the_link_on_and_no_write_is_lost_or_doubled(
    tabs, daemon, records, head
):
    leader, other = tabs
    # Both write all the time, over the freezing.
    for name, tab in (("leader", leader), ("other", other)):
        tab.evaluate(WRITE % (WRITES, name))
    leader.wait("written > 20")
    leader.freeze()

    took_s = other.wait("replica.status.tab === 'leader'", FAILOVER_S)
    assert took_s < FAILOVER_S
    frozen_at = leader.evaluate("written")
    other.wait(f"written === {WRITES}")
    other.evaluate("replica.link.waitLive(20000)")
    held = records(daemon)
    assert {f"other{n}" for n in range(WRITES)} <= set(held)
    assert {f"leader{n}" for n in range(frozen_at)} <= set(held)
    assert frozen_at < WRITES

    leader.thaw()
    leader.wait(f"written === {WRITES}")
    leader.evaluate("replica.link.waitLive(20000)")

    held = records(daemon)
    assert {f"{name}{n}" for name in ("leader", "other") for n in range(WRITES)} == set(held)
    assert len(held) == head(daemon)
    assert "follower" == leader.evaluate("replica.status.tab")


def test_tab_that_thaws_says_that_it_was_put_away_and_shows_what_it_missed(tabs, daemon):
    leader, other = tabs
    leader.freeze()
    other.wait("replica.status.tab === 'leader'", FAILOVER_S)
    other.evaluate("todo.put('1', {title: 'milk'}).then(() => replica.link.waitLive(20000))")
    assert 0 == leader.evaluate("replica.core.engine.store.readNow((tx) => tx.head())")

    leader.thaw()

    leader.wait("replica.status.state === 'live' && replica.status.tab === 'follower'")
    leader.evaluate("replica.barrier(20000)")
    assert "milk" == leader.evaluate("todo.get('1').then(({title}) => title)")
    heard = [event for event in leader.evaluate("events") if event.startswith("page.")]
    assert ["page.suspended", "page.restored"] == heard
