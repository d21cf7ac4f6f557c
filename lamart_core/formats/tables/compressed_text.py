"""Tables as compressed text: what reads and writes it besides this library, and text files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

from lamart_core.formats.compression import create, open_expanded, take_max_bytes

# What pyarrow's datasets decompress by themselves, judged by the name of a file.
KNOWN_TO_ARROW = frozenset({None, ".gz", ".bz2"})
# What polars decompresses by itself, judged by the content of a file.
KNOWN_TO_POLARS = frozenset({None, ".gz", ".zst"})


def create_text(path: Path, suffix: str) -> IO[str]:
    """A new text file, compressed as the suffix says."""
    return io.TextIOWrapper(create(path, suffix), encoding="utf-8", newline="")


def open_bounded(path: Path, suffix: str, options: dict[str, Any]) -> IO[bytes]:
    """The uncompressed bytes of a file, for a reader that takes them all; takes ``max_bytes`` out of its options."""
    return open_expanded(path, suffix, take_max_bytes(suffix, options))
