"""AnnData in one HDF5 file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.errors import InvalidArgument
from lamart_core.formats.anndata.accessor import AnnDataAccessor, check_root
from lamart_core.formats.anndata.base import AnnDataFormat
from lamart_core.formats.anndata.early import EarlyAccessor, is_early
from lamart_core.formats.arrays.hdf5_file import open_hdf5, root_encoding
from lamart_core.formats.arrays.open_store import OpenStore, opened
from lamart_core.formats.containers.contents import Store
from lamart_core.formats.containers.prepared import prepared
from lamart_core.formats.containers.proof import prove_readable
from lamart_core.formats.format import ReadablePath

if TYPE_CHECKING:
    import anndata as ad


class H5adFormat(AnnDataFormat):
    """AnnData as .h5ad, written by ``AnnData.write_h5ad``."""

    name = "h5ad"
    suffixes: ClassVar[tuple[str, ...]] = (".h5ad",)
    shared_suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")
    options_name = "h5ad_kwargs"
    # anndata.AnnData.write_h5ad, and what it passes on to h5py's create_dataset.
    keywords: ClassVar[frozenset[str]] = frozenset(
        {
            "compression",
            "compression_opts",
            "as_dense",
            "convert_strings_to_categoricals",
            "chunks",
            "shuffle",
            "fletcher32",
        }
    )
    modes: ClassVar[tuple[str, ...]] = ("r",)

    def recognises(self, path: ReadablePath, suffix: str) -> bool:
        """Whether the root of the file is marked as an AnnData."""
        return root_encoding(path) == "anndata"

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._require("Writing")
        import h5py
        from anndata.io import write_h5ad

        adata = prepared(obj, Store(self.name, True, options.get("convert_strings_to_categoricals", True)))
        write_h5ad(path, adata, **options)
        with h5py.File(path, "r") as file:
            prove_readable(file, adata)

    def _load(self, path: Path, *, is_backed: bool, options: Mapping[str, Any]) -> ad.AnnData:
        import anndata as ad

        with opened(open_hdf5(path, "r", {})) as file:
            check_root(file)
        passed = {"backed": "r", **options} if is_backed else options
        return ad.read_h5ad(path, **passed)

    def _open_store(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> OpenStore:
        return open_hdf5(path, mode, options)

    def _accessor(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> AnnDataAccessor:
        store = self._open_store(path, mode, options)
        if not is_early(store.group):
            return AnnDataAccessor(store.group, store.close, mode=mode)
        store.close()
        if isinstance(path, Path):
            return EarlyAccessor(path)
        raise InvalidArgument(f"{path} was written by anndata before 0.7: it cannot be opened from afar; load it")
