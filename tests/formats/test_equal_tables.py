"""Equal tables are equal bytes, however they came about; categories survive whatever the writer is told."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamart_core import errors
from tests.formats.format_samples import write
from tests.formats.table_strategies import ARROW_TYPES, arrow_tables
from tests.formats.test_tables import of, round_trip

quick = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
KINDS = tuple(kind for kind in ARROW_TYPES if kind not in ("empty struct", "month_day_nano", "list_view", "json"))


def written(table: Any, folder: Path, suffix: str) -> bytes:
    return write(table, folder / f"x{len(list(folder.iterdir()))}", suffix).read_bytes()


@pytest.mark.req("R130")
@pytest.mark.parametrize("suffix", [".feather", ".parquet", ".orc"])
@quick
@given(table=arrow_tables(KINDS), cuts=st.lists(st.integers(0, 4), max_size=2))
def test_chunks_and_slices_do_not_show(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, table: pa.Table, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("t")
    whole = pa.table([column.combine_chunks() for column in table.columns], schema=table.schema)
    bounds = [0, *sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
    chunked = pa.concat_tables(whole.slice(a, b - a) for a, b in itertools.pairwise(bounds))
    padded = pa.concat_tables([whole, whole, whole]).combine_chunks().slice(table.num_rows, table.num_rows)
    assert padded.to_pylist() == table.to_pylist()
    try:
        expected = written(whole, folder, suffix)
    except errors.UnsupportedObject:
        return
    for other in (chunked, padded):
        assert written(other, folder, suffix) == expected


@pytest.mark.req("R130")
def test_what_lies_under_missing_values_does_not_show(tmp_path: Path) -> None:
    valid = pa.array([True, False, True]).buffers()[1]
    ints = [pa.py_buffer(np.array(values, "int64")) for values in ([1, 0, 3], [1, 77, 3])]
    texts = [b"ab", b"aXb"]
    ends = [pa.py_buffer(np.array(values, "int32")) for values in ([0, 1, 1, 2], [0, 1, 2, 3])]
    tables = [
        pa.table(
            {
                "i": pa.Array.from_buffers(pa.int64(), 3, [valid, ints[n]]),
                "t": pa.Array.from_buffers(pa.string(), 3, [valid, ends[n], pa.py_buffer(texts[n])]),
            }
        )
        for n in range(2)
    ]
    assert tables[0].equals(tables[1])
    for suffix in (".feather", ".parquet", ".orc"):
        assert written(tables[0], tmp_path, suffix) == written(tables[1], tmp_path, suffix)


@pytest.mark.req("R130")
def test_the_order_of_keys_does_not_show(tmp_path: Path) -> None:
    one = pd.DataFrame({"d": [{"b": 1, "a": {"y": 1, "x": 2}}], "l": [[{"q": 1, "p": 2}]]})
    other = pd.DataFrame({"d": [{"a": {"x": 2, "y": 1}, "b": 1}], "l": [[{"p": 2, "q": 1}]]})
    for suffix in (".parquet", ".feather", ".orc", ".jsonl"):
        assert written(one, tmp_path, suffix) == written(other, tmp_path, suffix)
        assert round_trip(one, suffix, tmp_path)["d"][0] == one["d"][0]


@pytest.mark.req("R130")
@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False},
        {"use_dictionary": ["n"]},
        {"use_dictionary": False, "column_encoding": {"c": "DELTA_BYTE_ARRAY"}},
        {"dictionary_pagesize_limit": 100},
        {"row_group_size": 100},
    ],
    ids=str,
)
def test_categories_survive_whatever_the_writer_is_told(options: dict[str, Any], tmp_path: Path) -> None:
    categories = [f"{number % 7}-{number}" for number in range(300)]
    df = pd.DataFrame({"c": pd.Categorical(categories[::-2], categories=categories), "n": range(150)})
    path = write(df, tmp_path / "x.parquet", ".parquet", parquet_kwargs=options)
    pd.testing.assert_frame_equal(of(".parquet").load(path, suffix=".parquet"), df)


@pytest.mark.req("R130")
def test_many_categories_keep_their_order(tmp_path: Path) -> None:
    """More than Parquet has room for in a dictionary."""
    categories = [f"{number * 7919 % 100_000:0100d}" for number in range(20_000)]
    df = pd.DataFrame({"c": pd.Categorical(categories[:10], categories=categories)})
    pd.testing.assert_frame_equal(round_trip(df, ".parquet", tmp_path), df)
    table = pl.DataFrame({"c": categories[:10]}, schema={"c": pl.Enum(categories)})
    assert round_trip(table, ".parquet", tmp_path, pl.DataFrame).equals(table)


@pytest.mark.req("R130")
def test_some_columns_keep_the_index(tmp_path: Path) -> None:
    """Also where types are restored, and where columns are no text."""
    index = pd.Index(["p", "q"], name="sample")
    df = pd.DataFrame(
        {"c": pd.Categorical([2, None], categories=[3, 2]), "s": pd.to_datetime(["2020-01-01", None]).as_unit("s")}
    ).set_axis(index)
    pd.testing.assert_frame_equal(
        of(".parquet").load(write(df, tmp_path / "x", ".parquet"), suffix=".parquet", columns=["c"]), df[["c"]]
    )
    days = df.set_axis(pd.period_range("2020", periods=2, freq="D"), axis=1)
    path = write(days, tmp_path / "y", ".parquet")
    some = of(".parquet").load(path, suffix=".parquet", columns=[days.columns[1]], filters=[("sample", "==", "p")])
    pd.testing.assert_frame_equal(some, days.iloc[:1, 1:], check_freq=False)
