"""Tables of pandas, Arrow and polars as hypothesis draws them: dtypes, nulls, names, indexes, attributes.

A kind of column is a name and what draws its values, so that a failure says which kind it was, and so that the table of
types in the docs and the generator are about the same kinds.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

OSLO = zoneinfo.ZoneInfo("Europe/Oslo")
TWO_HOURS = dt.timezone(dt.timedelta(hours=2))
# What text formats could take for something else.
HOSTILE = ["", "1", "007", "1e5", "1e2147483648", "NA", "nan", "null", "None", "True", "2020-01-01", "a,b", 'say "x"']
HOSTILE += [
    "a\nb",
    "a\rb",
    "a\tb",
    " x ",
    "#",
    "a\0b",
    "\u2028",
    "größe",
    "x" * 300,
    "__index_level_0__",
    "-inf",
    "\ufeff",
]

text = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.sampled_from(HOSTILE))
names = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), st.sampled_from(HOSTILE))
int64 = st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1))
moments = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2250, 1, 1))
nanoseconds = st.integers(-(2**62), 2**62)
spans = st.timedeltas(dt.timedelta(days=-10000), dt.timedelta(days=10000))

Values = Callable[[list[Any]], Any]
# Kinds of columns: elements (None is drawn by itself), and what makes a pandas array of them.
KINDS: dict[str, tuple[st.SearchStrategy[Any], Values]] = {}
# Kinds whose dtype has no missing value.
NEVER_MISSING: set[str] = set()


def _kind(name: str, elements: st.SearchStrategy[Any], make: Values | str, *, can_miss: bool = True) -> None:
    KINDS[name] = elements, (lambda values: pd.array(values, dtype=make)) if isinstance(make, str) else make
    if not can_miss:
        NEVER_MISSING.add(name)


def _numpy(dtype: str) -> Values:
    return lambda values: pd.Series(values, dtype=dtype)


def _objects(values: list[Any]) -> Any:
    found = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        found[position] = value
    return pd.Series(found, dtype=object)


def _categories(made: Callable[[], Any], *, ordered: bool) -> Values:
    def make(values: list[Any]) -> Any:
        categories = pd.Index(made())
        codes = [-1 if v is None else v % len(categories) for v in values]
        return pd.Categorical.from_codes(codes, categories=categories, ordered=ordered)

    return make


def _zoned(unit: str, zone: Any) -> Values:
    return lambda values: pd.Series(
        pd.DatetimeIndex(values, dtype=f"datetime64[{unit}]").tz_localize("UTC").tz_convert(zone)
    )


def _arrow(kind: Any) -> Values:
    return lambda values: pd.array(pa.array(values, kind), dtype=pd.ArrowDtype(kind))


for bits in (8, 16, 32, 64):
    signed, unsigned = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1), st.integers(0, 2**bits - 1)
    _kind(f"int{bits}", signed, _numpy(f"int{bits}"), can_miss=False)
    _kind(f"uint{bits}", unsigned, _numpy(f"uint{bits}"), can_miss=False)
    _kind(f"Int{bits}", signed, f"Int{bits}")
    _kind(f"UInt{bits}", unsigned, f"UInt{bits}")
for bits in (16, 32, 64):
    _kind(f"float{bits}", st.floats(width=bits), _numpy(f"float{bits}"))
    if bits > 16:
        _kind(f"Float{bits}", st.floats(width=bits, allow_nan=False), f"Float{bits}")
_kind("bool", st.booleans(), _numpy("bool"), can_miss=False)
_kind("boolean", st.booleans(), "boolean")
_kind("complex128", st.complex_numbers(), _numpy("complex128"), can_miss=False)
_kind("string[python]", text, "string[python]")
_kind("string[pyarrow]", text, "string[pyarrow]")
_kind("str", text, lambda values: pd.array(values, dtype=pd.StringDtype("pyarrow", na_value=np.nan)))
for unit in ("s", "ms", "us", "ns"):
    _kind(f"datetime64[{unit}]", moments.map(lambda t: t.replace(microsecond=0)), _numpy(f"datetime64[{unit}]"))
    _kind(f"timedelta64[{unit}]", spans.map(lambda t: dt.timedelta(t.days, t.seconds)), _numpy(f"timedelta64[{unit}]"))
_kind("datetime64[ns, Europe/Oslo]", moments, _zoned("ns", "Europe/Oslo"))
_kind("datetime64[us, UTC]", moments, _zoned("us", "UTC"))
_kind("datetime64 of a ZoneInfo", moments, _zoned("ns", OSLO))
_kind("datetime64 of an offset", moments, _zoned("ns", TWO_HOURS))
for freq in ("D", "M", "Y", "h"):
    _kind(
        f"period[{freq}]",
        st.integers(-100, 1000),
        lambda v, f=freq: pd.array(
            [None if x is None else pd.Period(ordinal=x, freq=f) for x in v], dtype=pd.PeriodDtype(f)
        ),
    )
for closed in ("left", "right", "both", "neither"):
    _kind(
        f"interval[float64, {closed}]",
        st.integers(-9, 9),
        lambda v, c=closed: pd.arrays.IntervalArray.from_arrays(
            [np.nan if x is None else float(x) for x in v], [np.nan if x is None else x + 1.5 for x in v], closed=c
        ),
    )
_kind(
    "interval[datetime64[ns]]",
    st.integers(0, 9),
    lambda v: pd.arrays.IntervalArray.from_arrays(
        pd.to_datetime([None if x is None else f"200{x}" for x in v]),
        pd.to_datetime([None if x is None else f"201{x}" for x in v]),
    ),
)
_kind(
    "sparse",
    st.integers(0, 2),
    lambda v: pd.arrays.SparseArray(np.array([0 if x is None else x for x in v], dtype="int64")),
)

codes = st.integers(0, 9)
CATEGORIES: dict[str, Callable[[], Any]] = {
    "text": lambda: ["z", "a", "", "NA"],
    "integers": lambda: [3, 1, 2**60 + 1],
    "floats": lambda: [2.5, -1.0],
    "truth values": lambda: [True, False],
    "moments": lambda: pd.to_datetime(["2020-01-02", "2019-01-01"]),
    "moments in seconds": lambda: pd.DatetimeIndex(["2020-01-02", "2019-01-01"]).as_unit("s"),
    "zoned moments": lambda: pd.to_datetime(["2020-07-02", "2019-01-01"]).tz_localize("Europe/Oslo"),
    "dates": lambda: pd.Index([dt.date(2020, 1, 2), dt.date(2019, 1, 1)], dtype=object),
    "intervals": lambda: pd.IntervalIndex.from_breaks([0.0, 1.5, 2.5]),
    "periods": lambda: pd.period_range("2020", periods=3, freq="M"),
    "durations": lambda: pd.to_timedelta([2, 1], unit="h"),
    "nullable integers": lambda: pd.Index([5, 2], dtype="Int64"),
    "strings": lambda: pd.Index(["b", "a"], dtype="string[python]"),
    "numbers and text": lambda: pd.Index([1, "x"], dtype=object),
    "many": lambda: [f"{i % 7}-{i}" for i in range(300)],
}
for name, made in CATEGORIES.items():
    _kind(f"category of {name}", codes, _categories(made, ordered=False))
    _kind(f"ordered category of {name}", codes, _categories(made, ordered=True))

ARROW_TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int64": (pa.int64(), int64),
    "uint8": (pa.uint8(), st.integers(0, 255)),
    "double": (pa.float64(), st.floats(allow_nan=False)),
    "halffloat": (pa.float16(), st.floats(width=16, allow_nan=False).map(np.float16)),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), text),
    "large_string": (pa.large_string(), text),
    "string_view": (pa.string_view(), text),
    "binary": (pa.binary(), st.binary(max_size=4)),
    "fixed_size_binary": (pa.binary(3), st.binary(min_size=3, max_size=3)),
    "date32": (pa.date32(), st.dates(dt.date(1, 1, 1))),
    "date64": (pa.date64(), st.dates(dt.date(1700, 1, 1))),
    "time32[s]": (pa.time32("s"), st.times().map(lambda t: t.replace(microsecond=0))),
    "time64[us]": (pa.time64("us"), st.times()),
    "timestamp[s]": (pa.timestamp("s"), moments.map(lambda t: t.replace(microsecond=0))),
    "timestamp[us]": (pa.timestamp("us"), st.datetimes()),
    "timestamp[ns]": (pa.timestamp("ns"), nanoseconds),
    "timestamp[us, tz]": (pa.timestamp("us", "Europe/Oslo"), moments),
    "duration[ns]": (pa.duration("ns"), nanoseconds),
    "duration[s]": (pa.duration("s"), st.integers(-(10**9), 10**9)),
    "decimal128": (pa.decimal128(20, 3), st.integers(-(10**19), 10**19).map(lambda n: Decimal(n).scaleb(-3))),
    "decimal256": (pa.decimal256(50, 2), st.integers(-(10**40), 10**40).map(lambda n: Decimal(n).scaleb(-2))),
    "decimal32": (pa.decimal32(5, 1), st.integers(-(10**4), 10**4).map(lambda n: Decimal(n).scaleb(-1))),
    "null": (pa.null(), st.none()),
    "list": (pa.list_(pa.int64()), st.lists(st.one_of(st.none(), int64), max_size=3)),
    "large_list": (pa.large_list(pa.string()), st.lists(text, max_size=3)),
    "fixed_size_list": (pa.list_(pa.int8(), 2), st.lists(st.integers(-9, 9), min_size=2, max_size=2)),
    "list of seconds": (
        pa.list_(pa.timestamp("s")),
        st.lists(moments.map(lambda t: t.replace(microsecond=0)), max_size=2),
    ),
    "struct": (pa.struct([("x", pa.int64()), ("y", pa.string())]), st.fixed_dictionaries({"x": int64, "y": text})),
    "struct of time": (pa.struct([("x", pa.time32("s"))]), st.fixed_dictionaries({"x": st.just(dt.time(1))})),
    "empty struct": (pa.struct([]), st.just({})),
    "map": (pa.map_(pa.string(), pa.int64()), st.lists(st.tuples(text, int64), max_size=2, unique_by=lambda p: p[0])),
    "dictionary of text": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["z", "a", ""])),
    "dictionary of large text": (pa.dictionary(pa.uint32(), pa.large_string()), st.sampled_from(["z", "a", ""])),
    "dictionary of integers": (pa.dictionary(pa.int32(), pa.int64(), ordered=True), st.sampled_from([3, 1, 2**60])),
    "list of dictionary": (
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
        st.lists(st.sampled_from(["z", "a"]), max_size=2),
    ),
    "uuid": (pa.uuid(), st.uuids().map(lambda u: u.bytes)),
    "bool8": (pa.bool8(), st.booleans().map(int)),
    "json": (pa.json_(), st.just("{}")),
    "month_day_nano": (pa.month_day_nano_interval(), st.just((1, 2, 3))),
    "list_view": (pa.list_view(pa.int8()), st.lists(st.integers(0, 9), max_size=2)),
}
WITHIN_PANDAS = ["int64", "string", "bool", "binary", "date32", "time64[us]", "timestamp[us]", "timestamp[us, tz]"]
WITHIN_PANDAS += ["duration[ns]", "decimal128", "list", "struct", "dictionary of text", "halffloat", "timestamp[s]"]
for name in (*WITHIN_PANDAS, "time32[s]", "large_string", "map"):
    kind, elements = ARROW_TYPES[name]
    _kind(f"{name}[pyarrow]", elements, _arrow(kind))

timestamps = nanoseconds.map(pd.Timestamp)
OBJECTS: dict[str, st.SearchStrategy[Any]] = {
    "text": text,
    "integers": int64,
    "larger integers": st.integers(-(2**70), 2**70),
    "floats": st.floats(),
    "numbers": st.one_of(int64, st.floats(allow_nan=False)),
    "truth values": st.booleans(),
    "dates": st.dates(),
    "moments": st.datetimes(),
    "moments of a zone": moments.map(lambda t: t.replace(tzinfo=OSLO)),
    "moments of zones": st.one_of(
        moments.map(lambda t: t.replace(tzinfo=OSLO)), moments.map(lambda t: t.replace(tzinfo=dt.UTC))
    ),
    "moments, some of a zone": st.one_of(moments, moments.map(lambda t: t.replace(tzinfo=dt.UTC))),
    "timestamps": timestamps,
    "dates and moments": st.one_of(st.dates(), st.datetimes()),
    "times": st.times(),
    "durations": spans,
    "timedeltas": nanoseconds.map(pd.Timedelta),
    "decimals": st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
    "bytes": st.binary(max_size=4),
    "bytes and text": st.one_of(text, st.binary(max_size=4)),
    "uuids": st.uuids(),
    "lists": st.lists(st.one_of(st.none(), int64), max_size=3),
    "lists of text": st.lists(text, max_size=3),
    "lists of lists": st.lists(st.lists(st.floats(), max_size=2), max_size=2),
    "tuples": st.tuples(int64, int64),
    "tuples of several types": st.tuples(int64, text),
    "sets": st.sets(int64, max_size=3),
    "arrays": st.lists(st.integers(-5, 5), max_size=3).map(lambda v: np.array(v, dtype="int16")),
    "dicts": st.fixed_dictionaries({"b": st.one_of(st.none(), int64), "a": text}),
    "dicts of some keys": st.fixed_dictionaries({}, optional={"b": int64, "a": text}),
    "dicts of dicts": st.fixed_dictionaries({"d": st.fixed_dictionaries({"z": int64, "a": moments})}),
    "lists of dicts": st.lists(st.fixed_dictionaries({"z": int64, "a": text}), max_size=2),
    "intervals": st.integers(0, 5).map(lambda n: pd.Interval(n, n + 1)),
    "periods": st.integers(0, 5).map(lambda n: pd.Period(ordinal=n, freq="M")),
    "numbers and text": st.one_of(int64, text),
    "truth values and numbers": st.one_of(st.booleans(), int64),
    "nothing": st.none(),
    "missing of all kinds": st.sampled_from([None, np.nan, pd.NaT, pd.NA]),
    "objects": st.builds(object),
}
for name, elements in OBJECTS.items():
    _kind(f"object: {name}", elements, _objects)


@st.composite
def arrays(draw: st.DrawFn, kind: str, rows: int) -> Any:
    elements, make = KINDS[kind]
    missing = draw(st.sampled_from([0.0, 0.5, 1.0])) if kind not in NEVER_MISSING else 0.0
    chosen = {0.0: elements, 0.5: st.one_of(st.none(), elements), 1.0: st.none()}[missing]
    return make(draw(st.lists(chosen, min_size=rows, max_size=rows)))


level_names = st.one_of(st.none(), names, st.sampled_from([0, 1.5, ("a", 1), dt.date(2020, 1, 1), True]))
LABELS: dict[str, Callable[[st.DrawFn, int], Any]] = {
    "integers": lambda draw, n: pd.Index(draw(st.lists(int64, min_size=n, max_size=n, unique=True)), dtype="int64"),
    "a range": lambda draw, n: pd.RangeIndex(n),
    "int8": lambda draw, n: pd.Index(range(n), dtype="int8"),
    "floats": lambda draw, n: pd.Index(
        draw(st.lists(st.floats(), min_size=n, max_size=n, unique_by=str)), dtype="float64"
    ),
    "mixed": lambda draw, n: pd.Index(
        draw(
            st.lists(
                st.one_of(st.none(), st.integers(2, 99), st.floats(2, 3), st.dates(), names, st.booleans(), timestamps),
                min_size=n,
                max_size=n,
                unique_by=str,
            )
        ),
        dtype=object,
    ),
    "dates": lambda draw, n: pd.Index(draw(st.lists(st.dates(), min_size=n, max_size=n, unique=True)), dtype=object),
    "days": lambda draw, n: pd.date_range("2020-01-01", periods=n, freq=draw(st.sampled_from(["D", "MS", "W"]))),
    "moments": lambda draw, n: (
        pd.DatetimeIndex(draw(st.lists(nanoseconds, min_size=n, max_size=n, unique=True)))
        .tz_localize("UTC")
        .tz_convert(draw(st.sampled_from([None, "Europe/Oslo", OSLO])))
    ),
    "periods": lambda draw, n: pd.period_range("2020", periods=n, freq=draw(st.sampled_from(["D", "M", "Y"]))),
    "durations": lambda draw, n: pd.timedelta_range("1h", periods=n),
    "intervals": lambda draw, n: pd.IntervalIndex.from_breaks(
        range(n + 1), closed=draw(st.sampled_from(["left", "both"]))
    ),
    "truth values": lambda draw, n: pd.Index([True, False][:n], dtype="bool"),
    "categories": lambda draw, n: pd.CategoricalIndex(
        [f"c{i}" for i in range(n)], categories=[f"c{i}" for i in range(n, -1, -1)]
    ),
    "strings": lambda draw, n: pd.Index([f"c{i}" for i in range(n)], dtype="string[python]"),
    "two levels": lambda draw, n: pd.MultiIndex.from_arrays(
        [draw(st.lists(names, min_size=n, max_size=n)), list(range(n))]
    ),
    "levels with gaps": lambda draw, n: pd.MultiIndex.from_arrays([["a"] * n, [np.nan, "x", "y", "z", "w"][:n]]),
    "levels of bool": lambda draw, n: pd.MultiIndex.from_arrays([[True, False, True, False, True][:n], list(range(n))]),
    "levels of dates": lambda draw, n: pd.MultiIndex.from_arrays(
        [pd.date_range("2020", periods=n), [dt.date(2020, 1, i + 1) for i in range(n)]]
    ),
    "one level": lambda draw, n: pd.MultiIndex.from_arrays([list(range(n))]),
    "tuples": lambda draw, n: pd.Index([("a", i) for i in range(n)], dtype=object, tupleize_cols=False),
}


@st.composite
def labels(draw: st.DrawFn, length: int) -> Any:
    kind = draw(st.sampled_from(["text", "text", "text", *LABELS]))
    if kind == "text":
        found = pd.Index(draw(st.lists(names, min_size=length, max_size=length, unique=True)), dtype=object)
    else:
        found = LABELS[kind](draw, length) if kind != "truth values" or length < 3 else pd.RangeIndex(length)
    return found.set_names([draw(level_names) for _ in range(found.nlevels)]) if draw(st.booleans()) else found


@st.composite
def indexes(draw: st.DrawFn, rows: int) -> Any:
    how = draw(st.sampled_from(["plain", "plain", "labels", "column", "levels", "range"]))
    if how == "plain":
        return pd.RangeIndex(rows)
    if how == "labels" and rows < 3:
        return draw(labels(rows))
    name = draw(level_names)
    if how == "range":
        start, step = draw(st.integers(-3, 3)), draw(st.sampled_from([1, 2, -1]))
        return pd.RangeIndex(start, start + step * rows, step, name=name)
    kinds = [kind for kind in KINDS if kind not in ("sparse", "float16") and "[pyarrow]" not in kind]
    kinds = [kind for kind in kinds if not any(part in kind for part in ("list", "dict", "set", "tuples", "arrays"))]
    if how == "column":
        values = draw(arrays(draw(st.sampled_from(kinds)), rows))
        return pd.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)
    levels = [
        draw(arrays(draw(st.sampled_from([k for k in kinds if not k.startswith("object")])), rows)) for _ in range(2)
    ]
    return pd.MultiIndex.from_arrays(levels, names=[name, draw(level_names)])


attributes = st.one_of(
    st.just({}),
    st.dictionaries(
        text,
        st.recursive(st.one_of(st.none(), st.booleans(), int64, text), lambda s: st.lists(s, max_size=2)),
        max_size=2,
    ),
    st.sampled_from([{1: 2}, {"a": (1, 2)}, {"a": {"b": {1}}}]),
)


@st.composite
def frames(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(KINDS), least_rows: int = 0) -> pd.DataFrame:
    rows = draw(st.integers(least_rows, 4))
    chosen = draw(st.lists(st.sampled_from(kinds), max_size=3))
    index = draw(indexes(rows))
    columns = [pd.Series(draw(arrays(kind, rows))).set_axis(index) for kind in chosen]
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=index)
    for position, column in enumerate(columns):  # concat may change a dtype
        if df.dtypes.iloc[position] != column.dtype:
            df.isetitem(position, column)
    df.index = index
    df.columns = (
        draw(labels(len(chosen)))
        if len(chosen) <= 2 or draw(st.booleans())
        else pd.Index([f"n{i}" for i in range(len(chosen))], dtype=object)
    )
    df.attrs = draw(attributes)
    is_unique = isinstance(index, pd.RangeIndex) and draw(st.integers(0, 9)) == 0 and df.columns.is_unique
    return df.set_flags(allows_duplicate_labels=False) if is_unique else df


@st.composite
def arrow_tables(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(ARROW_TYPES)) -> pa.Table:
    rows = draw(st.integers(0, 4))
    chosen = draw(st.lists(st.tuples(names, st.sampled_from(kinds)), max_size=3, unique_by=lambda c: c[0]))
    columns: list[Any] = []
    for _, kind in chosen:
        arrow_type, elements = ARROW_TYPES[kind]
        values = draw(st.lists(st.one_of(st.none(), elements), min_size=rows, max_size=rows))
        array = pa.array(values, arrow_type)
        cut = draw(st.integers(0, rows))
        columns.append(pa.chunked_array([array.slice(0, cut), array.slice(cut)], type=arrow_type))
    return pa.table(columns, names=[name for name, _ in chosen])


POLARS_TYPES = [
    pl.Boolean, pl.Int8, pl.Int64, pl.Int128, pl.UInt64, pl.Float32, pl.Float64, pl.String, pl.Binary, pl.Date, pl.Time,
    pl.Datetime, pl.Duration, pl.Decimal, pl.Categorical, pl.Enum, pl.List, pl.Array, pl.Struct, pl.Null,
]  # fmt: skip


def polars_frames() -> st.SearchStrategy[pl.DataFrame]:
    """Frames of polars' own strategies, of all its types but objects; of 128 bits are some numbers that fit."""
    return dataframes(max_cols=3, max_size=4, allowed_dtypes=POLARS_TYPES)
