"""One file into an object store: in one atomic step, never over what another writer has put there."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from lamart_core import uids
from lamart_core.errors import ObjectExists, PathNotFound, StorageError
from lamart_core.hashing import FileState, hash_file, state_of
from lamart_core.storage.copying import changed, is_checkable, open_source, state_at_rest
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.names.keys import is_reserved
from lamart_core.storage.objectstore.client import Client, Head
from lamart_core.storage.progress import Bar, BarCallback
from lamart_core.storage.values import FilePut, ObjectStat


def head(client: Client, relpath: str) -> Head:
    """Ask for one object: one request.

    Raises:
        PathNotFound: It is not there.
        StorageError: The storage failed or refused.
    """
    with reading(client.remote.root, relpath):
        found = client.head(relpath)
    if found is None:
        raise PathNotFound(f"there is no object {relpath!r} in the storage {client.remote.root}")
    return found


def upload(
    source: Path, client: Client, relpath: str, *, bar: Bar, checked: bool = True, about: str | None = None
) -> int | None:
    """Upload one file.

    Args:
        source: The file.
        client: How the store is asked.
        relpath: Path of the new object.
        bar: Progress that the transfer is part of.
        checked: Whether the store is asked afterwards for what it has, at the price of one request.
        about: What the object is.

    Returns:
        Size in bytes that the store has, None where it does not say; of the source when it was not asked.

    Raises:
        ObjectExists: Another writer has taken the name.
        StorageError: The storage failed or refused; nothing is left there.
    """
    root, size, mark = client.remote.root, source.stat().st_size, uids.base62(20)
    try:
        with writing(root):
            client.create(source, relpath, mark=mark, callback=BarCallback(bar), about=about)
    except BaseException as error:
        found = _found(client, relpath)
        if found is not None and found.mark == mark:
            # The store has it, only its answer was lost; the client tried again, and met its own object.
            if isinstance(error, Exception) and found.size == size:
                return size
            remove_quietly(client, relpath)
        elif not isinstance(error, ObjectExists) and (is_reserved(relpath) or not client.keeps_marks):
            # A name that nobody else can choose, or nothing that tells whose it is.
            remove_quietly(client, relpath)
        raise
    if not checked:
        return size
    with writing(root):
        stored = head(client, relpath)
    if stored.mark not in (mark, None):
        # A store without conditional writes: somebody has overwritten the object in this moment, and keeps it.
        raise ObjectExists(f"{relpath!r} in {root} was written by another writer in the same moment")
    return stored.size


def _found(client: Client, relpath: str) -> Head | None:
    try:
        return head(client, relpath)
    except Exception:  # on the way out with the real error
        return None


def remove_quietly(client: Client, relpath: str) -> None:
    """Remove an object on the way out with the real error; what stays is unclaimed, and collected later."""
    with contextlib.suppress(Exception):
        client.remove(relpath)


def put_verified(put: FilePut, client: Client, bar: Bar) -> ObjectStat:
    """Upload one file, and check that it is what it was when it was staged.

    Raises:
        ObjectExists, SourceChanged, StorageFull, ReadOnlyStorage, StorageError: As for `Backend.put_file`.
    """
    source, digest, root = put.source, put.digest, client.remote.root
    with open_source(source):
        before = _state(source, ours=put.move)
    # Hashing before and looking at the times afterwards leaves no moment at which a change goes unnoticed.
    found = hash_file(source, digest.algorithm) if digest is not None and is_checkable(digest) else None
    if found is not None and found != digest:
        raise changed(source)
    size = upload_unchanged(source, client, put.relpath, bar, before=before, about=put.about)
    try:
        if before != _state(source, ours=True):
            raise changed(source)
        if size is not None and size != before.size:
            raise StorageError(
                errno.EIO, f"{root} stored {size:,} of {before.size:,} bytes of {put.relpath!r}; try again"
            )
    except BaseException:
        remove_quietly(client, put.relpath)
        raise
    if put.move:
        source.unlink()
    return ObjectStat(size, None, False, found)


def upload_unchanged(
    source: Path,
    client: Client,
    relpath: str,
    bar: Bar,
    *,
    before: FileState | None,
    checked: bool = True,
    about: str | None = None,
) -> int | None:
    """Upload one file; a source that changed meanwhile is the reason, whatever the store says. See `upload`."""
    try:
        return upload(source, client, relpath, bar=bar, checked=checked, about=about)
    except Exception as error:
        if before is not None and before != _state(source, ours=True):
            raise changed(source) from error
        raise


def _state(source: Path, *, ours: bool) -> FileState:
    """Return the state of a file; of one that others may write, so that any later change shows in it."""
    try:
        return state_of(source.stat()) if ours else state_at_rest([source])[0]
    except FileNotFoundError:
        raise changed(source) from None
