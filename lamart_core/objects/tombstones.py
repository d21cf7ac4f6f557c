"""Tombstones: how a save learns that garbage collection took bytes which it had put and not recorded yet."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager

from sqlalchemy import Boolean, ColumnElement, Connection, Table, literal_column, select

from lamart_core import errors
from lamart_core.db import Registry, batches
from lamart_core.records import StoredObject, Tombstone

TOMBSTONE = Tombstone.__table__


class BytesCollected(errors.Overtaken):
    """Garbage collection took bytes that were put and not recorded yet: put them again under another name."""


def was_collected(table: Table) -> ColumnElement[bool]:
    """Return the SQL expression for: garbage collection has given up the path of the object that this row refers to.

    For the `RETURNING` of the statement that inserts a record, *after* the row of its object: garbage collection looks
    for rows under a lock that keeps inserts out, so one of the two always sees the other.

    Args:
        table: A table with the column `object_id`.
    """
    tombstone, stored = TOMBSTONE.name, StoredObject.__table__.name
    # In words of SQL: SQLAlchemy leaves out the names of tables after RETURNING on SQLite, in sub-queries too.
    return literal_column(
        f"EXISTS (SELECT 1 FROM {stored} JOIN {tombstone} ON {tombstone}.storage_id = {stored}.storage_id "
        f"AND {tombstone}.path = {stored}.path WHERE {stored}.id = {table.name}.object_id)",
        Boolean,
    )


def check_not_collected(connection: Connection, storage_id: int, paths: Collection[str]) -> None:
    """Check many paths at once; as for `was_collected`, after their rows have been inserted.

    Raises:
        BytesCollected: Garbage collection has given one of them up.
    """
    columns = TOMBSTONE.c
    for batch in batches(paths):
        query = select(columns.path).where(columns.storage_id == storage_id, columns.path.in_(batch)).limit(1)
        found = connection.execute(query).scalar_one_or_none()
        if found is not None:
            raise BytesCollected(f"{found} was removed by garbage collection before a record referred to it")


@contextmanager
def none_collected(registry: Registry, storage_id: int, paths: Collection[str]) -> Generator[None, None, None]:
    """Tell a storage that fails while bytes are put from garbage collection that took them in this moment.

    Raises:
        BytesCollected: It has given one of the paths up.
    """
    try:
        yield
    except (errors.StorageError, errors.PathNotFound):
        with registry.engine.connect() as connection:
            check_not_collected(connection, storage_id, paths)
        raise
