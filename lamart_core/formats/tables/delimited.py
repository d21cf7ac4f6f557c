"""Comma- and tab-separated text, also compressed.

The index of a pandas frame is written unless it only counts the rows (an unnamed ``RangeIndex`` from 0 in steps of 1),
so no "Unnamed: 0" column appears for the frames that most people have, and row names are not lost. A first column
without a header, which is how pandas and R write row names, is read as the index. A *named* index is an ordinary
column in the text: pass ``index_col="name"`` to get it back. ``csv_kwargs={"index": …}`` decides otherwise.
"""

from __future__ import annotations

import bz2
import csv
import functools
import gzip
import io
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

from lamart_core.errors import InvalidArgument, UnsupportedObject
from lamart_core.formats.libraries import ArrowTable
from lamart_core.formats.tables.base import TableFormat, check_keywords, parameters_of, require_polars

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}
# Options of pandas.read_csv with which the caller decides about index and header.
_DECIDES_INDEX = frozenset({"index_col", "header", "names", "usecols", "skiprows", "sep", "delimiter", "dialect"})

_RESERVED = {
    "path_or_buf": "the place is chosen by the registry",
    "mode": "the place is chosen by the registry",
    "storage_options": "the place is chosen by the registry",
    "compression": "the suffix decides: .csv, .csv.gz, .csv.bz2 or .csv.xz",
    "encoding": "text is stored as UTF-8",
    "errors": "text is stored as UTF-8",
}


class DelimitedFormat(TableFormat):
    """Tables as delimited text, written by ``DataFrame.to_csv`` and read by ``pandas.read_csv``."""

    options_name = "csv_kwargs"
    separator: ClassVar[str]

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        known = _writer_keywords() if options else frozenset[str]()
        check_keywords("csv_kwargs", options, known, reserved=_RESERVED)

    def _write_pandas(self, df: pd.DataFrame, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        if df.shape[1] == 0:
            raise UnsupportedObject(f"{self.name} cannot hold a table without columns: use .parquet")
        passed: dict[str, Any] = {"sep": self.separator, "index": not _only_counts_rows(df), "lineterminator": "\n"}
        passed |= options
        with _create_text(path, suffix) as file:
            df.to_csv(file, **passed)

    def _write_arrow(self, table: ArrowTable, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        import pandas as pd

        # Arrow-backed columns keep integers with missing values integers; the index, if any, comes from the metadata.
        self._write_pandas(table.to_pandas(types_mapper=pd.ArrowDtype), path, suffix, options)

    def _read_pandas(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pd.DataFrame:
        import pandas as pd

        compression = _compression(suffix)
        passed: dict[str, Any] = {"compression": compression, **options}
        if "delimiter" not in passed:
            passed.setdefault("sep", self.separator)
        if not _DECIDES_INDEX & options.keys() and self._first_header_is_empty(path, compression):
            passed["index_col"] = 0
        return pd.read_csv(path, **passed)

    def _first_header_is_empty(self, path: Path, compression: str | None) -> bool:
        with open_text(path, compression) as file:
            header = next(csv.reader(file, delimiter=self.separator), [])
        return len(header) > 1 and header[0] == ""

    def _read_arrow(self, path: Path, suffix: str, options: Mapping[str, Any]) -> ArrowTable:
        from pyarrow import csv as arrow_csv

        parse = options.get("parse_options") or arrow_csv.ParseOptions(
            delimiter=self.separator, newlines_in_values=True
        )
        with open_binary(path, _compression(suffix)) as file:
            return arrow_csv.read_csv(file, **{**options, "parse_options": parse})

    def dataset_format(self, suffix: str) -> Any:
        """Delimited text with this separator."""
        if _compression(suffix) == "xz":
            raise InvalidArgument(f"{suffix!r} cannot be streamed by pyarrow: load it, or compress it with gzip")
        import pyarrow.dataset as ds
        from pyarrow import csv as arrow_csv

        return ds.CsvFileFormat(parse_options=arrow_csv.ParseOptions(delimiter=self.separator))

    def _scan_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.LazyFrame:
        require_polars(f"Reading a {self.name} file with polars")
        import polars as pl

        passed: dict[str, Any] = {"separator": self.separator, **options}
        if _compression(suffix) in ("bz2", "xz"):  # polars knows gzip and zstd only
            with open_binary(path, _compression(suffix)) as file:
                return pl.read_csv(file.read(), **passed).lazy()
        passed.setdefault("glob", False)
        return pl.scan_csv(path, **passed)


class CsvFormat(DelimitedFormat):
    """Comma-separated text."""

    name = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", *(f".csv{c}" for c in COMPRESSIONS))
    separator = ","


class TsvFormat(DelimitedFormat):
    """Tab-separated text."""

    name = "tsv"
    suffixes: ClassVar[tuple[str, ...]] = (".tsv", *(f".tsv{c}" for c in COMPRESSIONS))
    separator = "\t"


def _only_counts_rows(df: pd.DataFrame) -> bool:
    import pandas as pd

    index = df.index
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None


def _compression(suffix: str) -> str | None:
    return COMPRESSIONS.get("." + suffix.rpartition(".")[2])


def _create_text(path: Path, suffix: str) -> IO[str]:
    """A new text file; its compressed form carries neither time nor file name, so equal content gives equal bytes."""
    return io.TextIOWrapper(_create_binary(path, _compression(suffix)), encoding="utf-8", newline="")


def _create_binary(path: Path, compression: str | None) -> IO[bytes]:
    if compression == "gzip":
        return cast("IO[bytes]", _AnonymousGzip(path))
    if compression == "bz2":
        return cast("IO[bytes]", bz2.BZ2File(path, "wb"))
    if compression == "xz":
        return cast("IO[bytes]", lzma.LZMAFile(path, "wb"))
    return path.open("wb")


class _AnonymousGzip(gzip.GzipFile):
    """A gzip file without name and time in its header. Closes the file below, which ``GzipFile`` would leave open."""

    def __init__(self, path: Path) -> None:
        self._below = path.open("wb")
        super().__init__(filename="", mode="wb", fileobj=self._below, mtime=0, compresslevel=6)

    def close(self) -> None:
        super().close()
        self._below.close()


def open_binary(path: Path, compression: str | None) -> IO[bytes]:
    """The uncompressed bytes of a file."""
    if compression == "gzip":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if compression == "bz2":
        return cast("IO[bytes]", bz2.open(path, "rb"))
    if compression == "xz":
        return cast("IO[bytes]", lzma.open(path, "rb"))
    return path.open("rb")


def open_text(path: Path, compression: str | None) -> IO[str]:
    """The uncompressed text of a file."""
    return io.TextIOWrapper(open_binary(path, compression), encoding="utf-8", newline="")


@functools.cache
def _writer_keywords() -> frozenset[str]:
    import pandas as pd

    return parameters_of(pd.DataFrame.to_csv) - set(_RESERVED)
