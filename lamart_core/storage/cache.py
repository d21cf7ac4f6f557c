"""Copies of remote objects on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lamart_core import uids
from lamart_core.errors import ContentMismatch, PathNotFound
from lamart_core.hashing import ALGORITHMS, Digest, hash_bytes
from lamart_core.storage.backend import Backend
from lamart_core.storage.content_addressed import ContentAddressedFolder
from lamart_core.storage.copying import protect, protect_all, remove_quietly
from lamart_core.storage.failures import writing_copies
from lamart_core.storage.names.keys import RESERVED, suffix_of
from lamart_core.storage.progress import progress
from lamart_core.storage.values import StoredFile
from lamart_core.storage.verdicts import Depth, Expected, State, Verdict, compare, verify_local

_MAX_NAME = 200  # file systems take 255 bytes, object stores names of any length


@dataclass(frozen=True)
class _Wanted:
    backend: Backend
    relpath: str
    expected: Expected


@dataclass(frozen=True)
class Cache:
    """A folder with copies of remote objects.

    A copy lies at `<root>/<protocol>/<bucket>/<object>/<content>/<name>`, where `<object>` stands for the URL and
    `<content>` for digest and size: two objects never share a path, nor do two contents of one object, so a copy is
    never changed while somebody reads it.

    Attributes:
        root: The folder. It is made when it is needed.
    """

    root: Path

    def fetch(
        self,
        backend: Backend,
        relpath: str,
        *,
        size: int | None,
        digest: Digest | None = None,
        is_folder: bool = False,
        suffix: str = "",
        verify: bool = False,
        show_progress: bool | None = False,
    ) -> Path:
        """Return a path on this machine with the object's bytes, copying them only when they are not there yet.

        In a local location that is the object itself. Processes that fetch the same object at once copy it once.

        Args:
            backend: Storage that holds the object.
            relpath: Path of the object, relative to the root of the backend.
            size: Size in bytes that the object must have; for a folder the sum over its files. None: not known.
            digest: What the object is known to be.
            is_folder: Whether it is a folder.
            suffix: Its suffix, for a digest that a format made.
            verify: Whether its bytes are hashed and compared with the digest. For an inexact digest the server is
                asked again.
            show_progress: Whether a download draws a bar, as `enabled` of `progress`.

        Raises:
            PathNotFound: The object is not there.
            ContentMismatch: It has not the size, or (when verified) not the digest, that it should have.
            StorageFull: The disk of the cache is full.
            StorageError: The storage failed.
        """
        wanted = _Wanted(backend, relpath, Expected(size, digest, is_folder, suffix=suffix))
        if verify and digest is not None and not digest.is_exact:
            _check(wanted, compare(backend.stat(relpath), wanted.expected, Depth.SIZE))
        if not backend.is_cached:
            with backend.on_disk(relpath, is_folder=is_folder) as path:
                _check(wanted, verify_local(path, wanted.expected, _depth(verify)))
                return path

        def download(path: Path) -> Verdict:
            with progress(f"downloading {path.name}", total=size, enabled=show_progress) as bar:
                backend.get(relpath, path, is_folder=is_folder, digest=digest, bar=bar)
            # What arrived may be what others have put there since. Under the digest of another content it would stay.
            verdict = verify_local(path, wanted.expected, Depth.DIGEST)
            if not verdict.is_damaged:
                protect_all(path)
            return verdict

        return self._fetch(wanted, download, verify=verify)

    def fetch_content_addressed(
        self,
        folder: ContentAddressedFolder,
        *,
        size: int | None,
        digest: Digest | None,
        suffix: str = "",
        verify: bool = False,
        show_progress: bool | None = False,
    ) -> Path:
        """Return a path on this machine with a folder whose files are objects of their own.

        Files that another folder in the cache has are not copied again, but linked; so nobody may write to them.

        Args:
            folder: The folder.
            size: Sum of the sizes of its files in bytes.
            digest: What the folder is known to be.
            suffix: As for `fetch`.
            verify: As for `fetch`.
            show_progress: As for `fetch`.

        Raises:
            PathNotFound, ContentMismatch, StorageFull, StorageError: As for `fetch`.
        """
        wanted = _Wanted(folder.backend, folder.relpath, Expected(size, digest, is_folder=True, suffix=suffix))

        def assemble(path: Path) -> Verdict:
            algorithm = digest.file_algorithm if digest is not None else None
            self._assemble(folder, path, algorithm, verify=verify, show_progress=show_progress)
            return verify_local(path, wanted.expected, _depth(verify))

        return self._fetch(wanted, assemble, verify=verify)

    def _assemble(
        self,
        folder: ContentAddressedFolder,
        target: Path,
        algorithm: str | None,
        *,
        verify: bool,
        show_progress: bool | None,
    ) -> None:
        """Link the files of a folder together from what is here, after fetching what is not.

        Raises:
            ContentMismatch: A file that was fetched is not what it should be.
        """
        places = {
            file: self.content_path(folder.backend, file.relpath) for file in folder.files if file.relpath is not None
        }
        known = algorithm if verify else None
        missing = {place: file for file, place in places.items() if not _is_copy(place, file, known)}
        total = sum(file.size for file in missing.values())
        with progress(f"downloading {folder.name}", total=total, enabled=show_progress) as bar:
            folder.backend.get_files(missing, bar=bar)
        for path, file in missing.items():
            if not _is_copy(path, file, algorithm):
                remove_quietly(path)
                raise ContentMismatch(f"the bytes of {file.path!r} in {folder.name} were altered")
        rest: dict[Path, StoredFile] = {}
        with writing_copies(str(self.root)):
            for path in missing:
                protect(path)
            for parent in {(target / file.path).parent for file in folder.files}:
                parent.mkdir(parents=True, exist_ok=True)
            for file in folder.files:
                try:
                    os.link(places[file], target / file.path)
                except (KeyError, OSError):  # empty; evicted in between, too many links, or no links here
                    rest[target / file.path] = file
        folder.backend.get_files(rest)

    def content_path(self, backend: Backend, relpath: str) -> Path:
        """Return where the copy of a file of content-addressed folders lies or would lie: one for all of them."""
        return self._shared(backend) / PurePosixPath(relpath).name

    def _shared(self, backend: Backend) -> Path:
        """Return the folder with the files that content-addressed folders are linked together from."""
        return self._folder(backend, RESERVED) / "files"

    def _fetch(self, wanted: _Wanted, download: Callable[[Path], Verdict], *, verify: bool) -> Path:
        """Return the copy of an object; one that is made has its name only when it was looked at."""
        expected, depth = wanted.expected, _depth(verify)
        path = self.path(wanted.backend, wanted.relpath, size=expected.size, digest=expected.digest)
        if verify_local(path, expected, depth).is_whole:
            return path
        with writing_copies(str(self.root)):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent / ".lock"):
            if verify_local(path, expected, depth).is_damaged:
                remove_quietly(path)
                self._make(wanted, path, download)
        return path

    def _make(self, wanted: _Wanted, path: Path, download: Callable[[Path], Verdict]) -> None:
        # Under its own name in a folder for itself, because formats are told by names.
        folder = path.parent / f".{uids.base62(20)}.part"
        try:
            with writing_copies(str(self.root)):
                folder.mkdir()
            _check(wanted, download(folder / path.name))
            with writing_copies(str(self.root)):
                os.rename(folder / path.name, path)
        finally:
            remove_quietly(folder)

    def keep(self, file: Path, backend: Backend, relpath: str, *, size: int | None, digest: Digest | None) -> None:
        """Let a file that has the bytes of an object be its copy; it is moved, and must lie in the cache folder.

        Raises:
            StorageError: The cache folder cannot be changed.
        """
        path = self.path(backend, relpath, size=size, digest=digest)
        with writing_copies(str(self.root)):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.parent / ".lock"):
                os.replace(file, path)

    def path(self, backend: Backend, relpath: str, *, size: int | None, digest: Digest | None = None) -> Path:
        """Return where the copy of an object lies or would lie."""
        content = f"{digest}/{size}"
        name = PurePosixPath(relpath).name or "object"
        if len(name.encode()) > _MAX_NAME:
            name = hash_bytes(name.encode(), "md5").value + suffix_of(name)
        return self._folder(backend, relpath) / hash_bytes(content.encode(), "md5").value / name

    def _folder(self, backend: Backend, relpath: str) -> Path:
        bucket = backend.url().partition("://")[2].partition("/")[0] or "-"
        # The root carries the endpoint: equal buckets of two servers are two objects.
        endpoint = backend.root.partition("?")[2] or str(backend.options.get("endpoint_url", ""))
        address = f"{backend.url(relpath)}?{endpoint}"
        return self.root / backend.protocol / bucket.replace(":", "_") / hash_bytes(address.encode(), "md5").value

    def evict(self, backend: Backend, relpath: str) -> None:
        """Remove all copies of an object; a local object is no copy and stays.

        Raises:
            StorageError: The cache folder cannot be changed.
        """
        if not backend.is_cached:
            return
        folder = self._folder(backend, relpath)
        with writing_copies(str(self.root)):
            if folder.is_dir():
                # Out of sight in one step: nobody finds a copy of which half is gone.
                aside = folder.with_name(f".{uids.base62(20)}.old")
                with contextlib.suppress(FileNotFoundError):
                    os.rename(folder, aside)
                    has_links = any(path.lstat().st_nlink > 1 for path in aside.rglob("*") if path.is_file())
                    remove_quietly(aside)
                    if has_links:
                        self._drop_unused(backend)

    def _drop_unused(self, backend: Backend) -> None:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._shared(backend)) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_nlink == 1:
                    os.unlink(entry.path)


def _is_copy(path: Path, file: StoredFile, algorithm: str | None) -> bool:
    """Whether a path holds the copy of a stored file; its bytes are looked at where an algorithm is given."""
    digest = Digest(algorithm, file.value) if algorithm in ALGORITHMS else None
    return verify_local(path, Expected(file.size, digest), Depth.DIGEST).is_whole


def _depth(verify: bool) -> Depth:
    return Depth.DIGEST if verify else Depth.SIZE


def _check(wanted: _Wanted, verdict: Verdict) -> None:
    name = f"{wanted.relpath!r} of {wanted.backend.root}"
    if verdict.state is State.MISSING:
        raise PathNotFound(f"there is no {'folder' if wanted.expected.is_folder else 'file'} {name}")
    verdict.check(f"the bytes of {name}")


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None, None, None]:
    """Let one process at a time download; the others then find the copy."""
    with writing_copies(str(path.parent)):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        # Some network file systems have no locks. Then several processes may copy at once: slower, and still right.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
