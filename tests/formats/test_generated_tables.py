"""Tables that hypothesis draws: they come back equal, or are refused before anything is written, by column."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import polars.testing as pl_testing
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamart_core import errors
from lamart_core.formats import for_suffix
from tests.formats.format_samples import write
from tests.formats.table_equality import same_flat, same_frame
from tests.formats.table_strategies import arrow_tables, frames, polars_frames

quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
# What a refusal names: a column, the attributes, names, or the index.
NAMED = re.compile(r"column|DataFrame\.attrs|name|index|without rows")


def kept_or_refused(
    obj: Any, suffix: str, folder: Path, same: Callable[[Any, Any], None], as_type: type | None = None
) -> None:
    path = folder / "x"
    refusal = None
    try:
        write(obj, path, suffix)
    except errors.UnsupportedObject as error:
        refusal = str(error)
    if refusal is not None:
        assert NAMED.search(refusal), refusal
        assert list(folder.iterdir()) == []
        return
    each = for_suffix(suffix)
    assert each is not None
    same(each.load(path, suffix=suffix, as_type=as_type), obj)


def same_table(loaded: pa.Table, table: pa.Table) -> None:
    assert loaded.schema.equals(table.schema)
    assert loaded.equals(table) or loaded.to_pylist() == table.to_pylist()  # equals() knows some types only


@pytest.mark.req("R105", "R130")
@quick
@given(df=frames(), suffix=st.sampled_from([".parquet", ".feather"]))
def test_frames_of_pandas(tmp_path_factory: pytest.TempPathFactory, df: pd.DataFrame, suffix: str) -> None:
    kept_or_refused(df, suffix, tmp_path_factory.mktemp("t"), same_frame)


@pytest.mark.req("R130")
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".orc"])
@quick
@given(obj=st.one_of(frames(), arrow_tables()))
def test_formats_with_fewer_types(tmp_path_factory: pytest.TempPathFactory, obj: Any, suffix: str) -> None:
    def same(loaded: pd.DataFrame, obj: Any) -> None:
        df = obj if isinstance(obj, pd.DataFrame) else obj.to_pandas(types_mapper=pd.ArrowDtype)
        same_flat(loaded, df, is_text=suffix == ".csv")

    kept_or_refused(obj, suffix, tmp_path_factory.mktemp("t"), same, pd.DataFrame)


@pytest.mark.req("R130")
@quick
@given(table=arrow_tables(), suffix=st.sampled_from([".parquet", ".feather"]))
def test_tables_of_arrow(tmp_path_factory: pytest.TempPathFactory, table: pa.Table, suffix: str) -> None:
    kept_or_refused(table, suffix, tmp_path_factory.mktemp("t"), same_table, pa.Table)


@pytest.mark.req("R130")
@quick
@given(df=polars_frames(), suffix=st.sampled_from([".parquet", ".feather"]))
def test_frames_of_polars(tmp_path_factory: pytest.TempPathFactory, df: pl.DataFrame, suffix: str) -> None:
    kept_or_refused(df, suffix, tmp_path_factory.mktemp("t"), pl_testing.assert_frame_equal, pl.DataFrame)
