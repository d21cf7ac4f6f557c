"""`from_dataframe`: what it takes, what it sets, and the example of the API page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from upath import UPath

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from tests.registries import contents
from tests.storage.s3_server import S3Server, credentials

DF = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


@pytest.mark.req("R119")
def test_parquet_kwargs(lab: Registry) -> None:
    import pyarrow.parquet as pq

    df = pd.DataFrame(
        {
            "a": [3, 1, 4, 2],
            "b": ["c", "a", "d", "b"],
            "c": [3.3, 1.1, 4.4, 2.2],
        }
    )
    df_sorted = df.sort_values(by=["a", "b"])
    sorting_columns = [
        pq.SortingColumn(0, descending=False, nulls_first=False),
        pq.SortingColumn(1, descending=False, nulls_first=False),
    ]
    artifact = ln.Artifact.from_dataframe(
        df_sorted,
        key="df_sorted.parquet",
        parquet_kwargs={"sorting_columns": sorting_columns},
    ).save()
    pyarrow_dataset = artifact.open()
    fragment = next(pyarrow_dataset.get_fragments())
    assert list(fragment.metadata.row_group(0).sorting_columns) == sorting_columns


@pytest.mark.req("R120")
def test_csv_kwargs(sqlite_registry: Registry) -> None:
    artifact = ln.Artifact.from_dataframe(DF, key="d.csv", csv_kwargs={"sep": ";", "index": False}).save()
    assert artifact.cache().read_text() == "a;b\n1;x\n2;y\n3;z\n"
    refused: list[tuple[str, dict[str, Any]]] = [
        ("e.csv", {"parquet_kwargs": {"compression": "zstd"}}),
        ("e.parquet", {"csv_kwargs": {"sep": ";"}}),
        ("e.parquet", {"csv_kwargs": {}, "parquet_kwargs": {}}),
        ("e.orc", {"parquet_kwargs": {}}),
    ]
    for key, options in refused:
        with pytest.raises(errors.InvalidArgument, match="kwargs"):
            ln.Artifact.from_dataframe(DF, key=key, **options)
    assert contents(sqlite_registry).artifacts == 1


SOURCES: dict[str, Any] = {
    "pandas": DF,
    "polars": pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}),
    "arrow": pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]}),
    "lazy polars": pl.LazyFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}),
    "dataset": ds.dataset(pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})),
    "path": Path("d.parquet"),
    "text path": "d.parquet",
    "folder": Path("folder"),
    "text of a folder": "folder",
}


@pytest.mark.req("R107", "R116", "R117")
@pytest.mark.parametrize("kind", SOURCES)
def test_what_it_takes_and_sets(
    sqlite_registry: Registry, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    DF.to_parquet("d.parquet")
    Path("folder").mkdir()
    DF.iloc[:1].to_parquet("folder/1.parquet")
    DF.iloc[1:].to_parquet("folder/2.parquet")
    run: Any = ln.track("maker")
    suffix = "" if "folder" in kind else ".parquet"
    artifact = ln.Artifact.from_dataframe(SOURCES[kind], key=f"t/d{suffix}", description="three rows", run=run)
    assert (artifact.otype, artifact.kind, artifact.n_observations) == ("DataFrame", "dataset", 3)
    assert (artifact.description, artifact.run) == ("three rows", run)
    assert not artifact.is_saved
    assert contents(sqlite_registry).artifacts == 0
    saved = artifact.save()
    assert ln.Artifact.get(saved.uid).load()["b"].tolist() == ["x", "y", "z"]
    other = DF.iloc[:2] if suffix else Path("folder")
    if not suffix:
        Path("folder/2.parquet").unlink()
    revision = ln.Artifact.from_dataframe(other, revises=saved).save()
    assert (revision.stem_uid, revision.is_latest) == (saved.stem_uid, True)
    assert revision.n_observations == (2 if suffix else 1)
    ln.finish()


@pytest.mark.req("R107")
def test_other_constructors_set_the_kind_too(sqlite_registry: Registry, tmp_path: Path) -> None:
    import anndata as ad
    import numpy as np

    assert ln.Artifact.from_anndata(ad.AnnData(np.ones((1, 1))), key="d.h5ad").kind == "dataset"
    (tmp_path / "x.txt").write_text("x")
    assert ln.Artifact(tmp_path / "x.txt", key="x.txt").kind is None


@pytest.mark.req("R118")
@pytest.mark.parametrize(
    "suffix", ["", ".parquet", ".csv", ".tsv.gz", ".ipc", ".feather", ".orc", ".jsonl", ".ndjson.zst"]
)
def test_the_key_chooses_the_format(sqlite_registry: Registry, suffix: str) -> None:
    artifact = ln.Artifact.from_dataframe(DF, key=f"d{suffix}" if suffix else None, description="d").save()
    assert artifact.suffix == (suffix or ".parquet")
    assert artifact.path.name.endswith(suffix or ".parquet")
    loaded = ln.Artifact.get(artifact.uid).load()
    pd.testing.assert_frame_equal(loaded, DF)
    assert artifact.open().to_table()["b"].to_pylist() == ["x", "y", "z"]


@pytest.mark.req("R118")
def test_what_it_does_not_take(sqlite_registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.txt").write_text("x")
    refused: list[tuple[Any, str]] = [
        (DF, "d.h5ad"),
        (DF, "d.txt"),
        ({"a": 1}, "d.parquet"),
        (tmp_path / "folder", "f"),
    ]
    for data, key in refused:
        with pytest.raises(ValueError, match=r"cannot be written|DataFrame-like"):
            ln.Artifact.from_dataframe(data, key=key)
    assert contents(sqlite_registry).artifacts == 0


@pytest.mark.req("R111", "R117")
def test_a_remote_table_is_counted_by_its_footer(sqlite_registry: Registry, s3: S3Server) -> None:
    bucket = s3.new_bucket()
    with credentials():
        for suffix, expected in ((".parquet", 3), (".orc", 3), (".csv", None)):
            path = UPath(f"s3://{bucket}/d{suffix}", endpoint_url=s3.endpoint_url)
            with path.open("wb") as file:
                {".parquet": DF.to_parquet, ".orc": DF.to_orc, ".csv": DF.to_csv}[suffix](file)
            artifact = ln.Artifact.from_dataframe(path).save()
            assert (artifact.otype, artifact.n_observations) == ("DataFrame", expected)


@pytest.mark.req("R112")
def test_extra_data(registry: Registry) -> None:
    facts = {"plate": 7, "reader": {"name": "größe", "channels": ["a", None, 1.5]}}
    artifact = ln.Artifact.from_dataframe(DF, key="d.parquet", extra_data=facts).save()
    assert ln.Artifact.get(artifact.uid).extra_data == facts
    assert ln.Artifact.get(extra_data__reader__name="größe") == artifact
    assert ln.Artifact.get(extra_data__plate=7) == artifact
    assert not ln.Artifact.filter(extra_data__plate=8).exists()
    with pytest.raises(errors.InvalidArgument, match="dictionary"):
        ln.Artifact.from_dataframe(DF, key="e.parquet", extra_data=[1])


@pytest.mark.req("R113", "R114")
def test_what_can_be_edited(registry: Registry) -> None:
    artifact = ln.Artifact.from_dataframe(DF, key="d.parquet").save()
    artifact.description = "edited"
    artifact.kind = "model"
    artifact.save()
    again = ln.Artifact.get(artifact.uid)
    assert (again.description, again.kind) == ("edited", "model")
    for name in ("uid", "hash", "size", "n_files", "suffix"):
        before = getattr(again, name)
        with pytest.raises(errors.LamartError, match=name):
            setattr(again, name, "x")
        assert getattr(again, name) == before
