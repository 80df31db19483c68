"""
The daemon's figures for Prometheus, at `/metrics`.

They are gathered when they are asked for, so that nothing is counted on the hot path but what came
of each push and each error, once a push and once an error.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import psutil
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from syncline.errors import Forbidden, SynclineError
from synclined.absent import Absent
from synclined.access import Principal, may_watch
from synclined.loop_lag import Lag
from synclined.peers import Peer


Authenticate = Callable[[str | None], Principal]


class Tallies:
    """
    What is counted as it happens.

    Attributes:
        pushed: pushed updates, by what became of them. errors: what somebody was told, by code.
    """

    def __init__(self) -> None:
        self.pushed: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()


class DaemonCollector(Collector):
    """
    Gathers the figures of one daemon.

    Args:
        head: where its list stands. peers: who is connected. loop_lag: how long the loop was held.
        absent: who went away of late, given the replicas that are connected.
    """

    def __init__(
        self,
        tallies: Tallies,
        head: Callable[[], int],
        peers: Callable[[], Sequence[Peer]],
        loop_lag: Callable[[], Lag],
        absent: Callable[[Collection[str]], Sequence[Absent]],
    ) -> None:
        self._tallies = tallies
        self._head = head
        self._peers = peers
        self._loop_lag = loop_lag
        self._absent = absent
        self._process = psutil.Process()

    def collect(self) -> Iterable[Metric]:
        """Return the figures now."""
        peers = self._peers()
        followers = [peer for peer in peers if peer.replica_id]
        head, lag = self._head(), self._loop_lag()
        away = self._absent({peer.replica_id for peer in followers})
        yield from (
            _gauge("head", "The seq of the last change.", head),
            _gauge("connections", "Open connections.", len(peers)),
            _gauge("followers", "Connected replicas.", len(followers)),
            _gauge(
                "followers_behind_changes",
                "Changes that the furthest behind of them has yet to take.",
                max((peer.behind_at(head) for peer in followers), default=0),
            ),
            _gauge(
                "followers_pending_records",
                "Records that they say they have yet to push.",
                sum(peer.pending for peer in followers),
            ),
            _gauge(
                "followers_conflicts",
                "Conflicts that they say wait to be settled.",
                sum(peer.conflicts for peer in followers),
            ),
            _gauge(
                "followers_stalled",
                "Those that say that they get nowhere.",
                sum(peer.is_stalled for peer in followers),
            ),
            _gauge("away", "Replicas that went away of late and did not come back.", len(away)),
            _gauge(
                "away_behind_changes",
                "Changes that the furthest behind of those has yet to take.",
                max((max(head - one.peer.cursor, 0) for one in away), default=0),
            ),
            _gauge(
                "away_pending_records",
                "Records that those had yet to push when they were last heard of.",
                sum(one.peer.pending for one in away),
            ),
            _gauge("loop_lag_seconds", "How late the event loop was last.", lag.last_ms / 1000),
            _gauge("loop_lag_worst_seconds", "The worst of two minutes.", lag.worst_ms / 1000),
            _gauge("resident_bytes", "Resident memory.", self._process.memory_info().rss),
        )
        pushed = CounterMetricFamily(
            "syncline_pushed_updates", "Pushed updates, by their answer.", labels=["answer"]
        )
        for answer, count in self._tallies.pushed.items():
            pushed.add_metric([answer], count)
        errors = CounterMetricFamily(
            "syncline_errors", "Errors that somebody was told, by code.", labels=["code"]
        )
        for code, count in self._tallies.errors.items():
            errors.add_metric([code], count)
        blocked = CounterMetricFamily(
            "syncline_loop_blocked", "How often the event loop was held too long."
        )
        blocked.add_metric([], lag.blocked)
        yield from (pushed, errors, blocked)


def _gauge(name: str, sentence: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"syncline_{name}", sentence, value=value)


def add_metrics(
    app: web.Application, authenticate: Authenticate, collector: Callable[[], Collector | None]
) -> None:
    """Add `/metrics`, for who may see the daemon's state; a token comes as a bearer's."""

    async def show(request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        try:
            principal = authenticate(token or None)
            if not may_watch(principal):
                raise Forbidden(f"{principal.name} may not see the daemon's state")
        except SynclineError as error:
            return web.Response(status=error.status, text=f"{error}\n")
        found = collector()
        if found is None:
            return web.Response(status=503, text="the daemon is not open\n")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(found)
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/metrics", show)
