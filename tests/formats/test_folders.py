"""Folders: as they are, and as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from lamart_core import errors
from lamart_core.formats import Format, UnreadableContent, for_path
from tests.formats.format_samples import write


@pytest.fixture(params=[".parquet", ".csv", ".csv.gz", ".tsv", ".feather"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        part = pd.DataFrame({"a": [year, year + 1], "b": ["x", "y"]})
        write(part, tmp_path / f"year={year}" / f"part{request.param}", request.param)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden").touch()
    return tmp_path


def folder(path: Path) -> Format:
    found = for_path(path, "")
    assert found.name == "folder"
    return found


@pytest.mark.req("R239")
def test_a_folder_of_tables_is_one_table(tables: Path) -> None:
    loaded = folder(tables).load(tables, suffix="")
    assert loaded["a"].tolist() == [2023, 2024, 2024, 2025]
    assert loaded["year"].tolist() == [2023, 2023, 2024, 2024]
    for kind in (pd.DataFrame, pa.Table, ds.Dataset, pl.DataFrame, pl.LazyFrame):
        assert isinstance(folder(tables).load(tables, suffix="", as_type=kind), kind)
    assert folder(tables).load(tables, suffix="", as_type=Path) == tables


@pytest.mark.req("R239")
def test_a_folder_of_tables_is_opened_lazily(tables: Path) -> None:
    dataset = folder(tables).open(tables, suffix="")
    assert isinstance(dataset, ds.Dataset)
    assert dataset.to_table(filter=ds.field("year") == 2024)["a"].to_pylist() == [2024, 2025]
    with folder(tables).open(tables, suffix="", engine="polars") as lazy:
        assert lazy.filter(pl.col("year") == 2024).collect()["a"].to_list() == [2024, 2025]


@pytest.mark.req("R245")
def test_options_reach_the_reader(tables: Path) -> None:
    assert folder(tables).load(tables, suffix="", columns=["b"]).columns.tolist() == ["b"]


def test_preview_of_tables(tables: Path) -> None:
    shown = folder(tables).preview(tables)
    assert "2023" in shown.markdown
    assert {c.name for c in shown.columns} == {"a", "b", "year"}
    assert shown.row_count == (4 if any(p.suffix in (".parquet", ".feather") for p in tables.rglob("*")) else None)


@pytest.mark.req("R239")
def test_mixed_formats_are_refused(tmp_path: Path) -> None:
    write(pd.DataFrame({"a": [1]}), tmp_path / "x.parquet", ".parquet")
    write(pd.DataFrame({"a": [1]}), tmp_path / "x.csv", ".csv")
    for call in (folder(tmp_path).load, folder(tmp_path).open):
        with pytest.raises(ValueError, match="csv, parquet"):
            call(tmp_path, suffix="")


def test_other_folders_are_paths(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.fastq").write_text("@")
    write(pd.DataFrame({"a": [1]}), tmp_path / "x.csv", ".csv")
    assert folder(tmp_path).load(tmp_path, suffix="") == tmp_path
    with pytest.raises(errors.InvalidArgument, match="no tables"):
        folder(tmp_path).load(tmp_path, suffix="", columns=["a"])
    for call in (
        lambda: folder(tmp_path).open(tmp_path, suffix=""),
        lambda: folder(tmp_path).load(tmp_path, suffix="", as_type=pd.DataFrame),
    ):
        with pytest.raises(errors.InvalidArgument, match="as a path"):
            call()
    assert "sub/x.fastq" in folder(tmp_path).preview(tmp_path).markdown


def test_an_empty_folder_is_a_path(tmp_path: Path) -> None:
    assert folder(tmp_path).load(tmp_path, suffix="") == tmp_path


@pytest.mark.req("R239")
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"v": [1]}, {"v": [2], "w": [3]}, {"v": [1, 2], "w": [None, 3]}),
        ({"v": pa.nulls(1)}, {"v": ["x"]}, {"v": [None, "x"]}),
        ({"v": pa.array([1], pa.int32())}, {"v": [2**40]}, {"v": [1, 2**40]}),
        ({"v": pa.array([1], pa.int8()), "u": ["a"]}, {"u": ["b"], "v": [0.5]}, {"v": [1.0, 0.5], "u": ["a", "b"]}),
        ({"v": [{"a": 1}]}, {"v": [{"b": 1}]}, {"v": [{"a": 1, "b": None}, {"a": None, "b": 1}]}),
    ],
    ids=["a later column", "null first", "wider", "fractions, another order", "members"],
)
def test_a_folder_has_the_columns_of_all_its_files(first: Any, second: Any, expected: Any, tmp_path: Path) -> None:
    for number, columns in enumerate((first, second)):
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    each = for_path(tmp_path, "")
    assert each.open(tmp_path, suffix="").to_table().to_pydict() == expected
    assert each.load(tmp_path, suffix="", as_type=pa.Table).to_pydict() == expected
    assert list(each.load(tmp_path, suffix="").columns) == list(expected)
    with each.open(tmp_path, suffix="", engine="polars") as lazy:
        assert lazy.collect().to_dict(as_series=False) == expected


def test_files_of_a_folder_that_do_not_fit_together(tmp_path: Path) -> None:
    for number, values in enumerate(([1], ["x"])):
        pq.write_table(pa.table({"v": values}), tmp_path / f"{number}.parquet")
    for use in (for_path(tmp_path, "").load, for_path(tmp_path, "").open):
        with pytest.raises(errors.InvalidArgument, match="v has incompatible types: int64 vs string") as caught:
            use(tmp_path, suffix="")
        assert not isinstance(caught.value, UnreadableContent)


def test_frames_in_a_folder_keep_what_all_of_them_say(tmp_path: Path) -> None:
    """Categories, for one: those of the first would make other values of the second missing."""

    def saved(name: str, *categories: list[int]) -> pd.DataFrame:
        folder = tmp_path / name
        folder.mkdir()
        for number, each in enumerate(categories):
            write(
                pd.DataFrame({"c": pd.Categorical(each[:1], categories=each)}), folder / f"{number}.parquet", ".parquet"
            )
        return for_path(folder, "").load(folder, suffix="")

    assert saved("same", [3, 1], [3, 1])["c"].cat.categories.tolist() == [3, 1]
    assert saved("others", [3, 1], [7, 3])["c"].tolist() == [3, 7]
