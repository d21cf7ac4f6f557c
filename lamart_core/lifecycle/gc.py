"""Garbage collection: bytes in the version store that no record refers to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from lamart_core import storage as bytes_room
from lamart_core.db import Registry
from lamart_core.records import Storage, StoredObject

GRACE = timedelta(hours=24)


@dataclass(frozen=True)
class Garbage:
    """An object that no record refers to.

    Attributes:
        root: Root of its storage location.
        path: Path relative to the root.
        is_folder: Whether it is a folder.
        modified: When it was last modified.
    """

    root: str
    path: str
    is_folder: bool
    modified: datetime


def collect_garbage(registry: Registry, *, grace: timedelta = GRACE, dry_run: bool = True) -> list[Garbage]:
    """Find, and unless `dry_run` remove, what interrupted saves and deletions left in the version stores.

    Args:
        registry: The registry; only storage locations that it manages are looked at.
        grace: Age that an object must have, so that a save that is running keeps its bytes.
        dry_run: Only list.

    Returns:
        The objects that were found, oldest first. Staging files of dead processes are removed too, and not listed.

    Raises:
        StorageError: A storage refused.
    """
    found: list[Garbage] = []
    with registry.read() as session:
        storages = session.scalars(select(Storage).where(Storage.instance_uid == registry.uid)).all()
    for storage in storages:
        # Listed before the records are read: what is saved in between has a record by then, or is too young.
        limit = datetime.now(UTC) - grace
        stored = [item for item in bytes_room.list_stored(storage.location) if item.modified <= limit]
        with registry.read() as session:
            known = set(session.scalars(select(StoredObject.path).where(StoredObject.storage_id == storage.id)))
        garbage = [
            Garbage(storage.root, item.relpath, item.is_folder, item.modified)
            for item in stored
            if item.relpath not in known
        ]
        found.extend(garbage)
        if not dry_run:
            for item in garbage:
                bytes_room.delete(storage.location, item.path, is_folder=item.is_folder)
            bytes_room.clear_staging(storage.location, older_than=grace, cache_dir=registry.settings.cache_dir)
    return sorted(found, key=lambda item: item.modified)
