"""The backend of a storage: what can be done with bytes there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from lamart_core.hashing import Digest, TreeDigest
from lamart_core.storage import presence, roots, staging, survey, transfer, within
from lamart_core.storage.filesystem import Location
from lamart_core.storage.keys import check_place
from lamart_core.storage.objects import (
    FilePut,
    KnownFile,
    ObjectStat,
    ReservedName,
    StoredFile,
    StoredName,
    UnfinishedUpload,
)
from lamart_core.storage.progress import NO_BAR, Bar


@dataclass(frozen=True)
class Backend(Location):
    """Where the bytes of a storage lie, and what can be done with them."""

    def put_file(
        self, source: Path, relpath: str, *, digest: Digest | None = None, move: bool = False, bar: Bar = NO_BAR
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
        return transfer.put_file(source, self, relpath, digest=digest, move=move, bar=bar)

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
        return transfer.put_files(puts, self, bar=bar)

    def put_folder(
        self,
        source: Path,
        relpath: str,
        *,
        tree: TreeDigest,
        move: bool = False,
        known: Mapping[str, KnownFile] | None = None,
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
        return transfer.put_folder(source, self, relpath, tree=tree, move=move, known=known)

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
        transfer.get(self, relpath, target, is_folder=is_folder, bar=bar)

    def get_files(self, files: Mapping[Path, StoredFile], *, bar: Bar = NO_BAR) -> None:
        """Copy stored files out of an object store, several at a time; each appears whole or not at all.

        Args:
            files: What goes where; a file that is there is replaced.
            bar: Progress that the transfer is part of.

        Raises:
            PathNotFound, StorageFull, StorageError: As for `get`.
        """
        transfer.get_files(self, files, bar=bar)

    def stat(self, relpath: str) -> ObjectStat:
        """Describe an object without reading its bytes.

        Returns:
            Size, number of files and, where a server says it, an inexact digest: `md5` from a plain S3 ETag or GCS,
            `md5-<parts>` from a multi-part ETag, `md5-etag` from any other ETag, `etag-tree` for a folder.

        Raises:
            PathNotFound: Nothing is there.
            StorageError: The storage failed or refused.
        """
        return transfer.stat(self, relpath)

    def list_files(self, relpath: str) -> dict[str, ObjectStat]:
        """Describe all files of a folder of an object store by one listing, without reading their bytes.

        Args:
            relpath: Path of the folder, relative to the root; "" for the root.

        Returns:
            What `stat` says of each file, by its path relative to the folder, sorted by the bytes of the paths. Empty
            where nothing is, or only a file.

        Raises:
            InvalidArgument: A name leads out of the folder.
            StorageError: The storage failed or refused.
        """
        return transfer.stat_files(self, relpath)

    def exists(self, relpath: str) -> bool:
        """Return whether an object is there.

        Raises:
            StorageError: The storage failed or refused.
        """
        return transfer.exists(self, relpath)

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
        transfer.delete(self, relpath, is_folder=is_folder, missing_ok=missing_ok)

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
        within.duplicate(self, source, target, is_folder=is_folder)

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
        within.place(self, source, target, is_folder=is_folder, by_link=by_link, replace=replace)

    def publish_files(self, files: Sequence[StoredFile], target: str, *, replace: bool = True) -> None:
        """Let the files of a content-addressed folder be those at a path too, as `publish` does for other folders.

        Args:
            files: The files.
            target: Path of the folder that gets their bytes.
            replace: Whether what is at the target is replaced.

        Raises:
            PathNotFound, ObjectExists, StorageError: As for `publish`.
        """
        within.place_files(self, files, target, replace=replace)

    def make_parent(self, relpath: str) -> None:
        """Make the folder that an object will lie in, where there are folders.

        Raises:
            ReadOnlyStorage: Nothing may be written here.
            StorageError: The storage is not there.
        """
        within.make_parent(self, relpath)

    def flush(self, relpath: str) -> None:
        """Flush what others wrote at a path to the disk; servers have done so.

        Raises:
            StorageError: The disk failed.
        """
        within.make_durable(self, relpath)

    def staging(self, cache_dir: Path | None = None) -> Staging:
        """Return where bytes lie before they are put here: inside a local storage, so that putting is a rename.

        Args:
            cache_dir: Cache folder; staging files of remote storages lie in its `tmp`. Default: the system's folder
                for temporary files.
        """
        return Staging(self, cache_dir)

    def check_path(self, relpath: str) -> None:
        """Check that an object can lie at a path: what a database records and a storage takes as names.

        Raises:
            InvalidArgument: It is the root itself, leads outside, is too long or not UTF-8.
        """
        check_place(relpath, is_local=self.is_local)

    def list_reserved(self) -> Iterator[ReservedName]:
        """Go through the names in the reserved folder, one level deep, in no order.

        A local folder and the buckets of the known clouds are read page by page, so that any number of names needs
        little memory.

        Raises:
            StorageError: The storage failed or refused.
        """
        return survey.iter_reserved(self)

    def list_stored(self) -> list[StoredName]:
        """List the objects in the version store, whether or not a record claims them.

        All of them are in memory; `list_reserved` is for stores of any size.

        Raises:
            StorageError: The storage failed or refused.
        """
        return survey.list_stored(self)

    def measure(self, name: ReservedName) -> StoredName | None:
        """Return size and age of what lies under a name, files of a folder included; None when it is gone.

        Where a store does not say when something was written, it counts as written now.

        Raises:
            StorageError: The storage failed or refused.
        """
        return survey.measure(self, name)

    def mismatched(self, sizes: Mapping[str, int]) -> dict[str, int | None]:
        """Return those of many objects of a version store that are missing or have another size.

        Args:
            sizes: Sizes in bytes that the objects should have, by path in the version store.

        Returns:
            The sizes that they have instead, by path; None for what is missing.

        Raises:
            StorageError: The storage failed or refused.
        """
        return presence.not_whole(self, sizes)

    def list_uploads(self) -> Iterator[UnfinishedUpload]:
        """Go through the multi-part uploads that were begun below an S3 root and neither finished nor aborted.

        They cost what their parts cost, and no listing of objects shows them.

        Raises:
            StorageError: The storage failed or refused.
        """
        return survey.iter_uploads(self)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Abort a multi-part upload; its parts are removed. One that has ended in the meantime is left alone.

        Raises:
            StorageError: The storage failed or refused.
        """
        survey.abort_upload(self, upload)

    def read_marker(self) -> roots.Marker | None:
        """Return the marker, or None when nobody manages the storage or it cannot be seen.

        Raises:
            StorageError: The storage failed.
        """
        return roots.read_marker(self)

    def write_marker(self, marker: roots.Marker) -> None:
        """Mark the storage as managed; a local folder is made when it is not there.

        Raises:
            ObjectExists: Another registry has marked it in the meantime.
            ReadOnlyStorage: Nothing may be written here.
            StorageError: The storage failed.
        """
        roots.write_marker(self, marker)

    def remove_marker(self, storage_uid: str) -> None:
        """Remove the marker, if it is (still) that of this storage.

        Raises:
            ReadOnlyStorage: Nothing may be removed here.
            StorageError: The storage failed.
        """
        roots.remove_marker(self, storage_uid)

    @property
    def region(self) -> str | None:
        """The region of an S3 bucket, or None where there is none or nobody says."""
        return roots.bucket_region(self)


class Local(Backend):
    """A folder of this machine."""


class ObjectStore(Backend):
    """A prefix of an object store, or another remote place."""


def backend_at(root: str, options: Mapping[str, Any] | None = None, *, read_only: bool = False) -> Backend:
    """Return the backend for a root.

    Args:
        root: Normalised root: an absolute local path, or a URL. An S3 root may carry `?endpoint_url=…`.
        options: Options for the fsspec file system, for example credentials; `repr` does not show them.
        read_only: Whether writing and deleting is refused.

    Examples:
        >>> backend_at("/data/lab").path("raw/counts.csv").as_posix()
        '/data/lab/raw/counts.csv'
    """
    kind = Local if "://" not in root else ObjectStore
    return kind(root, options if options is not None else {}, read_only)


@dataclass(frozen=True)
class Staging:
    """Where bytes lie before they are put into a storage, under names that say which process made them.

    Attributes:
        backend: Where the bytes will go.
        cache_dir: Cache folder, for a remote storage.
    """

    backend: Backend
    cache_dir: Path | None = None

    @property
    def folder(self) -> Path | None:
        """The folder; None when that is not known."""
        return staging.staging_folder(self.backend, self.cache_dir)

    def new_path(self, suffix: str) -> Path:
        """Return a path where nothing is, in a folder that is.

        Args:
            suffix: Suffix of the file or folder that will be written there.

        Raises:
            ReadOnlyStorage: Nothing may be written to the storage.
            StorageError: The storage is not there.
        """
        return transfer.staging_path(self.backend, suffix, self.cache_dir)

    def copy(self, source: Path, suffix: str) -> Path:
        """Copy a local file or folder to a new path, to be written to: it shares nothing with the source.

        Args:
            source: A local file or folder.
            suffix: Suffix of the copy.

        Returns:
            The copy, which is the caller's to put or to remove.

        Raises:
            SourceChanged: The source is changed or removed while it is copied; as all others, it leaves no copy behind.
            StorageFull, ReadOnlyStorage, StorageError: The copy cannot be written.
        """
        return within.private_copy(source, self.backend, suffix, self.cache_dir)

    def abandoned(self, *, older_than: timedelta) -> Iterator[StoredName]:
        """List what processes that ended left here, with paths relative to the folder.

        Args:
            older_than: Files that were modified more recently are left out.

        Raises:
            StorageError: The folder cannot be read.
        """
        return staging.abandoned_staging(self.backend, older_than=older_than, cache_dir=self.cache_dir)

    def remove(self, found: StoredName) -> bool:
        """Remove one of the files that `abandoned` found; return whether nothing is left of it."""
        return staging.remove_staged(self.backend, found, cache_dir=self.cache_dir)
