"""Put, get and delete in a local storage: under a temporary name first, durable, never over something that is there."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lamart_core.errors import ContentMismatch, ObjectExists, PathNotFound, SourceChanged, StorageError
from lamart_core.hashing import (
    ALGORITHMS,
    DEFAULT_ALGORITHM,
    Digest,
    FileEntry,
    TreeDigest,
    list_files,
)
from lamart_core.storage.copying import SMALL, Copied, changed, copy_file, make_folders, remove_quietly, sync_file
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.keys import RESERVED
from lamart_core.storage.linking import link_equal, link_known
from lamart_core.storage.objects import FilePut, KnownFile, ObjectStat, describe_path
from lamart_core.storage.progress import NO_BAR, Bar
from lamart_core.storage.staging import staging_name

_THREADS = 8
# A file system writes its journal once for all that are flushed at the same moment: small files wait together.
_MANY_THREADS = 32
# Answers of file systems that have no hard links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def staging_path(location: Location, suffix: str) -> Path:
    """Return a path in the location's temporary folder where nothing is yet; the folder is made."""
    with writing(location.root):
        _prepare(location)
    return location.temporary / staging_name(suffix)


def _prepare(location: Location) -> None:
    root = Path(location.root)
    if not root.is_dir():
        # Made silently, it would hide that a disk is not mounted.
        raise StorageError(errno.ENOENT, f"the storage {location.root} is not there (is its disk mounted?)")
    make_folders(location.temporary, root)


def put_file(
    source: Path, location: Location, relpath: str, *, digest: Digest | None, move: bool, bar: Bar = NO_BAR
) -> ObjectStat:
    """Store a file. See `transfer.put_file`."""
    return _put_file(FilePut(source, relpath, digest, move), location, is_alone=True, bar=bar)


def put_files(puts: Sequence[FilePut], location: Location, *, bar: Bar = NO_BAR) -> list[ObjectStat]:
    """Store files. See `transfer.put_files`: each folder that got files is flushed once."""
    folders = [location.local(parent) for parent in {put.relpath.rpartition("/")[0] for put in puts}]
    with writing(location.root):
        _prepare(location)
        for folder in folders:
            make_folders(folder, Path(location.root))
    put_one = partial(_put_file, location=location, is_alone=False, bar=bar)

    def remove(relpath: str) -> None:
        location.local(relpath).unlink(missing_ok=True)

    found = put_side_by_side(puts, put_one, remove, _MANY_THREADS if _are_small(puts) else _THREADS)
    with writing(location.root):
        for folder in folders:
            sync_file(folder)
    return found


def _are_small(puts: Sequence[FilePut]) -> bool:
    return all(put.size is not None and put.size <= SMALL for put in puts)


def put_side_by_side(
    puts: Sequence[FilePut], put_one: Callable[[FilePut], ObjectStat], remove: Callable[[str], None], threads: int
) -> list[ObjectStat]:
    """Store files in threads; when one fails, those that were stored before are removed again."""
    found: list[ObjectStat | None] = [None] * len(puts)
    waiting = iter(range(len(puts)))
    has_failed = threading.Event()

    def put_those_left() -> None:
        # Each thread takes the next file: a task for each of thousands would cost as much as the files.
        for index in waiting:
            if has_failed.is_set():
                return
            try:
                found[index] = put_one(puts[index])
            except BaseException:
                has_failed.set()
                raise

    try:
        run_all([partial(put_those_left)] * min(threads, len(puts)), threads)
    except BaseException:
        has_failed.set()
        for put_before, stored in zip(puts, found, strict=True):
            if stored is not None:
                with contextlib.suppress(Exception):
                    remove(put_before.relpath)
        raise
    return [stored for stored in found if stored is not None]


def _put_file(put: FilePut, location: Location, *, is_alone: bool, bar: Bar) -> ObjectStat:
    """Store a file; of those that are stored together the caller makes and flushes the folders."""
    source, relpath, digest, move = put.source, put.relpath, put.digest, put.move
    final = location.local(relpath)
    _check_free(final, location)
    durable = not _is_flushed_late(final, is_alone=is_alone)
    if move and _is_staged(source, location):
        with writing(location.root):
            size = source.stat().st_size
            if durable:
                sync_file(source)
            _publish_file(source, final, location, is_alone=is_alone)
        bar.advance(size)
        return ObjectStat(size, None, False, digest)
    temporary = staging_path(location, "") if is_alone else location.temporary / staging_name()
    try:
        algorithm = _algorithm(digest)
        copied = copy_file(source, temporary, root=location.root, algorithm=algorithm, durable=durable, bar=bar)
        if is_checkable(digest) and copied.digest != digest:
            raise changed(source)
        with writing(location.root):
            _publish_file(temporary, final, location, is_alone=is_alone)
    except BaseException:
        remove_quietly(temporary)
        raise
    if move:
        source.unlink()
    return ObjectStat(copied.size, None, False, copied.digest)


def is_checkable(digest: Digest | None) -> bool:
    """Whether a digest can be compared with one made from the bytes of a file."""
    return digest is not None and digest.is_exact and digest.algorithm in ALGORITHMS


def _algorithm(digest: Digest | None) -> str:
    return digest.algorithm if digest is not None and is_checkable(digest) else DEFAULT_ALGORITHM


def _is_staged(source: Path, location: Location) -> bool:
    return source.parent == location.temporary and not source.is_symlink()


def _check_free(final: Path, location: Location) -> None:
    if os.path.lexists(final):
        raise exists_already(final.name, location)


def exists_already(name: str, location: Location) -> ObjectExists:
    """Return the error for a path that is taken."""
    return ObjectExists(f"{name!r} exists already in {location.root}; stored objects are never overwritten")


def _is_flushed_late(final: Path, *, is_alone: bool) -> bool:
    """Whether a file gets its name before it is flushed, so that the disk is asked to write both only once.

    Names in the version store are random: nobody looks there before a record, which comes later, has the name.
    """
    return is_alone and final.parent.name == RESERVED


def _publish_file(temporary: Path, final: Path, location: Location, *, is_alone: bool) -> None:
    if is_alone:
        make_folders(final.parent, Path(location.root))
    is_stored_name = final.parent.name == RESERVED
    if is_stored_name:
        os.rename(temporary, final)
    else:
        _link(temporary, final, location)
    try:
        if _is_flushed_late(final, is_alone=is_alone):
            sync_file(final)
        if is_alone:
            sync_file(final.parent)
        if not is_stored_name:
            temporary.unlink(missing_ok=True)
    except BaseException:
        remove_quietly(final)
        raise


def _link(temporary: Path, final: Path, location: Location) -> None:
    try:
        # Unlike a rename, a link fails when another writer has taken the name in between.
        os.link(temporary, final)
    except FileExistsError:
        raise exists_already(final.name, location) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _check_free(final, location)
        os.rename(temporary, final)


def put_folder(
    source: Path,
    location: Location,
    relpath: str,
    *,
    tree: TreeDigest,
    move: bool,
    known: Mapping[str, KnownFile] | None = None,
) -> ObjectStat:
    """Store a folder. See `transfer.put_folder`."""
    final = location.local(relpath)
    _check_free(final, location)
    check_entries(source, tree)
    if move and _is_staged(source, location):
        with writing(location.root):
            new: Sequence[FileEntry] = tree.entries
            if known is not None:
                new = link_known(tree.entries, source, location, known)
                link_equal([entry for entry in new if entry.size], source)
            _in_parallel([partial(sync_file, source / entry.path) for entry in new])
            _publish_folder(source, final, location)
    else:
        temporary = staging_path(location, "")
        try:
            _copy_folder(source, temporary, location, tree, known)
            with writing(location.root):
                _publish_folder(temporary, final, location)
        finally:
            remove_quietly(temporary)
        if move:
            shutil.rmtree(source)
    return ObjectStat(tree.size, tree.n_files, True, tree.digest)


def check_entries(source: Path, tree: TreeDigest) -> None:
    """Check that a folder still holds the files that were hashed.

    Raises:
        SourceChanged: Files were added, removed or changed their size.
    """
    try:
        now = {file.path: file.size for file in list_files(source)}
    except PathNotFound:
        raise SourceChanged(f"{str(source)!r} is not there any more; it was removed since it was staged") from None
    staged = {entry.path: entry.size for entry in tree.entries}
    if now != staged:
        different = sorted(path for path in now.keys() | staged.keys() if now.get(path) != staged.get(path))
        raise SourceChanged(
            f"{str(source)!r} was modified since it was staged ({', '.join(different[:5])}); nothing was stored. "
            "Make the artifact again when the folder is at rest"
        )


def _copy_folder(
    source: Path, temporary: Path, location: Location, tree: TreeDigest, known: Mapping[str, KnownFile] | None
) -> None:
    def copy(entry: FileEntry) -> None:
        algorithm = tree.digest.file_algorithm
        path = source / entry.path
        copied: Copied = copy_file(path, temporary / entry.path, root=location.root, algorithm=algorithm)
        if (copied.size, copied.digest.value) != (entry.size, entry.value):
            raise changed(path)

    with writing(location.root):
        for folder in sorted({(temporary / entry.path).parent for entry in tree.entries}):
            folder.mkdir(parents=True, exist_ok=True)
        new = link_known(tree.entries, temporary, location, known) if known is not None else list(tree.entries)
    # A content that occurs several times is written once; empty files are no content.
    firsts = {entry.value: entry for entry in reversed(new) if entry.size and known is not None}
    equal = [entry for entry in new if firsts.get(entry.value, entry) is not entry]
    _in_parallel([partial(copy, entry) for entry in new if firsts.get(entry.value, entry) is entry])
    with writing(location.root):
        rest = link_equal([*firsts.values(), *equal], temporary) if equal else []
    _in_parallel([partial(copy, entry) for entry in rest])


def _in_parallel(calls: Sequence[partial[None]]) -> None:
    run_all(calls, _THREADS)


def run_all(calls: Sequence[partial[None]], threads: int) -> None:
    """Run calls in threads; after the first error none is begun, and all that were have ended."""
    if len(calls) == 1:
        calls[0]()
        return
    with ThreadPoolExecutor(max_workers=min(threads, max(len(calls), 1))) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _publish_folder(temporary: Path, final: Path, location: Location) -> None:
    for folder, _, _ in os.walk(temporary, topdown=False):
        sync_file(Path(folder))
    make_folders(final.parent, Path(location.root))
    _check_free(final, location)
    # After every file in it, so that one that is written later is known by its time: see `link_known`.
    os.utime(temporary)
    try:
        os.rename(temporary, final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise exists_already(final.name, location) from None
        raise
    sync_file(final.parent)


def get(location: Location, relpath: str, target: Path, *, is_folder: bool, bar: Bar = NO_BAR) -> None:
    """Copy an object out of the storage. See `transfer.get`; `target` is a path where nothing is."""
    source = location.local(relpath)
    with reading(location.root, relpath):
        if not (source.is_dir() if is_folder else source.is_file()):
            raise PathNotFound(f"there is no {'folder' if is_folder else 'file'} {relpath!r} in {location.root}")
        paths = [file.path for file in list_files(source)] if is_folder else [""]
    for folder in sorted({(target / path).parent for path in paths}):
        folder.mkdir(parents=True, exist_ok=True)

    def copy(path: str) -> None:
        try:
            place = str(target.parent)
            copy_file(source / path, target / path, root=place, algorithm=DEFAULT_ALGORITHM, durable=False, bar=bar)
        except SourceChanged as error:
            raise ContentMismatch(f"{relpath!r} in {location.root} was modified while it was read") from error

    _in_parallel([partial(copy, path) for path in paths])


def delete(location: Location, relpath: str, *, is_folder: bool, missing_ok: bool) -> None:
    """Remove an object. See `transfer.delete`."""
    path = location.local(relpath)
    if not os.path.lexists(path):
        if missing_ok:
            return
        raise PathNotFound(f"there is nothing at {relpath!r} in {location.root}")
    with writing(location.root):
        if not is_folder:
            path.unlink(missing_ok=missing_ok)
            return
        # Out of sight at once: nobody finds a folder that has lost half of its files.
        doomed = staging_path(location, "")
        os.rename(path, doomed)
        shutil.rmtree(doomed)


def stat(location: Location, relpath: str) -> ObjectStat:
    """Describe an object. See `transfer.stat`."""
    with reading(location.root, relpath):
        return describe_path(location.local(relpath))
