"""Staging files: their names say which process made them, so that others can see whether it is still there."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from lamart_core import uids
from lamart_core.storage.copying import remove_quietly
from lamart_core.storage.failures import reading
from lamart_core.storage.filesystem import Location
from lamart_core.storage.objects import StoredName, measure_path

# Place, process, start of the process, and what tells the files of a process apart.
_PLACE, _PROCESS, _START, _RANDOM = 5, 4, 3, 8
_STAGED = re.compile(rf"[0-9A-Za-z]{{{_PLACE + _PROCESS + _START + _RANDOM}}}(\..*)?")
# What a process that runs on holds is its own, unless nothing was written to it for this time.
_FORGOTTEN = timedelta(days=7)


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
    pid, started = _number(name[_PLACE:][:_PROCESS]), name[_PLACE + _PROCESS :][:_START]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    found = _started(pid)
    return found is not None and _digits(found, _START) == started


@cache
def _maker(pid: int) -> str:  # by process, because a child made by fork is another one
    return _place() + _digits(pid, _PROCESS) + _digits(_started(pid) or 0, _START)


def _place() -> str:
    """Return a code for where process ids mean the same: the machine, its last start, and the namespace."""
    parts = [platform.node()]
    for name, read in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", os.readlink)):
        try:
            parts.append(str(read(Path(name))))
        except OSError:  # no Linux
            continue
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return _digits(int.from_bytes(digest[:8], "big"), _PLACE)


def _started(pid: int) -> int | None:
    """Return when a process began, in the clock of the system; 0 where nobody says; None for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else 0
    except OSError:
        return 0
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _digits(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(uids.ALPHABET))
        digits = uids.ALPHABET[digit] + digits
    return digits


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * len(uids.ALPHABET) + uids.ALPHABET.index(digit)
    return number


def staging_folder(location: Location, cache_dir: Path | None) -> Path | None:
    """Return where the staging files for a location lie; None when that is not known."""
    if location.is_local:
        return location.temporary
    return Path(cache_dir) / "tmp" if cache_dir is not None else None


def abandoned_staging(
    location: Location, *, older_than: timedelta, cache_dir: Path | None = None
) -> Iterator[StoredName]:
    """List what processes that ended left in the folder for staging files.

    Args:
        location: The location.
        older_than: Files that were modified more recently are left out.
        cache_dir: Cache folder, for a remote location; as for `staging_path`.

    Returns:
        The files and folders, with paths relative to the folder for staging files.

    Raises:
        StorageError: The folder cannot be read.
    """
    folder = staging_folder(location, cache_dir)
    if folder is None or not folder.is_dir():
        return
    now = datetime.now(UTC)
    with reading(location.root, folder.name), os.scandir(folder) as entries:
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


def remove_staged(location: Location, found: StoredName, *, cache_dir: Path | None = None) -> bool:
    """Remove one of the files that `abandoned_staging` found; return whether nothing is left of it."""
    folder = staging_folder(location, cache_dir)
    assert folder is not None
    remove_quietly(folder / found.relpath)
    return not os.path.lexists(folder / found.relpath)
