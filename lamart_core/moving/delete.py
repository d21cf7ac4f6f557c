"""Deleting: the record first, then exactly the bytes that no other record refers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID, Registry
from lamart_core.families.branches import check_unlocked, place
from lamart_core.families.delete_rows import delete_rows
from lamart_core.families.family import Family, promote_newest
from lamart_core.logging import logger
from lamart_core.objects.rows import OBJECT
from lamart_core.objects.unreferenced import Unclaimed, delete_unreferenced, forget_foreign, leave_places, remove_bytes
from lamart_core.places.key_state import real_key_of
from lamart_core.places.publish import finish, publish
from lamart_core.records import ArtifactRecord, ownership
from lamart_core.records.artifact import overwritten_by
from lamart_core.records.kinds.trash import read_row


@dataclass(frozen=True)
class _Removed:
    """Objects whose rows are gone, those at real keys or in place whose bytes go next, those that are kept although
    nothing refers to them, and those still in use.
    """

    unclaimed: tuple[Unclaimed, ...] = ()
    obsolete: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def delete(
    record: ArtifactRecord,
    *,
    permanent: bool | None = None,
    storage: bool | None = None,
    using_key: str | None = None,
) -> None:
    """Move an artifact to the trash, or delete it for good; see `Artifact.delete`."""
    if not record.is_saved:
        logger.warning("%r was never saved; there is nothing to delete", record)
        return
    _check_registry(record.registry, using_key)
    table = record.__table__
    # Whoever does not know that it lies in the trash did not ask to delete it for good.
    known_as_trash = record.branch_id == TRASH_BRANCH_ID
    if storage is not False and (permanent or (permanent is None and known_as_trash)):
        # Before its row goes: bytes that cannot be removed now would be left without one.
        _check_managed(record, storage)
        ownership.check(record.storage)
    key = real_key_of(record) if record.storage.is_managed else None
    if key is not None:
        finish(record.registry, record.storage, key)

    def work(connection: Connection) -> _Removed | None:
        row = read_row(connection, table, record)
        check_unlocked(connection, table, [record.id])
        in_trash = known_as_trash and row["branch_id"] == TRASH_BRANCH_ID
        if permanent is False or (permanent is None and not in_trash):
            place(connection, table, record._rows_that_move(connection), TRASH_BRANCH_ID)
            return None
        _check_managed(record, storage)
        version = connection.execute(select(table).where(table.c.id == record.id)).one()
        along = overwritten_by(connection, version, {version.branch_id, TRASH_BRANCH_ID})
        return _remove_rows(connection, table, row, [version, *along], storage)

    removed = record.registry.unit_of_work(work)
    if removed is None:
        record.refresh()
        return
    for item in removed.unclaimed:
        remove_bytes(record.storage, item.path, is_folder=item.is_folder)
    for path in {*removed.obsolete, *((key,) if key is not None else ())}:
        publish(record.registry, record.storage, path)
    for path in removed.kept:
        logger.warning("the record is deleted, its file %s/%s is kept; pass storage=True", record.storage.root, path)
    for path in removed.shared if storage else ():
        logger.warning("%s/%s is kept: other artifacts refer to it", record.storage.root, path)


def _check_registry(registry: Registry, using_key: str | None) -> None:
    names = ("default", registry.uid, registry.url.render_as_string(), str(registry.url.database))
    if using_key is not None and using_key not in names:
        raise errors.InvalidArgument(
            f"using_key={using_key!r} names another registry than that of the artifact, {registry!r}; "
            "get the artifact from that registry and delete it there"
        )


def _check_managed(record: ArtifactRecord, storage: bool | None) -> None:
    if storage is not False and not record.storage.is_managed:
        raise errors.IntegrityError(
            f"{record.storage.root} is not managed by this registry, so its files cannot be deleted; "
            "pass storage=False to delete the record only"
        )


def _remove_rows(
    connection: Connection, table: Table, row: dict[str, Any], rows: Sequence[Any], storage: bool | None
) -> _Removed:
    delete_rows(connection, table, [item.id for item in rows])
    promote_newest(connection, row["branch_id"], Family.of(table, row["uid"]))
    objects = {item.object_id for item in rows}
    if storage is False:
        forget_foreign(connection, objects)
        return _Removed()
    gone = delete_unreferenced(connection, objects)
    paths = leave_places(connection, objects, remove=bool(storage))
    in_use = select(OBJECT.c.path).where(OBJECT.c.id.in_(objects), OBJECT.c.state.is_(None))
    shared = tuple(connection.execute(in_use).scalars())
    return _Removed(tuple(gone), paths, (), shared) if storage else _Removed(tuple(gone), (), paths, shared)
