"""Taking samples."""

from __future__ import annotations

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


def settle() -> None:
    """Write out what earlier turns left in the page cache, so that this turn does not pay for it."""
    os.sync()
