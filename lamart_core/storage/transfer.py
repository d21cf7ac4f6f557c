"""Bytes into a storage and out of it: verified, atomic, and never over something that is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lamart_core import uids
from lamart_core.errors import InvalidArgument, PathNotFound
from lamart_core.hashing import Digest, TreeDigest
from lamart_core.storage import local, remote
from lamart_core.storage.copying import remove_quietly
from lamart_core.storage.failures import writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.objects import FilePut, KnownFile, ObjectStat, StoredFile
from lamart_core.storage.progress import NO_BAR, Bar
from lamart_core.storage.staging import staging_name


def staging_path(location: Location, suffix: str, cache_dir: Path | None = None) -> Path:
    """Return a fresh path for bytes that are going to be put into a location.

    In a local storage it lies inside, so that putting is a rename.

    Args:
        location: Where the bytes will go.
        suffix: Suffix of the file or folder that will be written there.
        cache_dir: Cache folder; staging files of remote locations lie in its `tmp`. Default: the system's folder for
            temporary files.

    Returns:
        A path where nothing is, in a folder that is.

    Raises:
        ReadOnlyStorage: The location cannot be written to.
        StorageError: The location is not there.
    """
    location.check_writable()
    if location.is_local:
        return local.staging_path(location, suffix)
    folder = Path(cache_dir) / "tmp" if cache_dir is not None else Path(tempfile.gettempdir()) / "lamart"
    with writing(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    return folder / staging_name(suffix)


def put_file(
    source: Path,
    location: Location,
    relpath: str,
    *,
    digest: Digest | None = None,
    move: bool = False,
    bar: Bar = NO_BAR,
) -> ObjectStat:
    """Store a file as a new object, whole or not at all.

    Local: written under a temporary name while it is hashed, flushed to the disk, then published in one step. Object
    stores: one atomic upload whose size is checked afterwards; an unfinished one is aborted.

    Args:
        source: The file.
        location: Storage to write to.
        relpath: Path of the new object, relative to the root of the location.
        digest: What the file was when it was staged; compared with the bytes that are stored.
        move: The source is a staging file of ours that is not needed afterwards. From `staging_path` of the same
            local location it is published without copying, and without hashing it again.
        bar: Progress that the transfer is part of.

    Returns:
        Size and digest of what was stored.

    Raises:
        ObjectExists: Something is at the path already.
        SourceChanged: The source is not what it was when it was staged, or changed during the transfer.
        StorageFull: No space, quota or file-size limit is left.
        ReadOnlyStorage: The location cannot be written to.
        StorageError: The storage failed in another way.
    """
    _check_target(location, relpath)
    put = local.put_file if location.is_local else remote.put_file
    return put(source, location, relpath, digest=digest, move=move, bar=bar)


def put_folder(
    source: Path,
    location: Location,
    relpath: str,
    *,
    tree: TreeDigest,
    move: bool = False,
    known: Mapping[str, KnownFile] | None = None,
) -> ObjectStat:
    """Store a folder as a new object. Local: whole or not at all. Object stores: removed again on failure.

    Only files are stored; empty folders inside are not. Files whose content is stored already are not written again:
    local ones become hard links, others are copied by the store itself. A stored file that does not look as it should
    is not used.

    Args:
        source: The folder.
        location: Storage to write to.
        relpath: Path of the new object, relative to the root of the location.
        tree: What the folder was when it was staged; compared with the bytes that are stored.
        move: As for `put_file`.
        known: Files of folders in this location that nobody writes to, by the values of their digests. None, for a
            folder that others may write to: every file gets bytes of its own, even equal ones.

    Returns:
        Size, number of files and digest of what was stored.

    Raises:
        ObjectExists, SourceChanged, StorageFull, ReadOnlyStorage, StorageError: As for `put_file`.
    """
    _check_target(location, relpath)
    put = local.put_folder if location.is_local else remote.put_folder
    return put(source, location, relpath, tree=tree, move=move, known=known)


def put_files(puts: Sequence[FilePut], location: Location, *, bar: Bar = NO_BAR) -> list[ObjectStat]:
    """Store many files, several at a time: all of them or none.

    As safe as `put_file` for each, and faster: what waits for the disk or the network waits side by side.

    Args:
        puts: The files, each with a path of its own.
        location: Storage to write to.
        bar: Progress that the transfer is part of.

    Returns:
        Size and digest of what was stored, in the order of `puts`.

    Raises:
        ObjectExists, SourceChanged, StorageFull, ReadOnlyStorage, StorageError: As for `put_file`; what was stored
            before is removed again. A file that was moved is then gone.
    """
    for put in puts:
        _check_target(location, put.relpath)
    if not puts:
        return []
    return (local if location.is_local else remote).put_files(puts, location, bar=bar)


def _check_target(location: Location, relpath: str) -> None:
    location.check_writable()
    if not relpath:
        raise InvalidArgument("the path of an object cannot be empty: that is the root of the storage")


def get(location: Location, relpath: str, target: Path, *, is_folder: bool = False, bar: Bar = NO_BAR) -> None:
    """Copy an object out of a storage; the target appears whole or not at all.

    Args:
        location: Storage to read from.
        relpath: Path of the object, relative to the root of the location.
        target: Where the copy goes. A file that is there is replaced in one step, a folder is exchanged.
        is_folder: Whether the object is a folder.
        bar: Progress that the transfer is part of.

    Raises:
        PathNotFound: The object is not there.
        StorageFull: The disk of the target is full.
        StorageError: The storage failed, or fewer bytes arrived than it said.
    """
    with writing(str(target.parent)):
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uids.base62(20)}.part")
    try:
        (local if location.is_local else remote).get(location, relpath, temporary, is_folder=is_folder, bar=bar)
        with writing(str(target.parent)):
            _exchange(temporary, target)
    finally:
        remove_quietly(temporary)


def get_files(location: Location, files: Mapping[Path, StoredFile], *, bar: Bar = NO_BAR) -> None:
    """Copy stored files out of a remote location, several at a time; each appears whole or not at all.

    Args:
        location: Storage to read from.
        files: What goes where; a file that is there is replaced.
        bar: Progress that the transfer is part of.

    Raises:
        PathNotFound, StorageFull, StorageError: As for `get`.
    """
    with writing(str(next(iter(files), Path()).parent)):
        for folder in {path.parent for path in files}:
            folder.mkdir(parents=True, exist_ok=True)
    remote.get_files(location, files, bar=bar)


def _exchange(temporary: Path, target: Path) -> None:
    if not target.is_dir():
        os.replace(temporary, target)
        return
    aside = target.with_name(f".{uids.base62(20)}.old")
    os.rename(target, aside)
    os.rename(temporary, target)
    remove_quietly(aside)


def delete(location: Location, relpath: str, *, is_folder: bool = False, missing_ok: bool = True) -> None:
    """Remove an object for good.

    Args:
        location: Storage that holds it.
        relpath: Path of the object, relative to the root of the location.
        is_folder: Whether the object is a folder, which is removed with all its files.
        missing_ok: Whether it may be gone already.

    Raises:
        PathNotFound: Nothing is there, and `missing_ok` is False.
        ReadOnlyStorage: The location cannot be written to.
        StorageError: The storage failed in another way.
    """
    _check_target(location, relpath)
    (local if location.is_local else remote).delete(location, relpath, is_folder=is_folder, missing_ok=missing_ok)


def stat(location: Location, relpath: str) -> ObjectStat:
    """Describe an object without reading its bytes.

    Args:
        location: Storage that holds it.
        relpath: Path of the object, relative to the root of the location.

    Returns:
        Size, number of files and, where a server says it, an inexact digest: `md5` from a plain S3 ETag or GCS,
        `md5-<parts>` from a multi-part ETag, `md5-etag` from any other ETag, `etag-tree` for a folder.

    Raises:
        PathNotFound: Nothing is there.
        StorageError: The storage failed or refused.
    """
    return (local if location.is_local else remote).stat(location, relpath)


def exists(location: Location, relpath: str) -> bool:
    """Return whether an object is there.

    Raises:
        StorageError: The storage failed or refused.
    """
    try:
        if location.is_local:
            return os.path.lexists(location.local(relpath))
        stat(location, relpath)
    except PathNotFound:
        return False
    return True
