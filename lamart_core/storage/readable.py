"""Reading from a storage: where objects are, what they are, and their bytes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from upath import UPath

from lamart_core import uids
from lamart_core.errors import PathNotFound
from lamart_core.hashing import Digest
from lamart_core.storage.copying import remove_quietly
from lamart_core.storage.failures import writing
from lamart_core.storage.location import Location
from lamart_core.storage.names.keys import suffix_of
from lamart_core.storage.progress import NO_BAR, Bar
from lamart_core.storage.threads import run_all
from lamart_core.storage.values import ObjectStat, StoredFile


class Readable(Location, ABC):
    """What is read from a storage, one half of `Backend`."""

    @abstractmethod
    def path(self, relpath: str = "") -> Path | UPath:
        """Return the path of an object: a `Path` in a folder of this machine, a `UPath` elsewhere.

        Raises:
            InvalidArgument: The path would lead out of the storage.
            MissingExtra: The library for this protocol is not installed.
        """

    @abstractmethod
    def url(self, relpath: str = "") -> str:
        """Return the URL of an object, without the endpoint that its server may have.

        Raises:
            InvalidArgument: The path would lead out of the storage.
        """

    def get(
        self, relpath: str, target: Path, *, is_folder: bool = False, digest: Digest | None = None, bar: Bar = NO_BAR
    ) -> None:
        """Copy an object out of the storage; the target appears whole or not at all.

        Args:
            relpath: Path of the object, relative to the root.
            target: Where the copy goes. A file that is there is replaced in one step, a folder is exchanged.
            is_folder: Whether the object is a folder.
            digest: What the server has to say of the content, if it is an inexact digest.
            bar: Progress that the transfer is part of.

        Raises:
            PathNotFound: The object is not there.
            ContentMismatch: The server says another digest.
            StorageFull: The disk of the target is full.
            StorageError: The storage failed, or fewer bytes arrived than it said.
        """
        with writing(str(target.parent)):
            target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{uids.base62(20)}.part")
        try:
            said = digest if digest is not None and not digest.is_exact else None
            self._get(relpath, temporary, is_folder=is_folder, digest=said, bar=bar)
            with writing(str(target.parent)):
                _exchange(temporary, target)
        finally:
            remove_quietly(temporary)

    def get_files(self, files: Mapping[Path, StoredFile], *, bar: Bar = NO_BAR) -> None:
        """Copy stored files out of the storage, several at a time; each appears whole or not at all.

        Args:
            files: What goes where; a file that is there is replaced.
            bar: Progress that the transfer is part of.

        Raises:
            PathNotFound, StorageFull, StorageError: As for `get`.
        """
        with writing(str(next(iter(files), Path()).parent)):
            for folder in {path.parent for path in files}:
                folder.mkdir(parents=True, exist_ok=True)

        def fetch(target: Path, file: StoredFile) -> None:
            temporary = target.with_name(f".{uids.base62(20)}.part")
            try:
                if file.relpath is None:
                    temporary.touch()
                else:
                    self._get_file(file.relpath, temporary, file.size, bar)
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

        fetches = [partial(fetch, target, file) for target, file in files.items()]
        run_all(fetches, self._threads(file.size for file in files.values()))

    @abstractmethod
    def stat(self, relpath: str) -> ObjectStat:
        """Describe an object without reading its bytes.

        Returns:
            Size, number of files and, where a server says it, an inexact digest: `md5` from a plain S3 ETag or GCS,
            `md5-<parts>` from a multi-part ETag, `md5-etag` from any other ETag, `etag-tree` for a folder.

        Raises:
            PathNotFound: Nothing is there.
            StorageError: The storage failed or refused.
        """

    def stamp(self, relpath: str) -> str | None:
        """Return what changes when an object is written or replaced, whatever its size; None where only a server knows.

        Raises:
            PathNotFound: Nothing is there.
            StorageError: The storage failed or refused.
        """
        return None

    def list_files(self, relpath: str) -> dict[str, ObjectStat]:
        """Describe all files of a folder, without reading their bytes.

        Args:
            relpath: Path of the folder, relative to the root; "" for the root.

        Returns:
            What `stat` says of each file, by its path relative to the folder, sorted by the bytes of the paths. Empty
            where nothing is, or only a file.

        Raises:
            InvalidArgument: A name leads out of the folder.
            StorageError: The storage failed or refused.
        """
        return dict(sorted(self._list_files(relpath).items(), key=lambda item: item[0].encode()))

    def exists(self, relpath: str) -> bool:
        """Return whether an object is there.

        Raises:
            StorageError: The storage failed or refused.
        """
        try:
            self.stat(relpath)
        except PathNotFound:
            return False
        return True

    @abstractmethod
    def check_reachable(self) -> None:
        """Check that the place is there: the folder, or the bucket or container.

        Raises:
            PathNotFound: It is not.
            StorageError: The storage failed or refused.
        """

    @property
    @abstractmethod
    def region(self) -> str | None:
        """Where the bytes are: the name of this machine, the region of a bucket; None where nobody says."""

    @contextmanager
    def on_disk(self, relpath: str, *, is_folder: bool) -> Generator[Path, None, None]:
        """Return a path on this machine with the bytes of an object, to be read until the block ends.

        In a local storage that is the object itself, else a copy that is removed afterwards.

        Raises:
            PathNotFound, StorageFull, StorageError: As for `get`.
        """
        with TemporaryDirectory() as folder:
            copy = Path(folder, f"object{suffix_of(relpath)}")
            self.get(relpath, copy, is_folder=is_folder)
            yield copy

    # ------------------------------------------------------------------ what each kind does in its own way

    @abstractmethod
    def _get(self, relpath: str, target: Path, *, is_folder: bool, digest: Digest | None, bar: Bar) -> None:
        """Copy an object to a path where nothing is, in a folder that is, if the server says this of its content."""

    @abstractmethod
    def _get_file(self, relpath: str, target: Path, size: int | None, bar: Bar) -> None:
        """Copy a file whose size is known to a path where nothing is, in a folder that is."""

    @abstractmethod
    def _list_files(self, relpath: str) -> dict[str, ObjectStat]: ...

    @abstractmethod
    def _read(self, relpath: str) -> bytes:
        """Return the bytes of a small file."""

    @abstractmethod
    def _threads(self, sizes: Iterable[int | None]) -> int:
        """Return how many files of some sizes are moved at a time."""


def _exchange(temporary: Path, target: Path) -> None:
    if not target.is_dir():
        os.replace(temporary, target)
        return
    aside = target.with_name(f".{uids.base62(20)}.old")
    os.rename(target, aside)
    os.rename(temporary, target)
    remove_quietly(aside)
