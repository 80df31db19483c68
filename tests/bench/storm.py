"""
A storm: all clients are lost at once and come back, ``python tests/bench/storm.py``.

Prints how many were live again after how many seconds, who was told to come back later, and the
daemon's memory before and after. The daemon is killed and started again, or told to stop.
"""

import argparse
import collections
import sys
import tempfile
import time
from pathlib import Path

from processes import Client


sys.path.insert(0, str(Path(__file__).parent.parent / "faults"))
import harness


MODEL = "log"
PROCESSES = 2
HOWS = ("kill", "stop")
SETTLE_S = 5.0


def main():
    parser = argparse.ArgumentParser(description="Lose all clients at once, and time their return.")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--how", choices=HOWS, action="append", help="how the daemon ends [both]")
    parser.add_argument("--down", type=float, default=0.0, help="seconds until it starts again [0]")
    args = parser.parse_args()
    harness.raise_files(args.clients * 2 + 1000)
    hows = args.how or HOWS
    with tempfile.TemporaryDirectory(prefix="syncline-storm-") as folder:
        return storm(Path(folder), args.clients, hows, args.down)


def storm(folder, clients, hows, down_s):
    """Run a storm of each kind; return an exit code: whether somebody stayed away."""
    daemon = harness.Daemon(folder)
    daemon.start()
    base = daemon.rss_kib()
    share = clients // PROCESSES
    crowd = [
        Client(
            "storm_clients",
            "weather",
            url=daemon.url,
            count=share,
            first=index * share,
            model=MODEL,
            storms=len(hows),
        )
        for index in range(PROCESSES)
    ]
    lost_at, memory = [], []
    try:
        for each in crowd:
            each.wait_line("connected")
        time.sleep(SETTLE_S)
        memory.append(daemon.rss_kib())
        print(f"daemon {base} KiB alone, {memory[0]} KiB with {share * PROCESSES} clients")
        for how in hows:
            lost_at.append(time.time())
            daemon.child.kill() if how == "kill" else daemon.stop()
            time.sleep(down_s)
            started = time.time()
            daemon.start()
            print(
                f"{how}: serves again after {time.time() - started:.2f} s of starting", flush=True
            )
            for each in crowd:
                each.wait_line("level")
            print(f"{how}: all live {time.time() - lost_at[-1]:.2f} s after the end", flush=True)
            time.sleep(SETTLE_S)
            memory.append(daemon.rss_kib())
        told = [client for each in crowd for client in each.result()]
        time.sleep(SETTLE_S)
        memory.append(daemon.rss_kib())
    finally:
        daemon.close()
    for index, how in enumerate(hows):
        _print_curve(how, lost_at[index], [c[1][index + 1] for c in told])
    refused = collections.Counter(c[2] for c in told)
    print(f"told to come back later, times: clients {dict(sorted(refused.items()))}")
    print(f"daemon memory KiB: connected, after each storm, all gone: {memory}")
    return 0


def _print_curve(how, lost_at, lives):
    after = sorted(live - lost_at for live in lives)
    print(f"{how}: seconds after the end, and clients live again")
    for second in range(int(after[-1]) + 2):
        count = sum(each <= second for each in after)
        print(f"  {second:3} {count:5} {'#' * (50 * count // len(after))}")
    middle, p99 = after[len(after) // 2], after[int(len(after) * 0.99) - 1]
    print(f"  median {middle:.2f} s, p99 {p99:.2f} s, last {after[-1]:.2f} s")


if __name__ == "__main__":
    sys.exit(main())
