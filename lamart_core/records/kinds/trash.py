"""Removing records: into the trash and back, into the archive, or for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, select

from lamart_core import errors
from lamart_core.db import ARCHIVE_BRANCH_ID, TRASH_BRANCH_ID
from lamart_core.families.branches import check_unlocked, place
from lamart_core.families.declare import is_versioned
from lamart_core.families.delete_rows import delete_rows
from lamart_core.families.family import Family, lock, promote_newest
from lamart_core.logging import logger

if TYPE_CHECKING:
    from lamart_core.records.kinds.base import SQLRecord


def remove(record: SQLRecord, *, permanent: bool | None) -> None:
    """Move a record to the trash, or delete its row; see `SQLRecord.delete`."""
    if not record.is_saved:
        logger.warning("%r was never saved; there is nothing to delete", record)
        return
    table = record.__table__
    has_trash = record.has_trash
    # Whoever does not know that it lies in the trash did not ask to delete it for good.
    known_as_trash = has_trash and record.__dict__.get("branch_id") == TRASH_BRANCH_ID

    def work(connection: Connection) -> bool:
        row = read_row(connection, table, record)
        check_unlocked(connection, table, [record.id])
        in_trash = known_as_trash and row["branch_id"] == TRASH_BRANCH_ID
        if has_trash and (permanent is False or (permanent is None and not in_trash)):
            place(connection, table, record._rows_that_move(connection), TRASH_BRANCH_ID)
            return False
        delete_rows(connection, table, [record.id])
        if is_versioned(table) and has_trash:
            promote_newest(connection, row["branch_id"], Family.of_row(table, row))
        return True

    if not record.registry.unit_of_work(work):
        record.refresh()


def move(record: SQLRecord, branch_id: int) -> None:
    """Move a saved record to a branch, with the versions that go with it.

    Raises:
        InvalidArgument: The record is not saved, or its class has neither trash nor archive.
        NameTaken: The key belongs to another family there.
        RecordLocked: The record is locked.
    """
    _check_has_trash(record)
    table = record.__table__

    def work(connection: Connection) -> None:
        read_row(connection, table, record)
        check_unlocked(connection, table, [record.id])
        place(connection, table, record._rows_that_move(connection), branch_id)

    record.registry.unit_of_work(work)
    record.refresh()


def archive(record: SQLRecord) -> None:
    """Move a record to the archive; see `HasScope.archive`."""
    move(record, ARCHIVE_BRANCH_ID)


def restore(record: SQLRecord) -> None:
    """Bring a record back from the trash or the archive to the current branch; see `HasScope.restore`."""
    _check_has_trash(record)
    table = record.__table__
    target = record.registry.branch_id

    def work(connection: Connection) -> None:
        row = read_row(connection, table, record)
        check_unlocked(connection, table, [record.id])
        if row["branch_id"] in (TRASH_BRANCH_ID, ARCHIVE_BRANCH_ID):
            place(connection, table, record._rows_that_come_back(connection), target)

    record.registry.unit_of_work(work)
    record.refresh()


def read_row(connection: Connection, table: Table, record: SQLRecord) -> dict[str, Any]:
    """Return the row of a record as it is now, with its family locked.

    Raises:
        ObjectDoesNotExist: The row was deleted.
    """
    query = select(table).where(table.c.id == record.id)
    row = connection.execute(query).mappings().one_or_none()
    if row is not None and is_versioned(table) and connection.dialect.name == "postgresql":
        lock(connection, Family.of_row(table, row))
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise errors.ObjectDoesNotExist(f"{record!r} was deleted from {record.registry!r}")
    return dict(row)


def _check_has_trash(record: SQLRecord) -> None:
    if not record.is_saved:
        raise errors.InvalidArgument(f"{record!r} is not saved yet; save it first")
    if not record.has_trash:
        raise errors.InvalidArgument(f"a {type(record).__name__} has neither trash nor archive")
