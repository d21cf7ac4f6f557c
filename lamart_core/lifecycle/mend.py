"""A hit on content whose bytes are not whole any more: the caller has them, so they are stored again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.orm.attributes import set_committed_value

from lamart_core import errors
from lamart_core import storage as bytes_room
from lamart_core.db import TRASH_BRANCH_ID, Registry
from lamart_core.lifecycle.move import rename_family
from lamart_core.lifecycle.objects import OBJECT, note_sizes
from lamart_core.lifecycle.plan import Pending, Staged
from lamart_core.lifecycle.put import remove_bytes
from lamart_core.logging import logger
from lamart_core.query.dialects import dialect_of
from lamart_core.records import ArtifactRecord, Storage

_THREADS = 16


def mend(record: ArtifactRecord, pending: Pending) -> bool:
    """Store the bytes of an existing artifact again if they are gone or cut off, or note where they moved to.

    Args:
        record: The artifact that was found by its content.
        pending: The equal content that the caller passed.

    Returns:
        Whether the artifact is there: False if it was deleted meanwhile, or put into the trash.

    Raises:
        SourceChanged: The source was modified since the artifact was constructed.
        StorageError: The storage refused the bytes.
    """
    stored = _stored(record.registry, [record]).get(record.id)
    if stored is None:
        return False
    storage = record.registry.Storage.get(stored.storage_id)
    if stored.is_scattered or _is_whole(stored, storage):
        return True
    staged = pending.staged
    if staged.in_place is not None:
        _follow(record, stored, staged)
    elif storage.is_managed and isinstance(staged.source, Path) and staged.source.exists():
        _store_again(record, stored, staged, storage)
        # Bytes are gone also where another process deletes the artifact: first its row, then they.
        with record.registry.engine.connect() as connection:
            is_named = connection.execute(select(OBJECT.c.id).where(OBJECT.c.id == stored.id)).first() is not None
        if not is_named:
            remove_bytes(storage, stored.path, is_folder=staged.is_folder)
        return record.id in _stored(record.registry, [record])
    return True


def not_whole(registry: Registry, records: Sequence[ArtifactRecord]) -> list[ArtifactRecord]:
    """Return those of many existing artifacts that `mend` has something to do for, or that were deleted.

    Their objects are read by one statement, and looked at side by side; what a listing has just shown is not.

    Args:
        registry: Their registry.
        records: Artifacts that were found by their content, with what the caller passed.
    """
    if not records:
        return []
    objects = _stored(registry, records)
    locations = {storage.id: storage for storage in registry.Storage.filter()}

    def is_whole(record: ArtifactRecord) -> bool:
        stored = objects.get(record.id)
        if stored is None or stored.is_scattered:
            return stored is not None
        staged, storage = record._pending.staged, locations[stored.storage_id]
        if staged.root == storage.root and staged.in_place == stored.path:
            return stored.size is None or staged.size == stored.size
        return _is_whole(stored, storage)

    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        return [item for item, whole in zip(records, pool.map(is_whole, records), strict=True) if not whole]


def _stored(registry: Registry, records: Sequence[ArtifactRecord]) -> dict[int, Any]:
    """Return the stored objects that artifacts refer to now, by the ids of the artifacts that are there."""
    columns: Any = type(records[0]).__table__.c
    seen = {item.id: item.branch_id for item in records}
    ids = dialect_of(registry.engine.dialect.name).among(columns.id, sorted(seen))
    names = columns.id.label("artifact_id"), columns.branch_id.label("artifact_branch_id")
    query = select(OBJECT, *names).join(OBJECT, columns.object_id == OBJECT.c.id).where(ids)
    with registry.engine.connect() as connection:
        rows = connection.execute(query).all()
    return {
        row.artifact_id: row
        for row in rows
        if row.artifact_branch_id != TRASH_BRANCH_ID or seen[row.artifact_id] == TRASH_BRANCH_ID
    }


def _is_whole(stored: Any, storage: Storage) -> bool:
    try:
        found = bytes_room.stat(storage.location, stored.path)
    except errors.PathNotFound:
        return False
    except (errors.StorageError, errors.InvalidArgument) as error:
        logger.warning("cannot see whether %s/%s is whole: %s", storage.root, stored.path, error)
        return True
    return stored.size is None or found.size == stored.size


def _store_again(record: ArtifactRecord, stored: Any, staged: Staged, storage: Storage) -> None:
    """Put equal bytes where those that are not whole lie; what is there was readable for nobody."""
    assert isinstance(staged.source, Path)
    logger.warning("the bytes of %s at %s/%s were not whole; storing them again", record.uid, storage.root, stored.path)
    location = storage.location
    bytes_room.delete(location, stored.path, is_folder=staged.is_folder)
    try:
        if staged.tree is not None:
            bytes_room.put_folder(staged.source, location, stored.path, tree=staged.tree)
        else:
            bytes_room.put_file(staged.source, location, stored.path, digest=staged.digest)
    except errors.ObjectExists:  # another process does the same
        return
    if staged.size != stored.size:
        record.registry.unit_of_work(lambda connection: note_sizes(connection, stored.id, staged.size, staged.n_files))
        _take_sizes(record, staged)


def _take_sizes(record: ArtifactRecord, staged: Staged) -> None:
    set_committed_value(record, "size", staged.size)
    set_committed_value(record, "n_files", staged.n_files)


def _follow(record: ArtifactRecord, stored: Any, staged: Staged) -> None:
    """Let an artifact whose file was moved inside its storage location follow it, and a key that is its path too."""
    if stored.is_managed or staged.root != record.storage.root or staged.in_place is None:
        return
    table: Table = record.__table__  # pyright: ignore[reportAssignmentType]
    path = staged.in_place
    key = None if record._key_is_virtual else bytes_room.clean_key(path)

    def work(connection: Connection) -> None:
        connection.execute(update(OBJECT).where(OBJECT.c.id == stored.id).values(path=path))
        note_sizes(connection, stored.id, staged.size, staged.n_files)
        if key is not None:
            rename_family(connection, table, record.uid, key)
        else:
            connection.execute(update(table).where(table.c.object_id == stored.id).values(_real_key=path))

    record.registry.unit_of_work(work)
    if path == stored.path:  # equal content of other bytes
        _take_sizes(record, staged)
        return
    logger.warning("%s moved from %r to %r and is known there now", record.uid, stored.path, path)
    set_committed_value(record, "key" if key is not None else "_real_key", key if key is not None else path)
