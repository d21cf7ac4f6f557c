"""What is whole is not called damaged: wrong options, and types that one library does not know, say what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamart_core import errors
from lamart_core.formats import Format, UnreadableContent, for_path
from tests.formats.format_samples import write
from tests.formats.test_tables import of, round_trip

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=pd.Index(["r", "s"], name="row"))


def refusal(each: Format, path: Path, **options: Any) -> str:
    with pytest.raises(errors.InvalidArgument) as caught:
        each.load(path, suffix=path.suffix, **options)
    assert not isinstance(caught.value, UnreadableContent)
    return str(caught.value)


@pytest.mark.req("R314")
@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".orc"])
def test_a_column_that_is_not_there(suffix: str, tmp_path: Path) -> None:
    path = write(FRAME, tmp_path / f"x{suffix}", suffix)
    for kind in (pd.DataFrame, pa.Table):
        said = refusal(of(suffix), path, columns=["a", "nope"], as_type=kind)
        assert "'nope'" in said
        assert "'a', 'b'" in said
    assert of(suffix).load(path, suffix=suffix, columns=["a"]).columns.tolist() == ["a"]


@pytest.mark.req("R314")
def test_other_options_that_do_not_fit(tmp_path: Path) -> None:
    path = write(FRAME, tmp_path / "x.csv", ".csv")
    assert "usecols" in refusal(of(".csv"), path, usecols=["nope"])
    assert "dtype" in refusal(of(".csv"), path, dtype={"b": "int64"})
    path = write(FRAME, tmp_path / "x.parquet", ".parquet")
    assert "filters" in refusal(of(".parquet"), path, filters=[("nope", "==", 1)])
    (tmp_path / "x.csv").write_bytes(b"a,b\n1,2\n3,4,5,6\n")
    with pytest.raises(UnreadableContent, match="damaged"):
        of(".csv").load(tmp_path / "x.csv", suffix=".csv", dtype=str)


@pytest.mark.req("R314")
def test_a_folder_is_asked_for_a_column_that_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for number in range(2):
        write(FRAME, folder / f"{number}.parquet", ".parquet")
    each = for_path(folder, "")
    with pytest.raises(errors.InvalidArgument, match=r"'nope'.*'a'"):
        each.load(folder, suffix="", columns=["nope"])
    assert each.load(folder, suffix="", columns=["b"])["b"].tolist() == ["x", "y"] * 2


@pytest.mark.req("R314")
def test_types_that_one_library_does_not_know(tmp_path: Path) -> None:
    """A file of polars with numbers of 128 bits, and one of pandas whose metadata pandas cannot read."""
    path = tmp_path / "p.parquet"
    pl.DataFrame({"a": [2**70]}, schema={"a": pl.Int128}).write_parquet(path)
    for kind in (pd.DataFrame, pa.Table):
        with pytest.raises(errors.UnsupportedObject, match=r"whole.*as_type"):
            of(".parquet").load(path, suffix=".parquet", as_type=kind)
    assert of(".parquet").load(path, suffix=".parquet", as_type=pl.DataFrame)["a"].to_list() == [2**70]
    df = pd.DataFrame([[1]], columns=pd.period_range("2020", periods=1, freq="M"))
    df.to_parquet(tmp_path / "q.parquet")
    with pytest.raises(errors.UnsupportedObject, match=r"whole.*pyarrow\.Table"):
        of(".parquet").load(tmp_path / "q.parquet", suffix=".parquet")
    assert of(".parquet").load(tmp_path / "q.parquet", suffix=".parquet", as_type=pa.Table).num_rows == 1


@pytest.mark.req("R314")
def test_damage_behind_the_first_rows_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": list(range(10_000))}), path, row_group_size=1000, compression="zstd")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : 3 * len(content) // 4] = b"\xff" * (3 * len(content) // 4 - middle)
    path.write_bytes(bytes(content))
    for options in ({}, {"filters": [("a", ">", 0)]}):
        with pytest.raises(UnreadableContent, match="damaged"):
            of(".parquet").load(path, suffix=".parquet", **options)


@pytest.mark.req("R130")
@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_whole_numbers_of_128_bits(suffix: str, tmp_path: Path) -> None:
    df = pl.DataFrame({"a": [2**70, None, -3], "b": [1, 2, 3]}, schema={"a": pl.Int128, "b": pl.Int8})
    assert round_trip(df, suffix, tmp_path, pl.DataFrame).equals(df)
    assert round_trip(df, suffix, tmp_path, pl.LazyFrame).collect_schema() == df.schema
    assert round_trip(df, suffix, tmp_path)["a"].tolist() == [2**70, None, -3]
    for wrong in (pl.DataFrame({"a": [2**127 - 1]}, schema={"a": pl.Int128}), pl.DataFrame({"a": [object()]})):
        with pytest.raises(errors.UnsupportedObject, match="column 'a'"):
            write(wrong, tmp_path / "no", suffix)


@pytest.mark.req("R130")
def test_missing_whole_numbers_are_exact_in_pandas(tmp_path: Path) -> None:
    """Of Arrow and polars, who have no floats for them: as pandas loads them, unless a float would round one."""
    wide, narrow = [2**60 + 1, None], [3, None]
    for suffix in (".parquet", ".feather", ".orc", ".jsonl"):
        for table in (pa.table({"a": wide, "b": narrow}), pl.DataFrame({"a": wide, "b": narrow})):
            loaded = round_trip(table, suffix, tmp_path)
            assert loaded["a"].tolist()[0] == 2**60 + 1, suffix
            assert loaded["a"].isna().tolist() == [False, True]
            assert loaded["b"].dtype == float
    lists = pa.table({"a": [[2**60 + 1, None]]})
    assert list(round_trip(lists, ".parquet", tmp_path)["a"][0]) == [2**60 + 1, None]
