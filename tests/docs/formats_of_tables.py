"""The tables of types in the docs: what each table format gives back, found by saving and loading one of each type."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import polars.testing as pl_testing
import pyarrow as pa

from lamart_core import errors
from lamart_core.formats import for_object, for_suffix
from lamart_core.formats.tables.objects import is_missing, is_of_objects
from tests.formats.table_equality import same_flat, same_frame

SUFFIXES = {"parquet": ".parquet", "ipc": ".feather", "orc": ".orc", "jsonl": ".jsonl", "csv, tsv": ".csv"}
HEAD = "| {} | " + " | ".join(SUFFIXES) + " |\n" + "|---" * (1 + len(SUFFIXES)) + "|\n"
INTRODUCTION = """
## Tables

Made by saving and loading a table of each type: *equal*, *refused* (before anything is stored, with the column and a
way out), or the type in which the same values come back. A *frame* is one of pandas; `load(as_type=…)` gives other
libraries their own view of the file.

- Text formats have no types. Their readers make numbers and truth values of text that is spelled like one, and missing
  values of empty text. Text that would become *another* value is refused: `007`, `1E5`, `NA`, `null`; so are whole
  numbers beyond 2⁵³ beside missing ones, which readers round.
- Missing values of objects (None, NaN, NaT, NA) come back as None. Lists, tuples and arrays come back as arrays, or as
  lists where they hold dicts; a key that only other dicts of the column have is None in a dict.
- Whole numbers with missing ones that come from Arrow, polars or other programs are floats in pandas, as pandas loads
  them, and `Int64` where floats would round them.
- Objects of one column have one type. Refused are those of several (numbers beside text, bytes beside text, dates
  beside moments, moments of several time zones), sets, and objects of other classes.
- Equal tables are equal bytes, however they are cut into chunks, whatever lies under their missing values, and in
  whichever order the keys of dicts are.
- Other programs see text as names of columns that are no text, and text as categories that Arrow has no type for.
  Frames of geopandas are GeoParquet.
- A folder of tables has the columns of all its files, in a type that holds the values of all.

"""
DAY, NOON = dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, 12, 30, 0, 5)
OSLO = zoneinfo.ZoneInfo("Europe/Oslo")
MISSING: Any = None


def _objects(*values: Any) -> pd.Series:
    column = pd.Series([None] * len(values), dtype=object)
    for position, value in enumerate(values):
        column.iat[position] = value
    return column


def _category(categories: Any, **options: Any) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes([1, -1], categories=categories, **options))


def _arrow(values: list[Any], kind: Any) -> pd.Series:
    return pd.Series(pd.array(pa.array(values, kind), dtype=pd.ArrowDtype(kind)))


FRAMES: dict[str, pd.Series] = {
    "`bool`": pd.Series([True, False]),
    "`int8` … `int64`": pd.Series([1, -2], dtype="int16"),
    "`uint8` … `uint64`": pd.Series([1, 2], dtype="uint8"),
    "`float16`": pd.Series([0.5, MISSING], dtype="float16"),
    "`float32`": pd.Series([0.1, MISSING], dtype="float32"),
    "`float64`": pd.Series([0.1 + 0.2, MISSING]),
    "`complex128`": pd.Series([1j]),
    "`Int8` … `UInt64`, none missing": pd.Series([1, 2], dtype="Int64"),
    "`Int8` … `UInt64`, some missing": pd.Series([1, None], dtype="Int64"),
    "`Int64` beyond 2⁵³, some missing": pd.Series([2**60 + 1, None], dtype="Int64"),
    "`Float64`": pd.Series([0.5, None], dtype="Float64"),
    "`boolean`": pd.Series([True, None], dtype="boolean"),
    "`string`": pd.Series(["x", None], dtype="string"),
    "`datetime64`": pd.Series([NOON, None], dtype="datetime64[us]"),
    "`datetime64` with time zone": pd.Series(pd.DatetimeIndex([NOON, None]).tz_localize(OSLO)),
    "`timedelta64`": pd.Series([dt.timedelta(1, 2), None], dtype="timedelta64[us]"),
    "`period`": pd.Series(pd.PeriodIndex(["2020-01", None], freq="M")),
    "`interval`": pd.Series(pd.IntervalIndex.from_breaks([0.5, 1, 2])),
    "`category` of text": _category(["z", "a"], ordered=True),
    "`category` of numbers": _category([2.5, 1.5]),
    "`category` of times with zone": _category(pd.DatetimeIndex([NOON, "2019-07-01"]).tz_localize(OSLO)),
    "`category` of intervals (`pandas.cut`)": pd.Series(pd.cut([0.5, 1.5], 2)),
    "`category` of numbers and text": _category(pd.Index([1, "x"], dtype=object)),
    "`Sparse`": pd.Series(pd.arrays.SparseArray([0, 1])),
    "Arrow-backed numbers, text": _arrow(["x", None], pa.string()),
    "Arrow-backed lists": _arrow([[1], None], pa.list_(pa.int64())),
    "Arrow-backed structs": _arrow([{"a": 1}, None], pa.struct([("a", pa.int64())])),
    "Arrow-backed dictionaries": _arrow(["x", None], pa.dictionary(pa.int8(), pa.string())),
}
OBJECTS: dict[str, pd.Series] = {
    "text": _objects("x", None),
    "text spelled as numbers: `12`": _objects("12", "3"),
    "text like `007`, `1E5`, `NA`": _objects("007", "1"),
    "text with a NUL": _objects("a\0b"),
    "truth values": _objects(True, None),
    "whole numbers": _objects(1, 2),
    "whole numbers, some missing": _objects(1, None),
    "whole numbers beyond 2⁵³, some missing": _objects(2**60 + 1, None),
    "whole numbers beyond 64 bits": _objects(2**70),
    "floats": _objects(0.5, None),
    "decimals": _objects(Decimal("1.50"), None),
    "dates": _objects(DAY, None),
    "times of day": _objects(dt.time(1, 2), None),
    "moments": _objects(NOON, None),
    "moments with a time zone": _objects(NOON.replace(tzinfo=OSLO), None),
    "moments of several time zones": _objects(NOON.replace(tzinfo=OSLO), NOON.replace(tzinfo=dt.UTC)),
    "nanoseconds": _objects(pd.Timestamp("2020-01-02 00:00:00.000000001"), None),
    "durations": _objects(dt.timedelta(1, 2), None),
    "bytes": _objects(b"\xff", None),
    "UUIDs": _objects(UUID(int=1), None),
    "lists": _objects([1, 2], None),
    "tuples": _objects((1, 2), None),
    "arrays": _objects(np.array([1, 2]), None),
    "sets": _objects({1, 2}),
    "dicts": _objects({"b": 1, "a": "x"}, None),
    "dicts of several keys": _objects({"b": 1}, {"a": "x"}),
    "numbers and text": _objects(1, "x"),
    "bytes and text": _objects(b"x", "x"),
    "intervals, periods": _objects(pd.Interval(0, 1)),
    "other objects": _objects(object()),
}
_TWO = pd.DataFrame({"x": [1, 2]})


def _columns(labels: Any) -> pd.DataFrame:
    return pd.DataFrame([[1, 2]], columns=labels)


NAMES: dict[str, pd.DataFrame] = {
    "text": _columns(["a", "b"]),
    "numbers": _columns([0, 1]),
    "text and numbers": _columns(pd.Index(["a", 1], dtype=object)),
    "dates, times, periods, intervals, categories": _columns(pd.period_range("2020-01", periods=2, freq="M")),
    "several levels": _columns(pd.MultiIndex.from_tuples([("a", None), ("a", True)])),
    "None, NaN": _columns(pd.Index(["a", None], dtype=object)),
    "twice the same": _columns(["a", "a"]),
    "index that counts the rows": _TWO,
    "index without a name": _TWO.set_axis(["p", "q"]),
    "index with a name": _TWO.set_axis(pd.Index(["p", "q"], name="i")),
    "index of times, with its step": _TWO.set_axis(pd.date_range("2020", periods=2, freq="MS")),
    "index of several levels without names": _TWO.set_axis(pd.MultiIndex.from_tuples([("p", 1), ("q", 2)])),
    "index with a name that is no text": _TWO.set_axis(pd.Index(["p", "q"], name=7)),
    "index with the name of a column": _TWO.set_axis(pd.Index(["p", "q"], name="x")),
    "no column": _TWO[[]],
    "no row": _TWO.iloc[:0],
    "`attrs` of JSON values": _TWO.copy(),
    "`attrs` of other values, of tuples too": _TWO.copy(),
}
NAMES["`attrs` of JSON values"].attrs = {"a": [1, "x"]}
NAMES["`attrs` of other values, of tuples too"].attrs = {"a": (1, 2)}
ARROW: dict[str, Any] = {
    "integers, floats, bool, null": pa.array([1, None]),
    "strings": pa.array(["x", None]),
    "binary": pa.array([b"x", None]),
    "`decimal128`": pa.array([Decimal("1.50"), None]),
    "`decimal256`, `decimal32`, `decimal64`": pa.array([Decimal("1.50"), None], pa.decimal256(50, 2)),
    "`date32`, `date64`": pa.array([DAY, None]),
    "`time32`, `time64`": pa.array([dt.time(1, 2), None]),
    "`timestamp`": pa.array([NOON, None]),
    "`timestamp` with time zone": pa.array([NOON, None], pa.timestamp("us", "Europe/Oslo")),
    "`duration`": pa.array([dt.timedelta(1), None]),
    "`dictionary`": pa.array(["x", None]).dictionary_encode(),
    "lists": pa.array([[1], None]),
    "structs": pa.array([{"a": 1}, None]),
    "structs without members": pa.array([{}, None], pa.struct([])),
    "maps": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "extension types": pa.array([b"0" * 16, None], pa.uuid()),
    "intervals": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
}
POLARS: dict[str, pl.Series] = {
    "numbers, booleans": pl.Series([0.5, None]),
    "String": pl.Series(["x", None]),
    "Binary": pl.Series([b"x", None]),
    "Date, Time, Datetime, Duration": pl.Series([NOON, None]),
    "Decimal": pl.Series([Decimal("1.50"), None]),
    "Categorical, Enum": pl.Series(["a", None], dtype=pl.Enum(["b", "a"])),
    "List, Array, Struct": pl.Series([{"a": [1]}, None]),
    "Int128, up to 38 digits": pl.Series([2**70, None], dtype=pl.Int128),
    "Int128 in lists and structs": pl.Series([[2**70], None], dtype=pl.List(pl.Int128)),
    "Object": pl.Series([object()], dtype=pl.Object),
}


def section() -> str:
    """This part of the page."""
    parts = [INTRODUCTION, HEAD.format("dtype of a frame"), *_rows(FRAMES, _frame_of, _frame_cell)]
    parts += ["\n", HEAD.format("objects in a frame"), *_rows(OBJECTS, _frame_of, _frame_cell)]
    parts += ["\n", HEAD.format("names and index of a frame"), *_rows(NAMES, lambda df: df, _names_cell)]
    parts += ["\n", HEAD.format("type of Arrow"), *_rows(ARROW, _table_of, _arrow_cell)]
    parts += ["\n", HEAD.format("type of polars"), *_rows(POLARS, _polars_of, _polars_cell)]
    return "".join(parts)


def _rows(samples: dict[str, Any], make: Callable[[Any], Any], cell: Callable[[Path, str, Any], str]) -> list[str]:
    return [f"| {name} | {' | '.join(_cells(make(sample), cell))} |\n" for name, sample in samples.items()]


def _cells(obj: Any, cell: Callable[[Path, str, Any], str]) -> list[str]:
    with TemporaryDirectory() as folder:
        return [_cell(Path(folder, suffix), suffix, obj, cell) for suffix in SUFFIXES.values()]


def _cell(path: Path, suffix: str, obj: Any, cell: Callable[[Path, str, Any], str]) -> str:
    try:
        for_object(obj, suffix).write(obj, path, suffix=suffix)
    except errors.UnsupportedObject:
        return "refused"
    return cell(path, suffix, obj)


def _load(path: Path, suffix: str, as_type: type) -> Any:
    each = for_suffix(suffix)
    assert each is not None
    return each.load(path, suffix=suffix, as_type=as_type)


def _table_of(values: pa.Array) -> pa.Table:
    return pa.table({"x": values, "row": range(len(values))})


def _polars_of(values: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"x": values, "row": range(len(values))})


def _frame_of(values: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"x": values, "row": range(len(values))})


def _frame_cell(path: Path, suffix: str, df: pd.DataFrame) -> str:
    loaded = _load(path, suffix, pd.DataFrame)
    if suffix in (".parquet", ".feather"):
        same_frame(loaded, df)
    else:
        same_flat(loaded, df, is_text=suffix == ".csv")  # the values, whatever their type
    return _form(loaded["x"], df["x"])


def _form(after: pd.Series, before: pd.Series) -> str:
    """In which form values came back."""
    if not is_of_objects(after.dtype):
        return "equal" if after.dtype == before.dtype else f"`{after.dtype}`"
    value = next((value for value in after if not is_missing(value)), None)
    if is_of_objects(before.dtype):
        was = next((value for value in before if not is_missing(value)), None)
        if isinstance(value, np.ndarray | dict) and not isinstance(was, np.ndarray):
            return "arrays" if isinstance(value, np.ndarray) else "equal" if value == was else "with None"
        if type(value) is type(was) or (not isinstance(was, np.ndarray) and value == was):
            return "equal"
    return {"str": "text", "bool": "truth values", "dict": "dicts", "list": "lists"}.get(
        type(value).__name__, f"objects: `{type(value).__name__}`"
    )


def _names_cell(path: Path, suffix: str, df: pd.DataFrame) -> str:
    loaded = _load(path, suffix, pd.DataFrame)
    if df.attrs and not loaded.attrs:
        return "not kept"
    try:
        same_frame(loaded, df)
    except AssertionError:
        same_flat(loaded, df, is_text=suffix == ".csv")
    else:
        return "equal"
    if len(loaded.columns) > len(df.columns):
        return "a column"
    if [type(name) for name in loaded.columns] != [type(name) for name in df.columns]:
        return "text"
    return _form(loaded.index.to_series(), df.index.to_series()) if loaded.index.nlevels == 1 else "equal values"


def _arrow_cell(path: Path, suffix: str, table: pa.Table) -> str:
    loaded = _load(path, suffix, pa.Table)
    if loaded["x"].type != table["x"].type:
        return f"`{loaded['x'].type}`"
    return _with_empty(loaded["x"].to_pylist(), table["x"].to_pylist())


def _polars_cell(path: Path, suffix: str, df: pl.DataFrame) -> str:
    try:
        loaded = _load(path, suffix, pl.DataFrame)
    except errors.UnsupportedObject:
        return "not for polars"
    try:
        pl_testing.assert_frame_equal(loaded, df)
    except AssertionError:
        same_type = loaded["x"].dtype == df["x"].dtype
        return _with_empty(loaded["x"].to_list(), df["x"].to_list()) if same_type else f"`{loaded['x'].dtype}`"
    return "equal"


def _with_empty(loaded: list[Any], values: list[Any]) -> str:
    if loaded == values:
        return "equal"
    assert loaded == ["" if value is None else value for value in values]
    return "missing ones empty"
