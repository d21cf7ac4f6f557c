"""Open HDF5 files and zarr folders with annotated tables: what AnnData, MuData and SpatialData have in common."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, cast

from lamart_core.errors import InvalidArgument
from lamart_core.formats.arrays import open_zarr, refuse_pickles, unannounced
from lamart_core.formats.contract import ReadablePath
from lamart_core.formats.open_store import OpenStore


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


def open_zarr_folder(path: ReadablePath, mode: str, options: Mapping[str, Any]) -> OpenStore:
    """Open a local or remote zarr folder; what was written in mode ``"r+"`` is in the consolidated metadata on closing.

    Raises:
        UnreadableContent: It holds pickled values.
    """
    refuse_pickles(path)
    group = open_zarr(path, mode="r", **options)
    if mode == "r":
        return OpenStore(group, group.store.close)
    # The consolidated metadata, if there are any, would hide changes, and must tell of them afterwards.
    was_consolidated = group.metadata.consolidated_metadata is not None
    group = open_zarr(path, mode=mode, **{"use_consolidated": False, **options})

    def close() -> None:
        if was_consolidated:
            consolidate(group.store)
        group.store.close()

    return OpenStore(group, close)


def consolidate(store: Any) -> None:
    """Write the metadata of all groups and arrays of a zarr store into its root, so that opening reads one file."""
    import zarr

    with quiet():
        zarr.consolidate_metadata(store)


@contextmanager
def quiet() -> Generator[None]:
    """Without warnings that are not the user's concern, those of mudata and spatialdata among them."""
    with unannounced():
        # Of a default of mudata 0.4, and of parquet files in a SpatialData.
        for about in ("will not pull obs/var columns", "is not recognized as a component of a Zarr hierarchy"):
            warnings.filterwarnings("ignore", message=f".*{about}.*")
        yield


def ordered(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The same with its keys in order, and those of the mappings in it."""
    return {
        key: ordered(cast("Mapping[str, Any]", mapping[key])) if isinstance(mapping[key], Mapping) else mapping[key]
        for key in sorted(mapping, key=str)
    }
