"""Hash every byte of a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lamart_core.errors import InvalidArgument, PathNotFound
from lamart_core.hashing.digests import DEFAULT_ALGORITHM, Digest, Hasher

# Large enough that several threads hash one piece at full speed, small enough for many files at once.
PIECE = 16 * 2**20


def hash_file(path: str | os.PathLike[str], algorithm: str = DEFAULT_ALGORITHM, *, parallel: bool = True) -> Digest:
    """Return the digest of all bytes of a file.

    The file is read in pieces and not mapped into memory: that is as fast, and a file that another process truncates
    in the meantime gives another digest and not a bus error.

    Args:
        path: A file, or a link to one.
        algorithm: Name of the algorithm.
        parallel: Whether one large file may be hashed by several threads.

    Raises:
        PathNotFound: There is nothing at the path.
        InvalidArgument: It is a folder, pipe, socket or device, or the algorithm is unknown.

    Examples:
        >>> _ = Path("empty.txt").write_bytes(b"")
        >>> hash_file("empty.txt", "md5")
        Digest(algorithm='md5', value='1B2M2Y8AsgTpgAmY7PhCfg', is_exact=True)
    """
    hasher = Hasher(algorithm, parallel=parallel)
    try:
        check_regular(path, os.stat(path).st_mode)
        with open(path, "rb", buffering=0) as file:
            buffer = bytearray(min(PIECE, max(os.fstat(file.fileno()).st_size, 1)))
            view = memoryview(buffer)
            while count := file.readinto(buffer):
                hasher.update(view[:count])
    except FileNotFoundError:
        raise PathNotFound(f"there is no file {os.fspath(path)!r}") from None
    return hasher.digest()


def check_regular(path: str | os.PathLike[str], mode: int) -> None:
    """Refuse what is not a plain file: opening a pipe would wait for a writer that may never come.

    Raises:
        InvalidArgument: The mode is that of something else.
    """
    if stat.S_ISREG(mode):
        return
    kinds = [
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISLNK, "a link"),
    ]
    kind = next((name for is_kind, name in kinds if is_kind(mode)), "a device")
    raise InvalidArgument(f"{str(Path(path))!r} is {kind}, not a file")
