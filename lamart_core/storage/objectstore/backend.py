"""An object store: atomic by the store itself, verified afterwards, cleaned up on failure."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from lamart_core.errors import ContentMismatch, ObjectExists, PathNotFound, StorageError
from lamart_core.hashing import Digest, FileEntry, TreeDigest, hash_file, tree_digest
from lamart_core.storage.backend import Backend, exists_already
from lamart_core.storage.failures import NoContainer, reading, writing
from lamart_core.storage.names.keys import RESERVED, check_inside, is_reserved
from lamart_core.storage.names.roots import MARKER
from lamart_core.storage.objectstore import presence
from lamart_core.storage.objectstore.client import THREADS, Client, Listed
from lamart_core.storage.objectstore.clients import client_of
from lamart_core.storage.objectstore.downloads import download
from lamart_core.storage.objectstore.filesystem import Remote
from lamart_core.storage.objectstore.folders import FolderPut
from lamart_core.storage.objectstore.uploads import head, put_verified, upload
from lamart_core.storage.progress import NO_BAR, Bar
from lamart_core.storage.staging import Staging
from lamart_core.storage.threads import put_side_by_side, run_all
from lamart_core.storage.values import (
    FilePut,
    KnownFile,
    ObjectStat,
    ReservedName,
    StoredName,
    UnfinishedUpload,
)

_THREADS_LARGE = 4  # where each holds several parts in memory
_LARGE = 8 * 2**20


@dataclass(frozen=True)
class ObjectStore(Remote, Backend):
    """A bucket or container, a part of one, or whatever else fsspec reaches."""

    keeps_links: ClassVar[bool] = False
    takes_staged: ClassVar[bool] = False
    is_cached: ClassVar[bool] = True
    requests: ClassVar[int] = THREADS

    @property
    def client(self) -> Client:
        """How the store is asked."""
        return client_of(self)

    @property
    def region(self) -> str | None:
        """Region of an S3 bucket; None where there is none or nobody says."""
        with contextlib.suppress(Exception):  # a description only: not worth an error
            return self.client.region()
        return None

    def check_reachable(self) -> None:
        """Ask for one page of the reserved folder. See `Backend.check_reachable`."""
        next(self.list_reserved(), None)

    # ------------------------------------------------------------------ put

    def staging(self, cache_dir: Path | None = None) -> Staging:
        """Return a folder of this machine. See `Backend.staging`."""
        folder = Path(cache_dir) / "tmp" if cache_dir is not None else Path(tempfile.gettempdir()) / "lamart"
        return Staging(self, folder, is_inside=False)

    def _put_file(self, put: FilePut, bar: Bar) -> ObjectStat:
        self._check_free(put.relpath)
        return put_verified(put, self.client, bar)

    def _put_files(self, puts: Sequence[FilePut], bar: Bar) -> list[ObjectStat]:
        for put in puts:
            self.client.check_name(put.relpath)
        threads = self._threads(put.source.stat().st_size for put in puts)
        return put_side_by_side(puts, partial(self._put_file, bar=bar), self.client.remove, threads)

    def _put_folder(
        self,
        source: Path,
        relpath: str,
        *,
        tree: TreeDigest,
        move: bool,
        known: Mapping[str, KnownFile] | None,
        about: str | None,
    ) -> ObjectStat:
        self._check_free(relpath)
        for entry in tree.entries:
            self.client.check_name(entry.path)
        put = FolderPut(self.client, source, relpath, tree, known or {}, self._threads(e.size for e in tree.entries))
        try:
            put.run(lambda: {path: stat.size for path, stat in self._list_files(relpath).items()})
        except BaseException:
            with contextlib.suppress(Exception):
                self._delete(relpath, is_folder=True, missing_ok=True)
            raise
        if move:
            put.remove_source()
        return ObjectStat(tree.size, tree.n_files, True, tree.digest)

    def _check_free(self, relpath: str) -> None:
        self.client.check_name(relpath)
        if is_reserved(relpath):
            return  # a name in the version store is random, and nobody else's
        with writing(self.root):
            try:
                is_taken = self.client.head(relpath) is not None or any(self.client.pages(relpath, deep=False))
            except FileNotFoundError:
                return
            if is_taken:
                raise exists_already(relpath, self)

    # ------------------------------------------------------------------ get

    def _get(self, relpath: str, target: Path, *, is_folder: bool, digest: Digest | None, bar: Bar) -> None:
        with reading(self.root, relpath):
            if is_folder:
                files = self._files(relpath)
                if not files:
                    raise PathNotFound(f"there is no folder {relpath!r} in {self.root}")
                sizes, said = {path: file.size for path, file in files.items()}, _tree_digest(files)
            else:
                found = self.client.head(relpath)
                if found is None:
                    raise PathNotFound(f"there is no file {relpath!r} in {self.root}")
                sizes, said = {"": found.size}, found.digest
        if digest is not None:
            self._check_said(relpath, said, digest)

        def fetch(path: str) -> None:
            place = target / path
            with writing(str(target.parent)):
                place.parent.mkdir(parents=True, exist_ok=True)
            download(self.client, f"{relpath}/{path}" if path else relpath, place, sizes[path], bar)

        run_all([partial(fetch, path) for path in sizes], self._threads(sizes.values()))
        # Others may have written there in between. The digest of one part is that of the bytes; else the server knows.
        is_known = digest is not None and digest.algorithm == "md5" and hash_file(target, "md5").value == digest.value
        if digest is not None and not is_known:
            self._check_said(relpath, self.stat(relpath).digest, digest)

    def _check_said(self, relpath: str, said: Digest | None, digest: Digest) -> None:
        if said != digest:
            raise ContentMismatch(f"the server says {said} of {relpath!r} in {self.root}, but {digest} was stored")

    def _get_file(self, relpath: str, target: Path, size: int | None, bar: Bar) -> None:
        download(self.client, relpath, target, size, bar)

    # ------------------------------------------------------------------ look

    def stat(self, relpath: str) -> ObjectStat:
        """Describe an object: one request for a file, one listing more for a folder. See `Backend.stat`."""
        with reading(self.root, relpath):
            found = self.client.head(relpath)
            if found is not None:
                return ObjectStat(found.size, None, False, found.digest)
            files = self._files(relpath)
            if not files:
                raise PathNotFound(f"there is no object {relpath!r} in the storage {self.root}")
            size = sum(file.size or 0 for file in files.values())
            return ObjectStat(size, len(files), True, _tree_digest(files))

    def _list_files(self, relpath: str) -> dict[str, ObjectStat]:
        with reading(self.root, relpath):
            files = self._files(relpath)
            return {
                path: ObjectStat(file.size, None, False, file.digest, modified=file.modified)
                for path, file in files.items()
            }

    def _files(self, relpath: str) -> dict[str, Listed]:
        """Return the files of a folder by their paths relative to it."""
        found: dict[str, Listed] = {}
        for page in self.client.pages(relpath):
            for listed in page:
                # A name that ends in a slash is a placeholder that consoles make for an empty folder.
                if listed.path and not listed.path.endswith("/"):
                    # Object stores take any name, also one that would lead out of the folder that it is read into.
                    check_inside(listed.path)
                    found[listed.path] = listed
        return found

    def about(self, relpath: str) -> str | None:
        """Ask for the metadata of an object: one request. See `Backend.about`."""
        return head(self.client, relpath).about

    def list_reserved(self) -> Iterator[ReservedName]:
        """Go through the reserved folder. See `Backend.list_reserved`."""
        with reading(self.root, RESERVED):
            for page in self.client.pages(RESERVED, deep=False):
                for listed in page:
                    if listed.path:  # consoles make an empty object for the folder itself
                        yield ReservedName(f"{RESERVED}/{listed.path}", listed.is_folder, listed.size, listed.modified)

    def measure(self, name: ReservedName) -> StoredName | None:
        """Return size and age. See `Backend.measure`."""
        if not name.is_folder and name.size is not None:
            return StoredName(name.relpath, False, name.modified or datetime.now(UTC), name.size)
        size = 0
        newest: datetime | None = None
        with reading(self.root, name.relpath):
            for page in self.client.pages(name.relpath):
                for listed in page:
                    size += listed.size or 0
                    modified = listed.modified or datetime.now(UTC)
                    newest = modified if newest is None else max(newest, modified)
        return StoredName(name.relpath, name.is_folder, newest, size) if newest is not None else None

    def mismatched(self, sizes: Mapping[str, int]) -> dict[str, int | None]:
        """Return what is missing or has another size, for few requests. See `Backend.mismatched`."""
        return presence.mismatched(self.client, sizes)

    def list_uploads(self) -> Iterator[UnfinishedUpload]:
        """Go through unfinished uploads. See `Backend.list_uploads`."""
        with reading(self.root, ""):
            yield from self.client.uploads()

    # ------------------------------------------------------------------ change

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Abort an upload. See `Backend.abort_upload`."""
        with writing(self.root):
            self.client.abort(upload)

    def _delete(self, relpath: str, *, is_folder: bool, missing_ok: bool) -> None:
        with writing(self.root):
            if not is_folder:
                try:
                    if not missing_ok and self.client.head(relpath) is None:
                        raise FileNotFoundError(relpath)
                    self.client.remove(relpath)
                except FileNotFoundError:
                    if not missing_ok:
                        raise PathNotFound(f"there is nothing at {relpath!r} in {self.root}") from None
                return
            paths = [f"{relpath}/{path}" for path in self._files(relpath)]
            if not paths and not missing_ok:
                raise PathNotFound(f"there is nothing at {relpath!r} in {self.root}")
            if paths:
                self.client.remove_all(paths)
                left = len(self._files(relpath))
                if left:
                    raise StorageError(errno.EIO, f"{left:,} files of {relpath!r} in {self.root} could not be removed")

    def _publish(self, source: str, target: str, *, is_folder: bool, by_link: bool, replace: bool) -> None:
        self._check_replaced(target, replace=replace)
        if is_folder:
            with reading(self.root, source):
                origins = {path: f"{source}/{path}" for path in self._listed(source)}
            if not origins:
                raise PathNotFound(f"there is no folder {source!r} in {self.root}")
            self._fill(origins, target, self.stat(source).size, replace=replace)
            return
        self._copy(source, target)
        try:
            self._check_copied(target, self.stat(source).size, None)
        except BaseException:
            if not replace:
                with contextlib.suppress(Exception):
                    self.delete(target)
            raise

    def _publish_files(self, origins: Mapping[str, str | None], target: str, *, size: int, replace: bool) -> None:
        self._check_replaced(target, replace=replace)
        self._fill(origins, target, size, replace=replace)

    def _check_replaced(self, target: str, *, replace: bool) -> None:
        if not replace and self.exists(target):
            raise exists_already(target, self)

    def _fill(self, origins: Mapping[str, str | None], target: str, size: int | None, *, replace: bool) -> None:
        """Copy files into a folder, then remove those that it has beside them."""
        with reading(self.root, target):
            old = set(self._listed(target)) if replace else set[str]()
        try:
            run_all([partial(self._copy, origins[name], f"{target}/{name}") for name in sorted(origins)], THREADS)
            for name in sorted(old - origins.keys()):
                self.delete(f"{target}/{name}")
            self._check_copied(target, size, len(origins))
        except BaseException:
            if not replace:
                with contextlib.suppress(Exception):
                    self.delete(target, is_folder=True)
            raise

    def _listed(self, relpath: str) -> list[str]:
        """Return the paths of the files of a folder, whatever names others have given them."""
        paths = [listed.path for page in self.client.pages(relpath) for listed in page]
        return [path for path in paths if path and not path.endswith("/")]

    def _copy(self, source: str | None, target: str) -> None:
        with writing(self.root):
            if source is None:
                self.client.create_empty(target)
                return
            try:
                self.client.copy(source, target)
            except NoContainer:
                raise
            except FileNotFoundError as error:
                raise PathNotFound(f"there is no object {source!r} in the storage {self.root}") from error

    def _check_copied(self, target: str, size: int | None, n_files: int | None) -> None:
        copied = self.stat(target)
        if (copied.size, copied.n_files) != (size, n_files):
            raise StorageError(errno.EIO, f"{self.root} copied {copied.size} of {size} bytes to {target!r}")

    # ------------------------------------------------------------------ mark

    def _read(self, relpath: str) -> bytes:
        return self.client.read(relpath)

    def _create_marker(self, text: str) -> None:
        if self.read_marker() is not None:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "marker.txt")
            path.write_text(text)
            with contextlib.suppress(ObjectExists):
                upload(path, self.client, MARKER, bar=NO_BAR)

    def _replace_marker(self, text: str) -> None:
        self.fs.pipe_file(self.url(MARKER), text.encode())

    def _remove_marker(self) -> None:
        self.client.remove(MARKER)

    def _threads(self, sizes: Iterable[int | None]) -> int:
        return _THREADS_LARGE if any(size is None or size > _LARGE for size in sizes) else THREADS


def _tree_digest(files: Mapping[str, Listed]) -> Digest | None:
    entries: list[FileEntry] = []
    for path, file in files.items():
        if file.digest is None:
            return None
        entries.append(FileEntry(path, file.size or 0, f"{file.digest.algorithm}:{file.digest.value}"))
    # The server's word for each file, hashed: the name says that no byte was read.
    return Digest("etag-tree", tree_digest(entries, "md5").value, is_exact=False)
