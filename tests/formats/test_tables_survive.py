"""What survives in the formats that are poorer than Arrow: equal, in a form that is documented, or refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamart_core import errors
from tests.formats.format_samples import write
from tests.formats.table_strategies import names
from tests.formats.test_tables import EXACT, of, round_trip

quick = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
INTEGERS = st.integers(-(2**63), 2**63 - 1)
SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "int64": INTEGERS,
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "object": st.one_of(names, st.sampled_from(["1", "2020-01-01", "true", "NA", "", "\u2028"])),
}


@st.composite
def simple_frames(draw: st.DrawFn, *, least_rows: int) -> pd.DataFrame:
    """Frames of the types that JSON and ORC have too, with an unnamed index of text or one that counts."""
    rows = draw(st.integers(least_rows, 4))
    column = st.tuples(names.filter(lambda name: name != "__index_level_0__"), st.sampled_from(sorted(SIMPLE)))
    columns = draw(st.lists(column, min_size=1, max_size=4, unique_by=lambda c: c[0]))

    def values(kind: str) -> list[Any]:
        return draw(st.lists(SIMPLE[kind], min_size=rows, max_size=rows))

    df = pd.DataFrame({name: pd.Series(values(kind), dtype=kind) for name, kind in columns})
    if draw(st.booleans()):
        df.index = pd.Index(values("object"), dtype=object)
    return df


@pytest.mark.req("R130")
@pytest.mark.parametrize(("suffix", "least_rows"), [(".orc", 0), (".jsonl", 1), (".ndjson.zst", 1)])
@quick
@given(data=st.data())
def test_plain_frames_come_back_equal(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, least_rows: int, data: st.DataObject
) -> None:
    df = data.draw(simple_frames(least_rows=least_rows))
    loaded = round_trip(df, suffix, tmp_path_factory.mktemp("t"))
    pd.testing.assert_frame_equal(loaded, df, check_exact=True, check_column_type=False)


NOON = dt.datetime(2024, 7, 1, 12, 30, 0, 123456)
REFUSED = "refused"
# Arrow values; the type that ORC gives back; what JSON lines give back to pandas; likewise CSV. None stands for equal.
TYPES: dict[str, tuple[pa.Array, Any, Any, Any]] = {
    "small integers": (pa.array([1, 2], pa.int8()), None, None, None),
    "unsigned": (pa.array([2**63 - 1], pa.uint64()), pa.int64(), None, None),
    "too large for ORC": (pa.array([2**64 - 1], pa.uint64()), REFUSED, None, None),
    "half precision": (pa.array([1.5], pa.float16()), pa.float32(), None, None),
    "missing": (pa.array([1, None]), None, None, None),
    "nothing but null": (pa.array([None, None]), pa.string(), None, None),
    "a moment": (pa.array([NOON], pa.timestamp("us")), pa.timestamp("ns"), ["2024-07-01T12:30:00.123456"], Any),
    "long ago": (pa.array([dt.datetime(1500, 1, 1)], pa.timestamp("us")), REFUSED, ["1500-01-01T00:00:00"], Any),
    "a time zone": (
        pa.array([NOON], pa.timestamp("us", "Europe/Oslo")),
        pa.timestamp("ns", "UTC"),
        ["2024-07-01T14:30:00.123456+02:00"],
        ["2024-07-01 14:30:00.123456+02:00"],
    ),
    "a date": (pa.array([NOON.date()]), None, ["2024-07-01"], ["2024-07-01"]),
    "a time of day": (pa.array([NOON.time()]), REFUSED, ["12:30:00.123456"], ["12:30:00.123456"]),
    "a duration": (pa.array([dt.timedelta(1, 2)]), REFUSED, ["P1DT0H0M2S"], ["1 days 00:00:02"]),
    "decimals": (pa.array([Decimal("1.50")]), None, ["1.50"], [1.5]),
    "large decimals": (pa.array([Decimal("1.50")], pa.decimal256(50, 2)), REFUSED, ["1.50"], [1.5]),
    "categories": (pa.array(["x", "y", "x"]).dictionary_encode(), pa.string(), None, None),
    "views of text": (pa.array(["x"], pa.string_view()), pa.string(), None, None),
    "bytes": (pa.array([b"\xff"]), None, REFUSED, REFUSED),
    "lists": (pa.array([[1, 2], [], None]), None, None, REFUSED),
    "structs": (pa.array([{"a": 1, "b": "x"}, None]), None, None, REFUSED),
    "structs in lists": (pa.array([[{"a": "x"}]]), None, None, REFUSED),
    "maps": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), None, [{"k": 1}], REFUSED),
    "durations in lists": (pa.array([[dt.timedelta(1)]]), REFUSED, [["P1DT0H0M0S"]], REFUSED),
    "infinity": (pa.array([float("inf")]), None, REFUSED, None),
}


@pytest.mark.req("R130")
@pytest.mark.parametrize("name", TYPES)
def test_every_type(name: str, tmp_path: Path) -> None:
    values, in_orc, in_json, in_csv = TYPES[name]
    table = pa.table({"größe": values, "key": list(range(len(values)))})
    for suffix in EXACT:
        assert round_trip(table, suffix, tmp_path, pa.Table).equals(table), suffix
    if in_orc is REFUSED:
        with pytest.raises(errors.UnsupportedObject, match=r"größe.*" if name != "too large" else ""):
            write(table, tmp_path / "x.orc", ".orc")
    else:
        loaded = round_trip(table, ".orc", tmp_path, pa.Table)["größe"]
        assert loaded.type == (in_orc or values.type)
        as_before = loaded if pa.types.is_null(values.type) else loaded.cast(values.type)
        assert as_before.to_pylist() == values.to_pylist()
    for suffix, expected in ((".jsonl", in_json), (".csv", in_csv)):
        if expected is REFUSED:
            with pytest.raises(errors.UnsupportedObject):
                write(table, tmp_path / f"x{suffix}", suffix)
            continue
        loaded = round_trip(table, suffix, tmp_path)["größe"]
        found = [None if isinstance(v, float) and v != v else v for v in loaded.tolist()]
        if expected is not Any:
            assert found == (values.to_pylist() if expected is None else expected), suffix
    assert not list(tmp_path.glob("x.*"))


FRAMES = {
    "columns and no row": (pd.DataFrame({"a": pd.Series([], dtype=float), "b": pd.Series([], dtype=object)}), ".jsonl"),
    "rows and no column": (pd.DataFrame(index=pd.RangeIndex(3)), ".csv .tsv .orc .jsonl"),
    "two columns of one name": (
        pd.DataFrame([[1, 2]], columns=pd.Index(["a", "a"])),
        ".csv .tsv .orc .jsonl .parquet .feather",
    ),
    "a number and its text as names": (
        pd.DataFrame([[1, 2]], columns=pd.Index([1, "1"])),
        ".csv .orc .jsonl .parquet .feather",
    ),
    "an index named as a column": (pd.DataFrame({"a": [1]}, index=pd.Index([2], name="a")), ".orc .jsonl"),
    "columns of several levels": (
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "x")])),
        ".orc .jsonl",
    ),
    "periods": (pd.DataFrame({"a": pd.period_range("2020", periods=2, freq="M")}), ".orc .jsonl"),
    "lists": (pd.DataFrame({"a": [None, [1]]}), ".csv .tsv"),
    "bytes": (pd.DataFrame({"a": [None, b"x"]}), ".csv .jsonl"),
    "lists beside numbers": (pd.DataFrame({"a": [1, [1]]}), ".csv .tsv"),
    "lists beside text": (pd.DataFrame({"a": ["x"] * 5 + [[1]]}), ".csv .tsv"),
    "arrays": (pd.DataFrame({"a": [1.5, np.arange(2)]}), ".csv .tsv"),
    "bytes beside numbers": (pd.DataFrame({"a": [1, b"x"]}), ".csv .tsv"),
    "categories of bytes": (pd.DataFrame({"a": pd.Categorical([b"x"])}), ".csv .tsv"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_a_format_cannot_hold_are_refused(name: str, tmp_path: Path) -> None:
    df, refusing = FRAMES[name]
    for suffix in refusing.split():
        with pytest.raises(errors.UnsupportedObject):
            write(df, tmp_path / "x", suffix)
        assert list(tmp_path.iterdir()) == []
    if name == "columns and no row":
        for suffix in (".orc", ".csv", ".parquet"):
            assert round_trip(df, suffix, tmp_path).columns.tolist() == ["a", "b"]


def test_text_of_columns_with_several_types(tmp_path: Path) -> None:
    values = ["x", 1, 2.5, True, None, np.float64(0.5), np.int64(7), Decimal("1.50"), dt.date(2020, 1, 2), pd.NaT]
    write(pd.DataFrame({"a": pd.Series(values, dtype=object)}), tmp_path / "x.csv", ".csv")
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines == ["a", "x", "1", "2.5", "True", '""', "0.5", "7", "1.50", "2020-01-02", '""']


def test_two_columns_of_one_name_in_other_tables(tmp_path: Path) -> None:
    table = pa.table([[1], [2]], names=["a", "a"])
    for suffix in (".parquet", ".feather", ".orc", ".jsonl", ".csv"):
        with pytest.raises(errors.UnsupportedObject, match="'a'"):
            write(table, tmp_path / "x", suffix)
    assert list(tmp_path.iterdir()) == []


def test_a_named_index_becomes_a_column(tmp_path: Path) -> None:
    df = pd.DataFrame({"a": [1.5, 2.5]}, index=pd.Index(["x", "y"], name="cell"))
    for suffix in (".orc", ".jsonl", ".csv"):
        pd.testing.assert_frame_equal(round_trip(df, suffix, tmp_path), df.reset_index())


def test_text_that_looks_like_something_else_stays_text(tmp_path: Path) -> None:
    df = pd.DataFrame({"date": ["2020-01-01", "1"], "updated_at": ["1577836800", "x"], "n": [0.1 + 0.2, 1e-310]})
    pd.testing.assert_frame_equal(round_trip(df, ".jsonl", tmp_path), df, check_exact=True)
    loaded = round_trip(df, ".jsonl", tmp_path)
    assert of(".jsonl").n_observations(loaded) == 2


def test_json_lines_of_others(tmp_path: Path) -> None:
    """Rows with other members than the first, blank lines, other line ends."""
    (tmp_path / "x.jsonl").write_bytes(b'{"a": 1}\r\n\r\n{"b": {"c": [true]}, "a": null}\r\n')
    loaded = of(".jsonl").load(tmp_path / "x.jsonl", suffix=".jsonl")
    assert loaded["a"].tolist()[0] == 1
    assert loaded["b"].tolist()[1] == {"c": [True]}
    opened = of(".jsonl").open(tmp_path / "x.jsonl", suffix=".jsonl").to_table()
    assert opened.to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": {"c": [True]}}]


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz"])
def test_a_carriage_return_is_no_line_end_in_delimited_text(tmp_path: Path, suffix: str) -> None:
    df = pd.DataFrame({"\r": ["a\rb", "\r", "c\nd", None], "n": [1.5, 2.0, float("nan"), 4.0]})
    df.index = ["w", "\r", "x", "y"]
    loaded = round_trip(df, suffix, tmp_path)
    pd.testing.assert_frame_equal(loaded, df, check_column_type=False, check_index_type=False)
    assert loaded.loc["w", "\r"] == "a\rb"
