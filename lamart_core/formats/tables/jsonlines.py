"""JSON lines: one object per row.

Text, numbers, truth values, lists and structs come back as they were. What JSON has no words for is written as text:
times and dates in ISO 8601, durations too, decimals as their digits. Categories are written as their values, maps as
objects, what is missing as null; bytes, NaN beside null and infinity are refused. A *named* index is an ordinary member
of the objects, an unnamed one that does not only count the rows comes back as the index.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.compression import compression_of, open_expanded, with_compressions
from lamart_core.formats.guards import UnreadableContent
from lamart_core.formats.libraries import ArrowSchema, ArrowTable
from lamart_core.formats.tables.base import TableFormat, require_polars
from lamart_core.formats.tables.compressed_text import KNOWN_TO_POLARS, create_text, open_bounded
from lamart_core.formats.tables.exact import exact_rows
from lamart_core.formats.tables.flat import check_columns, flat_table, with_unnamed_index
from lamart_core.formats.tables.names import check_made_up

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_ROWS_AT_ONCE = 10_000


class JsonLinesFormat(TableFormat):
    """Tables as JSON lines; options of ``load`` are those of ``pandas.read_json``."""

    name = "jsonl"
    suffixes: ClassVar[tuple[str, ...]] = with_compressions(".jsonl", ".ndjson")

    def _write_pandas(self, df: pd.DataFrame, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._write_flat(flat_table(df, self.name), path, suffix)

    def _write_arrow(self, table: ArrowTable, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        if not table.schema.pandas_metadata:
            check_made_up(table.column_names)
        self._write_flat(table, path, suffix)

    def _write_flat(self, table: ArrowTable, path: Path, suffix: str) -> None:
        check_columns(table, self.name)
        if table.num_rows == 0:
            raise UnsupportedObject("jsonl cannot hold a table without rows, whose columns would be lost: use .parquet")
        for field in table.schema:
            if _has_extension(field.type):
                raise UnsupportedObject(f"jsonl has no form for column {field.name!r} of {field.type}: use .parquet")
        # Not by ``DataFrame.to_json``: it rounds numbers to 15 digits.
        with create_text(path, suffix) as file:
            for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
                file.writelines(_line(row) for row in batch.to_pylist(maps_as_pydicts="strict"))

    def _read_pandas(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pd.DataFrame:
        import pandas as pd

        passed: dict[str, Any] = dict(options)
        with open_bounded(path, suffix, passed) as file:
            if passed:
                passed.setdefault("lines", True)
                return with_unnamed_index(pd.read_json(file, **passed))
            # Not by pandas: it turns text that looks like a number or a date into one, and rounds numbers or fails.
            rows = [_row(line) for line in file if not line.isspace()]
        if not rows:
            raise UnreadableContent(f"{path} holds no row")
        return with_unnamed_index(exact_rows(rows))

    def _read_arrow(self, path: Path, suffix: str, options: Mapping[str, Any]) -> ArrowTable:
        from pyarrow import json as arrow_json

        passed: dict[str, Any] = dict(options)
        with open_bounded(path, suffix, passed) as file:
            return arrow_json.read_json(file, **passed)

    def is_whole(self, path: Path, suffix: str) -> bool:
        """Whether each line is an object."""
        try:
            with open_bounded(path, suffix, {}) as file:
                for line in file:
                    if not line.isspace():
                        _row(line)
        except Exception:  # whatever damaged content ends in
            return False
        return True

    def dataset_format(self, suffix: str) -> Any:
        """JSON lines."""
        return "json"

    def _scan_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.LazyFrame:
        require_polars("Reading JSON lines with polars")
        import polars as pl

        if compression_of(suffix) not in KNOWN_TO_POLARS:
            with open_expanded(path, suffix) as file:
                return pl.read_ndjson(file.read(), **options).lazy()
        return pl.scan_ndjson(path, **options)

    def _read_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.DataFrame:
        if compression_of(suffix) is None:
            return super()._read_polars(path, suffix, options)
        require_polars("Reading JSON lines with polars")
        import polars as pl

        passed: dict[str, Any] = dict(options)
        with open_bounded(path, suffix, passed) as file:
            return pl.read_ndjson(file.read(), **passed)


def _has_extension(kind: ArrowSchema) -> bool:
    """Whether a type is one that Arrow does not know by itself, or holds one."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind):
        return isinstance(kind, pa.BaseExtensionType) or _has_extension(kind.value_type)
    return any(_has_extension(kind.field(i).type) for i in range(kind.num_fields))


def _line(row: dict[str, Any]) -> str:
    try:
        return _ENCODER.encode(row) + "\n"
    except (ValueError, TypeError) as error:
        name = next(name for name, value in row.items() if not _has_form(value))
        raise UnsupportedObject(f"jsonl has no form for {row[name]!r} in column {name!r}: use .parquet") from error


def _has_form(value: Any) -> bool:
    try:
        _ENCODER.encode(value)
    except (ValueError, TypeError):
        return False
    return True


def _row(line: bytes) -> dict[str, Any]:
    row = json.loads(line, parse_constant=_no_constant)
    if not isinstance(row, dict):
        raise ValueError(f"a line holds a {type(row).__name__}, not an object")
    return cast("dict[str, Any]", row)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _as_text(value: Any) -> str:
    if isinstance(value, dt.timedelta):
        import pandas as pd

        duration: Any = pd.Timedelta(value)
        return duration.isoformat()
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError(f"no form for {type(value).__qualname__}")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_as_text, separators=(",", ":"))
