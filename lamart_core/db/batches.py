"""What is too much for one statement, or for the memory, in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

_SIZE = 500  # parameters in one statement; databases have limits


def batches(items: Iterable[T], size: int = _SIZE) -> Iterator[list[T]]:
    """Split items into lists; those of the default size fit into one statement.

    Examples:
        >>> list(batches("abc", 2))
        [['a', 'b'], ['c']]
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
