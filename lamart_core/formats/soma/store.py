"""The format of TileDB-SOMA stores."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from upath import UPath

from lamart_core.errors import InvalidArgument, UnsupportedObject
from lamart_core.formats.format import Format, Preview, ReadablePath
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import ANNDATA, EXPERIMENT, MEASUREMENT, SOMA_COLLECTION, PythonType, require
from lamart_core.formats.soma.closing import telling
from lamart_core.formats.soma.experiment_location import experiment_source
from lamart_core.formats.soma.opening import open_for_hashing, open_store, require_soma
from lamart_core.formats.soma.preview import preview_of

if TYPE_CHECKING:
    from lamart_core.hashing import Digest

_OPENED = (EXPERIMENT, MEASUREMENT, SOMA_COLLECTION)


class SomaFormat(Format):
    """A TileDB-SOMA experiment, measurement or collection: opened where it lies, and never loaded as a whole.

    It is written with tiledbsoma and passed as a path or URI; an experiment that is open for reading is copied. Its
    identity is what it holds, not its bytes, which carry times and random names: see
    ``lamart_core.formats.soma.digest``.
    """

    name = "tiledbsoma"
    otype: ClassVar[str | None] = "tiledbsoma"
    suffixes: ClassVar[tuple[str, ...]] = (".tiledbsoma",)
    is_folder: ClassVar[bool] = True
    extra: ClassVar[str | None] = "soma"
    accepts: ClassVar[tuple[PythonType, ...]] = (EXPERIMENT,)
    returns: ClassVar[tuple[PythonType, ...]] = (*_OPENED, ANNDATA)
    modes: ClassVar[tuple[str, ...]] = ("r", "w")
    has_default_type: ClassVar[bool] = False
    needs_own_folder: ClassVar[bool] = True

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        source = experiment_source(obj)
        if isinstance(source, UPath) or "://" in source.removeprefix("file://"):
            raise UnsupportedObject(f"{source} is remote: pass it as a path, it is registered where it lies")
        shutil.copytree(source.removeprefix("file://"), path)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        require_soma("Reading a TileDB-SOMA store")
        if target == ANNDATA:
            return _to_anndata(path, options)
        opened = open_store(path, **options)
        if target.matches(opened):
            return opened
        opened.close()
        raise UnsupportedObject(f"{path} holds a {type(opened).__name__}, not a {target}")

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        require_soma("Opening a TileDB-SOMA store")
        return open_store(path, mode, **options)

    def closing(self, opened: Any, then: Callable[[bool], None]) -> Any:
        """The object itself; see ``Format.closing``."""
        return telling(opened, then)

    def n_observations(self, obj: object) -> int | None:
        """Number of observations of an experiment."""
        return count(obj) if EXPERIMENT.matches(obj) else None

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Number of rows of ``obs``, from headers; None for what is no experiment."""
        require_soma("Counting the observations of a TileDB-SOMA store")
        with reading(path, self.name), open_store(path) as opened:
            return count(opened)

    def content_digest(self, path: Path) -> Digest | None:
        """A digest of all names, schemas, metadata and values.

        Raises:
            UnreadableContent: It is no SOMA store, is damaged, or refers to arrays outside of it.
            MissingExtra: tiledbsoma is not installed.
        """
        require_soma("Hashing a TileDB-SOMA store")
        from lamart_core.formats.soma.digest import digest_of

        with reading(path, self.name), open_for_hashing(path) as opened:
            return digest_of(opened)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Columns of obs, and the measurements with their shapes and layers."""
        require_soma("Previewing a TileDB-SOMA store")
        if not isinstance(obj_or_path, Path):
            return preview_of(obj_or_path)
        with reading(obj_or_path, self.name), open_store(obj_or_path) as opened:
            return preview_of(opened)


def count(opened: Any) -> int | None:
    """Number of rows of the ``obs`` of an open experiment; None where there is none."""
    obs: Any = opened.get("obs") if hasattr(opened, "members") else None
    return int(obs.count) if hasattr(obs, "index_column_names") else None


def _to_anndata(path: Path, options: Mapping[str, Any]) -> Any:
    require("anndata", extra="anndata", purpose="Converting a TileDB-SOMA store")
    import tiledbsoma.io

    with open_store(path) as opened:
        if not EXPERIMENT.matches(opened):
            raise UnreadableContent(f"{path} holds a {type(opened).__name__}: only experiments become an AnnData")
        # tiledbsoma keeps the `raw` of an AnnData as one more measurement of that name.
        measurements = [name for name in sorted(opened.ms) if name != "raw"]
        chosen = options.get("measurement_name") or (measurements[0] if len(measurements) == 1 else None)
        if chosen is None:
            raise InvalidArgument(f"say which measurement: measurement_name=… of {', '.join(measurements)}")
        return tiledbsoma.io.to_anndata(opened, **{**options, "measurement_name": chosen})
