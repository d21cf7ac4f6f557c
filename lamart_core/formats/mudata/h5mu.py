"""MuData in one HDF5 file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.formats.arrays.hdf5_file import open_hdf5, root_encoding
from lamart_core.formats.arrays.open_store import OpenStore, opened
from lamart_core.formats.containers.accessor import quiet
from lamart_core.formats.containers.contents import Store
from lamart_core.formats.containers.proof import prove_readable_mudata
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.libraries import PythonType
from lamart_core.formats.mudata.accessor import check_root
from lamart_core.formats.mudata.base import MuDataFormat, untouched


class H5muFormat(MuDataFormat):
    """MuData as .h5mu, written by ``mudata.write_h5mu``."""

    name = "h5mu"
    suffixes: ClassVar[tuple[str, ...]] = (".h5mu",)
    shared_suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")
    options_name = "h5mu_kwargs"
    # What mudata passes on to h5py for every array, whatever its shape.
    keywords: ClassVar[frozenset[str]] = frozenset({"compression", "compression_opts", "shuffle", "fletcher32"})

    def recognises(self, path: ReadablePath, suffix: str) -> bool:
        """Whether the root of the file is marked as a MuData."""
        return root_encoding(path) == "mudata"

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._require("Writing")
        import h5py
        import mudata as md

        mdata = untouched(obj, Store(self.name, is_hdf5=True))
        with quiet():
            # The function, not the method: that one would make a backed object point to the new file.
            md.write_h5mu(path, mdata, **options)
        with h5py.File(path, "r") as file:
            prove_readable_mudata(file, mdata)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        self._require("Reading")
        import mudata as md

        with opened(self._open_store(path, "r", {})) as file:
            check_root(file)
        with quiet():
            return md.read_h5mu(path, **options)

    def _open_store(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> OpenStore:
        return open_hdf5(path, mode, options)
