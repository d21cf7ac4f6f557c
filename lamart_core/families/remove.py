"""Removing records: into the trash and back, into the archive, or for good; what refers to them is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, Table, select
from sqlalchemy.exc import IntegrityError

from lamart_core import errors
from lamart_core.db import ARCHIVE_BRANCH_ID, TRASH_BRANCH_ID, Base
from lamart_core.families.deleted import note_deleted
from lamart_core.families.heads import lock_family, promote_newest
from lamart_core.families.placement import check_unlocked, place
from lamart_core.logging import logger
from lamart_core.query.sql.dialects import dialect_of

if TYPE_CHECKING:
    from lamart_core.records.base import SQLRecord

_SHOWN = 5


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
            place(connection, table, record._placed_together(connection), TRASH_BRANCH_ID)
            return False
        delete_rows(connection, table, [record.id])
        if "is_latest" in table.columns and has_trash:
            promote_newest(connection, table, row["uid"], row["branch_id"])
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
        place(connection, table, record._placed_together(connection), branch_id)

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
            place(connection, table, record._placed_together(connection), target)

    record.registry.unit_of_work(work)
    record.refresh()


def read_row(connection: Connection, table: Table, record: SQLRecord) -> dict[str, Any]:
    """Return the row of a record as it is now, with its family locked.

    Raises:
        ObjectDoesNotExist: The row was deleted.
    """
    if "is_latest" in table.columns:
        lock_family(connection, table, record.__dict__["uid"])
    row = connection.execute(select(table).where(table.c.id == record.id)).mappings().one_or_none()
    if row is None:
        raise errors.ObjectDoesNotExist(f"{record!r} was deleted from {record.registry!r}")
    return dict(row)


def delete_rows(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Delete rows and what cascades from them; of versions it stays written down that they were there.

    Raises:
        ProtectedError: Other records refer to them; the message names some.
    """
    try:
        with connection.begin_nested():
            delete = table.delete().where(_among(connection, table.c.id, ids))
            if "is_latest" in table.columns:
                note_deleted(connection, table, connection.execute(delete.returning(table)).all())
            else:
                connection.execute(delete)
    except IntegrityError as error:
        names = referrers(connection, table, ids)
        if not names:  # whoever referred is gone by now
            raise errors.Conflict(f"something referred to {table.name} {list(ids)[:_SHOWN]}") from error
        what = _title(connection, table, ids[0])
        raise errors.ProtectedError(
            f"{what} cannot be deleted, other records refer to it: {', '.join(names)}; delete those first"
        ) from error


def referrers(connection: Connection, table: Table, ids: Sequence[int]) -> list[str]:
    """Return the names of some records that keep rows from being deleted: they refer to them, or to what goes along."""
    gone: dict[str, set[int]] = {}
    pending: list[tuple[Table, list[int]]] = [(table, list(ids))]
    while pending:
        target, wanted = pending.pop()
        new = sorted(set(wanted) - gone.setdefault(target.name, set()))
        gone[target.name].update(new)
        if new:
            for other, column, cascades in _references(target):
                if cascades:
                    found = select(other.c.id).where(_among(connection, column, new))
                    pending.append((other, list(connection.execute(found).scalars())))
    names: list[str] = []
    for name, rows in gone.items():
        for other, column, cascades in _references(Base.metadata.tables[name]):
            if not cascades and rows:
                held = select(other.c.id).where(_among(connection, column, sorted(rows)))
                for row_id in connection.execute(held.order_by(other.c.id)).scalars():
                    if row_id not in gone.get(other.name, ()) and len(names) < _SHOWN:
                        names.append(_name(connection, other, column, row_id))
    return list(dict.fromkeys(names))


def _references(target: Table) -> Iterator[tuple[Table, Column[Any], bool]]:
    """Give each foreign key that refers to a table, and whether its rows go along with what they refer to."""
    for other in Base.metadata.tables.values():
        for column in other.columns:
            for key in column.foreign_keys:
                if key.column.table is target:
                    yield other, column, key.ondelete == "CASCADE"


def _name(connection: Connection, table: Table, column: Column[Any], row_id: int) -> str:
    """Say which record a row is; a row of a link stands for the record at its other end."""
    if "uid" in table.columns:
        return f"{_title(connection, table, row_id)} as its {column.name.removesuffix('_id')}"
    row = connection.execute(select(table).where(table.c.id == row_id)).mappings().one()
    for other in table.columns:
        if other is not column and other.foreign_keys and row[other.name] is not None:
            return _title(connection, next(iter(other.foreign_keys)).column.table, row[other.name])
    return f"{table.name} {row_id}"


def _title(connection: Connection, table: Table, row_id: int) -> str:
    classes = (mapper.class_.__name__ for mapper in Base.registry.mappers if mapper.local_table is table)
    row = connection.execute(select(table).where(table.c.id == row_id)).mappings().one_or_none()
    named = {} if row is None else dict(row)
    name = next((named[field] for field in ("key", "name", "handle", "root") if named.get(field)), None)
    shown = " ".join([*([repr(name)] if name is not None else []), f"({named.get('uid', row_id)})"])
    return f"{next(classes, table.name)} {shown}"


def _check_has_trash(record: SQLRecord) -> None:
    if not record.is_saved:
        raise errors.InvalidArgument(f"{record!r} is not saved yet; save it first")
    if not record.has_trash:
        raise errors.InvalidArgument(f"a {type(record).__name__} has neither trash nor archive")


def _among(connection: Connection, column: Any, ids: Sequence[int]) -> Any:
    return dialect_of(connection.dialect.name).among(column, ids)
