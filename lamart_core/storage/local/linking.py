"""Files that are stored already become part of another folder without being written again: hard links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lamart_core import uids
from lamart_core.errors import LamartError
from lamart_core.hashing import Digest, FileEntry, TreeDigest, hash_file
from lamart_core.storage.copying import remove_quietly
from lamart_core.storage.location import Location
from lamart_core.storage.names.keys import check_inside
from lamart_core.storage.values import KnownFile

# What a copy would meet as well. Whatever else refuses a link (no links here, too many of one file, another device,
# somebody else's file), a copy may still do.
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_WRITE = 0o222


def link_known(tree: TreeDigest, folder: Path, location: Location, known: Mapping[str, KnownFile]) -> list[FileEntry]:
    """Put links to stored files of equal content into a folder, also over files that are there.

    A stored file is used only if it has the right size, and the right digest where it was touched since its own folder
    was published: written, renamed into its place, restored from a backup, or only given and taken another link. Linked
    files lose their write permission: who writes one would change every version that has it.

    Args:
        tree: The new folder, empty files included.
        folder: The new folder; its folders are made already.
        location: Where the stored files lie.
        known: Stored files by the values of their digests.

    Returns:
        The entries that could not be linked, and are to be written.

    Raises:
        OSError: The disk is full, read-only or broken.
    """
    published: dict[str, int] = {}
    rest: list[FileEntry] = []
    algorithm = tree.digest.file_algorithm
    for entry in tree.entries:
        file = known.get(entry.value)
        if not entry.size or file is None:
            rest.append(entry)
            continue
        try:
            if file.folder not in published:
                check_inside(file.folder)
                published[file.folder] = Path(location.root, file.folder).stat().st_mtime_ns
            check_inside(file.relpath)
            origin, place = os.path.join(location.root, file.relpath), os.path.join(folder, entry.path)
            linked = _link(origin, place, entry.size, _Trust(published[file.folder], Digest(algorithm, entry.value)))
        except FileNotFoundError:  # its version was deleted in between
            linked = False
        if not linked:
            rest.append(entry)
    return rest


def link_equal(entries: Iterable[FileEntry], folder: Path) -> list[FileEntry]:
    """Replace files of equal content within a folder by links to one of them, where this is not done yet.

    Args:
        entries: Files of the folder that are to be compared.
        folder: The folder; the first file of each content is in it.

    Returns:
        The entries that could not be linked, and are to be written.
    """
    firsts: dict[str, str] = {}
    rest: list[FileEntry] = []
    for entry in entries:
        place = os.path.join(folder, entry.path)
        first = firsts.setdefault(entry.value, place)
        if first is not place and not _link(first, place, entry.size, None):
            rest.append(entry)
    return rest


@dataclass(frozen=True)
class _Trust:
    """When a stored file was published, in nanoseconds, and what it must be if it was touched since."""

    published: int
    digest: Digest


# Texts and not `Path`: there may be ten thousand unchanged files, and a link takes as long as making such an object.
def _link(origin: str, place: str, size: int, trust: _Trust | None) -> bool:
    try:
        status = os.lstat(origin)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return False
        # Within one tick of the clock nobody can tell.
        is_touched = trust is not None and max(status.st_mtime_ns, status.st_ctime_ns) >= trust.published
        if trust is not None and is_touched and not _has_digest(origin, trust.digest):
            return False
        if status.st_mode & _WRITE:
            os.chmod(origin, stat.S_IMODE(status.st_mode) & ~_WRITE)
        try:
            os.link(origin, place)
        except FileExistsError:
            _link_over(origin, place)
        if is_touched and not os.path.samestat(os.lstat(place), status):  # replaced while it was read
            os.unlink(place)
            return False
    except OSError as error:
        if error.errno in _FATAL:
            raise
        return False
    return True


def _has_digest(path: str, digest: Digest) -> bool:
    try:
        return hash_file(path, digest.algorithm) == digest
    except LamartError:
        return False


def _link_over(origin: str, place: str) -> None:
    aside = Path(place).with_name(f".{uids.base62(20)}")
    try:
        os.link(origin, aside)
        os.replace(aside, place)
    finally:
        # Renaming one link of a file to another one of it does nothing.
        remove_quietly(aside)
