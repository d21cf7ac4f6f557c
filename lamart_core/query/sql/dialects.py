"""Which database says it how, so that a query means the same on all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, Table
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core.query.sql.dialect import MANY, Condition, Dialect
from lamart_core.query.sql.postgres import Postgres
from lamart_core.query.sql.sqlite import SQLite

_DIALECTS: dict[str, Dialect] = {"sqlite": SQLite(), "postgresql": Postgres()}


def dialect_of(name: str) -> Dialect:
    """Return the operations of a database.

    Args:
        name: `sqlite` or `postgresql`, as engines name their dialect.
    """
    return _DIALECTS[name]


def among(connection: Connection, column: ColumnElement[Any], members: Iterable[str]) -> Condition:
    """Return whether a column of text is one of some, however many.

    Args:
        connection: Connection to the database that will be asked.
        column: The column.
        members: The texts.
    """
    names = sorted(members)
    if len(names) <= MANY:
        return column.in_(names)
    return dialect_of(connection.dialect.name).one_of_many(column, names, String())


def insert_once(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, leaving out those that a unique index has already."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
