"""AnnData as a folder of compressed chunks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.formats.anndata.accessor import check_root, lazy_anndata
from lamart_core.formats.anndata.base import AnnDataFormat, unchanged
from lamart_core.formats.arrays import open_zarr, refuse_pickles, root_attributes, unannounced
from lamart_core.formats.arrays.open_store import OpenStore
from lamart_core.formats.containers.accessor import open_zarr_folder
from lamart_core.formats.containers.base import ZarrContainerFormat, writing_zarr_version
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

    def recognises(self, path: Path, suffix: str) -> bool:
        """Whether the root of the store is marked as an AnnData."""
        return root_attributes(path).get("encoding-type") == "anndata"

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._require("Writing")
        from anndata.io import write_zarr

        passed = {k: v for k, v in options.items() if k != "zarr_format"}
        chunks = passed.pop("chunks", None)
        if chunks is not None and not hasattr(obj.X, "format"):  # sparse matrices of any kind have their own chunks
            passed["chunks"] = tuple(chunks)
        with writing_zarr_version(options.get("zarr_format", 3)), unannounced(), unchanged(obj) as adata:
            write_zarr(path, adata, **passed)

    def _load(self, path: Path, *, is_backed: bool, options: Mapping[str, Any]) -> ad.AnnData:
        from anndata.io import read_zarr

        refuse_pickles(path)
        if is_backed:
            return lazy_anndata(open_zarr(path, mode="r", **options))
        group = open_zarr(path, mode="r")
        check_root(group)
        return read_zarr(group, **options)

    def _open_store(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> OpenStore:
        return open_zarr_folder(path, mode, options)
