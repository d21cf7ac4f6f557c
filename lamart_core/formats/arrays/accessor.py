"""Lazy access to arrays of any kind."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from lamart_core.errors import InvalidArgument


class Closable:
    """An open store that is closed once, by ``close`` or at the end of a ``with`` block."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._closed = False
        self._then: Callable[[bool], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(keep=error is None)

    def close(self) -> None:
        """Release the store; closing twice is fine. What was read stays."""
        self._end(keep=True)

    def when_closed(self, then: Callable[[bool], None]) -> None:
        """Have ``then`` called once the store is closed: with True, or with False if an error ended its use."""
        self._then = then

    def _end(self, *, keep: bool) -> None:
        if self._closed:
            return
        self._closed = True
        then, self._then = self._then, None
        try:
            self._close()
        except BaseException:
            if then is not None:
                then(False)
            raise
        if then is not None:
            then(keep)

    def _check_open(self) -> None:
        """Raise InvalidArgument if the store is closed."""
        if self._closed:
            raise InvalidArgument("The store is closed: what was not read yet can only be read inside the with block")


class BackedAccessor(Closable):
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
        super().__init__(close)
        self.connection = connection
        self.storage = storage

    def __repr__(self) -> str:
        return f"BackedAccessor({'closed' if self._closed else repr(self.storage)})"
