"""Single files of other formats inside a compression or a tar archive, as others publish them: ``.h5ad.gz``.

They are read through a temporary copy, in bounded space. What this library writes compresses inside the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.anndata.h5ad import H5adFormat
from lamart_core.formats.archives import unpack_single_file
from lamart_core.formats.compression import COMPRESSIONS, take_max_bytes
from lamart_core.formats.format import Format
from lamart_core.formats.libraries import ANNDATA, ARROW, PANDAS, POLARS, PythonType
from lamart_core.formats.tables.delimited import CsvFormat, TsvFormat
from lamart_core.formats.tables.parquet import ParquetFormat

_ARCHIVES = tuple(f".tar{compression}" for compression in COMPRESSIONS)


class _PackedFormat(Format):
    """A file of another format, packed. It can be loaded into memory."""

    inner: ClassVar[Format]
    inner_suffix: ClassVar[str]

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        raise UnsupportedObject(f"Objects are written as {self.inner_suffix!r}, which compresses by itself")

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        left = dict(options)
        max_bytes = take_max_bytes(suffix, left)
        with TemporaryDirectory(prefix="lamart-") as folder:
            unpacked = Path(folder, f"unpacked{self.inner_suffix}")
            unpack_single_file(path, suffix, unpacked, max_bytes)
            return self.inner._read(unpacked, self.inner_suffix, target, left)


class PackedH5adFormat(_PackedFormat):
    """A packed .h5ad file."""

    name = "packed h5ad"
    otype: ClassVar[str | None] = H5adFormat.otype
    extra: ClassVar[str | None] = H5adFormat.extra
    inner: ClassVar[Format] = H5adFormat()
    inner_suffix = ".h5ad"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".h5ad{packing}" for packing in (*COMPRESSIONS, *_ARCHIVES))
    returns: ClassVar[tuple[PythonType, ...]] = (ANNDATA,)


class PackedParquetFormat(_PackedFormat):
    """A packed .parquet file."""

    name = "packed parquet"
    otype: ClassVar[str | None] = ParquetFormat.otype
    inner: ClassVar[Format] = ParquetFormat()
    inner_suffix = ".parquet"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".parquet{packing}" for packing in (*COMPRESSIONS, *_ARCHIVES))
    returns: ClassVar[tuple[PythonType, ...]] = (PANDAS, ARROW, POLARS)


class PackedCsvFormat(_PackedFormat):
    """A .csv file in a tar archive."""

    name = "packed csv"
    otype: ClassVar[str | None] = CsvFormat.otype
    inner: ClassVar[Format] = CsvFormat()
    inner_suffix = ".csv"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".csv{packing}" for packing in _ARCHIVES)
    returns: ClassVar[tuple[PythonType, ...]] = (PANDAS, ARROW, POLARS)


class PackedTsvFormat(_PackedFormat):
    """A .tsv file in a tar archive."""

    name = "packed tsv"
    otype: ClassVar[str | None] = TsvFormat.otype
    inner: ClassVar[Format] = TsvFormat()
    inner_suffix = ".tsv"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".tsv{packing}" for packing in _ARCHIVES)
    returns: ClassVar[tuple[PythonType, ...]] = (PANDAS, ARROW, POLARS)
