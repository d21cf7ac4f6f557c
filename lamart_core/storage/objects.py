"""What lies at a path of a storage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lamart_core.hashing import Digest


@dataclass(frozen=True)
class ObjectStat:
    """A stored file or folder, as the storage describes it.

    Attributes:
        size: Size in bytes; for a folder the sum over its files. None where a server does not say.
        n_files: Number of files of a folder; None for a file.
        is_folder: Whether it is a folder.
        digest: Identity of the content where it is known without reading it: exact when the bytes were hashed while
            they were written, inexact when only a server vouches for it.
    """

    size: int | None
    n_files: int | None
    is_folder: bool
    digest: Digest | None


@dataclass(frozen=True)
class StoredName:
    """An object in the version store of a location, whether or not a record claims it.

    Attributes:
        relpath: Path relative to the root of the location.
        is_folder: Whether it is a folder.
        modified: Time of the last modification; for a folder that of its newest file.
    """

    relpath: str
    is_folder: bool
    modified: datetime


@dataclass(frozen=True)
class FilePut:
    """A file to be stored.

    Attributes:
        source: The file.
        relpath: Path of the new object, relative to the root of the location.
        digest: What the file was when it was staged; compared with the bytes that are stored.
        move: Whether the source is a staging file of ours that is not needed afterwards.
    """

    source: Path
    relpath: str
    digest: Digest | None = None
    move: bool = False
