"""
Random histories of three stock clients, a Python replica and plain REST, at any LoopBack server.

One seed is played at the daemon and at a stock LoopBack server, step for step: clients edit, push
and pull, are offline for a while, have their lines cut in the middle of a push; `since` is kept as
LoopBack's own tests keep it.
``python -m tests.loopback.histories --seed 7`` plays one seed alone; ``--count 300`` plays many,
and keeps the seeds that failed in ``--failed FILE``.
"""

import argparse
import itertools
import json
import random
import sys
from pathlib import Path


IDS = [f"c{n}" for n in range(5)]
CLIENTS = ["a", "b", "c"]
ROUNDS_MAX = 12
CUTS = (None, None, None, None, None, "before", "answer")
_numbers = itertools.count()


def script(seed, steps):
    """Return the steps of a history: what is tried, whatever the state then allows."""
    chance = random.Random(seed)
    made, offline = [], dict.fromkeys(CLIENTS, 0)
    for number in range(steps):
        name, record_id = chance.choice(CLIENTS), chance.choice(IDS)
        for one in CLIENTS:
            offline[one] = max(0, offline[one] - 1)
        if chance.random() < 0.03:
            offline[name] = chance.randint(5, 30)
        # A flag is turned, so that states come back; what is made anew is like nothing before.
        value = {"sold": None} if chance.random() < 0.4 else {"model": f"m{number}"}
        if chance.random() < 0.15:
            value = None
        kind = chance.choices(["client", "rest", "replica", "push", "pull", "both"],
                              [8, 2, 2, 3, 3, 4])[0]  # fmt: skip
        resolve = [chance.choice(["source", "target"]) for _ in range(2)]
        cut = chance.choice(CUTS)
        if kind in ("push", "pull", "both") and offline[name]:
            kind = "client"
        made.append((kind, name, record_id, value, resolve, cut))
    return made


class History:
    """
    One history at one server.

    Attributes:
        conflicts: how many were met, pushing and pulling. lost: what was overwritten unseen.
        pulled_over: edits that a client gave up in a pull by itself, which no server can see.
    """

    def __init__(self, agent, url, rest, replica, *, nulls=False):
        self._agent, self._rest, self._replica = agent, rest, replica
        tag = next(_numbers)
        self._names = {name: f"history-{tag}-{name}" for name in CLIENTS}
        profile = {"nulls": True} if nulls else {}
        for name, local in self._names.items():
            agent.local(local, model=f"Local{name.upper()}", **profile)
            agent.remote(f"remote-{local}", model="Car", url=url, beside=local, **profile)
        self.conflicts = {"push": 0, "pull": 0}
        self.lost, self.pulled_over, self.cuts = [], 0, 0
        self.log, self._made = [], 0
        # The states that the server had, and which of them each client knew when it last looked.
        self._states = {record_id: [None] for record_id in IDS}
        self._known = {name: dict.fromkeys(IDS, 0) for name in CLIENTS}
        self._edited = {name: set() for name in CLIENTS}
        self._chosen = {name: set() for name in CLIENTS}

    def play(self, steps):
        for number, step in enumerate(steps):
            self.log.append((number, *step))
            self._step(*step)

    def _step(self, kind, name, record_id, value, resolve, cut):
        match kind:
            case "client":
                self._edit(name, record_id, value)
            case "rest" | "replica":
                self._write(kind, record_id, value)
            case "push":
                self.push(name, resolve[0], cut)
            case "pull":
                self.pull(name, resolve[1])
            case _:
                if self.push(name, resolve[0], cut):
                    self.pull(name, resolve[1])

    # ---- edits --------------------------------------------------------------------------

    def _edit(self, name, record_id, value):
        local = self._names[name]
        held = self.held(name).get(record_id)
        if value is None:
            if held is None:
                return
            self._agent.destroy(local, key=record_id)
        elif held is None:
            self._agent.create(local, data={"id": record_id, **self._new(), **_turned(value, {})})
        else:
            self._agent.patch(local, key=record_id, data=_turned(value, held))
        self._edited[name].add(record_id)

    def _new(self):
        self._made += 1
        # Every record has both: LoopBack's bulk update can't take a property away.
        return {"model": f"new{self._made}", "sold": False}

    def _write(self, kind, record_id, value):
        held = self.served().get(record_id)
        if value is None and held is None:
            return
        data = (
            None
            if value is None
            else {"id": record_id, **self._new(), **(held or {}), **_turned(value, held)}
        )
        if kind == "replica" and self._replica is not None:
            self._replica(record_id, data)
        else:
            self._rest(record_id, data)
        self._look()

    # ---- replication --------------------------------------------------------------------

    def push(self, name, resolve="source", cut=None):
        """Push once; return whether the line held."""
        local = self._names[name]
        before, mine = self.served(), self.held(name)
        try:
            done = self._agent.push(
                local, f"remote-{local}", remember=True, resolve=resolve, cut=cut
            )
        except Exception as error:
            if "the line is cut" not in str(error):
                raise
            self.cuts += 1
            self._judge_push(name, before, mine, set(), was_cut=True)
            return False
        found = {one["id"] for one in done["conflicts"]}
        self.log.append(("push", name, sorted(found)))
        self.conflicts["push"] += len(found)
        self._judge_push(name, before, mine, found, was_cut=False)
        for record_id in found:
            # The client read the server's record, and keeps one of the two on purpose.
            self._known[name][record_id] = len(self._states[record_id]) - 1
            if resolve == "target":
                self._edited[name].discard(record_id)
            else:
                self._chosen[name].add(record_id)
        return True

    def _judge_push(self, name, before, mine, found, *, was_cut):
        after = self.served()
        for record_id in IDS:
            held, now = before.get(record_id), after.get(record_id)
            known = self._states[record_id][self._known[name][record_id]]
            if held != now:
                if held not in (known, mine.get(record_id)):
                    self._lose("overwritten by a push", name, record_id, held, now)
                if record_id not in self._edited[name] | self._chosen[name]:
                    self._lose("undone by an echo", name, record_id, held, now)
            elif not was_cut and self._is_dropped(name, record_id, mine, known, now, found):
                self._lose("an edit was dropped", name, record_id, mine.get(record_id), now)
            self._look_at(record_id, now)
            if now == mine.get(record_id) and record_id not in found:
                self._known[name][record_id] = len(self._states[record_id]) - 1
                self._edited[name].discard(record_id)
                self._chosen[name].discard(record_id)

    def _is_dropped(self, name, record_id, mine, known, now, found):
        is_told = record_id not in self._edited[name] or record_id in found
        return not is_told and mine.get(record_id) not in (
            now, known, *self._since(name, record_id)
        )  # fmt: skip

    def pull(self, name, resolve="target"):
        """Pull once; a conflict is settled for the server, at it or at the client."""
        local = self._names[name]
        before = self.held(name)
        swap = resolve == "target"
        done = self._agent.pull(f"remote-{local}", local, remember=True, resolve=resolve, swap=swap)
        found = {one["id"] for one in done["conflicts"]}
        self.log.append(("pull", name, sorted(found)))
        self.conflicts["pull"] += len(found)
        mine, served = self.held(name), self.served()
        for record_id in IDS:
            held, now = before.get(record_id), mine.get(record_id)
            is_edit = record_id in self._edited[name] and record_id not in found
            if is_edit and held != now:
                # LoopBack's client does so by itself, with an edit from before a pull without
                # conflicts, and with one that leads back to what was served before.
                self.pulled_over += 1
            if is_edit and held == now:
                continue  # Like what is served, perhaps, but its own.
            if record_id in found or now == served.get(record_id):
                self._known[name][record_id] = len(self._states[record_id]) - 1
                self._edited[name].discard(record_id)

    # ---- what is held -------------------------------------------------------------------

    def held(self, name):
        return {one["id"]: _plain(one) for one in self._agent.find(self._names[name])}

    def served(self):
        return {one["id"]: _plain(one) for one in self._rest() if one["id"] in IDS}

    def _look(self):
        served = self.served()
        for record_id in IDS:
            self._look_at(record_id, served.get(record_id))

    def _look_at(self, record_id, now):
        if self._states[record_id][-1] != now:
            self._states[record_id].append(now)

    def _since(self, name, record_id):
        # Who makes the same edit as somebody did before loses nothing by it: what came then was
        # made upon that very state.
        return self._states[record_id][self._known[name][record_id] + 1 :]

    def _lose(self, *what):
        self.lost.append(what)
        self.log.append(("LOST", *what))

    def come_to_rest(self):
        """Sync all in turn until nothing moves; return whether they came level."""
        for _ in range(ROUNDS_MAX):
            before = dict(self.conflicts)
            for name in CLIENTS:
                self.push(name)
                self.pull(name)
            sides = [self.held(name) for name in CLIENTS]
            if before == self.conflicts and all(side == self.served() for side in sides):
                return True
        return False


def _turned(value, held):
    """Return the properties to set; a flag is turned."""
    return {"sold": not (held or {}).get("sold")} if "sold" in value else value


def _plain(record):
    return {name: value for name, value in record.items() if value is not None}


def run(agent, stock, daemon, seed, steps, *, nulls=False):
    """Play one seed at both; return what it came to."""
    played = {}
    for kind, (url, rest, replica) in {"stock": stock, "syncline": daemon}.items():
        history = History(agent, url, rest, replica, nulls=nulls)
        history.play(script(seed, steps))
        history.rests = history.come_to_rest()
        played[kind] = history
    return played


def wrong(played):
    """Return what a history must not come to; nothing when it is right."""
    ours, stock = played["syncline"], played["stock"]
    found = [f"lost: {one}" for one in ours.lost]
    if not ours.rests:
        found.append("never came to rest")
    met, most = sum(ours.conflicts.values()), sum(stock.conflicts.values())
    if met > most:
        found.append(f"{met} conflicts {ours.conflicts}, stock {most} {stock.conflicts}")
    return found


def main():
    from tests.loopback.ends import Ends

    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--count", type=int, default=1)
    options.add_argument("--steps", type=int, default=300)
    options.add_argument("--failed", type=Path)
    options.add_argument("--log", action="store_true")
    chosen = options.parse_args()
    total, failed = {}, []
    for seed in range(chosen.seed, chosen.seed + chosen.count):
        with Ends() as ends:
            played = run(ends.agent, ends.stock, ends.daemon, seed, chosen.steps)
        found = wrong(played)
        for kind, history in played.items():
            figures = {**history.conflicts, "lost": len(history.lost),
                       "pulled over": history.pulled_over, "cuts": history.cuts,
                       "restless": not history.rests}  # fmt: skip
            for name, count in figures.items():
                total[f"{kind} {name}"] = total.get(f"{kind} {name}", 0) + count
            if chosen.log:
                print(kind, *history.log, sep="\n  ")
        if found:
            failed.append(seed)
            print(seed, *found[:6], sep="\n  ", flush=True)
            if chosen.failed:
                chosen.failed.write_text(json.dumps(failed))
    print(json.dumps({"histories": chosen.count, "failed": failed, **total}, indent=1))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
