"""Lazy access to a stored AnnData: nothing is read before it is asked for, and of matrices no more than that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from lamart_core.errors import InvalidArgument
from lamart_core.formats.anndata.subset import AnnDataSubset, chosen
from lamart_core.formats.arrays import unannounced
from lamart_core.formats.containers.accessor import AnnotatedAccessor, close_nothing, require_members
from lamart_core.formats.containers.contents import Contents, Store
from lamart_core.formats.guards import reading

if TYPE_CHECKING:
    import anndata as ad


class AnnDataAccessor(AnnotatedAccessor):
    """An open AnnData store, used similarly to an ``AnnData`` object.

    ``obs``, ``var`` and ``uns`` are read when they are first used. ``X``, ``raw``, ``layers``, ``obsm`` and the like
    stay where they are, and slicing reads what is asked for. Close it, or use it as a context manager.

    Example:
        .. code-block:: python

            with artifact.open() as store:
                t_cells = store[store.obs["cell_type"] == "T cell"].to_memory()
    """

    def __init__(self, group: Any, close: Callable[[], None], *, mode: str) -> None:
        super().__init__(group, close, check_root)
        self._mode = mode

    def __getitem__(self, index: Any) -> AnnDataSubset:
        """Some observations and variables, by masks, names, numbers or ranges, as ``AnnData`` has it.

        Reads the names only; ``.to_memory()`` reads the rest.
        """
        self._check_open()
        return AnnDataSubset(self, *chosen(self.obs_names, self.var_names, index))

    @cached_property
    def uns(self) -> Mapping[str, Any]:
        """Unstructured annotation."""
        return self._read("uns") if "uns" in self._open_group() else {}

    @property
    def X(self) -> Any:
        """The matrix on disk; slicing reads."""
        group = self._open_group()
        return _on_disk(group["X"]) if "X" in group else None

    @property
    def layers(self) -> Mapping[str, Any]:
        """Further matrices of the same shape, on disk."""
        return self._slot("layers")

    @cached_property
    def raw(self) -> ad.AnnData | None:
        """The raw matrix with all its variables, as a lazy AnnData; None if there is none."""
        import anndata as ad

        parts = self._raw_parts()
        return ad.AnnData(obs=self.obs, **parts) if parts else None

    def lazy(self) -> ad.AnnData:
        """Everything as anndata's own lazy object (``anndata.experimental.read_lazy``), columns of ``obs`` included.

        For annotations that do not fit into memory, or to compute with dask.

        Raises:
            MissingExtra: xarray or dask is not installed.
        """
        from lamart_core.formats.libraries import require

        for library in ("xarray", "dask"):
            require(library, extra="anndata-lazy", purpose="A lazy AnnData")
        from anndata.experimental import read_lazy

        with self._guard():
            return cast("Any", read_lazy)(self._open_group())

    def to_memory(self) -> ad.AnnData:
        """Read everything."""
        from anndata.io import read_elem

        group = self._open_group()
        # There was no mark before anndata 0.8, and another one for modalities before mudata 0.2.
        if dict(group.attrs).get("encoding-type") != "anndata":
            return self._lazy.to_memory()
        with self._guard():
            return self.with_raw(cast("ad.AnnData", read_elem(group)))

    def with_raw(self, adata: ad.AnnData) -> ad.AnnData:
        """What was read of the store, with the raw matrix: anndata takes one without rows for none."""
        raw = None if adata.n_obs else self.raw
        if raw is not None:
            cast(Any, adata).raw = raw.to_memory()
        return adata

    def set_column(self, slot: str, name: str, values: Any) -> None:
        """Add or replace a column of ``obs`` or ``var``, in the store and here; needs mode ``"r+"``.

        Raises:
            InvalidArgument: The store is read-only, or ``slot`` is neither ``"obs"`` nor ``"var"``.
            UnsupportedObject: The column would come back as something else.
        """
        if self._mode != "r+":
            raise InvalidArgument(f"The store was opened with mode {self._mode!r}: open it with mode 'r+' to write")
        if slot not in ("obs", "var"):
            raise InvalidArgument(f"Columns can be set in 'obs' and 'var', not in {slot!r}")
        from anndata.io import write_elem

        group = self._open_group()
        contents = Contents(Store("AnnData", is_hdf5=False))
        changed = contents.frame(getattr(self, slot).assign(**{name: values}), slot, has_names=True)
        contents.check("column")
        with unannounced():
            write_elem(group, slot, changed)
        for stale in ("_lazy", "raw"):
            vars(self).pop(stale, None)
        vars(self)[slot] = changed

    def _raw_parts(self) -> dict[str, Any]:
        """The raw matrix, which stays on disk, and its annotations; empty if there is none."""
        group = self._open_group().get("raw")
        if group is None or not hasattr(group, "keys"):  # zarr has an empty array there
            return {}
        varm = {name: _on_disk(group["varm"][name]) for name in group["varm"]} if "varm" in group else {}
        return {"X": _on_disk(group["X"]), "var": self._read("raw/var"), "varm": varm}

    @cached_property
    def _lazy(self) -> ad.AnnData:
        import anndata as ad

        parts: dict[str, Any] = {name: dict(self._slot(name)) for name in ("obsm", "varm", "layers", "obsp", "varp")}
        parts |= {"X": self.X} if self.X is not None else {"shape": self._shape}
        return ad.AnnData(obs=self.obs, var=self.var, uns=self.uns, raw=self._raw_parts(), **parts)

    def _state(self) -> str:
        return f"mode {self._mode!r}"

    def _slot(self, name: str) -> Mapping[str, Any]:
        group = self._open_group()
        return _Slot(group.get(name, {}), self._check_open)

    def _read(self, name: str) -> Any:
        from anndata.io import read_elem

        with self._guard():
            return read_elem(self._open_group()[name])

    def _guard(self) -> Any:
        return reading(self._group.name if hasattr(self._group, "name") else self._group, "AnnData")


class _Slot(Mapping[str, Any]):
    """The matrices of a slot by name, each looked up when it is asked for."""

    def __init__(self, group: Any, check_open: Callable[[], None]) -> None:
        self._group = group
        self._check_open = check_open

    def __getitem__(self, name: str) -> Any:
        self._check_open()
        return _on_disk(self._group[name])

    def __iter__(self) -> Iterator[str]:
        self._check_open()
        return iter(self._group)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}"


def check_root(group: Any) -> None:
    """Raise ValueError for a store that is no AnnData or lacks its annotations, which readers would make up.

    The mark at the root is what tells an AnnData from other zarr folders. HDF5 files of early versions have none.
    """
    marked = dict(group.attrs).get("encoding-type") == "anndata"
    if not marked and not hasattr(group, "file"):
        raise ValueError("the root is not marked as an AnnData (attribute encoding-type)")
    require_members(group, ("obs", "var"))


def lazy_anndata(group: Any) -> ad.AnnData:
    """An AnnData over an open h5py or zarr group, whose matrices stay on disk."""
    return AnnDataAccessor(group, close_nothing, mode="r")._lazy


def _on_disk(element: Any) -> Any:
    from anndata.io import read_elem, sparse_dataset

    encoding = str(element.attrs.get("encoding-type", "array"))
    if encoding in ("csr_matrix", "csc_matrix") or "h5sparse_format" in element.attrs:
        return sparse_dataset(element)
    # Tables and the like are annotation, not matrices.
    return element if encoding == "array" else read_elem(element)
