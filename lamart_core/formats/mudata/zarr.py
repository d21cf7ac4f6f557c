"""MuData as a folder of compressed chunks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import InvalidArgument
from lamart_core.formats.arrays import open_zarr, root_attributes
from lamart_core.formats.arrays.open_store import OpenStore, opened
from lamart_core.formats.containers.accessor import consolidate, open_zarr_folder, quiet
from lamart_core.formats.containers.base import ZarrContainerFormat, writing_zarr_version
from lamart_core.formats.containers.contents import Store
from lamart_core.formats.containers.proof import prove_readable_mudata
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.libraries import PythonType
from lamart_core.formats.mudata.accessor import read_mudata
from lamart_core.formats.mudata.base import MuDataFormat, untouched


class MuDataZarrFormat(ZarrContainerFormat, MuDataFormat):
    """MuData as a zarr folder, written by ``mudata.write_zarr``.

    Version 3 of zarr is written; ``zarr_kwargs={"zarr_format": 2}`` asks for version 2.
    """

    name = "mudata.zarr"
    suffixes: ClassVar[tuple[str, ...]] = (".mudata.zarr",)
    libraries: ClassVar[tuple[str, ...]] = ("mudata", "zarr")
    options_name = "zarr_kwargs"
    keywords: ClassVar[frozenset[str]] = frozenset({"zarr_format"})

    def recognises(self, path: ReadablePath, suffix: str) -> bool:
        """Whether the root of the store is marked as a MuData."""
        return str(root_attributes(path).get("encoding-type", "")).lower() == "mudata"

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._require("Writing")
        import mudata as md

        mdata = untouched(obj, Store(self.name, is_hdf5=False))
        with writing_zarr_version(options.get("zarr_format", 3)), quiet():
            md.write_zarr(path, mdata)
        group = open_zarr(path, mode="r+")
        consolidate(group.store)
        group.store.close()
        with opened(self._open_store(path, "r", {})) as written:
            prove_readable_mudata(written, mdata)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        self._require("Reading")
        if options:
            raise InvalidArgument(f"A MuData is loaded from zarr without options, not with {', '.join(options)}")
        # mudata's own reader leaves out the raw matrices, and takes observations for shared whatever is stored.
        with opened(self._open_store(path, "r", {})) as group:
            return read_mudata(group)

    def _open_store(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> OpenStore:
        return open_zarr_folder(path, mode, options)
