"""A remote file for HDF5, which jumps about: small reads by blocks that are kept, large ones as they are."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any

from upath import UPath

_BLOCK = 2**17
_KEPT = 256


class RemoteFile(io.RawIOBase):
    """A remote file, opened for reading; at most 32 MiB of it are kept.

    Files of fsspec read ahead by tens of megabytes, and forget them at each jump.
    """

    def __init__(self, path: UPath) -> None:
        self._fs: Any = path.fs
        self._path = path.path
        self._size = int(self._fs.info(self._path)["size"])
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the position on, as far as the file goes."""
        view = memoryview(buffer).cast("B")
        stop = min(self._at + len(view), self._size)
        count = max(0, stop - self._at)
        if count:
            view[:count] = self._range(self._at, stop)
        self._at += count
        return count

    def _range(self, start: int, stop: int) -> bytes:
        if stop - start >= _BLOCK:
            return self._fetch(start, stop)
        numbers = range(start // _BLOCK, (stop - 1) // _BLOCK + 1)
        content = b"".join(self._block(number) for number in numbers)
        begin = start - numbers[0] * _BLOCK
        return content[begin : begin + stop - start]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._fetch(number * _BLOCK, min((number + 1) * _BLOCK, self._size))
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetch(self, start: int, stop: int) -> bytes:
        content: bytes = self._fs.cat_file(self._path, start=start, end=stop)
        if len(content) != stop - start:
            raise EOFError(f"{self._path} ends at {start + len(content)}, and had {self._size} bytes before")
        return content
