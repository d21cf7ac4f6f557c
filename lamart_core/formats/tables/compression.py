"""Compressed text: by the last part of the suffix, with equal bytes for equal content."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

COMPRESSIONS: Mapping[str, str] = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
# What pyarrow's datasets decompress by themselves, judged by the name of a file.
KNOWN_TO_ARROW = frozenset({None, "gzip", "bz2"})
# What polars decompresses by itself, judged by the content of a file.
KNOWN_TO_POLARS = frozenset({None, "gzip", "zstd"})
_BUFFER_BYTES = 1 << 16


def with_compressions(suffix: str) -> tuple[str, ...]:
    """A suffix, plain and with each compression.

    Example:
        >>> with_compressions(".csv")
        ('.csv', '.csv.gz', '.csv.bz2', '.csv.xz', '.csv.zst')
    """
    return (suffix, *(suffix + compressed for compressed in COMPRESSIONS))


def compression_of(suffix: str) -> str | None:
    """Name of the compression that a suffix tells; None for none."""
    return COMPRESSIONS.get("." + suffix.rpartition(".")[2])


def create_text(path: Path, suffix: str) -> IO[str]:
    """A new text file; its compressed form carries neither time nor file name, so equal content gives equal bytes."""
    return io.TextIOWrapper(_create_binary(path, compression_of(suffix)), encoding="utf-8", newline="")


def open_binary(path: Path, compression: str | None) -> IO[bytes]:
    """The uncompressed bytes of a file."""
    file = path.open("rb")
    try:
        return decompressed(file, compression)
    except BaseException:
        file.close()
        raise


def open_text(path: Path, compression: str | None) -> IO[str]:
    """The uncompressed text of a file."""
    return io.TextIOWrapper(open_binary(path, compression), encoding="utf-8", newline="")


def decompressed(file: IO[bytes], compression: str | None) -> IO[bytes]:
    """The uncompressed bytes of an open file, which is closed along with the result."""
    readers: dict[str | None, Callable[[Any], Any]] = {
        "gzip": lambda below: gzip.GzipFile(fileobj=below, mode="rb"),
        "bz2": bz2.BZ2File,
        "xz": lzma.LZMAFile,
        "zstd": _read_zstd,
    }
    if compression is None:
        return file
    return io.BufferedReader(_Closing(readers[compression](file), file), _BUFFER_BYTES)


def _create_binary(path: Path, compression: str | None) -> IO[bytes]:
    if compression == "gzip":
        return cast("IO[bytes]", _AnonymousGzip(path))
    if compression == "bz2":
        return cast("IO[bytes]", bz2.BZ2File(path, "wb"))
    if compression == "xz":
        return cast("IO[bytes]", lzma.LZMAFile(path, "wb"))
    if compression == "zstd":
        import pyarrow as pa

        return io.BufferedWriter(pa.CompressedOutputStream(str(path), "zstd"))
    return path.open("wb")


def _read_zstd(file: IO[bytes]) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


class _AnonymousGzip(gzip.GzipFile):
    """A gzip file without name and time in its header. Closes the file below, which ``GzipFile`` would leave open."""

    def __init__(self, path: Path) -> None:
        self._below = path.open("wb")
        super().__init__(filename="", mode="wb", fileobj=self._below, mtime=0, compresslevel=6)

    def close(self) -> None:
        super().close()
        self._below.close()


class _Closing(io.RawIOBase):
    """Reads from a decompressor, and closes the file below it too, which decompressors leave open."""

    def __init__(self, reader: Any, below: IO[bytes]) -> None:
        self._reader = reader
        self._below = below

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        content: bytes = self._reader.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
            self._below.close()
        super().close()
