"""Open HDF5 files and zarr folders with annotated tables: what AnnData, MuData and SpatialData have in common."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from lamart_core.formats.arrays import open_zarr, refuse_pickles, unannounced
from lamart_core.formats.arrays.accessor import Closable
from lamart_core.formats.arrays.open_store import OpenStore
from lamart_core.formats.format import ReadablePath

if TYPE_CHECKING:
    import pandas as pd


class AnnotatedAccessor(Closable, ABC):
    """An open store of matrices whose observations and variables are annotated.

    Annotations are read when they are first used; of names and sizes no more than they are is read.
    """

    def __init__(self, group: Any, close: Callable[[], None], check_root: Callable[[Any], None]) -> None:
        super().__init__(close)
        self._group = group
        try:
            check_root(group)
            self._shape = (count(group["obs"]), count(group["var"]))
        except BaseException:
            close()
            raise

    def __repr__(self) -> str:
        state = "closed" if self._closed else self._state()
        return f"{type(self).__name__}({self.n_obs} × {self.n_vars}, {state})"

    @cached_property
    def obs(self) -> pd.DataFrame:
        """Annotation of observations."""
        return self._read("obs")

    @cached_property
    def var(self) -> pd.DataFrame:
        """Annotation of variables."""
        return self._read("var")

    @cached_property
    def obs_names(self) -> pd.Index:
        """Names of observations."""
        return self._names("obs")

    @cached_property
    def var_names(self) -> pd.Index:
        """Names of variables."""
        return self._names("var")

    @property
    def n_obs(self) -> int:
        """Number of observations."""
        return self._shape[0]

    @property
    def n_vars(self) -> int:
        """Number of variables."""
        return self._shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of observations and variables."""
        return self._shape

    @property
    def obsm(self) -> Mapping[str, Any]:
        """Multi-dimensional annotation of observations."""
        return self._slot("obsm")

    @property
    def varm(self) -> Mapping[str, Any]:
        """Multi-dimensional annotation of variables."""
        return self._slot("varm")

    @property
    def obsp(self) -> Mapping[str, Any]:
        """Pairwise annotation of observations."""
        return self._slot("obsp")

    @property
    def varp(self) -> Mapping[str, Any]:
        """Pairwise annotation of variables."""
        return self._slot("varp")

    def _names(self, slot: str) -> pd.Index:
        import pandas as pd

        if slot in vars(self):
            return vars(self)[slot].index
        name = self._open_group()[slot].attrs["_index"]
        return pd.Index(self._read(f"{slot}/{name}"), name=None if name == "_index" else name)

    @abstractmethod
    def _state(self) -> str:
        """What to say of an open store beside its size."""

    @abstractmethod
    def _read(self, name: str) -> Any:
        """Read an element of the store into memory."""

    @abstractmethod
    def _slot(self, name: str) -> Mapping[str, Any]:
        """The elements of a slot by name; empty if the store does not have it."""

    def _open_group(self) -> Any:
        self._check_open()
        return self._group


def close_nothing() -> None:
    """For an accessor to a part of a store, which is closed with the whole of it."""


def require_members(group: Any, names: Iterable[str]) -> None:
    """Raise ValueError for a store that lacks members, which readers would make up."""
    missing = [name for name in names if name not in group]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing")


def count(annotation: Any) -> int:
    """The number of rows of ``obs`` or ``var``, by the metadata of its index."""
    index = annotation
    if "_index" in annotation.attrs:
        index = annotation[str(annotation.attrs["_index"])]
    while not hasattr(index, "shape"):  # of an encoding that is a group
        index = index["codes" if "codes" in index else "values"]
    # A table that is an array itself: anndata before 0.7.
    return int(index.shape[0])


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
