"""Compressed files: written so that equal content gives equal bytes, and read without letting a small file fill memory.

A suffix says the compression: ``.txt.gz``, ``.json.zst``. What a compressed file may expand to is bounded, because a
few kilobytes can stand for terabytes: by 100 times its size, or 1 GiB where that is more. ``max_bytes=…`` of ``load``
is another bound, for those who know what the file holds.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, cast

from lamart_core.errors import InvalidArgument
from lamart_core.formats.guards import UnreadableContent

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
MAX_RATIO = 100
ALWAYS_ALLOWED = 1 << 30


def with_compressions(*suffixes: str) -> tuple[str, ...]:
    """Suffixes, followed by their compressed forms.

    Example:
        >>> with_compressions(".txt")
        ('.txt', '.txt.gz', '.txt.bz2', '.txt.xz', '.txt.zst')
    """
    return (*suffixes, *(suffix + compression for suffix in suffixes for compression in COMPRESSIONS))


def compression_of(suffix: str) -> str | None:
    """The compression that a suffix ends with, such as ``".gz"``; None without one."""
    last = "." + suffix.rpartition(".")[2]
    return last if last in COMPRESSIONS else None


@contextmanager
def creating(path: Path, suffix: str) -> Generator[IO[bytes]]:
    """A new binary file, compressed as the suffix says. Carries neither time nor name: equal content, equal bytes.

    Args:
        path: Where to; need not have the suffix.
        suffix: Suffix of the artifact.
    """
    with path.open("wb") as file, closing(_compressor(file, compression_of(suffix))) as stream:
        yield stream


def _compressor(file: IO[bytes], compression: str | None) -> IO[bytes]:
    if compression == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6))
    if compression == ".bz2":
        return cast("IO[bytes]", bz2.BZ2File(file, "wb"))
    if compression == ".xz":
        return cast("IO[bytes]", lzma.LZMAFile(file, "wb"))
    if compression == ".zst":
        import pyarrow as pa

        return cast("IO[bytes]", pa.CompressedOutputStream(pa.PythonFile(file, mode="w"), "zstd"))
    return file


@contextmanager
def expanding(path: Path, suffix: str, max_bytes: int | None = None) -> Generator[IO[bytes]]:
    """The expanded bytes of a local file, as a stream that ends in an error when they are too many.

    Args:
        path: The file; one without a compression is not bounded.
        suffix: Suffix of the artifact, which says the compression.
        max_bytes: Bytes that it may expand to; None for the bound that this module documents.

    Raises:
        UnreadableContent: While reading: it expands to more, or is empty, truncated or not compressed like this.
    """
    compression = compression_of(suffix)
    size = path.stat().st_size
    if compression is not None and size == 0:
        raise UnreadableContent(f"{path} is empty, and so no {compression} file")
    with path.open("rb") as file:
        if compression is None:
            yield file
            return
        limit = max_bytes if max_bytes is not None else max(ALWAYS_ALLOWED, MAX_RATIO * size)
        with closing(_expander(file, compression)) as stream:
            yield cast("IO[bytes]", io.BufferedReader(_Bounded(stream, limit, path, size), 1 << 16))


def _expander(file: IO[bytes], compression: str) -> IO[bytes]:
    if compression == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb"))
    if compression == ".bz2":
        return cast("IO[bytes]", bz2.BZ2File(file, "rb"))
    if compression == ".xz":
        # Without a limit, the header of a small file could ask for a dictionary of gigabytes.
        return cast("IO[bytes]", _LimitedXz(file))
    import pyarrow as pa

    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))


class _LimitedXz(io.RawIOBase):
    """An xz stream whose decoder takes at most 128 MiB, what ``xz -9`` needs twice over."""

    _MEMORY = 128 << 20

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(memlimit=self._MEMORY)

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` expanded bytes; none at the end."""
        while True:
            if self._decoder.eof:
                following = (self._decoder.unused_data or self._file.read(1 << 16)).lstrip(b"\0")
                if not following:
                    return b""
                self._decoder = lzma.LZMADecompressor(memlimit=self._MEMORY)
            else:
                following = self._file.read(1 << 16) if self._decoder.needs_input else b""
                if not following and self._decoder.needs_input:
                    raise EOFError("the compressed file ends before its end marker")
            expanded = self._decoder.decompress(following, size)
            if expanded:
                return expanded


class _Bounded(io.RawIOBase):
    """A stream that raises when more is read than it may hold."""

    def __init__(self, stream: IO[bytes], limit: int, path: Path, size: int) -> None:
        self._stream = stream
        self._limit = limit
        self._left = limit
        self._path = path
        self._size = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a part of the buffer."""
        expanded = self._stream.read(len(buffer))
        self._left -= len(expanded)
        if self._left < 0:
            raise UnreadableContent(
                f"{self._path} of {self._size:,} bytes expands to more than {self._limit:,}: it may be made to fill "
                "memory. Use cache() and look into it, or pass max_bytes=… if you know what it holds"
            )
        buffer[: len(expanded)] = expanded
        return len(expanded)


def read_expanded(path: Path, suffix: str, max_bytes: int | None = None) -> bytes:
    """The expanded bytes of a file; see `expanding`."""
    with expanding(path, suffix, max_bytes) as stream:
        return stream.read()


def read_beginning(path: Path, suffix: str, n_bytes: int) -> bytes:
    """The first expanded bytes of a file; no more is expanded than they need."""
    with expanding(path, suffix) as stream:
        return stream.read(n_bytes)


def take_max_bytes(suffix: str, options: dict[str, Any]) -> int | None:
    """Take ``max_bytes`` out of the options of a reader.

    Raises:
        InvalidArgument: It is no number of bytes, or the suffix has no compression.
    """
    if "max_bytes" not in options:
        return None
    value: Any = options.pop("max_bytes")
    if compression_of(suffix) is None:
        raise InvalidArgument(f"max_bytes bounds what a compressed file expands to; {suffix!r} is not compressed")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise InvalidArgument(f"max_bytes is a number of bytes, not {value!r}")
    return value
