"""The tables that a store's models have of their own, and what is known of them."""

import sqlite3
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from syncline.models import Key
from syncline.schema import ModelSchema
from syncline.store import statements as text
from syncline.store.contract import ParkedRow
from syncline.store.declaring import (
    carry_out,
    check_given,
    columns_of,
    fill_columns,
    needs_filling,
    plan_declared,
    read_declared,
    refuse,
    write_declared,
)
from syncline.store.looks import Looks, decode_unfit
from syncline.store.sql_transaction import SqlTransaction
from syncline.store.tables import ModelTable, schema_of, table_of


class OwnTables:
    """
    The models' own tables in one database.

    Attributes:
        given: those of the application, by model; the others are made here.
        tables: all of them, by model; models that are not declared now, but once were, too.
        looks: when others may have written into them.
        parked: what the transaction that runs found not to fit.
    """

    def __init__(self, given: Mapping[str, sa.Table]) -> None:
        self.given = dict(given)
        self.tables: dict[str, ModelTable] = {}
        self.looks = Looks()
        self.parked: dict[Key, ParkedRow | None] = {}

    def make_given(self, engine: sa.Engine, raw: sqlite3.Connection) -> None:
        """
        Make the application's own tables where there are none yet.

        Raises:
            ConfigError: one lacks columns, or can't hold records.
        """
        for name, table in self.given.items():
            table.metadata.create_all(engine, tables=[table])
            check_given(raw, table)
            self.tables[name] = ModelTable(schema_of(name, table), table)

    def declare(
        self,
        raw: sqlite3.Connection,
        connection: sa.Connection | None,
        schemas: Sequence[ModelSchema],
    ) -> None:
        """Bring the tables in line with how models are declared, in the caller's transaction."""
        before = read_declared(raw)
        plans = {
            schema.name: plan_declared(raw, schema, before.get(schema.name), self.looks.unfit)
            for schema in schemas
            if schema.name not in self.given
        }
        refuse(list(plans.values()))
        for schema in schemas:
            if schema.name in plans:
                carry_out(raw, plans[schema.name])
                self.tables[schema.name] = ModelTable(schema, table_of(schema, sa.MetaData()))
        declared = {**before, **{name: table.schema for name, table in self.tables.items()}}
        if declared != before:
            write_declared(raw, declared)
        for name, schema in before.items():
            if name not in self.tables and columns_of(raw, schema.table or name):
                assert connection is not None
                self.tables[name] = _former(schema, connection)
        if self.tables:
            self._fill(raw, [name for name in self.tables if name not in before])
            for name, plan in plans.items():
                fill_columns(raw, self.tables[name], plan.filled)

    def _fill(self, raw: sqlite3.Connection, fresh: Sequence[str]) -> None:
        """Have a new table hold the records that were there before it."""
        for (kept,) in raw.execute(text.READ_UNFIT).fetchall():
            row = decode_unfit(kept)
            self.looks.unfit[row.model, row.record_id] = row
        self.parked = {}
        tx = SqlTransaction(raw, self.tables, self.looks, self.parked)
        for name in fresh:
            if needs_filling(raw, self.tables[name]):
                tx.fill_table(name)
        self.looks.take(self.parked)


def _former(schema: ModelSchema, connection: sa.Connection) -> ModelTable:
    """Return the table of a model that was declared before, so that its rows go on with it."""
    table = table_of(schema, sa.MetaData())
    if schema.table:
        # The application's own: SQLite keeps the types that say how its values are written.
        table = sa.Table(schema.table, sa.MetaData(), autoload_with=connection)
    return ModelTable(schema, table, is_former=True)
