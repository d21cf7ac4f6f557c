"""A store that is open, whatever it was opened with."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OpenStore:
    """An open HDF5 file or zarr folder.

    Attributes:
        group: The h5py or zarr group at its root.
        close: Releases it.
        connection: What it is read through; None: the group itself.
    """

    group: Any
    close: Callable[[], None]
    connection: Any = None


@contextmanager
def opened(store: OpenStore) -> Generator[Any]:
    """The root of a store, which is closed at the end of the block."""
    try:
        yield store.group
    finally:
        store.close()
