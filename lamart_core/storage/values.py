"""What a storage is told and tells: values without any access to it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lamart_core.hashing import Digest, list_files, stamp_of, stamp_of_files, state_of


@dataclass(frozen=True)
class ObjectStat:
    """A stored file or folder, as the storage describes it.

    Attributes:
        size: Size in bytes; for a folder the sum over its files. None where a server does not say.
        n_files: Number of files of a folder; None for a file.
        is_folder: Whether it is a folder.
        digest: Identity of the content where it is known without reading it: exact when the bytes were hashed while
            they were written, inexact when only a server vouches for it.
        stamp: On a disk of this machine: a text that changes when a file is written or replaced, whatever its size. It
            tells nothing of the content, so that two stats may be equal without it.
        modified: Time of the last modification, where a listing of a server says it; two are equal without it.
    """

    size: int | None
    n_files: int | None
    is_folder: bool
    digest: Digest | None
    stamp: str | None = field(default=None, compare=False)
    modified: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True)
class StoredName:
    """An object in the version store of a location, whether or not a record claims it.

    Attributes:
        relpath: Path relative to the root of the location.
        is_folder: Whether it is a folder.
        modified: Time of the last modification; for a folder that of its newest file.
        size: Size in bytes; for a folder the sum over its files.
    """

    relpath: str
    is_folder: bool
    modified: datetime
    size: int = 0


@dataclass(frozen=True)
class ReservedName:
    """A name in the reserved folder of a location, as a listing tells it.

    Attributes:
        relpath: Path relative to the root of the location.
        is_folder: Whether it is a folder.
        size: Size in bytes, where the listing says it.
        modified: Time of the last modification, where the listing says it.
    """

    relpath: str
    is_folder: bool
    size: int | None = None
    modified: datetime | None = None


@dataclass(frozen=True)
class UnfinishedUpload:
    """A multi-part upload that was neither finished nor aborted.

    Attributes:
        relpath: Path of the object that it was going to be, relative to the root of the location.
        upload_id: The store's name for the upload.
        begun: When it began.
    """

    relpath: str
    upload_id: str
    begun: datetime


def describe_path(path: Path, *, stamped: bool = False) -> ObjectStat:
    """Return what is to be seen of a local file or folder without reading its bytes.

    Args:
        path: The file or folder.
        stamped: Whether the stamp of a folder is wanted too; that of a file costs nothing.

    Raises:
        FileNotFoundError: Nothing is there.
        InvalidArgument: It is a folder with something that cannot be stored.
    """
    if not path.is_dir():
        state = state_of(path.stat())
        return ObjectStat(state.size, None, False, None, stamp=stamp_of(state))
    files = list_files(path)
    stamp = stamp_of_files({file.path: file.state for file in files}) if stamped else None
    return ObjectStat(sum(file.size for file in files), len(files), True, None, stamp=stamp)


def measure_path(path: Path, relpath: str) -> StoredName:
    """Return size and age of a local file or folder.

    Raises:
        FileNotFoundError: Nothing is there.
    """
    status = path.lstat()
    newest, size = status.st_mtime, status.st_size
    is_folder = path.is_dir() and not path.is_symlink()
    if is_folder:
        size = 0
        for folder, _, files in os.walk(path):
            for name in (".", *files):
                try:
                    status = os.lstat(os.path.join(folder, name))
                except FileNotFoundError:  # published or removed in between
                    continue
                newest = max(newest, status.st_mtime)
                size += status.st_size if name != "." else 0
    return StoredName(relpath, is_folder, datetime.fromtimestamp(newest, UTC), size)


@dataclass(frozen=True)
class StoredFile:
    """A file of a stored folder, and where its bytes lie.

    Attributes:
        path: Path relative to the folder, with `/` between its parts.
        size: Size in bytes.
        value: Value of its digest, made with the algorithm of the folder's digest.
        relpath: Path of the bytes, relative to the root of the location; None for an empty file that needs none.
    """

    path: str
    size: int
    value: str
    relpath: str | None


@dataclass(frozen=True)
class KnownFile:
    """A stored file whose content is known, so that it need not be written again.

    Attributes:
        relpath: Path relative to the root of the location.
        folder: Path of the stored folder that it is a part of, or its own.
    """

    relpath: str
    folder: str


@dataclass(frozen=True)
class FilePut:
    """A file to be stored.

    Attributes:
        source: The file.
        relpath: Path of the new object, relative to the root of the location.
        digest: What the file was when it was staged; compared with the bytes that are stored.
        move: Whether the source is a staging file of ours that is not needed afterwards.
        size: How many bytes it has, where that is known; only used to store small files with more threads.
        about: What the object is, in ASCII; kept beside its bytes where the storage can, see `Backend.about`.
    """

    source: Path
    relpath: str
    digest: Digest | None = None
    move: bool = False
    size: int | None = None
    about: str | None = None


@dataclass(frozen=True)
class Marker:
    """What the marker file of a location says.

    Attributes:
        storage_uid: Uid of the storage location.
        registry_uid: Uid of the registry that manages it.
        generation: How often the registry has written it again; see `records.ownership`.
    """

    storage_uid: str
    registry_uid: str
    generation: int = 0

    @classmethod
    def parse(cls, text: str) -> Marker | None:
        """Return the marker that a file of this text is; None for another file."""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            return None
        is_counted = len(lines) > 2 and lines[2].isascii() and lines[2].isdigit()
        return cls(lines[0], lines[1], int(lines[2]) if is_counted else 0)

    def names_same(self, other: Marker) -> bool:
        """Return whether another marker is one of the same location of the same registry."""
        return (self.storage_uid, self.registry_uid) == (other.storage_uid, other.registry_uid)

    def __str__(self) -> str:
        counted = f"{self.generation}\n" if self.generation else ""
        return f"{self.storage_uid}\n{self.registry_uid}\n{counted}"
