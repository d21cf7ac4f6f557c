"""Delimited text: what its readers would take for something else is refused, and numbers are exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lamart_core import errors
from lamart_core.formats.tables.text_values import MISSING_WORDS
from tests.formats.format_samples import write
from tests.formats.test_tables import of, round_trip

REFUSED = {
    "a word for missing": (pd.DataFrame({"a": ["NA", "x"]}), r"'NA' in column 'a'"),
    "a number with zeros": (pd.DataFrame({"a": ["007", "1"]}), r"'007' in column 'a'.*7"),
    "another spelling": (pd.DataFrame({"a": ["1E10"]}), r"'1E10' in column 'a'"),
    "truth in capitals": (pd.DataFrame({"a": ["TRUE", "TRUE"]}), r"'TRUE' in column 'a'"),
    "text of Arrow": (pd.DataFrame({"a": pd.array(["NA"], dtype="string[pyarrow]")}), r"'NA' in column 'a'"),
    "categories": (pd.DataFrame({"a": pd.Categorical(["null"])}), r"'null' in column 'a'"),
    "the index": (pd.DataFrame({"a": [1]}, index=["NA"]), r"'NA' in the index"),
    "NUL": (pd.DataFrame({"a": ["x\0y"]}), r"column 'a'.*NUL"),
    "integers that floats round": (pd.DataFrame({"a": pd.array([2**60 + 1, None], dtype="Int64")}), r"column 'a'"),
    "columns of two levels": (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "x")])), "levels"),
    "the name of a column": (pd.DataFrame({"a": [1]}, index=pd.Index([8], name="a")), "'a'"),
    "no name": (pd.DataFrame({"": ["p"], "v": [1]}), "name for each column"),
    "a missing name": (pd.DataFrame([[1, 2]], columns=pd.Index(["a", None])), "None"),
    "levels, some named": (
        pd.DataFrame({"v": [1]}, index=pd.MultiIndex.from_tuples([("x", 1)], names=["i", None])),
        "2 levels",
    ),
    "objects": (pd.DataFrame({"a": [object()]}), r"column 'a' of object"),
    "complex numbers": (pd.DataFrame({"a": [1j]}), "column 'a'"),
}


@pytest.mark.req("R130")
@pytest.mark.parametrize("name", REFUSED)
def test_what_readers_would_take_for_something_else(name: str, tmp_path: Path) -> None:
    df, message = REFUSED[name]
    for suffix in (".csv", ".tsv.gz"):
        with pytest.raises(errors.UnsupportedObject, match=message):
            write(df, tmp_path / "x", suffix)
    assert list(tmp_path.iterdir()) == []


def test_the_words_for_missing_are_those_of_pandas(tmp_path: Path) -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    assert set(STR_NA_VALUES) - {""} == MISSING_WORDS


@pytest.mark.req("R130")
def test_floats_are_the_same_for_all_readers(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=2000)
    path = write(pd.DataFrame({"x": values}), tmp_path / "x.csv", ".csv")
    for kind in (pd.DataFrame, pa.Table, pl.DataFrame):
        assert (of(".csv").load(path, suffix=".csv", as_type=kind)["x"].to_numpy() == values).all()


def test_large_exponents_are_text(tmp_path: Path) -> None:
    """With pandas' default for floats, this one ends the process."""
    df = pd.DataFrame({"hash": ["1e2147483648", "2e6869646465"], "n": [1, 2]})
    pd.testing.assert_frame_equal(round_trip(df, ".csv", tmp_path), df)


def test_a_column_has_one_type_from_beginning_to_end(tmp_path: Path) -> None:
    """pandas reads in parts, each of which would be given a type of its own."""
    df = pd.DataFrame({"a": [*map(str, range(300_000)), "x"]})
    assert set(map(type, round_trip(df, ".csv", tmp_path)["a"])) == {str}


def test_an_index_of_several_levels_without_names(tmp_path: Path) -> None:
    """Arrow cannot open it, so we do not write it; those of others are loaded."""
    df = pd.DataFrame({"v": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)]))
    with pytest.raises(errors.UnsupportedObject, match="2 levels"):
        write(df, tmp_path / "no.csv", ".csv")
    df.to_csv(tmp_path / "x.csv")
    pd.testing.assert_frame_equal(of(".csv").load(tmp_path / "x.csv", suffix=".csv"), df)


@pytest.mark.req("R239")
def test_line_breaks_beyond_one_block(tmp_path: Path) -> None:
    df = pd.DataFrame({"i": range(60_000), "t": [f"one\ntwo {i}" for i in range(60_000)]})
    for suffix in (".csv", ".tsv.bz2"):
        path = write(df, tmp_path / f"x{suffix}", suffix)
        opened = of(suffix).open(path, suffix=suffix)
        assert opened.count_rows() == 60_000
        assert opened.head(2)["t"].to_pylist() == ["one\ntwo 0", "one\ntwo 1"]
        with of(suffix).open(path, suffix=suffix, engine="polars") as lazy:
            assert lazy.tail(1).collect()["t"].to_list() == ["one\ntwo 59999"]


def test_an_index_whose_name_is_zero(tmp_path: Path) -> None:
    df = pd.DataFrame({"v": [1]}, index=pd.Index(["x"], name=0))
    assert round_trip(df, ".csv", tmp_path).columns.tolist() == ["0", "v"]


def test_types_that_begin_late(tmp_path: Path) -> None:
    """polars infers types from the first rows by default, and fails later."""
    df = pd.DataFrame({"a": [*range(5000), 0.5]})
    path = write(df, tmp_path / "x.csv", ".csv")
    assert of(".csv").load(path, suffix=".csv", as_type=pl.DataFrame)["a"].to_list()[-1] == 0.5
