"""What `Replica.open` is given: a store and models, in any of their forms."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from syncline.address import address_meant, is_address
from syncline.errors import ConfigError
from syncline.schema import ModelSchema
from syncline.store.contract import Store
from syncline.store.memory import MemoryStore


MEMORY = ("memory:", "memory://")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

StoreLike = str | os.PathLike[str] | Store
"""`"memory:"`, a path, `sqlite:///path`, or a store."""

Models = Iterable[Any] | None
"""Names, `ModelSchema`s, SQLAlchemy tables or mapped classes, or a mapping of names to these."""


def open_store(
    store: StoreLike,
    *,
    tables: Mapping[str, Any] | None = None,
    synchronous: str = "normal",
) -> Store:
    """
    Return the store of a URL or a path; a store is passed through.

    A text is a URL when it begins with a scheme, `sqlite://`; any other names a file, whatever
    characters it has.

    Raises:
        ConfigError: it is the address of a daemon, or nothing at all.
    """
    if isinstance(store, os.PathLike):
        store = os.fspath(store)
    elif not isinstance(store, str):
        return store
    _refuse_addresses(store)
    if store in MEMORY:
        if tables:
            raise ConfigError("SQLAlchemy tables need an SQL store", hint="sqlite:///file.db")
        return MemoryStore()
    from syncline.store.sql import SqlStore  # noqa: PLC0415 - SQLAlchemy takes 0.2 s to import
    from syncline.store.sql_url import url_of  # noqa: PLC0415 - as above

    url = store if _SCHEME.match(store) else url_of(store)
    failpoint = os.environ.get("SYNCLINE_FAILPOINT")
    if failpoint:
        from syncline.store import failpoints  # noqa: PLC0415 - for tests of crashes only

        return failpoints.FailingSqlStore(
            url,
            failpoint=failpoints.Failpoint.parse(failpoint),
            synchronous=synchronous,
            tables=tables,
        )
    return SqlStore(url, synchronous=synchronous, tables=tables)


def _refuse_addresses(store: str) -> None:
    if not store:
        raise ConfigError("the store has no name", hint="memory:, a path, or sqlite:///path")
    if is_address(store):
        raise ConfigError(
            f"{store} is a daemon's address, this needs a store",
            hint=f'syncline.connect("{store}", store="file.db", …)',
        )
    address = address_meant(store)
    if address is not None:
        raise ConfigError(
            f"{store} looks like a daemon's address without its scheme",
            hint=f"{address} for the daemon, ./{store} for a file of that name",
        )


def read_models(models: Models) -> tuple[list[str], list[ModelSchema], dict[str, Any]]:
    """Return schemaless names, declared schemas, and SQLAlchemy tables by name."""
    names: list[str] = []
    schemas: list[ModelSchema] = []
    tables: dict[str, Any] = {}
    items = models.items() if isinstance(models, Mapping) else ((None, m) for m in models or ())
    for name, item in items:
        if isinstance(item, str):
            names.append(item)
        elif item is None:
            names.append(str(name))
        elif isinstance(item, ModelSchema):
            schemas.append(item)
        else:
            table = getattr(item, "__table__", item)
            if not hasattr(table, "primary_key"):
                raise ConfigError(
                    f"{item!r} is no model",
                    hint="a name, a ModelSchema, an SQLAlchemy table or a mapped class",
                )
            tables[str(name or getattr(table, "name", ""))] = table
    for one in (*names, *(schema.name for schema in schemas), *tables):
        if not one or "\0" in one:
            raise ConfigError(f"{one!r} is no model's name", hint="a text without U+0000")
    return names, schemas, tables
