"""`syncline verify`: compare two stores or daemons, and make them level again."""

import contextlib
from typing import TYPE_CHECKING, Any

import click

from synclined.cli.errors import DIFFERENT, OK
from synclined.cli.examples import examples
from synclined.cli.output import Output, cell, output_options
from synclined.cli.progress import progress_bar
from synclined.cli.sync import allow_deletions_option, is_same, over_its_link
from synclined.cli.target import TARGET, Access, access_options, is_url, open_target, run


if TYPE_CHECKING:
    from syncline.brake import Brake
    from syncline.ranges import Difference
    from syncline.verify import Repair, Trust, Verification


SHOWN_MAX = 20
"""How many differences of a model are listed for people; JSON has them all."""

_KINDS = {
    "missing_here": "missing in A",
    "missing_there": "missing in B",
    "differing": "differing",
    "rotten": "rotten",
}
_SIDES: "dict[str, Trust]" = {"a": "ours", "b": "theirs"}


@click.command(
    "verify",
    epilog=examples(
        "syncline verify phone.db http://127.0.0.1:8765",
        "syncline verify one.db other.db --model todo --json",
        "syncline verify phone.db http://127.0.0.1:8765 --repair",
    ),
)
@click.argument("a", type=TARGET)
@click.argument("b", type=TARGET)
@click.option("--model", "models", multiple=True, help="This model only; repeatable.")
@click.option("--repair", "repairs", is_flag=True, help="Bring level what differs.")
@click.option(
    "--trust",
    type=click.Choice(["a", "b"]),
    help="Which end is right about rotten records  [the one that the other follows]",
)
@allow_deletions_option
@access_options
@output_options
def command(
    a: str,
    b: str,
    *,
    models: tuple[str, ...],
    repairs: bool,
    trust: str | None,
    allow_deletions: bool,
    access: Access,
    out: Output,
) -> int:
    """
    Compare two stores or daemons, by ranges, without copying them.

    A record is missing at one end, differs, or is rotten: the same revision with other data, which
    no replication finds. --repair replicates the ones that differ, so a conflict stays a conflict,
    and puts back the data of rotten ones.
    """
    if is_same(a, b):
        raise click.UsageError("both ends are the same")
    if trust is not None and not repairs:
        raise click.UsageError("--trust goes with --repair")
    run_ = _Run(a, b, models, access, out, lets_go=allow_deletions)
    found, repaired = run(run_.repair(trust) if repairs else run_.compare())
    if out.as_json:
        out.json(_plain(found, repaired))
    else:
        _show(found, repaired, a, b, out)
    return DIFFERENT if any(each.differences for each in found) else OK


Found = tuple["list[Verification]", "list[Repair] | None"]


class _Run:
    def __init__(
        self, a: str, b: str, models: tuple[str, ...], access: Access, out: Output, *, lets_go: bool
    ) -> None:
        self._a = a
        self._b = b
        self._models = models
        self._access = access
        self._out = out
        self._lets_go = lets_go

    async def compare(self) -> Found:
        async with self._ends() as (ours, theirs):
            return await self._verify(ours, theirs), None

    async def repair(self, trust: str | None) -> Found:
        """Let a link that there is do its work, then repair what it does not see."""
        await over_its_link(self._a, self._b, "manual", self._access, allow_deletions=self._lets_go)
        async with self._ends() as (ours, theirs):
            found = await self._verify(ours, theirs)
            side = _SIDES[trust] if trust else await _upstream_of(ours, theirs)
            repaired = [await self._repair_one(ours, theirs, each, side) for each in found]
            left = await self._verify(ours, theirs)
        return left, repaired

    @contextlib.asynccontextmanager
    async def _ends(self) -> Any:
        async with (
            open_target(self._a, self._access) as ours,
            open_target(self._b, self._access) as theirs,
        ):
            yield ours, theirs

    async def _verify(self, ours: Any, theirs: Any) -> "list[Verification]":
        from syncline.verify import verify
        from synclined.cli.exchange import Terms, names_of, naming

        found = []
        for name in await names_of(ours, theirs, Terms(models=self._models)):
            with naming(name), progress_bar(is_watched=self._out.is_watched) as progress:
                one, other = ours.model(name), theirs.model(name)
                total = await one.count() if self._out.is_watched else 0
                found.append(
                    await verify(
                        one,
                        other,
                        progress=lambda done: progress(f"{name} =", done, total),  # noqa: B023 - now
                    )
                )
        return found

    async def _repair_one(
        self, ours: Any, theirs: Any, found: "Verification", side: "Trust"
    ) -> "Repair":
        from syncline.verify import repair

        return await repair(
            ours.model(found.model),
            theirs.model(found.model),
            found.differences,
            trust=side,
            brake=brake_of(allow_deletions=self._lets_go),
        )


def brake_of(*, allow_deletions: bool) -> "Brake":
    """Return the brake of a run; one that is off when deletions are allowed."""
    from syncline.brake import Brake

    return Brake(share_max=1.0) if allow_deletions else Brake()


async def _upstream_of(ours: Any, theirs: Any) -> "Trust":
    """Return the end that the other one follows: it is taken at its word."""
    ways: list[tuple[Any, Any, Trust]] = [(ours, theirs, "theirs"), (theirs, ours, "ours")]
    for one, other, side in ways:
        core = getattr(one, "core", None)
        if core is None:
            continue
        followed = (await core.read(core.engine.cursor)).source
        names = await other.model_names()
        if followed and names and followed == await other.model(names[0]).get_source_id():
            return side
    return None


def _show(
    found: "list[Verification]", repaired: "list[Repair] | None", a: str, b: str, out: Output
) -> None:
    for done in repaired or ():
        _show_repair(done, out)
    for each in found:
        for difference in each.differences[:SHOWN_MAX]:
            out.line(_line_of(difference))
        rest = len(each.differences) - SHOWN_MAX
        if rest > 0:
            out.line(f"{each.model}: {rest} more; --json lists them all")
    for each in found:
        verdict = _counted(each) or "equal"
        out.remark(f"{each.model}: {each.ours} in A, {each.theirs} in B, {verdict}")
    if not found:
        out.remark("neither end holds anything")
    if any(each.has_moved for each in found):
        out.note("  hint: an end was written meanwhile; what differs may be no more than that")
    if any(each.differences for each in found):
        out.note(f"  hint: {_way_out(found, repaired, a, b)}")


def _line_of(difference: "Difference") -> str:
    name = f"{difference.model}/{cell(difference.record_id)}"
    if difference.kind.value == "rotten":
        return f"rotten  {name}: other data in A and B under the same revision {difference.ours}"
    here, there = (_side(rev) for rev in (difference.ours, difference.theirs))
    return f"{_KINDS[difference.kind.value]}  {name}: {here} in A, {there} in B"


def _side(rev: str | None) -> str:
    return "nothing" if rev is None else rev


def _counted(found: "Verification") -> str:
    counts: dict[str, int] = {}
    for difference in found.differences:
        word = _KINDS[difference.kind.value]
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _show_repair(done: "Repair", out: Output) -> None:
    words = {
        "sent": f"{len(done.sent)} sent to B",
        "received": f"{len(done.received)} taken from B",
        "restored": f"{len(done.restored)} restored",
        "conflicts": f"{len(done.conflicts)} in conflict",
        "undecided": f"{len(done.undecided)} rotten and undecided",
        "refused": f"{len(done.refused)} refused",
    }
    said = ", ".join(words[name] for name in words if getattr(done, name))
    if said:
        out.remark(f"repaired {done.model}: {said}")


def _way_out(found: "list[Verification]", repaired: "list[Repair] | None", a: str, b: str) -> str:
    if repaired is None:
        return f"syncline verify {a} {b} --repair"
    if any(done.undecided for done in repaired):
        return "say which end is right about the rotten ones: --trust a or --trust b"
    if is_url(a) != is_url(b):
        return f"syncline conflicts list {b if is_url(a) else a}"
    if any(done.conflicts for done in repaired):
        return f"syncline sync {a} {b} --strategy ours|theirs|latest"
    return f"syncline explain {found[0].model} ID --replica {a} --replica {b}"


def _plain(found: "list[Verification]", repaired: "list[Repair] | None") -> dict[str, Any]:
    import msgspec

    answer: dict[str, Any] = {
        "equal": not any(each.differences for each in found),
        "models": [
            {"model": e.model, "a": e.ours, "b": e.theirs, "moved": e.has_moved} for e in found
        ],
        "differences": [
            {"model": d.model, "id": d.record_id, "kind": d.kind.value, "a": d.ours, "b": d.theirs}
            for each in found
            for d in each.differences
        ],
    }
    if repaired is not None:
        answer["repaired"] = [msgspec.to_builtins(done) for done in repaired]
    return answer
