"""Digest of a single file."""

from __future__ import annotations

import os
import stat

from lamart_core import errors
from lamart_core.hashing.digests import DEFAULT_ALGORITHM, Buffer, Digest, Hasher


def hash_bytes(data: Buffer, algorithm: str = DEFAULT_ALGORITHM) -> Digest:
    """Return the digest of bytes in memory."""
    hasher = Hasher(algorithm)
    hasher.update(data)
    return hasher.digest()


def hash_file(path: str | os.PathLike[str], algorithm: str = DEFAULT_ALGORITHM) -> Digest:
    """Return the digest of all bytes of a local file.

    Args:
        path: An existing regular file.
        algorithm: A name from `ALGORITHMS`.

    Raises:
        PathNotFound: The file is not there.
        InvalidArgument: The path is no regular file (a FIFO would block for ever), or the algorithm is unknown.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise errors.PathNotFound(f"there is no file {os.fspath(path)}") from error
    if not stat.S_ISREG(mode):
        raise errors.InvalidArgument(f"{os.fspath(path)} is no regular file")
    hasher = Hasher(algorithm)
    hasher.update_file(os.fspath(path))
    return hasher.digest()
