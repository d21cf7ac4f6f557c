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
from tests.seams import at_storage
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


@pytest.mark.req("R302")
def test_an_object_in_place_is_the_one_that_its_server_says(remote: Registry, s3: S3Server, tmp_path: Path) -> None:
    folder = UPath(f"s3://{s3.new_bucket()}/raw", endpoint_url=s3.endpoint_url)
    file = folder / "a.txt"
    file.write_text("one")
    (folder / "b.txt").write_text("two")
    artifacts = [ln.Artifact(file).save(), ln.Artifact(folder, key="folder").save()]
    uids = [artifact.uid for artifact in artifacts]
    assert [artifact.cache().exists() for artifact in artifacts] == [True, True]
    file.write_text("ONE")
    remote.settings.cache_dir = tmp_path / "another machine"
    for uid in uids:
        with pytest.raises(errors.ContentMismatch, match="server says"):
            ln.Artifact.get(uid).cache()
        with pytest.raises(errors.ContentMismatch):
            ln.Artifact.get(uid).verify()
    remote.settings.cache_dir = tmp_path / "cache"
    assert ln.Artifact.get(uids[0]).load() == "one", "what was copied before is the content of this version"


@pytest.mark.req("R304")
def test_no_version_lies_in_the_cache_under_the_digest_of_another(remote: Registry, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("one")
    first = ln.Artifact(source, key="a.txt", key_is_virtual=False, run=False).save()

    def publish() -> None:
        source.write_text("two")
        ln.Artifact(source, key="a.txt", key_is_virtual=False, run=False).save()

    with at_storage("get", before=publish):
        assert ln.Artifact.get(first.uid).load() == "one"
    assert [ln.Artifact.get(uid).load() for uid in (first.uid, first.stem_uid + "0001")] == ["one", "two"]
    assert all(path.read_text() in ("one", "two") for path in (tmp_path / "cache").rglob("a.txt"))
    assert {path.stat().st_mode & 0o222 for path in (tmp_path / "cache").rglob("*.txt")} == {0}


@pytest.mark.req("R304")
def test_bytes_that_arrive_otherwise_are_refused(remote: Registry, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("one")
    artifact = ln.Artifact(source, key="a.txt").save()
    artifact.path.write_text("ONE")
    with pytest.raises(errors.ContentMismatch, match="digest"):
        ln.Artifact.get(artifact.uid).load()
    assert not [path for path in (tmp_path / "cache").rglob("*.txt") if path.is_file()]
