"""Staging files: their names say which process made them, so that others can see whether it is still there."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path

from lamart_core import processes, uids
from lamart_core.errors import StorageError
from lamart_core.hashing import DEFAULT_ALGORITHM, list_files
from lamart_core.storage.copying import begin_flush, copy_file, make_folders, remove_quietly
from lamart_core.storage.failures import reading, writing, writing_copies
from lamart_core.storage.location import Location
from lamart_core.storage.threads import run_all
from lamart_core.storage.values import StoredName, measure_path

_THREADS = 16
# Place, process, start of the process, and what tells the files of a process apart.
_PLACE, _PROCESS, _START, _RANDOM = 5, 4, 3, 8
_STAGED = re.compile(rf"[0-9A-Za-z]{{{_PLACE + _PROCESS + _START + _RANDOM}}}(\..*)?")
# What a process that runs on holds is its own, unless nothing was written to it for this time.
_FORGOTTEN = timedelta(days=7)


@dataclass(frozen=True)
class Staging:
    """Where bytes lie before they are put into a storage, under names that say which process made them.

    Attributes:
        location: Where the bytes will go.
        folder: The folder that they lie in until then.
        is_inside: Whether that is a part of the storage, so that putting is a rename.
    """

    location: Location
    folder: Path
    is_inside: bool

    @property
    def root(self) -> str:
        """Root of the storage that the folder lies in, else the folder above it."""
        return self.location.root if self.is_inside else str(self.folder.parent)

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            ReadOnlyStorage: Nothing may be written to the storage.
            StorageError: The storage is not there, or the folder cannot be made.
        """
        self.location.check_writable()
        if not self.is_inside:
            with writing_copies(str(self.folder)):
                self.folder.mkdir(parents=True, exist_ok=True)
            return
        with writing(self.location.root):
            root = Path(self.location.root)
            if not root.is_dir():
                # Made silently, it would hide that a disk is not mounted.
                raise StorageError(errno.ENOENT, f"the storage {root} is not there (is its disk mounted?)")
            make_folders(self.folder, root)

    def new_path(self, suffix: str = "") -> Path:
        """Return a path where nothing is, in a folder that is.

        Args:
            suffix: Suffix of the file or folder that will be written there.

        Raises:
            ReadOnlyStorage, StorageError: As for `prepare`.
        """
        self.prepare()
        return self.folder / staging_name(suffix)

    def begin_flush(self, path: Path) -> None:
        """Let the disk begin with a file that was written here, where it is going to stay, while it is hashed."""
        if self.is_inside:
            begin_flush(path)

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
        copy = self.new_path(suffix)
        root = self.location.root if self.is_inside else str(self.folder)
        try:
            with writing(root):
                # Folders without files too: they may mean something to the format.
                folders = [Path(folder) for folder, _, _ in os.walk(source)]
                for folder in folders:
                    (copy / folder.relative_to(source)).mkdir()
            paths = [file.path for file in list_files(source)] if folders else [""]

            def copy_one(path: str) -> None:
                copy_file(source / path, copy / path, root=root, algorithm=DEFAULT_ALGORITHM, durable=False)

            run_all([partial(copy_one, path) for path in paths], _THREADS)
        except BaseException:
            remove_quietly(copy)
            raise
        return copy

    def holds(self, path: Path) -> bool:
        """Return whether a path is one of these, and part of the storage."""
        return self.is_inside and path.parent == self.folder and not path.is_symlink()

    def abandoned(self, *, older_than: timedelta) -> Iterator[StoredName]:
        """List what processes that ended left here, with paths relative to the folder.

        Args:
            older_than: Files that were modified more recently are left out.

        Raises:
            StorageError: The folder cannot be read.
        """
        if not self.folder.is_dir():
            return
        now = datetime.now(UTC)
        with reading(self.location.root, self.folder.name), os.scandir(self.folder) as entries:
            for entry in entries:
                if not _STAGED.fullmatch(entry.name):
                    continue
                try:
                    found = measure_path(Path(entry.path), entry.name)
                except FileNotFoundError:  # published or removed in between
                    continue
                needed = max(older_than, _FORGOTTEN) if maker_lives(entry.name) else older_than
                if now - found.modified >= needed:
                    yield found

    def remove(self, found: StoredName) -> bool:
        """Remove one of the files that `abandoned` found; return whether nothing is left of it."""
        remove_quietly(self.folder / found.relpath)
        return not os.path.lexists(self.folder / found.relpath)


def staging_name(suffix: str = "") -> str:
    """Return a new name for a staging file of this process.

    Examples:
        >>> name = staging_name(".csv")
        >>> len(name), maker_lives(name)
        (24, True)
    """
    return f"{_maker(os.getpid())}{uids.base62(_RANDOM)}{suffix}"


def maker_lives(name: str) -> bool | None:
    """Return whether the process that made a staging file is there; None when that cannot be seen from here."""
    if name[:_PLACE] != _maker(os.getpid())[:_PLACE]:
        return None  # another machine, another container, or before the machine was started again
    started = processes.started(uids.number(name[_PLACE:][:_PROCESS]))
    return started is not None and uids.digits(started, _START) == name[_PLACE + _PROCESS :][:_START]


@cache
def _maker(pid: int) -> str:  # by process, because a child made by fork is another one
    place = hashlib.sha256(processes.namespace().encode()).digest()
    return (
        uids.digits(int.from_bytes(place[:8], "big"), _PLACE)
        + uids.digits(pid, _PROCESS)
        + uids.digits(processes.started(pid) or 0, _START)
    )
