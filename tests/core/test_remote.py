"""Artifacts whose bytes lie in an object store: a real S3 server on loopback."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pandas as pd
import pytest
from upath import UPath

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry, set_default_registry
from tests.databases import BACKENDS, fresh_database
from tests.storage.s3_server import S3Server, s3

__all__ = ["s3"]


@pytest.fixture(params=BACKENDS)
def remote(request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path) -> Generator[Registry, None, None]:
    """An empty registry whose default storage is a prefix of a bucket."""
    with fresh_database(request.param, tmp_path) as url:
        registry = ln.connect(url, storage=s3.new_root(), cache_dir=tmp_path / "cache")
        yield registry
        registry.close()
        set_default_registry(None)


@pytest.mark.req("R27", "R61", "R238", "R245", "R248", "R263")
def test_a_table_goes_to_the_bucket_and_back(remote: Registry, tmp_path: Path) -> None:
    df = pd.DataFrame({"a": range(5)})
    artifact = ln.Artifact.from_dataframe(df, key="d.parquet").save()
    assert str(artifact.path).startswith("s3://")
    assert artifact.path.exists()
    assert artifact.load().equals(df)
    assert artifact.open().count_rows() == 5
    assert artifact.cache().is_relative_to(tmp_path / "cache")
    assert artifact.verify()
    assert ln.Artifact.from_dataframe(df, key="d.parquet") == artifact
    artifact.delete(permanent=True)
    assert not artifact_exists(artifact)


def artifact_exists(artifact: ln.Artifact) -> bool:
    return ln.Artifact.filter(uid=artifact.uid).exists()


@pytest.mark.req("R60", "R71", "R249")
def test_a_folder_goes_to_the_bucket_and_back(remote: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "1.txt").write_text("1")
    (folder / "deep/2.txt").write_text("2")
    first = ln.Artifact(folder, key="folder").save()
    local = first.cache()
    assert {path.relative_to(local).as_posix() for path in local.rglob("*.txt")} == {"1.txt", "deep/2.txt"}
    (folder / "deep/2.txt").unlink()
    second = ln.Artifact(folder, key="folder").save()
    assert [path.name for path in second.cache().rglob("*.txt")] == ["1.txt"]
    with pytest.raises(ValueError, match="outdated version"):
        first.load()


@pytest.mark.req("R57", "R58", "R255", "R263")
def test_an_object_outside_is_registered_and_never_touched(remote: Registry, s3: S3Server) -> None:
    bucket = s3.new_bucket()
    path = UPath(f"s3://{bucket}/x/y.csv", endpoint_url=s3.endpoint_url)
    path.write_text("a,b\n3,4\n")
    artifact = ln.Artifact(path).save()
    assert artifact.key == "x/y.csv"
    assert not artifact._key_is_virtual
    assert artifact.load()["a"].tolist() == [3]
    assert not artifact.storage.is_managed
    # Nothing was written there, not even a marker.
    assert [item.name for item in path.parent.parent.iterdir()] == ["x"]
    with pytest.raises(errors.IntegrityError, match="storage=False"):
        artifact.delete(permanent=True)
    artifact.delete(permanent=True, storage=False)
    assert path.exists()
    assert not artifact_exists(artifact)
