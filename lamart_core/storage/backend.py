"""The backend of a storage: what can be done with bytes there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lamart_core.errors import InvalidArgument, ObjectExists
from lamart_core.hashing import Digest, TreeDigest
from lamart_core.storage.inventory import Inventory
from lamart_core.storage.location import Location
from lamart_core.storage.marker import Marked
from lamart_core.storage.names.keys import check_path
from lamart_core.storage.progress import NO_BAR, Bar
from lamart_core.storage.staging import Staging
from lamart_core.storage.values import FilePut, KnownFile, ObjectStat, StoredFile


@dataclass(frozen=True)
class Backend(Marked, Inventory):
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
        if puts:
            self._check_target(*(put.relpath for put in puts))
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

    def protect(self, relpath: str) -> None:
        """Let nobody write any more to an object that others have written here; object stores have no modes.

        Raises:
            StorageError: The storage failed or refused.
        """

    def check_way(self, relpath: str) -> None:
        """Check that what is written at a path of one's own choosing lies below the root, and not behind a link.

        Raises:
            StorageError: A folder on the way is a link.
        """

    def settle(self, relpath: str) -> None:
        """Let a folder count as published now, after other links to its files were removed; where there are links.

        So the next version need not read files that only look as if somebody had touched them.
        """

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

    def about(self, relpath: str) -> str | None:
        """Return what an object was said to be when it was put; None where that was not kept.

        Not kept by file systems without extended attributes, by stores other than the known clouds, of folders in
        object stores, and by what copies files without their attributes.

        Raises:
            PathNotFound: The object is not there.
            StorageError: The storage failed or refused.
        """
        return None

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
    def _delete(self, relpath: str, *, is_folder: bool, missing_ok: bool) -> None: ...

    @abstractmethod
    def _publish(self, source: str, target: str, *, is_folder: bool, by_link: bool, replace: bool) -> None: ...

    @abstractmethod
    def _publish_files(self, origins: Mapping[str, str | None], target: str, *, size: int, replace: bool) -> None:
        """Let files be those of a folder: by their path in it the object that has the bytes, None for an empty one."""

    def _check_target(self, *relpaths: str) -> None:
        self.check_writable()
        if not all(relpaths):
            raise InvalidArgument("the path of an object cannot be empty: that is the root of the storage")


def exists_already(name: str, location: Location) -> ObjectExists:
    """Return the error for a path that is taken."""
    return ObjectExists(f"{name!r} exists already in {location.root}; stored objects are never overwritten")
