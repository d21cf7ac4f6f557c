"""Life of a storage location: marked when it is registered, moved to another root, removed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import set_committed_value

from lamart_core import errors, uids
from lamart_core.db import Base, Registry, model_class
from lamart_core.logging import logger
from lamart_core.records.artifact import artifact_table
from lamart_core.storage import RESERVED, Marker, backend_at, match_root, path_below, relative_to, storage_type

if TYPE_CHECKING:
    from lamart_core.records.storage import Storage


def check_owner(registry: Registry, storage: Storage, key: str) -> None:
    """Check that no other location begins on the way to a real key: a path belongs to the one with the longest root.

    Raises:
        InvalidKey: One does.
    """
    table = storage.__table__
    with registry.engine.connect() as connection:
        roots = list(connection.execute(select(table.c.root)).scalars())
    owner = match_root(path_below(storage.root, key), roots)
    if owner not in (None, storage.root):
        raise errors.InvalidKey(
            f"the key {key!r} of {storage.root} is a path of the storage location {owner}, and no path has two owners; "
            f"pass storage={owner!r} and the path in it, or choose another key"
        )


def _check_unowned(record: Storage) -> None:
    """Check that nothing lies below the root of a new location that another one has at a real key or in place.

    Raises:
        IntegrityError: Something does.
    """
    table, stored = record.__table__, model_class("StoredObject").__table__
    query = select(table.c.id, table.c.root).where(table.c.instance_uid == record.registry.uid)
    with record.registry.engine.connect() as connection:
        roots = {row.root: row.id for row in connection.execute(query) if row.root != record.root}
        outer = match_root(record.root, roots)
        if outer is None:
            return
        below = stored.c.path.startswith(relative_to(record.root, outer) + "/", autoescape=True)
        lying = select(stored.c.path).where(stored.c.storage_id == roots[outer], below, stored.c.state.is_(None))
        path = connection.execute(lying.where(~stored.c.is_managed).limit(1)).scalar_one_or_none()
    if path is not None:
        raise errors.IntegrityError(
            f"{record.root} lies in the storage location {outer}, which has artifacts there, for example at {path!r}, "
            "and no path has two owners; choose another root, or delete or move those artifacts first"
        )


def known_root(registry: Registry, root: str) -> str:
    """Return the root by which a registry knows a place, which may be named by way of a symbolic link."""
    if storage_type(root) != "local":
        return root
    table = Base.metadata.tables["lamart_storage"]
    with registry.engine.connect() as connection:
        roots = connection.execute(select(table.c.root).where(table.c.type == "local")).scalars().all()
    real = os.path.realpath(root)
    return root if root in roots else next((other for other in roots if os.path.realpath(other) == real), root)


def claim_reference(record: Storage) -> None:
    """Mark a location that was a reference so far as managed by its registry, where that is possible.

    Its uid stays, so a place that carries a marker already stays a reference.

    Raises:
        IntegrityError: Another location has artifacts below the root.
        StorageError: There is no such bucket or container.
    """
    _check_unowned(record)
    backend = backend_at(record.root, options=record.registry.storage_options.for_root(record.root))
    registry = record.registry
    found = backend.read_marker()
    if found is not None and (found.storage_uid, found.registry_uid) != (record.uid, registry.uid):
        logger.warning("%s is managed by another registry (%s) and stays a reference", record.root, found.registry_uid)
        return
    try:
        if found is None:  # else it was written by who was killed before the row knew
            backend.write_marker(Marker(storage_uid=record.uid, registry_uid=registry.uid))
    except errors.StorageError as error:
        logger.warning("%s cannot be written to and stays a reference: %s", record.root, error)
        return
    table = record.__table__
    managed = table.update().where(table.c.id == record.id).values(instance_uid=registry.uid)
    registry.unit_of_work(lambda connection: connection.execute(managed))
    registry.forget(("storage", record.id))
    set_committed_value(record, "instance_uid", registry.uid)


def claim(record: Storage) -> None:
    """Mark a new location as managed by its registry where that is possible, and note what the marker says.

    Raises:
        IntegrityError: The marker is that of a location which this registry knows under another root, or another
            location has artifacts below the root.
        StorageError: There is no such bucket or container.
        NotAFolder: The root is a file.
    """
    _check_unowned(record)
    backend, registry_uid = record.backend, record.registry.uid
    if record.type == "local" and Path(record.root).is_file():
        raise errors.NotAFolder(f"the root {record.root} is a file; a storage location is a folder")
    marker = backend.read_marker()
    if marker is None:
        marker = Marker(storage_uid=uids.base62(12), registry_uid=registry_uid)
        try:
            backend.write_marker(marker)
        except errors.ObjectExists:  # another process marked it in between
            marker = backend.read_marker()
        except errors.StorageError as error:
            try:
                backend.check_reachable()
            except errors.PathNotFound:  # no bucket, or no folder could be made: there is nothing to read either
                raise error from None
            except errors.LamartError:
                pass
            logger.warning("%s cannot be written to and is registered for reading only: %s", record.root, error)
            marker = None
    elif marker.registry_uid != registry_uid:
        logger.warning(
            "%s is managed by another registry (%s) and is registered for reading only",
            record.root,
            marker.registry_uid,
        )
    if marker is not None:
        _check_unknown(record, marker.storage_uid)
    # These follow from the marker, and the record has no row yet.
    record._give(
        uid=marker.storage_uid if marker else uids.base62(12), instance_uid=marker.registry_uid if marker else None
    )


def _check_unknown(record: Storage, uid: str) -> None:
    root = _root_of(record, uid)
    if root not in (None, record.root):  # the same root: another process registers it at this moment
        raise errors.IntegrityError(
            f"{record.root} carries the marker of the storage location {uid}, which is registered with the root "
            f"{root}. If its files were moved there: storage = Storage.get({uid!r}); storage.root = {record.root!r}; "
            f"storage.save(). If they were copied, go on with {root}: a location lies in one place, and a copy of its "
            "files is a backup. If the database was copied along, `lamart fork` makes a registry of its own of the copy"
        )


def _root_of(record: Storage, uid: str) -> str | None:
    table = record.__table__
    with record.registry.engine.connect() as connection:
        return connection.execute(select(table.c.root).where(table.c.uid == uid)).scalar_one_or_none()


def check_move(record: Storage, old_root: str) -> None:
    """Check that the bytes of a location lie at the root that was assigned to it.

    Raises:
        InvalidArgument: The new root is no root, or belongs to another record.
        PathNotFound: There is nothing at the new root.
        IntegrityError: The marker there is not that of this location.
    """
    new_root = record.root
    table = record.__table__
    with record.registry.engine.connect() as connection:
        other = connection.execute(
            select(table.c.uid).where(table.c.root == new_root, table.c.id != record.id)
        ).scalar_one_or_none()
    if other is not None:
        raise errors.InvalidArgument(f"{new_root} is the root of another storage location ({other}) already")
    _check_unowned(record)
    backend = record.backend
    marker = backend.read_marker()
    if marker is None:
        try:
            backend.check_reachable()
        except errors.PathNotFound as error:
            raise errors.PathNotFound(f"{error}; move the files of {old_root} there first") from error
    if marker is None and record.instance_uid is None:
        return  # a place that nobody manages has no marker, here as there
    if marker is None or marker.storage_uid != record.uid:
        found = f"that of the storage location {marker.storage_uid}" if marker else "none"
        raise errors.IntegrityError(
            f"{new_root} is not where the files of {record.uid} are: its marker should be that of {record.uid}, "
            f"but there is {found}. Move all files of {old_root} there, .lamart/ included, and try again"
        )
    old = backend_at(old_root, options=record.registry.storage_options.for_root(old_root))
    with contextlib.suppress(errors.LamartError, OSError):
        if old.read_marker() == marker:
            logger.warning("%s still holds a copy of the location; nothing of the registry refers to it", old_root)


def remove(record: Storage, permanent: bool | None) -> None:
    """Delete a location that holds nothing; see `Storage.delete`."""
    if permanent is False:
        raise errors.InvalidArgument("storage locations have no trash: pass permanent=True, or nothing")
    if not record.is_saved:
        return
    registry = record.registry
    if record.id == registry.storage_id:
        raise errors.ProtectedError(
            f"{record.root} is the default storage location; choose another one first: settings.storage = …"
        )
    if record.id == registry.local_storage_id:
        raise errors.ProtectedError(f"{record.root} is the local storage location of this connection")
    _check_unused(record)
    table = record.__table__
    objects = model_class("StoredObject").__table__

    def work(connection: Connection) -> None:
        try:
            # Rows that no artifact names any more: what was registered in place and then deleted without its file.
            connection.execute(objects.delete().where(objects.c.storage_id == record.id))
            connection.execute(table.delete().where(table.c.id == record.id))
        except IntegrityError as error:
            raise errors.ProtectedError(
                f"{record.root} cannot be deleted, other records refer to it: {error.orig}"
            ) from error

    registry.unit_of_work(work)
    registry.forget(("storage", record.id))
    if record.is_managed:
        _unmark(record)


def _check_unused(record: Storage) -> None:
    artifacts = artifact_table()
    query = select(func.count()).select_from(artifacts).where(artifacts.c.storage_id == record.id)
    with record.registry.engine.connect() as connection:
        count = connection.execute(query).scalar_one()
    if count:
        raise errors.ProtectedError(
            f"{record.root} holds {count:,} artifacts (those in the trash included); delete or move them first"
        )
    if not record.is_managed:
        return
    try:
        stored = record.backend.list_stored()
    except errors.PathNotFound:  # the bucket itself is gone
        return
    if stored:
        raise errors.ProtectedError(
            f"{record.root} still holds {len(stored):,} objects in {RESERVED}/ that no artifact names; "
            "remove them with `lamart gc` first"
        )


def _unmark(record: Storage) -> None:
    backend = record.backend
    try:
        backend.remove_marker(record.uid)
    except errors.StorageError as error:
        logger.warning("the marker of %s could not be removed: %s", record.root, error)
