"""Garbage collection: bytes in the version store that no record refers to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from lamart_core import storage as bytes_room
from lamart_core.db import Registry
from lamart_core.lifecycle.stage import discard_path
from lamart_core.records import Storage, StoredObject

GRACE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Garbage:
    """An object that no record refers to.

    Attributes:
        root: Root of its storage location.
        path: Path relative to the root.
        size: Size in bytes.
        age: Seconds since it was last modified.
    """

    root: str
    path: str
    size: int
    age: float


def collect_garbage(registry: Registry, *, grace: float = GRACE_SECONDS, dry_run: bool = True) -> list[Garbage]:
    """Find, and unless `dry_run` remove, what interrupted saves and deletions left in the version stores.

    Args:
        registry: The registry; only storage locations that it manages are looked at.
        grace: Seconds that an object must be old, so that a save that is running keeps its bytes.
        dry_run: Only list.

    Returns:
        The objects that were found.
    """
    found: list[Garbage] = []
    with registry.read() as session:
        storages = session.scalars(select(Storage).where(Storage.instance_uid == registry.uid)).all()
    for storage in storages:
        if not storage.location.is_local:
            continue
        # Listed before the records are read: what is saved in between has a record by then, or is too young.
        candidates = [item for item in _candidates(storage) if item.age >= grace]
        with registry.read() as session:
            known = set(session.scalars(select(StoredObject.path).where(StoredObject.storage_id == storage.id)))
        garbage = [item for item in candidates if item.path not in known]
        found.extend(garbage)
        if not dry_run:
            for item in garbage:
                discard_path(Path(storage.root, item.path))
    return found


def _candidates(storage: Storage) -> Iterator[Garbage]:
    base = Path(storage.root, bytes_room.RESERVED)
    if not base.is_dir():
        return
    for child in [*base.iterdir(), *storage.location.temporary.glob("*")]:
        if child == storage.location.temporary or child.name == Path(bytes_room.MARKER).name:
            continue
        files = [child, *child.rglob("*")] if child.is_dir() else [child]
        stats = [item.lstat() for item in files if item.exists()]
        if stats:
            size = sum(item.st_size for item, path in zip(stats, files, strict=False) if path.is_file())
            age = time.time() - max(item.st_mtime for item in stats)
            yield Garbage(storage.root, child.relative_to(storage.root).as_posix(), size, age)
