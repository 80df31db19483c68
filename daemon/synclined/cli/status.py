"""`syncline status`: how a daemon or a database is."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from synclined.cli.errors import DIFFERENT, FAILED, OK
from synclined.cli.examples import examples
from synclined.cli.output import Output, output_options
from synclined.cli.target import (
    TARGET,
    Access,
    access_options,
    is_url,
    open_local,
    open_target,
    run,
)


if TYPE_CHECKING:
    from syncline.store.contract import Reader


HTTP_TIMEOUT_S = 5.0


@click.command(
    "status",
    epilog=examples(
        "syncline status http://127.0.0.1:8765", "syncline status todos.db --fail-if-behind"
    ),
)
@click.argument("target", type=TARGET)
@click.option(
    "--fail-if-behind",
    is_flag=True,
    help="Exit with 3 when writes wait to be sent, or conflicts to be settled.",
)
@access_options
@output_options
def command(target: str, *, fail_if_behind: bool, access: Access, out: Output) -> int:
    """Show how a daemon or a store is."""
    found = run(_daemon(target, access) if is_url(target) else _store(target, access))
    if out.as_json:
        out.json(found)
    else:
        _show(found, out)
    if not found.get("ready", True):
        return FAILED
    is_behind = any(found.get(name) for name in ("pending", "conflicts", "parked"))
    return DIFFERENT if fail_if_behind and is_behind else OK


async def _daemon(url: str, access: Access) -> dict[str, Any]:
    health = await _health(url, access)
    found: dict[str, Any] = {"target": url, "kind": "daemon", **health}
    if not health["ready"]:
        return found
    async with open_target(url, access) as remote:
        head = await remote.head()
        assert not isinstance(head, int), "a daemon names its epoch too"
        counts = {name: await remote.model(name).count() for name in await remote.model_names()}
    return {
        **found,
        "source": head.source,
        "epoch": head.epoch,
        "head": head.head,
        "models": counts,
    }


async def _health(url: str, access: Access) -> dict[str, Any]:
    """Ask the health door, which needs no token."""
    from syncline.address import read_address
    from syncline.diagnosis import diagnose
    from syncline.http_options import HttpOptions

    address = read_address(url)
    http = HttpOptions(proxy=access.proxy, headers=access.headers)
    headers = http.headers_now()
    try:
        async with asyncio.timeout(HTTP_TIMEOUT_S), http.new_session(address.origin) as session:
            async with session.get(address.door("readyz"), headers=headers) as answer:
                ready, is_ready = await answer.json(), answer.ok
            async with session.get(address.door("version"), headers=headers) as answer:
                version = await answer.json()
        return {
            "ready": is_ready,
            "state": ready["status"],
            "version": version["syncline"],
            "protocol": version["protocol"],
        }
    except http.errors as error:
        raise await diagnose(address, error, http) from error
    except (ValueError, KeyError, TypeError) as error:
        raise await diagnose(address, error, http) from error


async def _store(target: str, access: Access) -> dict[str, Any]:
    import msgspec

    async with await open_local(target, access) as replica:
        engine = replica.core.engine

        def count(reader: "Reader") -> dict[str, Any]:
            cursor = engine.cursor(reader)
            return {
                "source": engine.lineage.source,
                "epoch": engine.lineage.current,
                "head": reader.head(),
                "pending": reader.pending_counts().get("", 0),
                "conflicts": reader.pending_counts().get("conflict", 0),
                "parked": reader.pending_counts().get("parked", 0),
                "cursor": msgspec.to_builtins(cursor) if cursor.source else None,
            }

        counted = await replica.core.read(count)
        models = {name: await replica.model(name).count() for name in await replica.model_names()}
    return {
        "target": target,
        "kind": "store",
        "follows": engine.author.follows,
        "replica": replica.replica_id,
        **counted,
        "models": models,
    }


def _show(found: dict[str, Any], out: Output) -> None:
    models = found.get("models", {})
    shown = {name: value for name, value in found.items() if name not in ("models", "cursor")}
    shown.pop("ready", None)
    cursor = found.get("cursor")
    if cursor is not None:
        whole = "" if cursor["is_whole"] else ", not whole yet"
        shown["cursor"] = f"{cursor['seq']} of {cursor['source']}{whole}"
    shown["models"] = ", ".join(f"{name} ({count})" for name, count in models.items()) or "none"
    out.pairs(shown)
