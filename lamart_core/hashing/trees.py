"""Digest of a folder: names, sizes and contents."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lamart_core import errors
from lamart_core.hashing.digests import DEFAULT_ALGORITHM, Digest, Hasher
from lamart_core.hashing.files import hash_file

TREE_SUFFIX = "-tree"


@dataclass(frozen=True)
class FileEntry:
    """A file of a folder: its path relative to the folder with `/`, its size in bytes, the value of its digest."""

    path: str
    size: int
    value: str


@dataclass(frozen=True)
class TreeDigest:
    """Digest of a folder, and what it was computed from.

    Attributes:
        digest: The digest of the whole.
        size: Sum of the sizes of all files, in bytes.
        n_files: Number of files.
        entries: The files, sorted by path.
    """

    digest: Digest
    size: int
    n_files: int
    entries: tuple[FileEntry, ...]


def tree_digest(entries: Iterable[FileEntry], algorithm: str = DEFAULT_ALGORITHM) -> Digest:
    """Return the digest over sorted paths, sizes and file digests.

    Every part is preceded by its length, so that no two folders give the same sequence of bytes.
    """
    hasher = Hasher(algorithm)
    for entry in sorted(entries, key=lambda entry: os.fsencode(entry.path)):
        for part in (os.fsencode(entry.path), str(entry.size).encode(), entry.value.encode()):
            hasher.update(len(part).to_bytes(8, "big"))
            hasher.update(part)
    return Digest(algorithm + TREE_SUFFIX, hasher.digest().value)


def hash_tree(root: str | os.PathLike[str], algorithm: str = DEFAULT_ALGORITHM) -> TreeDigest:
    """Return the digest of a local folder; files are hashed in parallel.

    Args:
        root: An existing folder with at least one file. Symbolic links to files inside the folder are read through.
        algorithm: A name from `ALGORITHMS`.

    Raises:
        InvalidArgument: The folder is empty, or holds something else than files and folders.
        PathNotFound: The folder is not there.
    """
    base = Path(root)
    if not base.is_dir():
        raise errors.PathNotFound(f"there is no folder {base}")
    paths = list(_files(base, base.resolve()))
    if not paths:
        raise errors.InvalidArgument(f"the folder {base} holds no file; there is nothing to save")

    def entry(path: str) -> FileEntry:
        full = base / path
        return FileEntry(path, full.stat().st_size, hash_file(full, algorithm).value)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        entries = tuple(sorted(pool.map(entry, paths), key=lambda item: os.fsencode(item.path)))
    size = sum(item.size for item in entries)
    return TreeDigest(tree_digest(entries, algorithm), size, len(entries), entries)


def _files(base: Path, resolved: Path) -> Iterator[str]:
    pending = [base]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as children:
            for child in children:
                path = Path(child.path)
                if child.is_symlink():
                    _check_link(path, resolved)
                if child.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif stat.S_ISREG(child.stat().st_mode):
                    yield path.relative_to(base).as_posix()
                else:
                    raise errors.InvalidArgument(f"{path} is no regular file (a FIFO, socket or device)")


def _check_link(path: Path, resolved: Path) -> None:
    try:
        target = path.resolve(strict=True)
    except (FileNotFoundError, RuntimeError, OSError) as error:
        raise errors.InvalidArgument(f"the symbolic link {path} leads nowhere") from error
    if target.is_dir():
        raise errors.InvalidArgument(f"{path} is a symbolic link to a folder; save that folder itself, or copy it")
    if not target.is_relative_to(resolved):
        raise errors.InvalidArgument(f"the symbolic link {path} leaves the folder, to {target}; copy the file instead")
