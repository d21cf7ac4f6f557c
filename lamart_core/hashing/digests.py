"""Digests, and the algorithms that make them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from lamart_core.errors import InvalidArgument

DEFAULT_ALGORITHM = "blake3"
TREE = "-tree"

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Digest:
    """Identity of a content.

    Attributes:
        algorithm: Name of the algorithm, for example `blake3`; for a folder `blake3-tree`.
        value: The digest in url-safe base64 without padding: 43 characters for blake3, 22 for md5.
        is_exact: Whether equal digests mean equal content. False for what only a server vouches for, such as the
            ETag of an object; content with such a digest is never taken as equal to other content.
    """

    algorithm: str
    value: str
    is_exact: bool = True

    @property
    def is_tree(self) -> bool:
        """Whether this is the digest of a folder."""
        return self.algorithm.endswith(TREE)

    @property
    def file_algorithm(self) -> str:
        """Algorithm that the digests of single files are made with; for a file the algorithm itself."""
        return self.algorithm.removesuffix(TREE)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


class HashState(Protocol):
    """What an algorithm must offer: the part of `hashlib`'s objects that is used here."""

    def update(self, data: Buffer, /) -> object:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """Return the digest of the bytes so far."""
        ...


HashFactory: TypeAlias = Callable[[bool], HashState]


def _blake3(parallel: bool) -> HashState:
    from blake3 import blake3

    return blake3(max_threads=blake3.AUTO if parallel else 1)


def _md5(parallel: bool) -> HashState:
    import hashlib

    return hashlib.md5(usedforsecurity=False)


ALGORITHMS: dict[str, HashFactory] = {"blake3": _blake3, "md5": _md5}


def register_algorithm(name: str, factory: HashFactory) -> None:
    """Make an algorithm known.

    Args:
        name: Its name in digests.
        factory: Called with whether one state may use several threads; returns a fresh state.

    Raises:
        InvalidArgument: The name is taken or ends like that of a tree digest.
    """
    if name in ALGORITHMS:
        raise InvalidArgument(f"there is a hash algorithm {name!r} already")
    if name.endswith(TREE):
        raise InvalidArgument(f"{name!r}: names that end in {TREE!r} belong to the digests of folders")
    ALGORITHMS[name] = factory


def algorithm_names() -> tuple[str, ...]:
    """Return the names of all known algorithms."""
    return tuple(ALGORITHMS)


def check_algorithm(name: str) -> str:
    """Return the name of a known algorithm.

    Raises:
        InvalidArgument: There is no such algorithm.
    """
    if name not in ALGORITHMS:
        raise InvalidArgument(f"unknown hash algorithm {name!r}; there are: {', '.join(ALGORITHMS)}")
    return name


class Hasher:
    """Hashes bytes that come in pieces.

    Args:
        algorithm: Name of the algorithm.
        parallel: Whether large pieces may be hashed by several threads; no when many hashers run at once.

    Attributes:
        algorithm: Name of the algorithm.
        size: Number of bytes so far.

    Raises:
        InvalidArgument: There is no such algorithm.

    Examples:
        >>> hasher = Hasher("md5")
        >>> hasher.update(b"lam")
        >>> hasher.update(b"art")
        >>> hasher.digest() == hash_bytes(b"lamart", "md5")
        True
    """

    def __init__(self, algorithm: str = DEFAULT_ALGORITHM, *, parallel: bool = True) -> None:
        self.algorithm = check_algorithm(algorithm)
        self.size = 0
        self._state = ALGORITHMS[algorithm](parallel)

    def update(self, data: Buffer) -> None:
        """Take more bytes. The interpreter lock is released for large pieces."""
        self._state.update(data)
        self.size += data.nbytes if isinstance(data, memoryview) else len(data)

    def digest(self) -> Digest:
        """Return the digest of all bytes so far."""
        return Digest(self.algorithm, encode(self._state.digest()))


def hash_bytes(data: Buffer, algorithm: str = DEFAULT_ALGORITHM) -> Digest:
    """Return the digest of bytes in memory.

    Raises:
        InvalidArgument: There is no such algorithm.

    Examples:
        >>> hash_bytes(b"", "md5").value
        '1B2M2Y8AsgTpgAmY7PhCfg'
    """
    hasher = Hasher(algorithm)
    hasher.update(data)
    return hasher.digest()


def encode(raw: bytes) -> str:
    """Return raw digest bytes as they are stored: url-safe base64 without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
