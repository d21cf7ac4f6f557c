"""Put, get and delete in an object store: atomic by the store itself, verified afterwards, cleaned up on failure."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from lamart_core import uids
from lamart_core.errors import AccessDenied, PathNotFound, ReadOnlyStorage, StorageError, StorageFull
from lamart_core.hashing import (
    Digest,
    FileEntry,
    FileState,
    TreeDigest,
    hash_file,
    hash_tree,
    state_of,
    tree_digest,
)
from lamart_core.storage.copying import changed, check_state, content_state, open_source, state_at_rest
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.keys import check_inside, is_reserved
from lamart_core.storage.local import check_entries, exists_already, is_checkable, put_side_by_side, run_all
from lamart_core.storage.objects import FilePut, KnownFile, ObjectStat, StoredFile
from lamart_core.storage.progress import NO_BAR, Bar, BarCallback
from lamart_core.storage.store import THREADS, Listed
from lamart_core.storage.stores import store_of
from lamart_core.storage.uploads import remove_quietly, upload

_THREADS_LARGE = 4  # where each holds several parts in memory
_LARGE = 8 * 2**20
# A download that breaks off is begun again, but not by somebody whose server is gone: that took its time already.
_ATTEMPTS = 3
_PATIENCE = 30.0


def put_file(
    source: Path, location: Location, relpath: str, *, digest: Digest | None, move: bool, bar: Bar = NO_BAR
) -> ObjectStat:
    """Store a file. See `transfer.put_file`."""
    _check_free(location, relpath)
    with open_source(source):
        before = _state(source, ours=move)
    # Hashing before and looking at the times afterwards leaves no moment at which a change goes unnoticed.
    found = hash_file(source, digest.algorithm) if digest is not None and is_checkable(digest) else None
    if found is not None and found != digest:
        raise changed(source)
    size = _upload(source, location, relpath, bar, before=before)
    try:
        if before != _state(source, ours=True):
            raise changed(source)
        if size is not None and size != before.size:
            raise StorageError(
                errno.EIO, f"{location.root} stored {size:,} of {before.size:,} bytes of {relpath!r}; try again"
            )
    except BaseException:
        remove_quietly(location, relpath)
        raise
    if move:
        source.unlink()
    return ObjectStat(size, None, False, found)


def put_files(puts: Sequence[FilePut], location: Location, *, bar: Bar = NO_BAR) -> list[ObjectStat]:
    """Store files. See `transfer.put_files`."""

    for put in puts:
        store_of(location).check_name(put.relpath)

    def put_one(put: FilePut) -> ObjectStat:
        return put_file(put.source, location, put.relpath, digest=put.digest, move=put.move, bar=bar)

    remove = partial(store_of(location).remove, location)
    return put_side_by_side(puts, put_one, remove, _threads(put.source.stat().st_size for put in puts))


def _threads(sizes: Iterable[int | None]) -> int:
    return _THREADS_LARGE if any(size is None or size > _LARGE for size in sizes) else THREADS


def _state(source: Path, *, ours: bool) -> FileState:
    """Return the state of a file; of one that others may write, so that any later change shows in it."""
    try:
        return state_of(source.stat()) if ours else state_at_rest([source])[0]
    except FileNotFoundError:
        raise changed(source) from None


def _check_free(location: Location, relpath: str) -> None:
    store_of(location).check_name(relpath)
    if is_reserved(relpath):
        return  # a name in the version store is random, and nobody else's
    with writing(location.root):
        if _is_there(location, relpath):
            raise exists_already(relpath, location)


def _is_there(location: Location, relpath: str) -> bool:
    store = store_of(location)
    try:
        if store.head(location, relpath) is not None:
            return True
        return any(page for page in store.pages(location, relpath, deep=False))
    except FileNotFoundError:
        return False


def _upload(
    source: Path,
    location: Location,
    relpath: str,
    bar: Bar = NO_BAR,
    *,
    before: FileState | None = None,
    checked: bool = True,
) -> int | None:
    """Upload one file; a source that changed meanwhile is the reason, whatever the store says."""
    try:
        return upload(source, location, relpath, bar=bar, checked=checked)
    except Exception as error:
        if before is not None and before != _state(source, ours=True):
            raise changed(source) from error
        raise


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
    _check_free(location, relpath)
    for entry in tree.entries:
        store_of(location).check_name(entry.path)
    check_entries(source, tree)
    before = content_state(source)
    if hash_tree(source, tree.digest.file_algorithm).digest != tree.digest:
        raise changed(source)
    try:
        put_entry = partial(_put_entry, source, location, relpath, known or {})
        puts = [partial(put_entry, entry, before.get(entry.path)) for entry in tree.entries]
        run_all(puts, _threads(entry.size for entry in tree.entries))
        stored = _sizes(location, relpath)
        # What the store copied may have been cut off before. What was uploaded and is not whole fails below.
        torn = [item for item in tree.entries if item.value in (known or {}) and stored.get(item.path) != item.size]
        if torn:
            upload_entry = partial(_upload_over, source, location, relpath)
            run_all([partial(upload_entry, entry, before.get(entry.path)) for entry in torn], THREADS)
            stored = _sizes(location, relpath)
        check_entries(source, tree)
        check_state(source, before)
        if stored != {entry.path: entry.size for entry in tree.entries}:
            raise StorageError(errno.EIO, f"{location.root} did not store all of the folder {relpath!r}; try again")
    except BaseException:
        with contextlib.suppress(Exception):
            delete(location, relpath, is_folder=True, missing_ok=True)
        raise
    if move:
        shutil.rmtree(source)
    return ObjectStat(tree.size, tree.n_files, True, tree.digest)


def _put_entry(
    source: Path,
    location: Location,
    relpath: str,
    known: Mapping[str, KnownFile],
    entry: FileEntry,
    before: FileState | None,
) -> None:
    """Let the store copy a file of a new folder where it has the content, else upload it."""
    file = known.get(entry.value) if entry.size else None
    if file is not None:
        try:
            with writing(location.root):
                store_of(location).copy(location, file.relpath, f"{relpath}/{entry.path}")
            return
        except (OSError, NotImplementedError):  # gone in between, or a store that cannot: the upload will tell
            pass
    _upload(source / entry.path, location, f"{relpath}/{entry.path}", before=before, checked=False)


def _upload_over(source: Path, location: Location, relpath: str, entry: FileEntry, before: FileState | None) -> None:
    """Upload a file of a new folder in the place of one that is not whole."""
    remove_quietly(location, f"{relpath}/{entry.path}")
    _upload(source / entry.path, location, f"{relpath}/{entry.path}", before=before, checked=False)


def _sizes(location: Location, relpath: str) -> dict[str, int | None]:
    with writing(location.root):
        return {path: file.size for path, file in _files(location, relpath).items()}


def _files(location: Location, relpath: str) -> dict[str, Listed]:
    """Return the files of a folder by their paths relative to it."""
    found: dict[str, Listed] = {}
    for page in store_of(location).pages(location, relpath):
        for listed in page:
            # A name that ends in a slash is a placeholder that consoles make for an empty folder.
            if listed.path and not listed.path.endswith("/"):
                # Object stores take any name, also one that would lead out of the folder that it is read into.
                check_inside(listed.path)
                found[listed.path] = listed
    return found


def get(location: Location, relpath: str, target: Path, *, is_folder: bool, bar: Bar = NO_BAR) -> None:
    """Copy an object out of the storage. See `transfer.get`; `target` is a path where nothing is."""
    with reading(location.root, relpath):
        if is_folder:
            sizes = {path: file.size for path, file in _files(location, relpath).items()}
            if not sizes:
                raise PathNotFound(f"there is no folder {relpath!r} in {location.root}")
        else:
            found = store_of(location).head(location, relpath)
            if found is None:
                raise PathNotFound(f"there is no file {relpath!r} in {location.root}")
            sizes = {"": found.size}

    def download(path: str) -> None:
        place = target / path
        with writing(str(target.parent)):
            place.parent.mkdir(parents=True, exist_ok=True)
        _download_again(location, f"{relpath}/{path}" if path else relpath, place, sizes[path], bar)

    run_all([partial(download, path) for path in sizes], _threads(sizes.values()))


def _download_again(location: Location, relpath: str, place: Path, size: int | None, bar: Bar) -> None:
    """Download one file; again, when that fails in a way that may pass."""
    begun = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _download(location, relpath, place, size, bar)
            return
        except (PathNotFound, StorageFull, AccessDenied, ReadOnlyStorage):
            raise
        except StorageError:
            if attempt == _ATTEMPTS or time.monotonic() - begun > _PATIENCE:
                raise


def _download(location: Location, relpath: str, place: Path, size: int | None, bar: Bar) -> None:
    """Download one file, and check that as many bytes arrived as it has."""
    with reading(location.root, relpath), writing_locally(place):
        said = store_of(location).download(location, relpath, place, size=size, callback=BarCallback(bar))
        arrived = place.stat().st_size if said is None else said
    if size is not None and arrived != size:
        raise StorageError(errno.EIO, f"only {arrived:,} of {size:,} bytes of {relpath!r} arrived; try again")


def get_files(location: Location, files: Mapping[Path, StoredFile], *, bar: Bar = NO_BAR) -> None:
    """Copy files out of the storage. See `transfer.get_files`; their folders are there."""

    def fetch(target: Path, file: StoredFile) -> None:
        temporary = target.with_name(f".{uids.base62(20)}.part")
        try:
            if file.relpath is None:
                temporary.touch()
            else:
                _download_again(location, file.relpath, temporary, file.size, bar)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    fetches = [partial(fetch, target, file) for target, file in files.items()]
    run_all(fetches, _threads(file.size for file in files.values()))


@contextlib.contextmanager
def writing_locally(target: Path) -> Generator[None, None, None]:
    """Tell a full disk on this side from a failure of the store."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            with writing(str(target.parent)):
                raise
        raise


def delete(location: Location, relpath: str, *, is_folder: bool, missing_ok: bool) -> None:
    """Remove an object. See `transfer.delete`."""
    store = store_of(location)
    with writing(location.root):
        if not is_folder:
            try:
                if not missing_ok and store.head(location, relpath) is None:
                    raise FileNotFoundError(relpath)
                store.remove(location, relpath)
            except FileNotFoundError:
                if not missing_ok:
                    raise PathNotFound(f"there is nothing at {relpath!r} in {location.root}") from None
            return
        paths = [f"{relpath}/{path}" for path in _files(location, relpath)]
        if not paths and not missing_ok:
            raise PathNotFound(f"there is nothing at {relpath!r} in {location.root}")
        if paths:
            store.remove_all(location, paths)
            left = len(_files(location, relpath))
            if left:
                raise StorageError(errno.EIO, f"{left:,} files of {relpath!r} in {location.root} could not be removed")


def stat(location: Location, relpath: str) -> ObjectStat:
    """Describe an object: one request for a file, one listing more for a folder. See `transfer.stat`."""
    with reading(location.root, relpath):
        found = store_of(location).head(location, relpath)
        if found is not None:
            return ObjectStat(found.size, None, False, found.digest)
        files = _files(location, relpath)
        if not files:
            raise PathNotFound(f"there is no object {relpath!r} in the storage {location.root}")
        size = sum(file.size or 0 for file in files.values())
        return ObjectStat(size, len(files), True, _tree_digest(files))


def stat_files(location: Location, relpath: str) -> dict[str, ObjectStat]:
    """Describe all files of a folder by one listing. See `transfer.stat_files`."""
    with reading(location.root, relpath):
        files = _files(location, relpath)
        return {path: ObjectStat(file.size, None, False, file.digest) for path, file in files.items()}


def _tree_digest(files: Mapping[str, Listed]) -> Digest | None:
    entries: list[FileEntry] = []
    for path, file in files.items():
        if file.digest is None:
            return None
        entries.append(FileEntry(path, file.size or 0, f"{file.digest.algorithm}:{file.digest.value}"))
    # The server's word for each file, hashed: the name says that no byte was read.
    return Digest("etag-tree", tree_digest(entries, "md5").value, is_exact=False)
