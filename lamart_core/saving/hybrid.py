"""Hybrid registries: artifacts are kept in a local location first, and uploaded to the default one when asked."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import select

from lamart_core import errors, uids
from lamart_core.db import Registry
from lamart_core.moving.move import move_to_storage
from lamart_core.reading import read
from lamart_core.records import ArtifactRecord, Storage, artifact_table
from lamart_core.saving.arguments import Request
from lamart_core.storage import Cache

_BATCH = 500  # keys in one statement


def target(registry: Registry, request: Request, storages: Sequence[Storage]) -> Storage:
    """Return where an artifact goes that names no location: to the default one, or first to the local one.

    A family stays together: what was uploaded gets its next version in the default location.
    """
    by_id = {item.id: item for item in storages}
    local = by_id.get(registry.local_storage_id)
    if local is None:
        return by_id[registry.storage_id]
    revises = request.revises
    if revises is not None and revises.storage_id in (local.id, registry.storage_id):
        return by_id[revises.storage_id]
    key = request.key
    return by_id[registry.storage_id] if key is not None and uploaded(registry, [key]) else local


def uploaded(registry: Registry, keys: Iterable[str]) -> set[str]:
    """Return those keys that a family in the default location has."""
    if not registry.local_storage_id:
        return set()
    table = artifact_table()
    wanted = list(dict.fromkeys(keys))
    found: set[str] = set()
    with registry.engine.connect() as connection:
        for start in range(0, len(wanted), _BATCH):
            is_wanted = table.c.key.in_(wanted[start : start + _BATCH])
            query = select(table.c.key).where(table.c.storage_id == registry.storage_id, is_wanted)
            found.update(connection.scalars(query))
    return found


def upload(record: ArtifactRecord) -> None:
    """Move an artifact with all its versions from the local location to the default one; nothing else if it is there.

    Its bytes stay on this machine, as a copy in the cache.

    Raises:
        InvalidArgument: The artifact lies in another location, or the registry keeps nothing local first.
        ContentMismatch: Bytes are missing or altered; nothing was moved.
        StorageError: The upload failed; nothing was moved.
    """
    registry = record.registry
    if record.storage_id == registry.storage_id:
        return
    default: Storage = registry.Storage.get(registry.storage_id)
    if record.storage_id != registry.local_storage_id:
        local = "" if registry.local_storage_id else " (there is none: connect(…, local_storage=…) chooses it)"
        raise errors.InvalidArgument(
            f"upload=True uploads to {default.root} what is kept in the local storage location{local}. {record.uid} "
            f"lies in {record.storage.root}: assign artifact.storage and save to move it"
        )
    cache = Cache(registry.settings.cache_dir)
    kept = _keep(cache, read.path(record))
    try:
        move_to_storage(record, default)
        if kept is not None:
            read.keep_copy(record, kept)
    finally:
        if kept is not None:
            kept.unlink(missing_ok=True)


def _keep(cache: Cache, path: object) -> Path | None:
    """Give a file a second name in the cache folder, so that it is there when the first one is gone."""
    if not isinstance(path, Path) or not path.is_file():
        return None
    kept = cache.root / f".{uids.base62(20)}.part"
    with contextlib.suppress(OSError):
        cache.root.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, kept)
        except OSError:
            shutil.copyfile(path, kept)
        return kept
    return None
