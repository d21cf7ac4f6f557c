"""What a power cut would leave: the contents and names that were flushed to the disk, as recorded at `os.fsync`.

Killing a process shows nothing of it: what it wrote stays in the memory of the system.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event


@dataclass(frozen=True)
class _Content:
    """What tells whether a file was written since."""

    size: int
    modified_ns: int


class Flushes:
    """At each commit of this process, looks for what is in its storages and would not survive a power cut.

    A file is on the disk if it was flushed since it was written, its name if the folder was flushed since it has it.
    Staging files are left out: no record refers to them.

    Args:
        roots: Roots of local storage locations.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._contents: dict[int, _Content] = {}
        self._names: dict[int, dict[str, int]] = {}
        self.missing: set[str] = set()
        self.recorded: set[str] = set()

    def install(self) -> None:
        """Begin to record; what is there now counts as flushed."""
        for root in self._roots:
            for folder in _folders(root):
                self._names[folder.stat().st_ino] = _names(folder)
                for path in _files(folder):
                    self._contents[path.stat().st_ino] = _content(path.stat())
        fsync = os.fsync

        def recorded(descriptor: int) -> None:
            # As it is before the call: what another thread writes meanwhile may be too late for it.
            status = os.fstat(descriptor)
            names = _names(descriptor) if stat.S_ISDIR(status.st_mode) else None
            fsync(descriptor)
            if names is not None:
                self._names[status.st_ino] = names
            else:
                self._contents[status.st_ino] = _content(status)

        os.fsync = recorded
        event.listen(Engine, "commit", self._commit)

    def _commit(self, _: Any) -> None:
        for root in self._roots:
            for folder in _folders(root):
                known = self._names.get(folder.stat().st_ino, {})
                for name, inode in _names(folder).items():
                    path = folder / name
                    where = path.relative_to(root).as_posix()
                    self.recorded.add(f"{root.name}/{where}")
                    if known.get(name) != inode and not _is_temporary(path):
                        self.missing.add(f"the name {where}")
                for path in _files(folder):
                    status = path.stat()
                    if self._contents.get(status.st_ino) != _content(status):
                        self.missing.add(f"the content of {path.relative_to(root).as_posix()}")


def _content(status: os.stat_result) -> _Content:
    return _Content(status.st_size, status.st_mtime_ns)


def _names(folder: Path | int) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries}


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir() and not _is_temporary(root):
        yield root
        for path in sorted(root.iterdir()):
            if path.is_dir():
                yield from _folders(path)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file())


def _is_temporary(path: Path) -> bool:
    return path.name == "tmp" and path.parent.name == ".lamart"
