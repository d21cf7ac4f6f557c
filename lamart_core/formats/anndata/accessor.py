"""Lazy access to a stored AnnData: annotations in memory, matrices on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from lamart_core.errors import InvalidArgument
from lamart_core.formats.arrays import unannounced

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd


class AnnDataAccessor:
    """An open AnnData store, used similarly to an ``AnnData`` object.

    ``obs`` and ``var`` are read when the store is opened; ``X``, ``layers``, ``obsm`` and the like stay on disk, and
    slicing reads what is asked for. Close it, or use it as a context manager.

    Example:
        .. code-block:: python

            with artifact.open() as store:
                t_cells = store[store.obs["cell_type"] == "T cell"].to_memory()
    """

    def __init__(self, group: Any, close: Callable[[], None], *, mode: str) -> None:
        self._group = group
        self._close = close
        self._mode = mode
        self._closed = False
        self._then: Callable[[bool], None] | None = None
        try:
            self._adata = lazy_anndata(group)
        except BaseException:
            close()
            raise

    def __enter__(self) -> AnnDataAccessor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(keep=error is None)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"mode {self._mode!r}"
        return f"AnnDataAccessor({self._adata.n_obs} × {self._adata.n_vars}, {state})"

    def __getitem__(self, index: Any) -> ad.AnnData:
        """A lazy view of some observations and variables; ``.to_memory()`` reads it."""
        return self._open_adata()[index]

    @property
    def obs(self) -> pd.DataFrame:
        """Annotation of observations."""
        return cast("pd.DataFrame", self._adata.obs)

    @property
    def var(self) -> pd.DataFrame:
        """Annotation of variables."""
        return cast("pd.DataFrame", self._adata.var)

    @property
    def obs_names(self) -> pd.Index:
        """Names of observations."""
        return self._adata.obs_names

    @property
    def var_names(self) -> pd.Index:
        """Names of variables."""
        return self._adata.var_names

    @property
    def n_obs(self) -> int:
        """Number of observations."""
        return int(self._adata.n_obs)

    @property
    def n_vars(self) -> int:
        """Number of variables."""
        return int(self._adata.n_vars)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of observations and variables."""
        return (self.n_obs, self.n_vars)

    @property
    def X(self) -> Any:
        """The matrix on disk; slicing reads."""
        return self._open_adata().X

    @property
    def layers(self) -> Mapping[str, Any]:
        """Further matrices of the same shape, on disk."""
        return self._open_adata().layers

    @property
    def obsm(self) -> Mapping[str, Any]:
        """Multi-dimensional annotation of observations."""
        return self._open_adata().obsm

    @property
    def varm(self) -> Mapping[str, Any]:
        """Multi-dimensional annotation of variables."""
        return self._open_adata().varm

    @property
    def obsp(self) -> Mapping[str, Any]:
        """Pairwise annotation of observations."""
        return self._open_adata().obsp

    @property
    def varp(self) -> Mapping[str, Any]:
        """Pairwise annotation of variables."""
        return self._open_adata().varp

    @property
    def uns(self) -> Mapping[str, Any]:
        """Unstructured annotation."""
        return self._adata.uns

    def to_memory(self) -> ad.AnnData:
        """Read everything."""
        return self._open_adata().to_memory()

    def set_column(self, slot: str, name: str, values: Any) -> None:
        """Add or replace a column of ``obs`` or ``var``, in the store and here; needs mode ``"r+"``.

        Raises:
            InvalidArgument: The store is read-only, or ``slot`` is neither ``"obs"`` nor ``"var"``.
        """
        if self._mode != "r+":
            raise InvalidArgument(f"The store was opened with mode {self._mode!r}: open it with mode 'r+' to write")
        if slot not in ("obs", "var"):
            raise InvalidArgument(f"Columns can be set in 'obs' and 'var', not in {slot!r}")
        from anndata.io import write_elem

        changed = getattr(self._open_adata(), slot).assign(**{name: values})
        with unannounced():
            write_elem(self._group, slot, changed)
        setattr(self._adata, slot, changed)

    def close(self) -> None:
        """Release the store; closing twice is fine."""
        self._end(keep=True)

    def when_closed(self, then: Callable[[bool], None]) -> None:
        """Have ``then`` called once the store is closed: with True, or with False if an error ended its use."""
        self._then = then

    def _end(self, *, keep: bool) -> None:
        if self._closed:
            return
        self._closed = True
        then, self._then = self._then or _nothing, None
        try:
            self._close()
        except BaseException:
            then(False)
            raise
        then(keep)

    def _open_adata(self) -> ad.AnnData:
        if self._closed:
            raise InvalidArgument("The store is closed: what is on disk can only be read inside the with block")
        return self._adata


def _nothing(keep: bool) -> None:
    """For a store that nobody waits for."""


def check_root(group: Any) -> None:
    """Raise ValueError for a store that is no AnnData or lacks its annotations, which readers would make up.

    The mark at the root is what tells an AnnData from other zarr folders. HDF5 files of early versions have none.
    """
    marked = dict(group.attrs).get("encoding-type") == "anndata"
    if not marked and not hasattr(group, "file"):
        raise ValueError("the root is not marked as an AnnData (attribute encoding-type)")
    missing = [name for name in ("obs", "var") if name not in group]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing")


def lazy_anndata(group: Any) -> ad.AnnData:
    """An AnnData over an open h5py or zarr group whose matrices stay on disk."""
    import anndata as ad
    from anndata.io import read_elem

    check_root(group)
    parts: dict[str, Any] = {name: read_elem(group[name]) for name in ("obs", "var", "uns") if name in group}
    for name in ("obsm", "varm", "layers", "obsp", "varp"):
        if name in group:
            parts[name] = {key: _lazy(group[name][key]) for key in group[name]}
    if "X" in group:
        parts["X"] = _lazy(group["X"])
    else:
        parts["shape"] = (len(parts["obs"]), len(parts["var"]))
    return ad.AnnData(**parts)


def _lazy(element: Any) -> Any:
    from anndata.io import read_elem, sparse_dataset

    encoding = str(dict(element.attrs).get("encoding-type", "array"))
    if encoding in ("csr_matrix", "csc_matrix"):
        return sparse_dataset(element)
    # Tables and the like are annotation, not matrices.
    return element if encoding == "array" else read_elem(element)
