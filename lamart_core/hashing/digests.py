"""Digests, and the algorithms that make them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from lamart_core import errors

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Digest:
    """Identity of some content.

    Attributes:
        algorithm: Name of the algorithm; that of a folder ends in `-tree`.
        value: The digest in url-safe base64 without padding.
        is_exact: False for what only a server vouches for; such digests never make two contents equal.
    """

    algorithm: str
    value: str
    is_exact: bool = True


class _Hash(Protocol):
    def update(self, data: Any, /) -> Any: ...
    def digest(self) -> bytes: ...


def _blake3() -> _Hash:
    from blake3 import blake3

    return blake3(max_threads=blake3.AUTO)


def _md5() -> _Hash:
    return hashlib.md5(usedforsecurity=False)


ALGORITHMS: dict[str, Callable[[], _Hash]] = {"blake3": _blake3, "md5": _md5}
DEFAULT_ALGORITHM = "blake3"


class Hasher:
    """Hashes content that arrives in pieces.

    Args:
        algorithm: A name from `ALGORITHMS`.

    Raises:
        InvalidArgument: No such algorithm.

    Examples:
        >>> hasher = Hasher("md5")
        >>> hasher.update(b"abc")
        >>> hasher.digest().value
        'kAFQmDzST7DWlj99KOF_cg'
    """

    def __init__(self, algorithm: str = DEFAULT_ALGORITHM) -> None:
        if algorithm not in ALGORITHMS:
            raise errors.InvalidArgument(f"unknown hash algorithm {algorithm!r}; known: {', '.join(ALGORITHMS)}")
        self.algorithm = algorithm
        self._hash = ALGORITHMS[algorithm]()

    def update(self, data: Buffer) -> None:
        """Take in the next bytes."""
        self._hash.update(data)

    def update_file(self, path: str) -> None:
        """Take in a whole file; memory-mapped and on several threads where the algorithm can."""
        mapped = getattr(self._hash, "update_mmap", None)
        if mapped is not None:
            mapped(path)
            return
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                self._hash.update(chunk)

    def digest(self) -> Digest:
        """Return the digest of all bytes so far."""
        return Digest(self.algorithm, encode(self._hash.digest()))


def encode(raw: bytes) -> str:
    """Return bytes as url-safe base64 without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
