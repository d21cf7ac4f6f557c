"""Deleting records of any class but artifacts, whose bytes need more care."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, update
from sqlalchemy.exc import IntegrityError

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID

if TYPE_CHECKING:
    from lamart_core.records.base import SQLRecord


def remove(record: SQLRecord, *, permanent: bool | None) -> None:
    """Move a record to the trash, or delete its row."""
    if not record.is_saved:
        return
    table: Table = record.__table__  # pyright: ignore[reportAssignmentType]
    has_trash = "branch_id" in table.columns and table.name not in ("lamart_storage", "lamart_branch")
    in_trash = has_trash and record.__dict__.get("branch_id") == TRASH_BRANCH_ID
    trash = has_trash and permanent is not True and not (in_trash and permanent is None)

    def work(connection: Connection) -> None:
        if trash:
            into = update(table).where(table.c.id == record.id)
            connection.execute(into.values(branch_id=TRASH_BRANCH_ID))
            return
        try:
            connection.execute(table.delete().where(table.c.id == record.id))
        except IntegrityError as error:
            raise errors.ProtectedError(
                f"{record!r} cannot be deleted, other records refer to it: {error.orig}"
            ) from error

    record.registry.unit_of_work(work)
    if trash:
        record.refresh()
