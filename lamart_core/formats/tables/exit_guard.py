"""No read of ours runs on while the interpreter ends.

pyarrow reads ahead in threads of its own, also after ``head()`` has what it needs. Through a file of Python such a
read needs the interpreter: where that ends meanwhile, the thread never comes back, and the process waits for it for
ever, or crashes. So reads that begin after the end has begun fail, and the end waits for those under way and for what
becomes of them.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

_STEP_SECONDS = 0.02
_QUIET_STEPS = 5
_QUIET_SHARE = 0.1  # of the time of a step: what is decoded meanwhile takes all of it
_MOST_SECONDS = 20.0


class _Reads:
    """Counts the reads under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._begun = 0
        self._is_ending = False

    @contextmanager
    def one(self) -> Generator[None]:
        """Count a read while it runs.

        Raises:
            OSError: The interpreter ends.
        """
        with self._lock:
            self._begun += 1
            if self._is_ending:
                raise OSError("the interpreter ends: nothing is read any more")
            if self._begun == 1:
                atexit.register(self._end)
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def _end(self) -> None:
        """Wait until no read is under way, and pyarrow's threads have let go of what was read."""
        with self._lock:
            self._is_ending = True
        deadline = time.monotonic() + _MOST_SECONDS
        quiet = 0
        while quiet < _QUIET_STEPS and time.monotonic() < deadline:
            begun, busy, start = self._begun, time.process_time(), time.monotonic()
            time.sleep(_STEP_SECONDS)
            share = (time.process_time() - busy) / (time.monotonic() - start)
            is_quiet = not self._under_way and self._begun == begun and share < _QUIET_SHARE
            quiet = quiet + 1 if is_quiet else 0


_reads = _Reads()
reading_once = _reads.one


class GuardedFile:
    """A file for ``pyarrow.PythonFile``, whose reads do not outlive the interpreter."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        with reading_once():
            return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Return whether it has positions."""
        return self._file.seekable()

    def close(self) -> None:
        """Close the file below."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed
