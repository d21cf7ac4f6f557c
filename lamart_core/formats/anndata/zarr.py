"""AnnData as a folder of compressed chunks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.formats.anndata.accessor import AnnDataAccessor, lazy_anndata
from lamart_core.formats.anndata.base import AnnDataFormat
from lamart_core.formats.arrays import open_zarr, refuse_pickles, root_attributes, unannounced
from lamart_core.formats.arrays.open_store import OpenStore, opened
from lamart_core.formats.containers.accessor import close_nothing, open_zarr_folder
from lamart_core.formats.containers.base import ZarrContainerFormat, writing_zarr_version
from lamart_core.formats.containers.contents import Store
from lamart_core.formats.containers.prepared import prepared
from lamart_core.formats.containers.proof import prove_readable
from lamart_core.formats.format import ReadablePath

if TYPE_CHECKING:
    import anndata as ad


class AnnDataZarrFormat(ZarrContainerFormat, AnnDataFormat):
    """AnnData as a zarr folder, written by ``AnnData.write_zarr``.

    Version 3 of zarr is written; ``zarr_kwargs={"zarr_format": 2}`` asks for version 2.
    """

    name = "anndata.zarr"
    suffixes: ClassVar[tuple[str, ...]] = (".anndata.zarr",)
    libraries: ClassVar[tuple[str, ...]] = ("anndata", "zarr")
    options_name = "zarr_kwargs"
    keywords: ClassVar[frozenset[str]] = frozenset({"chunks", "convert_strings_to_categoricals", "zarr_format"})
    modes: ClassVar[tuple[str, ...]] = ("r", "r+")

    def recognises(self, path: ReadablePath, suffix: str) -> bool:
        """Whether the root of the store is marked as an AnnData."""
        return root_attributes(path).get("encoding-type") == "anndata"

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._require("Writing")
        from anndata.io import write_zarr

        passed = {k: v for k, v in options.items() if k != "zarr_format"}
        chunks = passed.pop("chunks", None)
        if chunks is not None and not hasattr(obj.X, "format"):  # sparse matrices of any kind have their own chunks
            passed["chunks"] = tuple(chunks)
        adata = prepared(obj, Store(self.name, False, options.get("convert_strings_to_categoricals", True)))
        with writing_zarr_version(options.get("zarr_format", 3)), unannounced():
            write_zarr(path, adata, **passed)
        with opened(self._open_store(path, "r", {})) as group:
            prove_readable(group, adata)

    def _load(self, path: Path, *, is_backed: bool, options: Mapping[str, Any]) -> ad.AnnData:
        from anndata.io import read_zarr

        refuse_pickles(path)
        if is_backed:
            return lazy_anndata(open_zarr(path, mode="r", **options))
        group = open_zarr(path, mode="r")
        return AnnDataAccessor(group, close_nothing, mode="r").with_raw(read_zarr(group, **options))

    def _open_store(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> OpenStore:
        return open_zarr_folder(path, mode, options)
