"""Hash folders: the digest covers the relative path, the size and every byte of each file.

A folder is its files, as in an object store: empty folders inside it, permissions and times are no part of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lamart_core.errors import InvalidArgument, PathNotFound, SourceChanged
from lamart_core.hashing.digests import DEFAULT_ALGORITHM, TREE, Digest, Hasher, check_algorithm, hash_bytes
from lamart_core.hashing.files import (
    PIECE,
    FileState,
    check_regular,
    measure_file,
    reading_source,
    stamp_of,
    state_of,
)

_HEADER = b"lamart tree 1\n"
_LARGE = PIECE
_BATCH = 64


@dataclass(frozen=True)
class FileEntry:
    """One file of a folder.

    Attributes:
        path: Path relative to the folder, with `/` between its parts.
        size: Size in bytes.
        value: Value of the file's digest.
    """

    path: str
    size: int
    value: str


@dataclass(frozen=True)
class TreeDigest:
    """A folder that was hashed.

    Attributes:
        digest: Digest of the folder.
        size: Sum of the file sizes in bytes.
        n_files: Number of files.
        entries: The files, sorted by the bytes of their paths.
    """

    digest: Digest
    size: int
    n_files: int
    entries: tuple[FileEntry, ...]


@dataclass(frozen=True)
class FoundFile:
    """A file that a walk over a folder found.

    Attributes:
        path: Path relative to the folder, with `/` between its parts.
        size: Size in bytes.
        state: What tells whether it was changed since.
    """

    path: str
    size: int
    state: FileState


def list_files(root: str | os.PathLike[str], *, without: str | None = None) -> list[FoundFile]:
    """List all files below a folder, sorted by the bytes of their relative paths.

    Links to files inside the folder count as files.

    Args:
        root: The folder.
        without: Name of folders that are left out with all that is in them, in whatever case.

    Raises:
        PathNotFound: There is no such folder.
        UnreadablePath: This process may not look into it.
        InvalidArgument: It is not a folder, or it holds something that cannot be stored: a pipe, socket or device, a
            link to a folder, to nothing or to outside, or a name that is not UTF-8.
    """
    top = os.fspath(root)
    if not os.path.isdir(top):
        if os.path.lexists(top):
            raise InvalidArgument(f"{top!r} is not a folder")
        raise PathNotFound(f"there is no folder {top!r}")
    found: list[FoundFile] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        folder = os.path.join(top, prefix)
        with reading_source(folder), os.scandir(folder) as entries:
            for entry in entries:
                relative = prefix + entry.name
                if without is not None and entry.name.lower() == without:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(relative + "/")
                else:
                    found.append(_found(top, relative, entry))
    return sorted(found, key=lambda file: file.path.encode())


def _found(top: str, relative: str, entry: os.DirEntry[str]) -> FoundFile:
    try:
        relative.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"the name of {relative!r} in {top!r} is not UTF-8; rename the file") from None
    status = _linked(top, relative) if entry.is_symlink() else entry.stat(follow_symlinks=False)
    check_regular(entry.path, status.st_mode)
    return FoundFile(relative, status.st_size, state_of(status))


def _linked(top: str, relative: str) -> os.stat_result:
    """Follow a link, if it stays inside the folder and ends at a file."""
    path = os.path.join(top, relative)
    target, inside = os.path.realpath(path), os.path.realpath(top)
    if os.path.commonpath([target, inside]) != inside:
        raise InvalidArgument(f"the link {relative!r} in {top!r} leads outside, to {target!r}; replace it by a copy")
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidArgument(f"the link {relative!r} in {top!r} leads to nothing ({error.strerror})") from None
    if stat.S_ISDIR(status.st_mode):
        raise InvalidArgument(f"the link {relative!r} in {top!r} leads to a folder; replace it by a copy")
    return status


def hash_tree(root: str | os.PathLike[str], algorithm: str = DEFAULT_ALGORITHM) -> TreeDigest:
    """Hash every byte of every file below a folder, several files at a time.

    Args:
        root: The folder.
        algorithm: Name of the algorithm for files and folder.

    Raises:
        PathNotFound: There is no such folder.
        UnreadablePath: This process may not read it or one of its files.
        InvalidArgument: It holds no file at all, or something that cannot be stored (see `list_files`).
        SourceChanged: A file vanished or changed its size in the meantime.

    Examples:
        >>> Path("plots").mkdir()
        >>> _ = Path("plots/a.svg").write_text("<svg/>")
        >>> before = hash_tree("plots")
        >>> _ = Path("plots/a.svg").rename("plots/b.svg")
        >>> before.n_files, hash_tree("plots").digest == before.digest
        (1, False)
    """
    check_algorithm(algorithm)
    files = list_files(root)
    if not files:
        raise InvalidArgument(f"the folder {os.fspath(root)!r} holds no files; an empty folder has no content to store")
    entries = tuple(hash_files(root, files, algorithm))
    return TreeDigest(
        digest=tree_digest(entries, algorithm),
        size=sum(entry.size for entry in entries),
        n_files=len(entries),
        entries=entries,
    )


def stamp_of_files(states: Mapping[str, FileState]) -> str:
    """Return a text that changes when a file of a folder is written, replaced, added or removed.

    Args:
        states: The states of all files, by the path relative to the folder.
    """
    lines = (f"{path}\0{state.size}\0{stamp_of(state)}" for path, state in sorted(states.items()))
    return hash_bytes("\n".join(lines).encode(), DEFAULT_ALGORITHM).value


def hash_files(
    root: str | os.PathLike[str], files: Sequence[FoundFile], algorithm: str = DEFAULT_ALGORITHM
) -> list[FileEntry]:
    """Hash every byte of files that `list_files` found, several at a time.

    Args:
        root: The folder that was listed.
        files: Files below it.
        algorithm: Name of the algorithm.

    Returns:
        One entry for each file, in their order.

    Raises:
        UnreadablePath: This process may not read a file.
        SourceChanged: A file vanished or changed its size in the meantime.
    """
    check_algorithm(algorithm)
    top = Path(root)
    # Small files are hashed side by side, a large one by several threads: either way all cores are busy.
    small = [file for file in files if file.size < _LARGE]
    values: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        batches = [small[i : i + _BATCH] for i in range(0, len(small), _BATCH)]
        for batch in pool.map(partial(_hash_batch, top, algorithm), batches):
            values.update(batch)
    for file in files:
        if file.size >= _LARGE:
            values[file.path] = _hash_found(top, file, algorithm, parallel=True)
    return [FileEntry(file.path, file.size, values[file.path]) for file in files]


def _hash_batch(top: Path, algorithm: str, files: list[FoundFile]) -> dict[str, str]:
    return {file.path: _hash_found(top, file, algorithm, parallel=False) for file in files}


def _hash_found(top: Path, file: FoundFile, algorithm: str, *, parallel: bool) -> str:
    path = top / file.path
    try:
        digest, size = measure_file(path, algorithm, parallel=parallel)
    except PathNotFound:
        raise SourceChanged(
            f"{str(path)!r} vanished while its folder was hashed; try again when it is at rest"
        ) from None
    if size != file.size:
        raise SourceChanged(
            f"{str(path)!r} changed from {file.size:,} to {size:,} bytes while its folder was hashed; "
            "try again when it is at rest"
        )
    return digest.value


def tree_digest(entries: Iterable[FileEntry], algorithm: str = DEFAULT_ALGORITHM) -> Digest:
    """Return the digest of a folder from those of its files.

    The order of the entries does not matter. Every part is preceded by its length, so that no two different folders
    give the same bytes to hash.

    Args:
        entries: The files of the folder.
        algorithm: Name of the algorithm; the digest's own is `<algorithm>-tree`.

    Raises:
        InvalidArgument: The algorithm is unknown, or two entries have the same path.
    """
    hasher = Hasher(algorithm, parallel=False)
    hasher.update(_HEADER)
    previous: str | None = None
    for entry in sorted(entries, key=lambda entry: entry.path.encode()):
        if entry.path == previous:
            raise InvalidArgument(f"the path {entry.path!r} occurs twice")
        previous = entry.path
        for part in (entry.path.encode(), str(entry.size).encode(), entry.value.encode()):
            hasher.update(len(part).to_bytes(8, "big") + part)
    return Digest(algorithm + TREE, hasher.digest().value)
