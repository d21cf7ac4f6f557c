"""Tombstones: how a save learns that garbage collection took bytes which it had put and not recorded yet."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import BindParameter, ColumnElement, Connection, exists, select

from lamart_core import errors
from lamart_core.records import Tombstone

TOMBSTONE = Tombstone.__table__
_BATCH = 1000


class BytesCollected(errors.Overtaken):
    """Garbage collection took bytes that were put and not recorded yet: put them again under another name."""


def is_collected(storage_id: BindParameter[int], path: BindParameter[str]) -> ColumnElement[bool]:
    """Return the SQL expression for: garbage collection has given up the path, so no record may refer to it.

    To be read in the transaction that inserts the row of the object, *after* that row: garbage collection looks for
    rows under a lock that keeps inserts out, so one of the two always sees the other. `RETURNING` of a later insert
    is a good place for it.
    """
    return exists().where(TOMBSTONE.c.storage_id == storage_id, TOMBSTONE.c.path == path)


def check_not_collected(connection: Connection, storage_id: int, paths: Collection[str]) -> None:
    """Check many paths at once; as for `is_collected`, after their rows have been inserted.

    Raises:
        BytesCollected: Garbage collection has given one of them up.
    """
    columns = TOMBSTONE.c
    names = list(paths)
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        query = select(columns.path).where(columns.storage_id == storage_id, columns.path.in_(batch)).limit(1)
        found = connection.execute(query).scalar_one_or_none()
        if found is not None:
            raise BytesCollected(f"{found} was removed by garbage collection before a record referred to it")
