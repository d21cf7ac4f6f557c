"""Rows that lie above one another: everything above or below a row, and no row above itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Table, func, select

from lamart_core import errors
from lamart_core.db import Base
from lamart_core.families.delete_rows import title_of
from lamart_core.query.sql.dialects import dialect_of


@dataclass(frozen=True)
class Edges:
    """A table whose rows lead from one record to the one above it.

    Attributes:
        table: The table.
        lower: Column of the record below.
        upper: Column of the record above.
        records: Name of the table of these records.
    """

    table: Table
    lower: str
    upper: str
    records: str


def above(edges: Edges, condition: ColumnElement[bool]) -> CTE:
    """Return the ids of all records above those edges that a condition chooses, at whatever distance."""
    return _closure(edges.table, edges.upper, edges.lower, condition)


def below(edges: Edges, condition: ColumnElement[bool]) -> CTE:
    """Return the ids of all records below those edges that a condition chooses, at whatever distance."""
    return _closure(edges.table, edges.lower, edges.upper, condition)


def _closure(table: Table, towards: str, away: str, condition: ColumnElement[bool]) -> CTE:
    columns = table.c
    first = select(columns[towards].label("id")).where(condition, columns[towards].is_not(None))
    found = first.cte("hierarchy", recursive=True)
    further = table.alias()
    # UNION, not UNION ALL: a cycle that got in past this library would never end.
    return found.union(select(further.c[towards]).where(further.c[away] == found.c.id, further.c[towards].is_not(None)))


def check_acyclic(connection: Connection, edges: Edges, rows: Sequence[Mapping[str, Any]]) -> None:
    """Check that new edges lead no record to itself. Who adds some waits for all others who do.

    Args:
        connection: Connection in a write transaction, which will insert the edges.
        edges: Where they are going to be.
        rows: Their columns, of edges that have one end in common.

    Raises:
        InvalidArgument: They would.
    """
    if connection.dialect.name == "postgresql":
        # Two who look at the same moment would not see each other's edge. SQLite has one writer at a time anyway.
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(edges.table.name))))
    among = dialect_of(connection.dialect.name).among
    lower = sorted({row[edges.lower] for row in rows})
    upper = sorted({row[edges.upper] for row in rows})
    found = next(iter(set(lower) & set(upper)), None)
    if found is None:
        higher = above(edges, among(edges.table.c[edges.lower], upper))
        found = connection.execute(select(higher.c.id).where(among(higher.c.id, lower)).limit(1)).scalar_one_or_none()
    if found is not None:
        relation = edges.upper.removesuffix("_id")
        raise errors.InvalidArgument(
            f"{title_of(connection, Base.metadata.tables[edges.records], found)} would be above itself; "
            f"nothing is its own {relation}, at whatever distance"
        )
