"""AnnData as a folder of compressed chunks."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.errors import InvalidArgument
from lamart_core.formats.anndata.accessor import AnnDataAccessor, check_root, lazy_anndata
from lamart_core.formats.anndata.base import AnnDataFormat, check_anndata_keywords, require_anndata, unchanged
from lamart_core.formats.arrays import open_zarr, refuse_pickles, root_attributes, unannounced
from lamart_core.formats.contract import ReadablePath
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import require
from lamart_core.formats.open_store import opened
from lamart_core.formats.stores import count, open_zarr_folder

if TYPE_CHECKING:
    import anndata as ad

_KEYWORDS = frozenset({"chunks", "convert_strings_to_categoricals", "zarr_format"})
# The zarr version to write is a process-wide setting of anndata.
_format_lock = threading.Lock()


class AnnDataZarrFormat(AnnDataFormat):
    """AnnData as a zarr folder, written by ``AnnData.write_zarr``.

    Version 3 of zarr is written; ``zarr_kwargs={"zarr_format": 2}`` asks for version 2.
    """

    name = "anndata.zarr"
    suffixes: ClassVar[tuple[str, ...]] = (".anndata.zarr",)
    shared_suffixes: ClassVar[tuple[str, ...]] = (".zarr",)
    is_folder: ClassVar[bool] = True
    options_name = "zarr_kwargs"
    modes: ClassVar[tuple[str, ...]] = ("r", "r+")

    def recognises(self, path: Path, suffix: str) -> bool:
        """Whether the root of the store is marked as an AnnData."""
        return root_attributes(path).get("encoding-type") == "anndata"

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        check_anndata_keywords("zarr_kwargs", options, _KEYWORDS)
        check_zarr_version(options)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        _require("Writing an AnnData as zarr")
        from anndata.io import write_zarr

        passed = {k: v for k, v in options.items() if k != "zarr_format"}
        chunks = passed.pop("chunks", None)
        if chunks is not None and not hasattr(obj.X, "format"):  # sparse matrices of any kind have their own chunks
            passed["chunks"] = tuple(chunks)
        with writing_zarr_version(options.get("zarr_format", 3)), unannounced(), unchanged(obj) as adata:
            write_zarr(path, adata, **passed)

    def _load(self, path: Path, *, is_backed: bool, options: Mapping[str, Any]) -> ad.AnnData:
        _require("Reading an AnnData from zarr")
        from anndata.io import read_zarr

        refuse_pickles(path)
        group = open_zarr(path, mode="r")
        check_root(group)
        if is_backed:
            return lazy_anndata(open_zarr(path, mode="r", **options))
        return read_zarr(path, **options)

    def _accessor(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> AnnDataAccessor:
        _require("Opening an AnnData in zarr")
        store = open_zarr_folder(path, mode, options)
        return AnnDataAccessor(store.group, store.close, mode=mode)

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Length of the index of obs, from the metadata."""
        _require("Reading an AnnData from zarr")
        with reading(path, self.name), opened(open_zarr_folder(path, "r", {})) as group:
            return count(group["obs"])


def check_zarr_version(options: Mapping[str, Any]) -> None:
    """Raise InvalidArgument for a version of zarr that cannot be written."""
    if options.get("zarr_format", 3) not in (2, 3):
        raise InvalidArgument(f"zarr_kwargs: zarr_format is 2 or 3, not {options['zarr_format']!r}")


@contextmanager
def writing_zarr_version(version: int) -> Generator[None]:
    """Make anndata write this version of zarr; one thread at a time, since it is a setting of the process."""
    import anndata as ad

    with _format_lock, ad.settings.override(zarr_write_format=version):
        yield


def _require(purpose: str) -> None:
    require_anndata(purpose)
    require("zarr", extra="zarr", purpose=purpose)
