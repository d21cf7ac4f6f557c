"""Folders: as they are, and as one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from lamart_core import errors
from lamart_core.formats import Format, for_path
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
