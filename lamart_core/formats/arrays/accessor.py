"""Lazy access to arrays of any kind."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any


class BackedAccessor:
    """An open zarr, HDF5 or TileDB store. Close it, or use it as a context manager; slicing reads what is asked for.

    Attributes:
        connection: What the bytes come through: a zarr store, an open file, or the TileDB context.
        storage: What is stored: a ``zarr.Group`` or ``zarr.Array``, an ``h5py.File``, a ``tiledb.Array`` or
            ``tiledb.Group``.

    Example:
        .. code-block:: python

            with artifact.open() as store:
                first = store.storage["counts"][:100]
    """

    def __init__(self, connection: Any, storage: Any, close: Callable[[], None]) -> None:
        self.connection = connection
        self.storage = storage
        self._close: Callable[[], None] | None = close

    def __enter__(self) -> BackedAccessor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"BackedAccessor({'closed' if self._close is None else repr(self.storage)})"

    def close(self) -> None:
        """Release the store; closing twice is fine."""
        close, self._close = self._close, None
        if close is not None:
            close()
