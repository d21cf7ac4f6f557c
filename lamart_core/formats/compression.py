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
from pathlib import Path
from typing import IO, Any, cast

from lamart_core.errors import InvalidArgument
from lamart_core.formats.guards import UnreadableContent

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
MAX_RATIO = 100
ALWAYS_ALLOWED = 1 << 30
_BUFFER_BYTES = 1 << 16


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


def create(path: Path, suffix: str) -> IO[bytes]:
    """A new binary file, compressed as the suffix says. Carries neither time nor name: equal content, equal bytes.

    Args:
        path: Where to; need not have the suffix.
        suffix: Suffix of the artifact.
    """
    compression = compression_of(suffix)
    if compression == ".gz":
        return cast("IO[bytes]", _AnonymousGzip(path))
    if compression == ".bz2":
        return cast("IO[bytes]", bz2.BZ2File(path, "wb"))
    if compression == ".xz":
        return cast("IO[bytes]", lzma.LZMAFile(path, "wb"))
    if compression == ".zst":
        import pyarrow as pa

        return io.BufferedWriter(pa.CompressedOutputStream(str(path), "zstd"))
    return path.open("wb")


def open_expanded(path: Path, suffix: str, max_bytes: int | None = None) -> IO[bytes]:
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
    limit = max_bytes if max_bytes is not None else max(ALWAYS_ALLOWED, MAX_RATIO * size)
    return expanded(path.open("rb"), compression, limit=limit)


def expanded(file: IO[bytes], compression: str | None, *, limit: int | None = None) -> IO[bytes]:
    """The expanded bytes of an open file, which is closed along with the result, or when this fails.

    Args:
        file: A local or remote file.
        compression: One of ``COMPRESSIONS``, or None.
        limit: Bytes that may be read of the result; None for any number, which is for streams only.
    """
    if compression is None:
        return file
    try:
        return io.BufferedReader(_Expanded(_expander(file, compression), file, limit), _BUFFER_BYTES)
    except BaseException:
        file.close()
        raise


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


class _AnonymousGzip(gzip.GzipFile):
    """A gzip file without name and time in its header. Closes the file below, which ``GzipFile`` would leave open."""

    def __init__(self, path: Path) -> None:
        self._below = path.open("wb")
        super().__init__(filename="", mode="wb", fileobj=self._below, mtime=0, compresslevel=6)

    def close(self) -> None:
        """Close both files."""
        try:
            super().close()
        finally:
            self._below.close()


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


class _Expanded(io.RawIOBase):
    """Reads from a decompressor, at most so much; closes the file below it too, which decompressors leave open."""

    def __init__(self, stream: IO[bytes], below: IO[bytes], limit: int | None) -> None:
        self._stream = stream
        self._below = below
        self._limit = limit
        self._n_read = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a part of the buffer."""
        content = self._stream.read(len(buffer))
        self._n_read += len(content)
        if self._limit is not None and self._n_read > self._limit:
            raise UnreadableContent(
                f"{getattr(self._below, 'name', 'The file')} expands to more than {self._limit:,} bytes: it may be "
                "made to fill memory. Use cache() and look into it, or pass max_bytes=… if you know what it holds"
            )
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close both."""
        if not self.closed:
            self._stream.close()
            self._below.close()
        super().close()


def read_expanded(path: Path, suffix: str, max_bytes: int | None = None) -> bytes:
    """The expanded bytes of a file; see `open_expanded`."""
    with open_expanded(path, suffix, max_bytes) as stream:
        return stream.read()


def read_beginning(path: Path, suffix: str, n_bytes: int) -> bytes:
    """The first expanded bytes of a file; no more is expanded than they need."""
    with open_expanded(path, suffix) as stream:
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
