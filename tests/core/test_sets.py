"""Sets of artifacts read as one: loaded in their order, or opened as one dataset, locally and in a bucket."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.reading.artifact_set import ArtifactSet
from tests.registries import write


def save_tables(suffix: str = ".parquet", *, prefix: str = "part") -> ArtifactSet[ln.Artifact]:
    """Three tables, saved in another order than that of their keys; the last has a column more."""
    for name in "bca":
        df = pd.DataFrame({"name": [name] * 2, "n": [1, 2]})
        if name == "c":
            df = df.astype({"n": float}).assign(extra=[0.5, 1.5])
        ln.Artifact.from_dataframe(df, key=f"{prefix}/{name}{suffix}").save()
    return ln.Artifact.filter(key__startswith=f"{prefix}/").order_by("key")


@pytest.mark.req("R227", "R239")
def test_many_tables_as_one(lab: Registry) -> None:
    parts = save_tables()
    dataset = parts.open()
    assert not list(lab.settings.cache_dir.rglob("*.parquet"))  # nothing is downloaded
    loaded = parts.load()
    assert loaded["name"].tolist() == list("aabbcc")
    assert loaded["extra"].isna().tolist() == [True] * 4 + [False] * 2
    assert parts.load(join="inner").columns.tolist() == ["name", "n"]
    turned = ln.Artifact.filter(key__startswith="part/").order_by("-key")
    assert turned.load()["name"].tolist() == list("ccbbaa")

    assert isinstance(dataset, ds.Dataset)
    table = dataset.to_table()
    assert table["name"].to_pylist() == list("aabbcc")
    assert table["n"].to_pylist() == [1, 2] * 3
    assert table["extra"].to_pylist() == [None] * 4 + [0.5, 1.5]
    assert dataset.to_table(filter=ds.field("name") == "c").num_rows == 2
    with parts.open(engine="polars") as lazy:
        assert isinstance(lazy, pl.LazyFrame)
        assert lazy.filter(pl.col("n") > 1).collect()["name"].to_list() == list("abc")


@pytest.mark.parametrize("suffix", [".csv", ".csv.zst", ".jsonl.gz", ".feather", ".orc"])
def test_sets_of_other_tables(sqlite_registry: Registry, suffix: str) -> None:
    parts = save_tables(suffix)
    table = parts.open().to_table()
    assert table["name"].to_pylist() == list("aabbcc")
    assert table["n"].to_pylist() == [1, 2] * 3
    assert parts.load()["n"].tolist() == [1, 2] * 3


def test_sets_in_other_types(sqlite_registry: Registry) -> None:
    parts = save_tables()
    assert parts.load(as_type=pa.Table)["extra"].to_pylist() == [None] * 4 + [0.5, 1.5]
    assert parts.load(as_type=pl.DataFrame)["extra"].to_list() == [None] * 4 + [0.5, 1.5]
    assert parts.load(as_type=pa.Table, join="inner").column_names == ["name", "n"]
    assert parts.load(columns=["n"]).columns.tolist() == ["n"]


def test_folders_of_tables_are_one_too(sqlite_registry: Registry, tmp_path: Path) -> None:
    for day in ("1", "2"):
        (tmp_path / day / "h=1").mkdir(parents=True)
        pd.DataFrame({"day": [int(day)]}).to_parquet(tmp_path / day / "h=1" / "x.parquet")
        ln.Artifact(tmp_path / day, key=f"days/{day}").save()
    days = ln.Artifact.filter(key__startswith="days/").order_by("key")
    assert days.open().to_table().to_pylist() == [{"day": 1, "h": 1}, {"day": 2, "h": 1}]
    assert days.load()["day"].tolist() == [1, 2]


@pytest.mark.req("R227")
def test_annotated_matrices_as_one(sqlite_registry: Registry) -> None:
    for name in "ab":
        adata = ad.AnnData(
            np.full((2, 2), ord(name), dtype="float32"),
            obs=pd.DataFrame(index=pd.Index([f"{name}1", f"{name}2"])),
            var=pd.DataFrame(index=pd.Index(["g1", f"only {name}"])),
        )
        ln.Artifact.from_anndata(adata, key=f"{name}.h5ad").save()
    cells = ln.Artifact.filter(suffix=".h5ad").order_by("key")
    loaded = cells.load(join="inner")
    assert loaded.shape == (4, 1)
    assert loaded.obs_names.tolist() == ["a1", "a2", "b1", "b2"]
    assert loaded.obs["artifact_uid"].tolist() == [uid for uid in cells.to_list("uid") for _ in range(2)]
    assert cells.load().shape == (4, 3)
    with pytest.raises(ValueError, match="only tables"):
        cells.open()


@pytest.mark.req("R227", "R239")
def test_sets_that_cannot_be_one(sqlite_registry: Registry, tmp_path: Path) -> None:
    parts = save_tables()
    ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="part/d.csv").save()
    for read in (parts.all().load, parts.all().open):
        with pytest.raises(ValueError, match=r"'\.csv', '\.parquet'"):
            read()
    with pytest.raises(ValueError, match="empty"):
        ln.Artifact.filter(key="nothing").load()
    with pytest.raises(ValueError, match="join"):
        parts.all().filter(suffix=".parquet").load(join="left")
    with pytest.raises(ValueError, match="engine"):
        parts.all().filter(suffix=".parquet").open(engine="dask")
    ln.Artifact.from_dataframe(pd.DataFrame({"n": ["text"]}), key="part/e.parquet").save()
    with pytest.raises(ValueError, match="fit together"):
        ln.Artifact.filter(suffix=".parquet").order_by("key").open()
    for name in ("x.txt", "y.txt"):
        ln.Artifact(write(tmp_path / name, name), key=name).save()
    with pytest.raises(errors.UnsupportedObject, match="str"):
        ln.Artifact.filter(suffix=".txt").order_by("key").load()
    for name, suffix in (("f1", ".parquet"), ("f2", ".csv")):
        (tmp_path / name).mkdir()
        df = pd.DataFrame({"a": [1]})
        df.to_parquet(tmp_path / name / "x.parquet") if suffix == ".parquet" else df.to_csv(tmp_path / name / "x.csv")
        ln.Artifact(tmp_path / name, key=name).save()
    with pytest.raises(ValueError, match="csv, parquet"):
        ln.Artifact.filter(suffix="").order_by("key").open()


@pytest.mark.req("R227")
def test_a_set_without_an_order_warns(sqlite_registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    parts = save_tables()
    with caplog.at_level(logging.WARNING):
        parts.load()
        ln.Artifact.filter(key="part/a.parquet").load()
    assert "order_by" not in caplog.text
    with caplog.at_level(logging.WARNING):
        assert ln.Artifact.filter(key__startswith="part/").load()["name"].tolist() == list("bbccaa")
    assert "order_by" in caplog.text


@pytest.mark.req("R219", "R227", "R250")
@pytest.mark.parametrize("how", ["load", "open"])
def test_reading_a_set_records_inputs(sqlite_registry: Registry, how: str) -> None:
    parts = save_tables()
    collection = ln.Collection(parts, key="parts").save()
    run: Any = ln.track("reader")
    getattr(parts.all().filter(key="part/a.parquet"), how)(is_run_input=False)
    assert run.input_artifacts.count() == 0
    getattr(parts, how)()
    assert run.input_artifacts.count() == 3
    getattr(collection, how)()
    assert run.input_collections.to_list() == [collection]
    ln.finish()


@pytest.mark.req("R227")
def test_a_collection_is_read_in_its_order(sqlite_registry: Registry) -> None:
    parts = save_tables().to_list()
    collection = ln.Collection([parts[2], parts[0]], key="two").save()
    assert collection.load()["name"].tolist() == list("ccaa")
    assert collection.open().to_table()["name"].to_pylist() == list("ccaa")
    with collection.open(engine="polars") as lazy:
        assert lazy.collect()["name"].to_list() == list("ccaa")


def test_related_artifacts_are_a_set_too(sqlite_registry: Registry) -> None:
    run: Any = ln.track("maker")
    save_tables()
    ln.finish()
    assert len(run.output_artifacts.order_by("key").load()) == 6
