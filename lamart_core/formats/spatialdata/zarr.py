"""SpatialData as a folder of chunks and parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import InvalidArgument
from lamart_core.formats.containers.accessor import open_zarr_folder, quiet
from lamart_core.formats.containers.base import ZarrContainerFormat
from lamart_core.formats.format import Preview, ReadablePath
from lamart_core.formats.libraries import SPATIALDATA, PythonType
from lamart_core.formats.spatialdata import elements
from lamart_core.formats.spatialdata.accessor import SpatialDataAccessor
from lamart_core.formats.spatialdata.preview import preview


class SpatialDataFormat(ZarrContainerFormat):
    """SpatialData as a zarr folder, written by ``SpatialData.write`` in its current format."""

    name = "spatialdata.zarr"
    otype: ClassVar[str | None] = "SpatialData"
    suffixes: ClassVar[tuple[str, ...]] = (".spatialdata.zarr",)
    libraries: ClassVar[tuple[str, ...]] = ("spatialdata",)
    extra: ClassVar[str | None] = "spatialdata"
    accepts: ClassVar[tuple[PythonType, ...]] = (SPATIALDATA,)
    returns: ClassVar[tuple[PythonType, ...]] = (SPATIALDATA,)
    modes: ClassVar[tuple[str, ...]] = ("r", "r+")

    def default_suffix(self, obj: object) -> str:
        """What other tools expect of such a folder."""
        return ".zarr"

    def recognises(self, path: ReadablePath, suffix: str) -> bool:
        """Whether the root of the store, or one of its elements, is marked as SpatialData."""
        return elements.is_marked(path)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._require("Writing")
        with quiet():
            elements.untouched(obj).write(path)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        self._require("Reading")
        if options:
            raise InvalidArgument(f"A SpatialData is loaded without options, not with {', '.join(options)}")
        elements.check_root(path)
        return elements.in_memory(elements.read(path))

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        self._require("Opening")
        if isinstance(path, Path):
            elements.check_root(path)
        return SpatialDataAccessor(path, open_zarr_folder(path, mode, options), mode=mode)

    def _preview(self, container: Any) -> Preview:
        return preview(container)
