"""One file into an object store: in one atomic step, never over what another writer has put there."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lamart_core import uids
from lamart_core.errors import ObjectExists, PathNotFound
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.keys import is_reserved
from lamart_core.storage.progress import Bar, BarCallback
from lamart_core.storage.store import Head
from lamart_core.storage.stores import store_of


def head(location: Location, relpath: str) -> Head:
    """Ask for one object: one request.

    Raises:
        PathNotFound: It is not there.
        StorageError: The storage failed or refused.
    """
    with reading(location.root, relpath):
        found = store_of(location).head(location, relpath)
    if found is None:
        raise PathNotFound(f"there is no object {relpath!r} in the storage {location.root}")
    return found


def upload(source: Path, location: Location, relpath: str, *, bar: Bar, checked: bool = True) -> int | None:
    """Upload one file.

    Args:
        source: The file.
        location: Storage to write to.
        relpath: Path of the new object.
        bar: Progress that the transfer is part of.
        checked: Whether the store is asked afterwards for what it has, at the price of one request.

    Returns:
        Size in bytes that the store has, None where it does not say; of the source when it was not asked.

    Raises:
        ObjectExists: Another writer has taken the name.
        StorageError: The storage failed or refused; nothing is left there.
    """
    store, size, mark = store_of(location), source.stat().st_size, uids.base62(20)
    try:
        with writing(location.root):
            store.create(location, source, relpath, mark=mark, callback=BarCallback(bar))
    except BaseException as error:
        found = _found(location, relpath)
        if found is not None and found.mark == mark:
            # The store has it, only its answer was lost; the client tried again, and met its own object.
            if isinstance(error, Exception) and found.size == size:
                return size
            remove_quietly(location, relpath)
        elif not isinstance(error, ObjectExists) and (is_reserved(relpath) or not store.keeps_marks):
            # A name that nobody else can choose, or nothing that tells whose it is.
            remove_quietly(location, relpath)
        raise
    if not checked:
        return size
    with writing(location.root):
        stored = head(location, relpath)
    if stored.mark not in (mark, None):
        # A store without conditional writes: somebody has overwritten the object in this moment, and keeps it.
        raise ObjectExists(f"{relpath!r} in {location.root} was written by another writer in the same moment")
    return stored.size


def _found(location: Location, relpath: str) -> Head | None:
    try:
        return head(location, relpath)
    except Exception:  # on the way out with the real error
        return None


def remove_quietly(location: Location, relpath: str) -> None:
    """Remove an object on the way out with the real error; what stays is unclaimed, and collected later."""
    with contextlib.suppress(Exception):
        store_of(location).remove(location, relpath)
