"""The backend of a storage: what can be done with bytes there."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from upath import UPath

from lamart_core import uids
from lamart_core.errors import InvalidArgument, ObjectExists, PathNotFound, StorageError
from lamart_core.hashing import Digest, TreeDigest
from lamart_core.storage.copying import remove_quietly
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.location import Location
from lamart_core.storage.names.keys import check_path, is_stored_name, suffix_of
from lamart_core.storage.names.roots import MARKER
from lamart_core.storage.progress import NO_BAR, Bar
from lamart_core.storage.staging import Staging
from lamart_core.storage.threads import run_all
from lamart_core.storage.values import (
    FilePut,
    KnownFile,
    Marker,
    ObjectStat,
    ReservedName,
    StoredFile,
    StoredName,
    UnfinishedUpload,
)


@dataclass(frozen=True)
class Backend(Location, ABC):
    """Where the bytes of a storage lie, and what can be done with them.

    A path is relative to the root, with `/` between its parts. An object is a file or a folder: it appears whole or not
    at all, and is never overwritten but by `publish`. What a kind of storage can do beside that is told by attributes,
    so that nobody needs to ask which kind it is.

    Attributes:
        keeps_links: Whether files of folders that are equal share their bytes by links. Where they cannot, the files of
            a folder that keeps versions are stored as objects of their own, each content once.
        takes_staged: Whether what lies in `staging` is put by a rename.
        is_cached: Whether reading copies bytes to this machine, so that it pays to keep them in a cache.
        requests: How many requests are worth making at a time.
    """

    keeps_links: ClassVar[bool]
    takes_staged: ClassVar[bool]
    is_cached: ClassVar[bool]
    requests: ClassVar[int]

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

    def put_file(
        self,
        source: Path,
        relpath: str,
        *,
        digest: Digest | None = None,
        move: bool = False,
        about: str | None = None,
        bar: Bar = NO_BAR,
    ) -> ObjectStat:
        """Store a file as a new object, whole or not at all.

        Local: written under a temporary name while it is hashed, flushed to the disk, then published in one step.
        Object stores: one atomic upload whose size is checked afterwards; an unfinished one is aborted.

        Args:
            source: The file.
            relpath: Path of the new object, relative to the root.
            digest: What the file was when it was staged; compared with the bytes that are stored.
            move: The source is a staging file of ours that is not needed afterwards. From `staging` of the same local
                backend it is published without copying, and without hashing it again.
            about: What the object is, as `about` tells it again; at most 1,800 characters of ASCII.
            bar: Progress that the transfer is part of.

        Returns:
            Size and digest of what was stored.

        Raises:
            ObjectExists: Something is at the path already.
            SourceChanged: The source is not what it was when it was staged, or changed during the transfer.
            StorageFull: No space, quota or file-size limit is left.
            ReadOnlyStorage: Nothing may be written here.
            StorageError: The storage failed in another way.
        """
        self._check_target(relpath)
        return self._put_file(FilePut(source, relpath, digest, move, about=about), bar)

    def put_files(self, puts: Sequence[FilePut], *, bar: Bar = NO_BAR) -> list[ObjectStat]:
        """Store many files, several at a time: all of them or none.

        As safe as `put_file` for each, and faster: what waits for the disk or the network waits side by side.

        Args:
            puts: The files, each with a path of its own.
            bar: Progress that the transfer is part of.

        Returns:
            Size and digest of what was stored, in the order of `puts`.

        Raises:
            ObjectExists, SourceChanged, StorageFull, ReadOnlyStorage, StorageError: As for `put_file`; what was stored
                before is removed again. A file that was moved is then gone.
        """
        for put in puts:
            self._check_target(put.relpath)
        return self._put_files(puts, bar) if puts else []

    def put_folder(
        self,
        source: Path,
        relpath: str,
        *,
        tree: TreeDigest,
        move: bool = False,
        known: Mapping[str, KnownFile] | None = None,
        about: str | None = None,
    ) -> ObjectStat:
        """Store a folder as a new object. Local: whole or not at all. Object stores: removed again on failure.

        Only files are stored; empty folders inside are not. Files whose content is stored already are not written
        again: local ones become hard links, others are copied by the store itself. A stored file that does not look
        as it should is not used.

        Args:
            source: The folder.
            relpath: Path of the new object, relative to the root.
            tree: What the folder was when it was staged; compared with the bytes that are stored.
            move: As for `put_file`.
            known: Files of folders of this backend that nobody writes to, by the values of their digests. None, for a
                folder that others may write to: every file gets bytes of its own, even equal ones.

        Returns:
            Size, number of files and digest of what was stored.

        Raises:
            ObjectExists, SourceChanged, StorageFull, ReadOnlyStorage, StorageError: As for `put_file`.
        """
        self._check_target(relpath)
        return self._put_folder(source, relpath, tree=tree, move=move, known=known, about=about)

    def get(self, relpath: str, target: Path, *, is_folder: bool = False, bar: Bar = NO_BAR) -> None:
        """Copy an object out of the storage; the target appears whole or not at all.

        Args:
            relpath: Path of the object, relative to the root.
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
            self._get(relpath, temporary, is_folder=is_folder, bar=bar)
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

    def delete(self, relpath: str, *, is_folder: bool = False, missing_ok: bool = True) -> None:
        """Remove an object for good.

        Args:
            relpath: Path of the object, relative to the root.
            is_folder: Whether the object is a folder, which is removed with all its files.
            missing_ok: Whether it may be gone already.

        Raises:
            PathNotFound: Nothing is there, and `missing_ok` is False.
            ReadOnlyStorage: Nothing may be removed here.
            StorageError: The storage failed in another way.
        """
        self._check_target(relpath)
        self._delete(relpath, is_folder=is_folder, missing_ok=missing_ok)

    def duplicate(self, source: str, target: str, *, is_folder: bool) -> None:
        """Give an object a second name.

        On a local disk the files get hard links, so that nothing is copied; they must be replaced, and not written to,
        afterwards. A server copies.

        Args:
            source: Path of the object, relative to the root.
            target: Path where nothing is.
            is_folder: Whether the object is a folder.

        Raises:
            PathNotFound: The object is not there.
            ObjectExists: Something is at the target.
            StorageError: The storage failed; nothing is left at the target.
        """
        self.check_writable()
        self._publish(source, target, is_folder=is_folder, by_link=True, replace=False)

    def publish(self, source: str, target: str, *, is_folder: bool, by_link: bool, replace: bool = True) -> None:
        """Let the bytes of an object be those at another path too.

        A local file changes in one step, a local folder is exchanged; in an object store each file changes in one step,
        and files that the object does not have are removed last.

        Args:
            source: Path of the object, relative to the root.
            target: Path that gets its bytes.
            is_folder: Whether the object is a folder.
            by_link: Whether both may share the bytes on a local disk: only if one of the two names is going to be
                removed, or neither is ever written to.
            replace: Whether what is at the target is replaced.

        Raises:
            PathNotFound: The object is not there.
            ObjectExists: Something is at the target, and `replace` is False.
            StorageError: The storage failed.
        """
        self.check_writable()
        self._publish(source, target, is_folder=is_folder, by_link=by_link, replace=replace)

    def publish_files(self, files: Sequence[StoredFile], target: str, *, replace: bool = True) -> None:
        """Let the files of a content-addressed folder be those at a path too, as `publish` does for other folders.

        Args:
            files: The files.
            target: Path of the folder that gets their bytes.
            replace: Whether what is at the target is replaced.

        Raises:
            PathNotFound, ObjectExists, StorageError: As for `publish`.
        """
        self.check_writable()
        origins = {file.path: file.relpath for file in files}
        self._publish_files(origins, target, size=sum(file.size for file in files), replace=replace)

    def make_parent(self, relpath: str) -> None:
        """Make the folder that an object will lie in, where there are folders.

        Raises:
            ReadOnlyStorage: Nothing may be written here.
            StorageError: The storage is not there.
        """
        self.check_writable()

    def flush(self, relpath: str) -> None:
        """Flush what others wrote at a path to the disk; servers have done so.

        Raises:
            StorageError: The disk failed.
        """
        return

    @abstractmethod
    def staging(self, cache_dir: Path | None = None) -> Staging:
        """Return where bytes lie before they are put here: inside a local storage, so that putting is a rename.

        Args:
            cache_dir: Cache folder; staging files of remote storages lie in its `tmp`. Default: the system's folder
                for temporary files.
        """

    def check_path(self, relpath: str) -> None:
        """Check that an object can lie at a path: what a database records and a storage takes as names.

        Raises:
            InvalidArgument: It is the root itself, leads outside, is too long or not UTF-8.
        """
        check_path(relpath)

    @abstractmethod
    def list_reserved(self) -> Iterator[ReservedName]:
        """Go through the names in the reserved folder, one level deep, in no order.

        A local folder and the buckets of the known clouds are read page by page, so that any number of names needs
        little memory.

        Raises:
            StorageError: The storage failed or refused.
        """

    def list_stored(self) -> list[StoredName]:
        """List the objects in the version store, whether or not a record claims them.

        All of them are in memory; `list_reserved` is for stores of any size.

        Raises:
            StorageError: The storage failed or refused.
        """
        stored = (name for name in self.list_reserved() if is_stored_name(name.relpath))
        measured = (self.measure(name) for name in stored)
        return sorted((found for found in measured if found is not None), key=lambda found: found.relpath)

    @abstractmethod
    def measure(self, name: ReservedName) -> StoredName | None:
        """Return size and age of what lies under a name, files of a folder included; None when it is gone.

        Where a store does not say when something was written, it counts as written now.

        Raises:
            StorageError: The storage failed or refused.
        """

    @abstractmethod
    def mismatched(self, sizes: Mapping[str, int]) -> dict[str, int | None]:
        """Return those of many objects of a version store that are missing or have another size.

        Args:
            sizes: Sizes in bytes that the objects should have, by path in the version store.

        Returns:
            The sizes that they have instead, by path; None for what is missing.

        Raises:
            StorageError: The storage failed or refused.
        """

    def list_uploads(self) -> Iterator[UnfinishedUpload]:
        """Go through the multi-part uploads that were begun below an S3 root and neither finished nor aborted.

        They cost what their parts cost, and no listing of objects shows them.

        Raises:
            StorageError: The storage failed or refused.
        """
        return iter(())

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Abort a multi-part upload; its parts are removed. One that has ended in the meantime is left alone.

        Raises:
            StorageError: The storage failed or refused.
        """
        raise InvalidArgument(f"{self.root} has no multi-part uploads")

    def read_marker(self) -> Marker | None:
        """Return the marker, or None when nobody manages the storage or it cannot be seen.

        Raises:
            StorageError: The storage failed.
        """
        try:
            return self.find_marker()
        except StorageError as error:
            # Object stores answer "forbidden" for what is not there when listing is not allowed.
            if isinstance(error.__cause__, PermissionError):
                return None
            raise

    def about(self, relpath: str) -> str | None:
        """Return what an object was said to be when it was put; None where that was not kept.

        Not kept by file systems without extended attributes, by stores other than the known clouds, of folders in
        object stores, and by what copies files without their attributes.

        Raises:
            PathNotFound: The object is not there.
            StorageError: The storage failed or refused.
        """
        return None

    def find_marker(self) -> Marker | None:
        """Return the marker, or None when there is none.

        Raises:
            StorageError: The storage failed, or does not allow to see it.
        """
        try:
            with reading(self.root, MARKER):
                return Marker.parse(self._read(MARKER).decode())
        except PathNotFound:
            return None

    def marker_stamp(self) -> Hashable | None:
        """Return what changes whenever the marker does, where that costs no request; None elsewhere.

        Raises:
            PathNotFound: There is no marker.
            StorageError: The storage failed.
        """
        return None

    def write_marker(self, marker: Marker) -> None:
        """Mark the storage as managed; a local folder is made when it is not there.

        Raises:
            ObjectExists: Another registry has marked it in the meantime.
            ReadOnlyStorage: Nothing may be written here.
            StorageError: The storage failed.
        """
        self.check_not_read_only()
        with writing(self.root):
            self._create_marker(str(marker))
        found = self.read_marker()
        if found is not None and not found.names_same(marker):
            raise ObjectExists(f"{self.root} is managed by another registry ({found.registry_uid}) already")

    def replace_marker(self, marker: Marker) -> None:
        """Write the marker over the one that is there, in one step.

        Raises:
            ReadOnlyStorage: Nothing may be written here.
            StorageError: The storage failed.
        """
        self.check_not_read_only()
        with writing(self.root):
            self._replace_marker(str(marker))

    def remove_marker(self, storage_uid: str) -> None:
        """Remove the marker, if it is (still) that of this storage.

        Raises:
            ReadOnlyStorage: Nothing may be removed here.
            StorageError: The storage failed.
        """
        self.check_not_read_only()
        found = self.read_marker()
        if found is not None and found.storage_uid == storage_uid:
            with writing(self.root):
                self._remove_marker()

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
    def _put_file(self, put: FilePut, bar: Bar) -> ObjectStat: ...

    @abstractmethod
    def _put_files(self, puts: Sequence[FilePut], bar: Bar) -> list[ObjectStat]: ...

    @abstractmethod
    def _put_folder(
        self,
        source: Path,
        relpath: str,
        *,
        tree: TreeDigest,
        move: bool,
        known: Mapping[str, KnownFile] | None,
        about: str | None,
    ) -> ObjectStat: ...

    @abstractmethod
    def _get(self, relpath: str, target: Path, *, is_folder: bool, bar: Bar) -> None:
        """Copy an object to a path where nothing is, in a folder that is."""

    @abstractmethod
    def _get_file(self, relpath: str, target: Path, size: int | None, bar: Bar) -> None:
        """Copy a file whose size is known to a path where nothing is, in a folder that is."""

    @abstractmethod
    def _list_files(self, relpath: str) -> dict[str, ObjectStat]: ...

    @abstractmethod
    def _delete(self, relpath: str, *, is_folder: bool, missing_ok: bool) -> None: ...

    @abstractmethod
    def _publish(self, source: str, target: str, *, is_folder: bool, by_link: bool, replace: bool) -> None: ...

    @abstractmethod
    def _publish_files(self, origins: Mapping[str, str | None], target: str, *, size: int, replace: bool) -> None:
        """Let files be those of a folder: by their path in it the object that has the bytes, None for an empty one."""

    @abstractmethod
    def _read(self, relpath: str) -> bytes:
        """Return the bytes of a small file."""

    @abstractmethod
    def _create_marker(self, text: str) -> None:
        """Write the marker whole or not at all, and only where there is none yet."""

    @abstractmethod
    def _replace_marker(self, text: str) -> None:
        """Write the marker whole or not at all, over what is there."""

    @abstractmethod
    def _remove_marker(self) -> None: ...

    @abstractmethod
    def _threads(self, sizes: Iterable[int | None]) -> int:
        """Return how many files of some sizes are moved at a time."""

    def _check_target(self, relpath: str) -> None:
        self.check_writable()
        if not relpath:
            raise InvalidArgument("the path of an object cannot be empty: that is the root of the storage")


def exists_already(name: str, location: Location) -> ObjectExists:
    """Return the error for a path that is taken."""
    return ObjectExists(f"{name!r} exists already in {location.root}; stored objects are never overwritten")


def _exchange(temporary: Path, target: Path) -> None:
    if not target.is_dir():
        os.replace(temporary, target)
        return
    aside = target.with_name(f".{uids.base62(20)}.old")
    os.rename(target, aside)
    os.rename(temporary, target)
    remove_quietly(aside)
