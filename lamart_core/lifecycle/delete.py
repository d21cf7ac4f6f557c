"""Deleting: the record first, then exactly the bytes that no other record refers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, select, update
from sqlalchemy.exc import IntegrityError

from lamart_core import errors, uids
from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.lifecycle.heads import promote_newest
from lamart_core.lifecycle.objects import OBJECT, delete_unreferenced
from lamart_core.lifecycle.put import remove_bytes
from lamart_core.logging import logger
from lamart_core.records import ArtifactRecord


@dataclass(frozen=True)
class _Removed:
    """Objects whose rows are gone, and those that are kept although nothing refers to them."""

    paths: tuple[str, ...]
    kept: tuple[str, ...]


def delete(record: ArtifactRecord, *, permanent: bool | None = None, storage: bool | None = None) -> None:
    """Move an artifact to the trash, or delete it for good; see `Artifact.delete`."""
    if not record.is_saved:
        logger.warning("%r was never saved; there is nothing to delete", record)
        return
    record.refresh()
    if permanent is False or (permanent is None and record.branch_id != TRASH_BRANCH_ID):
        _trash(record)
        return
    _check_managed(record, storage)
    removed = record.registry.unit_of_work(lambda connection: _remove_rows(connection, record, storage))
    is_folder = record.n_files is not None
    for path in removed.paths:
        remove_bytes(record.storage, path, is_folder=is_folder)
    for path in removed.kept:
        logger.warning("the record is deleted, its file %s/%s is kept; pass storage=True", record.storage.root, path)


def restore(record: ArtifactRecord) -> None:
    """Bring an artifact back from the trash to the current branch; see `Artifact.restore`."""
    registry = record.registry
    table: Table = record.__table__  # pyright: ignore[reportAssignmentType]

    def work(connection: Connection) -> None:
        for row in _members(connection, table, record, whole_family=record._overwrite_versions):
            if row.branch_id == TRASH_BRANCH_ID:
                back = update(table).where(table.c.id == row.id)
                connection.execute(back.values(branch_id=registry.branch_id))
        promote_newest(connection, table, record.uid, registry.branch_id)

    registry.unit_of_work(work)
    record.refresh()


def _trash(record: ArtifactRecord) -> None:
    table: Table = record.__table__  # pyright: ignore[reportAssignmentType]

    def work(connection: Connection) -> None:
        whole = record._overwrite_versions and record.is_latest
        for row in _members(connection, table, record, whole_family=whole):
            into = update(table).where(table.c.id == row.id)
            connection.execute(into.values(branch_id=TRASH_BRANCH_ID, is_latest=False))
        promote_newest(connection, table, record.uid, record.branch_id)

    if record.branch_id != TRASH_BRANCH_ID:
        record.registry.unit_of_work(work)
        record.refresh()


def _members(connection: Connection, table: Table, record: ArtifactRecord, *, whole_family: bool) -> list[Any]:
    """Return (id, branch, object) of the record, or of its family where the versions share one folder."""
    columns = table.c
    query = select(columns.id, columns.branch_id, columns.object_id)
    if whole_family:
        query = query.where(func.substr(columns.uid, 1, uids.STEM_LENGTH) == record.stem_uid)
    else:
        query = query.where(columns.id == record.id)
    return list(connection.execute(query).all())


def _check_managed(record: ArtifactRecord, storage: bool | None) -> None:
    if storage is not False and not record.storage.is_managed:
        raise errors.IntegrityError(
            f"{record.storage.root} is not managed by this registry, so its files cannot be deleted; "
            "pass storage=False to delete the record only"
        )


def _remove_rows(connection: Connection, record: ArtifactRecord, storage: bool | None) -> _Removed:
    table: Table = record.__table__  # pyright: ignore[reportAssignmentType]
    columns = table.c
    is_head = record._overwrite_versions and (record.is_latest or not _has_head(connection, table, record))
    rows = _members(connection, table, record, whole_family=is_head)
    try:
        connection.execute(table.delete().where(columns.id.in_([row.id for row in rows])))
    except IntegrityError as error:
        raise errors.ProtectedError(
            f"{record.uid} cannot be deleted, other records refer to it: {error.orig}"
        ) from error
    promote_newest(connection, table, record.uid, record.branch_id)
    objects = {row.object_id for row in rows}
    if storage is False:
        return _Removed((), ())
    gone = delete_unreferenced(connection, table, objects)
    referred = select(columns.id).where(columns.object_id == OBJECT.c.id).exists()
    unmanaged = select(OBJECT.c.path).where(OBJECT.c.id.in_(objects), ~OBJECT.c.is_managed, ~referred)
    paths = list(connection.execute(unmanaged).scalars())
    connection.execute(OBJECT.delete().where(OBJECT.c.id.in_(objects), ~OBJECT.c.is_managed, ~referred))
    return _Removed((*gone, *paths), ()) if storage else _Removed(tuple(gone), tuple(paths))


def _has_head(connection: Connection, table: Table, record: ArtifactRecord) -> bool:
    columns = table.c
    family = func.substr(columns.uid, 1, uids.STEM_LENGTH) == record.stem_uid
    return connection.execute(select(columns.id).where(family, columns.is_latest)).first() is not None
