"""Copies inside one location: by hard links on a local disk, by the server in an object store."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from lamart_core import uids
from lamart_core.errors import PathNotFound, StorageError
from lamart_core.hashing import DEFAULT_ALGORITHM, list_files
from lamart_core.storage import local
from lamart_core.storage.copying import copy_file, make_folders, remove_quietly, sync_file
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.objects import StoredFile
from lamart_core.storage.stores import store_of
from lamart_core.storage.transfer import delete, exists, staging_path, stat

_THREADS = 16


def duplicate(location: Location, source: str, target: str, *, is_folder: bool) -> None:
    """Give an object a second name.

    On a local disk the files get hard links, so that nothing is copied; they must be replaced, and not written to,
    afterwards. A server copies.

    Args:
        location: The location.
        source: Path of the object, relative to the root.
        target: Path where nothing is.
        is_folder: Whether the object is a folder.

    Raises:
        PathNotFound: The object is not there.
        ObjectExists: Something is at the target.
        StorageError: The storage failed; nothing is left at the target.
    """
    place(location, source, target, is_folder=is_folder, by_link=True, replace=False)


def place(
    location: Location, source: str, target: str, *, is_folder: bool, by_link: bool, replace: bool = True
) -> None:
    """Let the bytes of an object be those at another path too.

    A local file changes in one step, a local folder is exchanged; in an object store each file changes in one step,
    and files that the object does not have are removed last.

    Args:
        location: The location.
        source: Path of the object, relative to the root.
        target: Path that gets its bytes.
        is_folder: Whether the object is a folder.
        by_link: Whether both may share the bytes on a local disk: only if one of the two names is going to be removed,
            or neither is ever written to.
        replace: Whether what is at the target is replaced.

    Raises:
        PathNotFound: The object is not there.
        ObjectExists: Something is at the target, and `replace` is False.
        StorageError: The storage failed.
    """
    location.check_writable()
    if not location.is_local:
        _place_remote(location, source, target, is_folder=is_folder, replace=replace)
        return
    temporary = local.staging_path(location, "")
    try:
        with reading(location.root, source):
            _copy_local(location.local(source), temporary, location, is_folder=is_folder, by_link=by_link)
        with writing(location.root):
            _exchange(temporary, location.local(target), location, replace=replace)
    finally:
        remove_quietly(temporary)


def place_files(location: Location, files: Sequence[StoredFile], target: str, *, replace: bool = True) -> None:
    """Let the files of a content-addressed folder be those at a path too, as `place` does for other folders.

    Args:
        location: A location in an object store.
        files: The files.
        target: Path of the folder that gets their bytes.
        replace: Whether what is at the target is replaced.

    Raises:
        PathNotFound, ObjectExists, StorageError: As for `place`.
    """
    location.check_writable()
    if not replace and exists(location, target):
        raise local.exists_already(target, location)
    size = sum(file.size for file in files)
    _fill_remote(location, {file.path: file.relpath for file in files}, target, size, replace=replace)


def make_parent(location: Location, relpath: str) -> None:
    """Make the folder that an object will lie in, where a location has folders.

    Raises:
        ReadOnlyStorage: The location cannot be written to.
        StorageError: The location is not there.
    """
    location.check_writable()
    if location.is_local:
        local.staging_path(location, "")  # refuses a location that is not there
        with writing(location.root):
            make_folders(location.local(relpath).parent, Path(location.root))


def make_durable(location: Location, relpath: str) -> None:
    """Flush what others wrote at a path to the disk; servers have done so.

    Raises:
        StorageError: The disk failed.
    """
    if not location.is_local:
        return
    path = location.local(relpath)
    with writing(location.root):
        if path.is_dir():
            local.run_all([partial(sync_file, path / file.path) for file in list_files(path)], _THREADS)
            for folder, _, _ in os.walk(path, topdown=False):
                sync_file(Path(folder))
        else:
            sync_file(path)
        sync_file(path.parent)


def private_copy(source: Path, location: Location, suffix: str, cache_dir: Path | None = None) -> Path:
    """Copy a local file or folder to a staging path, to be written to: it shares nothing with the source.

    Args:
        source: A local file or folder.
        location: Where what is written will go.
        suffix: Suffix of the copy.
        cache_dir: As for `staging_path`.

    Returns:
        The copy, which is the caller's to put or to remove.

    Raises:
        SourceChanged: The source is changed or removed while it is copied; as all others, it leaves no copy behind.
        StorageFull, ReadOnlyStorage, StorageError: The copy cannot be written.
    """
    copy = staging_path(location, suffix, cache_dir)
    root = location.root if location.is_local else str(copy.parent)
    try:
        with writing(root):
            # Folders without files too: they may mean something to the format.
            folders = [Path(folder) for folder, _, _ in os.walk(source)]
            for folder in folders:
                (copy / folder.relative_to(source)).mkdir()
        paths = [file.path for file in list_files(source)] if folders else [""]

        def copy_one(path: str) -> None:
            copy_file(source / path, copy / path, root=root, algorithm=DEFAULT_ALGORITHM, durable=False)

        local.run_all([partial(copy_one, path) for path in paths], _THREADS)
    except BaseException:
        remove_quietly(copy)
        raise
    return copy


def _copy_local(source: Path, temporary: Path, location: Location, *, is_folder: bool, by_link: bool) -> None:
    if is_folder and not source.is_dir():
        raise PathNotFound(f"there is no folder {str(source)!r}")
    paths = [file.path for file in list_files(source)] if is_folder else [""]
    for folder in sorted({(temporary / path).parent for path in paths if path} | ({temporary} if is_folder else set())):
        folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if not (by_link and _link_own(source / path, temporary / path)):
            copy_file(source / path, temporary / path, root=location.root, algorithm=DEFAULT_ALGORITHM)
    for folder, _, _ in os.walk(temporary, topdown=False):
        sync_file(Path(folder))


def _link_own(source: Path, target: Path) -> bool:
    """Link a file that has no other name: kept versions of a folder share files, and must not get another writer."""
    return source.stat().st_nlink == 1 and _link(source, target)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV):
            return False
        raise
    return True


def _exchange(temporary: Path, target: Path, location: Location, *, replace: bool) -> None:
    make_folders(target.parent, Path(location.root))
    if not replace and os.path.lexists(target):
        raise local.exists_already(target.name, location)
    if not temporary.is_dir():
        if replace:
            os.replace(temporary, target)
        else:
            _rename_new(temporary, target, location)
        sync_file(target.parent)
        return
    aside = location.temporary / uids.base62(20)
    if os.path.lexists(target):
        os.rename(target, aside)
    os.rename(temporary, target)
    sync_file(target.parent)
    remove_quietly(aside)


def _rename_new(temporary: Path, target: Path, location: Location) -> None:
    """Rename a file, unless something is at the target by now."""
    try:
        linked = _link(temporary, target)
    except FileExistsError:
        raise local.exists_already(target.name, location) from None
    if not linked:
        os.rename(temporary, target)


def _place_remote(location: Location, source: str, target: str, *, is_folder: bool, replace: bool) -> None:
    if not replace and exists(location, target):
        raise local.exists_already(target, location)
    if not is_folder:
        _copy_remote(location, source, target)
        try:
            _check_size(location, target, stat(location, source).size, None)
        except BaseException:
            if not replace:
                with contextlib.suppress(Exception):
                    delete(location, target)
            raise
        return
    with reading(location.root, source):
        origins = {name: f"{source}/{name}" for name in _list_remote(location, source)}
    if not origins:
        raise PathNotFound(f"there is no folder {source!r} in {location.root}")
    _fill_remote(location, origins, target, stat(location, source).size, replace=replace)


def _fill_remote(
    location: Location, origins: Mapping[str, str | None], target: str, size: int | None, *, replace: bool
) -> None:
    """Copy files into a folder of an object store, then remove those that it has beside them."""
    with reading(location.root, target):
        old = set(_list_remote(location, target)) if replace else set[str]()
    try:
        copies = [partial(_copy_remote, location, origins[name], f"{target}/{name}") for name in sorted(origins)]
        local.run_all(copies, _THREADS)
        for name in sorted(old - origins.keys()):
            delete(location, f"{target}/{name}")
        _check_size(location, target, size, len(origins))
    except BaseException:
        if not replace:
            with contextlib.suppress(Exception):
                delete(location, target, is_folder=True)
        raise


def _list_remote(location: Location, relpath: str) -> list[str]:
    paths = [listed.path for page in store_of(location).pages(location, relpath) for listed in page]
    # A name that ends in a slash is a placeholder that consoles make for an empty folder.
    return [path for path in paths if path and not path.endswith("/")]


def _copy_remote(location: Location, source: str | None, target: str) -> None:
    with reading(location.root, source or target), writing(location.root):
        if source is None:
            store_of(location).create_empty(location, target)
        else:
            store_of(location).copy(location, source, target)


def _check_size(location: Location, target: str, size: int | None, n_files: int | None) -> None:
    copied = stat(location, target)
    if (copied.size, copied.n_files) != (size, n_files):
        raise StorageError(errno.EIO, f"{location.root} copied {copied.size} of {size} bytes to {target!r}")
