"""Comma- and tab-separated text, also compressed.

The index of a pandas frame is written unless it only counts the rows (an unnamed ``RangeIndex`` from 0 in steps of 1),
so no "Unnamed: 0" column appears for the frames that most people have, and row names are not lost. A first column
without a header, which is how pandas and R write row names, is read as the index. A *named* index is an ordinary
column in the text: pass ``index_col="name"`` to get it back. ``csv_kwargs={"index": …}`` decides otherwise.

Text keeps no types: categories, times and decimals come back as what their text looks like. Bytes, lists and other
nested values have no text that says what they were, and are refused.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.compression import compression_of, open_expanded, read_beginning, with_compressions
from lamart_core.formats.libraries import PANDAS, ArrowTable
from lamart_core.formats.tables.base import TableFormat, check_keywords, parameters_of, require_polars
from lamart_core.formats.tables.compressed_text import KNOWN_TO_POLARS, create_text, open_bounded
from lamart_core.formats.tables.flat import only_counts_rows
from lamart_core.formats.tables.text_values import check_text, exact_reading

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

# Options of pandas.read_csv with which the caller decides about index and header.
_DECIDES_INDEX = frozenset({"index_col", "header", "names", "usecols", "skiprows", "sep", "delimiter", "dialect"})
# A header is longer only with very many columns, and its beginning will do.
_HEADER_BYTES = 1 << 20
_ROWS_AT_ONCE = 100_000

_RESERVED = {
    "path_or_buf": "the place is chosen by the registry",
    "mode": "the place is chosen by the registry",
    "storage_options": "the place is chosen by the registry",
    "compression": "the suffix decides: .csv, .csv.gz, .csv.bz2, .csv.xz or .csv.zst",
    "encoding": "text is stored as UTF-8",
    "errors": "text is stored as UTF-8",
}


class _Watched:
    """A text file that remembers whether a carriage return was written: rare, and looked for while it passes by."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.has_carriage_return = False

    def write(self, text: str) -> int:
        self.has_carriage_return = self.has_carriage_return or "\r" in text
        return self._file.write(text)


class DelimitedFormat(TableFormat):
    """Tables as delimited text, written by ``DataFrame.to_csv`` and read by ``pandas.read_csv``."""

    options_name = "csv_kwargs"
    separator: ClassVar[str]

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        accepted = _writer_keywords() if options else frozenset[str]()
        check_keywords("csv_kwargs", options, accepted, reserved=_RESERVED)

    def _write_pandas(self, df: pd.DataFrame, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        passed: dict[str, Any] = {"sep": self.separator, "index": not only_counts_rows(df), "lineterminator": "\n"}
        passed |= options
        check_text(df, self.name, with_index=bool(passed["index"]) and "index_label" not in options)
        if df.index.names[0] is not None:
            # pandas writes no name for an index whose name is 0 or False.
            passed.setdefault("index_label", [str(name) for name in df.index.names])
        with create_text(path, suffix) as file:
            watched = _Watched(file)
            df.to_csv(watched, **passed)  # pyright: ignore[reportArgumentType, reportCallIssue]  # it only writes
        if watched.has_carriage_return and not {"quoting", "lineterminator"} & options.keys():
            # Python's writer quotes what looks like its own line end, and readers take this for another one.
            with create_text(path, suffix) as file:
                df.to_csv(file, **passed, quoting=csv.QUOTE_NONNUMERIC)

    def _write_arrow(self, table: ArrowTable, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        import pandas as pd
        import pyarrow as pa

        for position, field in enumerate(table.schema):
            is_extension = isinstance(field.type, pa.BaseExtensionType)
            if is_extension or pa.types.is_nested(field.type) or field.type in (pa.binary(), pa.large_binary()):
                raise UnsupportedObject(
                    f"{self.name} has no text for column {field.name!r} of {field.type}: use .parquet"
                )
            if field.type == pa.string_view():  # which pandas cannot write
                table = table.set_column(position, field.name, table.column(position).cast(pa.large_string()))
        # Arrow-backed columns keep integers with missing values integers; the index, if any, comes from the metadata.
        self._write_pandas(table.to_pandas(types_mapper=pd.ArrowDtype), path, suffix, options)

    def _read_pandas(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pd.DataFrame:
        passed: dict[str, Any] = dict(options)
        if "delimiter" not in passed:
            passed.setdefault("sep", self.separator)
        if passed.get("engine", "c") == "c" and "float_precision" not in passed:
            passed = {**exact_reading(), **passed}
        levels = 0 if _DECIDES_INDEX & options.keys() else self._unnamed_levels(path, suffix)
        if levels:
            passed["index_col"] = list(range(levels))
        df = self._read_csv(path, suffix, passed)
        is_frame = PANDAS.matches(df)  # and not a reader of some rows at a time, for who passed chunksize
        return df.rename_axis([None] * levels) if levels and is_frame else df

    def _read_csv(self, path: Path, suffix: str, passed: dict[str, Any]) -> pd.DataFrame:
        import pandas as pd

        if compression_of(suffix) is not None and "compression" not in passed:
            with open_bounded(path, suffix, passed) as file:
                return pd.read_csv(file, **passed)
        passed.setdefault("compression", None)
        return pd.read_csv(path, **passed)

    def is_whole(self, path: Path, suffix: str) -> bool:
        """Whether it is text with as many cells in each row."""
        import pandas as pd

        try:
            with open_bounded(path, suffix, {}) as file:
                for _ in pd.read_csv(file, sep=self.separator, dtype=str, chunksize=_ROWS_AT_ONCE):
                    pass
        except Exception:  # whatever damaged content ends in
            return False
        return True

    def _unnamed_levels(self, path: Path, suffix: str) -> int:
        """How many columns at the beginning have no name."""
        beginning = read_beginning(path, suffix, _HEADER_BYTES).decode(errors="replace")
        try:
            header = next(csv.reader(io.StringIO(beginning, newline=""), delimiter=self.separator), [])
        except csv.Error:  # no header that could have an empty cell: the reader will tell
            return 0
        return sum(1 for _ in itertools.takewhile(lambda cell: cell == "", header[:-1]))

    def _read_arrow(self, path: Path, suffix: str, options: Mapping[str, Any]) -> ArrowTable:
        from pyarrow import csv as arrow_csv

        passed: dict[str, Any] = dict(options)
        with open_bounded(path, suffix, passed) as file:
            return arrow_csv.read_csv(file, **{"parse_options": self._parse_options(), **passed})

    def dataset_format(self, suffix: str) -> Any:
        """Delimited text with this separator."""
        import pyarrow.dataset as ds

        return ds.CsvFileFormat(parse_options=self._parse_options())

    def _parse_options(self) -> Any:
        """How Arrow reads the text, at once or lazily: a line may end within quotes."""
        from pyarrow import csv as arrow_csv

        return arrow_csv.ParseOptions(delimiter=self.separator, newlines_in_values=True)

    def _scan_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.LazyFrame:
        require_polars(f"Reading a {self.name} file with polars")
        import polars as pl

        passed: dict[str, Any] = {"separator": self.separator, "infer_schema_length": None, **options}
        if compression_of(suffix) not in KNOWN_TO_POLARS:
            with open_expanded(path, suffix) as file:
                return pl.read_csv(file.read(), **passed).lazy()
        passed.setdefault("glob", False)
        return pl.scan_csv(path, **passed)

    def _read_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.DataFrame:
        if compression_of(suffix) is None:
            return super()._read_polars(path, suffix, options)
        require_polars(f"Reading a {self.name} file with polars")
        import polars as pl

        passed: dict[str, Any] = {"separator": self.separator, "infer_schema_length": None, **options}
        with open_bounded(path, suffix, passed) as file:
            return pl.read_csv(file.read(), **passed)


class CsvFormat(DelimitedFormat):
    """Comma-separated text."""

    name = "csv"
    suffixes: ClassVar[tuple[str, ...]] = with_compressions(".csv")
    separator = ","


class TsvFormat(DelimitedFormat):
    """Tab-separated text."""

    name = "tsv"
    suffixes: ClassVar[tuple[str, ...]] = with_compressions(".tsv")
    separator = "\t"


@functools.cache
def _writer_keywords() -> frozenset[str]:
    import pandas as pd

    return parameters_of(pd.DataFrame.to_csv) - set(_RESERVED)
