"""Stored objects that nothing refers to any more: who says so, and what becomes of those at places of their own."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, and_, exists, update

from lamart_core.db import Base
from lamart_core.objects.copies import OBSOLETE
from lamart_core.objects.rows import OBJECT


def is_referred() -> ColumnElement[bool]:
    """Return the SQL expression for: an artifact, a file of a folder or any other row refers to a stored object."""
    condition: ColumnElement[bool] | None = None
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if any(key.column.table is OBJECT for key in column.foreign_keys):
                found = exists().where(column == OBJECT.c.id)
                condition = found if condition is None else condition | found
    assert condition is not None
    return condition


def leave_places(connection: Connection, object_ids: Collection[int], *, remove: bool) -> tuple[str, ...]:
    """Give up objects at real keys, or registered in place, that nothing refers to any more.

    Args:
        connection: Connection in a write transaction.
        object_ids: Ids of objects that records referred to.
        remove: Whether their bytes are going to be removed by a publication; else they stay, and only the rows go.

    Returns:
        Their paths. Where other bytes lie by now, there is nothing to remove but the row.
    """
    columns = OBJECT.c
    left = and_(columns.id.in_(object_ids), ~columns.is_managed, ~is_referred())
    if not remove:
        rows = connection.execute(OBJECT.delete().where(left).returning(columns.path, columns.fate))
        return tuple(row.path for row in rows if row.fate is None)
    connection.execute(OBJECT.delete().where(left, columns.fate.is_not(None)))
    going = update(OBJECT).where(left).values(fate=OBSOLETE).returning(columns.path)
    return tuple(connection.execute(going).scalars())
