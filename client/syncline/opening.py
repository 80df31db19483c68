"""What `Replica.open` is given: a store and models, in any of their forms."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from syncline.errors import ConfigError
from syncline.schema import ModelSchema
from syncline.store.contract import Store
from syncline.store.memory import MemoryStore


Models = Iterable[Any] | None
"""Names, `ModelSchema`s, SQLAlchemy tables or mapped classes, or a mapping of names to these."""


def open_store(
    store: str | Store, *, tables: Mapping[str, Any] | None = None, synchronous: str = "normal"
) -> Store:
    """Return the store of a URL or a path; a store is passed through."""
    if not isinstance(store, str):
        return store
    if store in ("memory:", "memory://"):
        if tables:
            raise ConfigError("SQLAlchemy tables need an SQL store", hint="sqlite:///file.db")
        return MemoryStore()
    from syncline.store.sql import SqlStore  # noqa: PLC0415 - SQLAlchemy takes 0.2 s to import

    url = store if "://" in store else f"sqlite:///{store}"
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
