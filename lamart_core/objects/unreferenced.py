"""Stored objects that nothing refers to any more: who says so, and what becomes of their rows and bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from sqlalchemy import ColumnElement, Connection, and_, exists, update

from lamart_core.db import Base, batches
from lamart_core.logging import logger
from lamart_core.objects import histories
from lamart_core.objects.histories import OBJECT
from lamart_core.records import Storage
from lamart_core.records.stored_object import OBSOLETE
from lamart_core.storage import RESERVED


@dataclass(frozen=True)
class Unclaimed:
    """Bytes whose row was deleted: to be removed after the commit.

    Attributes:
        path: Path relative to the root of the storage location.
        is_folder: Whether it is a folder.
    """

    path: str
    is_folder: bool


@cache
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


def delete_unreferenced(connection: Connection, object_ids: Collection[int]) -> list[Unclaimed]:
    """Delete the rows of managed objects that nothing refers to any more.

    Returns:
        The bytes that nobody needs now, those of files that only the deleted folders had included.
    """
    return _delete_rows(connection, object_ids, OBJECT.c.is_managed)


def forget_foreign(connection: Connection, object_ids: Collection[int]) -> None:
    """Delete the rows of what lies in version stores of other registries, and that nothing here refers to any more.

    The bytes are theirs. Rows of files in place stay.
    """
    in_store = OBJECT.c.path.startswith(f"{RESERVED}/", autoescape=True)
    _delete_rows(connection, object_ids, in_store & ~OBJECT.c.is_managed)


def _delete_rows(connection: Connection, object_ids: Collection[int], wanted: ColumnElement[bool]) -> list[Unclaimed]:
    """Delete those rows of a kind that nothing refers to, then those of contents that only they had."""
    if not object_ids:
        return []
    has_folders = histories.lock_histories(connection, object_ids)
    columns = (OBJECT.c.path, OBJECT.c.n_files, OBJECT.c.is_content_addressed, OBJECT.c.history_id, OBJECT.c.position)
    gone: list[Unclaimed] = []
    positions: dict[int, list[int]] = {}
    for ids in batches(sorted(object_ids)):
        delete = OBJECT.delete().where(OBJECT.c.id.in_(ids), wanted, ~is_referred())
        for row in connection.execute(delete.returning(*columns)).all():
            if not row.is_content_addressed:
                gone.append(Unclaimed(row.path, row.n_files is not None))
            if has_folders and row.history_id is not None:
                positions.setdefault(row.history_id, []).append(row.position)
    contents: set[int] = set()
    for history_id, deleted in positions.items():
        contents |= histories.forget(connection, history_id, deleted)
    return gone + _delete_rows(connection, contents, wanted)


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
        rows = connection.execute(OBJECT.delete().where(left).returning(columns.path, columns.state))
        return tuple(row.path for row in rows if row.state is None)
    connection.execute(OBJECT.delete().where(left, columns.state.is_not(None)))
    going = update(OBJECT).where(left).values(state=OBSOLETE).returning(columns.path)
    return tuple(connection.execute(going).scalars())


def remove_bytes(storage: Storage, relpath: str, *, is_folder: bool) -> None:
    """Remove bytes that no record refers to; what fails here is removed by a later garbage collection."""
    try:
        storage.backend.delete(relpath, is_folder=is_folder)
    except OSError as error:
        logger.warning("%s/%s could not be removed and is left to garbage collection: %s", storage.root, relpath, error)
