"""Taking samples."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def seconds(work: Callable[[], T]) -> tuple[float, T]:
    """Return how long `work` took by the wall clock, and what it returned."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


TOUCHED_BYTES = 1 << 30


def settle() -> None:
    """Make the machine forget what came before, so that this sample does not pay for it.

    What earlier turns left in the page cache is written out. And memory is used once and given back: a virtual machine
    returns idle memory to its host, and who uses it first again waits for it, ten times longer than a load takes.
    """
    os.sync()
    with mmap.mmap(-1, TOUCHED_BYTES) as memory:
        for start in range(0, TOUCHED_BYTES, mmap.PAGESIZE):
            memory[start] = 1
