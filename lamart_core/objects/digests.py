"""Hashing stored bytes again, in the way that the recorded digest was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Row

from lamart_core import formats, hashing
from lamart_core.hashing import Digest


def local_digest(path: Path, suffix: str, expected: Digest, *, is_folder: bool) -> Digest:
    """Hash a file or folder as the expected digest was made: its bytes, or what they mean to its format.

    Raises:
        UnreadableContent: The digest is that of a format, which cannot read the bytes.
        MissingExtra: The library of that format is not installed.
    """
    if expected.file_algorithm not in hashing.ALGORITHMS:
        made = formats.for_path(path, suffix).content_digest(path)
        if made is not None:
            return made
    if is_folder:
        return hashing.hash_tree(path, expected.file_algorithm).digest
    return hashing.hash_file(path, expected.algorithm)


def digest_of_row(row: Row[Any]) -> Digest | None:
    """Return what the row of a stored object says of its content."""
    return Digest(row.hash_type, row.hash, row.is_exact) if row.hash is not None else None
