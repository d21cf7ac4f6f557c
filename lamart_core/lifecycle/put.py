"""Bytes into a storage before any record refers to them, and out of it again when none came to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lamart_core import errors, uids
from lamart_core import storage as bytes_room
from lamart_core.lifecycle.plan import Plan, Staged
from lamart_core.logging import logger
from lamart_core.records import ArtifactRecord, Storage


@dataclass(frozen=True)
class Put:
    """Bytes that this save has put into the storage, and which only the commit makes known."""

    relpath: str
    is_managed: bool


def put_bytes(record: ArtifactRecord, staged: Staged, plan: Plan, *, show_progress: bool | None = None) -> Put:
    """Put the bytes under a name that no other save can choose; nothing refers to them yet."""
    if staged.in_place is not None:
        if staged.state is not None and isinstance(staged.source, Path):
            bytes_room.check_state(staged.source, staged.state)
        return Put(staged.in_place, is_managed=False)
    if not isinstance(staged.source, Path) or not staged.source.exists():
        raise errors.PathNotFound(f"the source {staged.source} vanished since the artifact was constructed")
    location = plan.storage.location
    relpath = bytes_room.object_path(uids.stem_of(record.uid), staged.suffix)
    if not plan.key_is_virtual:
        assert plan.key is not None
        relpath = plan.key
    label = f"saving {record.key or staged.source.name}"
    with bytes_room.progress(label, total=staged.size, enabled=show_progress) as bar:
        if staged.tree is not None:
            bytes_room.put_folder(staged.source, location, relpath, tree=staged.tree, move=staged.is_owned)
        else:
            bytes_room.put_file(staged.source, location, relpath, digest=staged.digest, move=staged.is_owned, bar=bar)
    return Put(relpath, is_managed=plan.key_is_virtual)


def take_back(plan: Plan, staged: Staged, put: Put | None) -> None:
    """Remove bytes that no record came to refer to; what was moved from a staging file goes back to it."""
    if put is None or staged.in_place is not None:
        return
    stored = plan.storage.location.path(put.relpath)
    if staged.is_owned and isinstance(stored, Path) and isinstance(staged.source, Path) and not staged.source.exists():
        os.rename(stored, staged.source)
    else:
        remove_bytes(plan.storage, put.relpath, is_folder=staged.is_folder)


def remove_bytes(storage: Storage, relpath: str, *, is_folder: bool) -> None:
    """Remove bytes that no record refers to; what fails here is removed by a later garbage collection."""
    try:
        bytes_room.delete(storage.location, relpath, is_folder=is_folder)
    except OSError as error:
        logger.warning("%s/%s could not be removed and is left to garbage collection: %s", storage.root, relpath, error)
