"""What lies in the version store of a location, for whoever collects what no record claims."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lamart_core.errors import PathNotFound
from lamart_core.storage.copying import remove_quietly
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.keys import RANDOM_LENGTH, RESERVED
from lamart_core.storage.objects import StoredName
from lamart_core.uids import STEM_LENGTH

# Only names that `object_path` makes: the reserved folder may hold other things, such as the embedded database.
_STORED = re.compile(rf"[0-9A-Za-z]{{{STEM_LENGTH + RANDOM_LENGTH}}}(\..*)?")
_STAGED = re.compile(r"[0-9A-Za-z]{20}(\..*)?")


def list_stored(location: Location) -> list[StoredName]:
    """List the objects in the version store of a location, whether or not a record claims them.

    Raises:
        StorageError: The storage failed or refused.
    """
    return sorted(_local(location) if location.is_local else _remote(location), key=lambda stored: stored.relpath)


def _local(location: Location) -> Iterator[StoredName]:
    folder = location.local(RESERVED)
    if not folder.is_dir():
        return
    with reading(location.root, RESERVED), os.scandir(folder) as entries:
        for entry in entries:
            if _STORED.fullmatch(entry.name):
                is_folder = entry.is_dir(follow_symlinks=False)
                yield StoredName(f"{RESERVED}/{entry.name}", is_folder, _newest(Path(entry.path)))


def _newest(path: Path) -> datetime:
    """Return the time of the last modification of a path or anything below it."""
    newest = path.lstat().st_mtime
    for folder, _, files in os.walk(path):
        for name in [".", *files]:
            try:
                newest = max(newest, os.lstat(os.path.join(folder, name)).st_mtime)
            except FileNotFoundError:  # published or removed in between
                continue
    return datetime.fromtimestamp(newest, UTC)


def _remote(location: Location) -> Iterator[StoredName]:
    url = location.url(RESERVED)
    with reading(location.root, RESERVED):
        prefix = location.stored_name(RESERVED) + "/"
        listed: Any = location.fs.find(url, detail=True)
    newest: dict[tuple[str, bool], datetime] = {}
    for stored, info in listed.items():
        name, slash, _ = str(stored).removeprefix(prefix).partition("/")
        modified = info.get("LastModified") or info.get("created") or datetime.now(UTC)
        if _STORED.fullmatch(name) and isinstance(modified, datetime):
            key = (name, bool(slash))
            newest[key] = max(newest.get(key, modified), modified)
    for (name, is_folder), modified in newest.items():
        yield StoredName(f"{RESERVED}/{name}", is_folder, modified)


def clear_staging(location: Location, *, older_than: timedelta, cache_dir: Path | None = None) -> int:
    """Remove what processes that died left in the folder for staging files.

    Args:
        location: The location.
        older_than: Files that were modified more recently are left to the processes that may be writing them.
        cache_dir: Cache folder, for a remote location; as for `staging_path`.

    Returns:
        How many files and folders were removed.

    Raises:
        ReadOnlyStorage: The folder cannot be written to.
    """
    if location.is_local:
        folder = location.temporary
    elif cache_dir is not None:
        folder = Path(cache_dir) / "tmp"
    else:
        return 0
    if not folder.is_dir():
        return 0
    removed = 0
    limit = datetime.now(UTC) - older_than
    with writing(location.root):
        for path in list(folder.iterdir()):
            try:
                if _STAGED.fullmatch(path.name) and _newest(path) < limit:
                    remove_quietly(path)
                    removed += 1
            except (FileNotFoundError, PathNotFound):
                continue
    return removed
