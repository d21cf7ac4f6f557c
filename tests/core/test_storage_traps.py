"""Storage locations that are named in other ways, met before they are registered, or no places at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from upath import UPath

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry, set_default_registry
from tests.registries import contents, storage_root, tree, write
from tests.storage.s3_server import S3Server


def _link(tmp_path: Path, target: Path, name: str = "link") -> Path:
    link = tmp_path / name
    link.symlink_to(target, target_is_directory=target.is_dir())
    return link


@pytest.mark.req("R54", "R96")
def test_a_path_through_a_link_lies_in_its_location(sqlite_registry: Registry, tmp_path: Path) -> None:
    root = storage_root(sqlite_registry)
    link = _link(tmp_path, root)
    file = write(root / "raw/a.txt", "a")
    before = contents(sqlite_registry).files
    artifact = ln.Artifact(link / "raw/a.txt", run=False).save()
    assert (artifact.key, artifact.path, artifact.key_is_virtual) == ("raw/a.txt", file, False)
    assert ln.Artifact.get(path=link / "raw/a.txt") == artifact
    assert ln.Artifact(link / "raw/a.txt", run=False) == artifact
    write(root / "raw/deep/b.txt", "b")
    assert ln.Artifact.from_dir(link / "raw", run=False).save().to_list("key") == ["raw/a.txt", "raw/deep/b.txt"]
    assert ln.Artifact.from_dir(_link(tmp_path, root / "raw", "raw"), run=False).to_list("key")[0] == "raw/a.txt"
    assert contents(sqlite_registry).files == (*before, "raw/deep/b.txt"), "nothing was copied"
    # A link to a file is a name of its own.
    named = ln.Artifact(_link(tmp_path, file, "named.txt"), key="named.txt", skip_hash_lookup=True, run=False).save()
    assert named.key_is_virtual
    assert named.path != file


@pytest.mark.req("R96", "R100")
def test_a_root_by_way_of_a_link_is_the_same_location(sqlite_registry: Registry, tmp_path: Path) -> None:
    default = ln.settings.storage
    link = _link(tmp_path, Path(default.root))
    assert ln.Storage(root=link) == ln.Storage(root=link).save() == ln.Storage.get(root=link) == default
    again = ln.connect(sqlite_registry.url, storage=link, make_default=False)
    assert again.storage_id == default.id
    again.close()
    other = ln.Storage(root=tmp_path / "other").save()
    ln.settings.storage = _link(tmp_path, Path(other.root), "to_other")
    assert ln.settings.storage == other
    source = write(tmp_path / "a.txt", "a")
    assert ln.Artifact(source, key="a.txt", storage=link, run=False).storage == default
    assert ln.Storage.filter().count() == 2


@pytest.mark.req("R96")
def test_what_is_no_place_is_not_registered(sqlite_registry: Registry, tmp_path: Path) -> None:
    file = write(tmp_path / "file.txt", "text")
    with pytest.raises(errors.NotAFolder, match="is a file"):
        ln.Storage(root=file).save()
    with pytest.raises((errors.StorageError, errors.NotAFolder)):
        ln.Storage(root=file / "below").save()
    with pytest.raises(errors.InvalidArgument, match="'local', and not 's3'"):
        ln.Storage(root=tmp_path / "x", type="s3")
    assert ln.Storage(root=tmp_path / "x", type="local").save().type == "local"
    with pytest.raises(errors.LamartError):
        ln.connect(tmp_path / "new.db", storage=file, make_default=False)
    assert ln.Storage.filter().count() == 2


@pytest.mark.req("R96", "R308")
def test_what_is_passed_for_a_known_root_is_written(sqlite_registry: Registry, tmp_path: Path) -> None:
    location = ln.Storage(root=tmp_path / "x", description="old").save()
    assert ln.Storage(root=tmp_path / "x", description="new").save() == location
    assert ln.Storage.get(location.id).description == "new"
    assert ln.Storage(root=tmp_path / "x").save().description == "new"


@pytest.mark.req("R57", "R58", "R97")
def test_a_bucket_that_was_met_as_a_reference_can_become_managed(
    sqlite_registry: Registry, tmp_path: Path, s3: S3Server
) -> None:
    bucket = s3.new_bucket()
    path = UPath(f"s3://{bucket}/x/y.txt", endpoint_url=s3.endpoint_url)
    path.write_text("theirs")
    met = ln.Artifact(path, run=False).save()
    root = met.storage.root
    source = write(tmp_path / "a.txt", "ours")
    with pytest.raises(errors.InvalidArgument, match=r"Storage\(root=.*\)\.save\(\)"):
        ln.Artifact(source, key="a.txt", storage=root, run=False)
    assert not ln.Artifact(path, run=False).save().storage.is_managed
    managed = ln.Storage(root=root).save()
    assert managed == met.storage
    assert managed.is_managed
    assert ln.Storage.get(root=root).is_managed
    ours = ln.Artifact(source, key="a.txt", storage=root, run=False).save()
    assert ours.load() == "ours"
    assert ln.Artifact.get(met.uid).load() == "theirs"
    with pytest.raises(errors.StorageError):
        ln.Storage(root=f"s3://no-such-{bucket}?endpoint_url={s3.endpoint_url}").save()
    assert ln.Storage.filter(root__contains="no-such").count() == 0


@pytest.mark.req("R149", "R150")
def test_names_of_a_bucket_that_make_no_key_are_left_out(
    sqlite_registry: Registry, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = s3.new_bucket()
    for name in ("p/a.txt", "p/b\\c.txt", "p/d/e.txt"):
        s3.client.put_object(Bucket=bucket, Key=name, Body=name.encode())
    artifacts = ln.Artifact.from_dir(UPath(f"s3://{bucket}/p", endpoint_url=s3.endpoint_url), run=False)
    assert artifacts.to_list("key") == ["p/a.txt", "p/d/e.txt"]
    assert "1 objects of" in caplog.text
    assert "c.txt" in caplog.text


@pytest.mark.req("R52", "R64")
def test_a_real_key_below_a_file_is_refused(sqlite_registry: Registry, tmp_path: Path) -> None:
    source, other = write(tmp_path / "a.txt", "a"), write(tmp_path / "b.txt", "b")
    above = ln.Artifact(source, key="x/a.txt", key_is_virtual=False, run=False).save()
    before = contents(sqlite_registry)
    with pytest.raises(errors.ObjectExists, match=r"x/a\.txt.* is a file"):
        ln.Artifact(other, key="x/a.txt/b.txt", key_is_virtual=False, run=False).save()
    assert contents(sqlite_registry) == before
    moved = ln.Artifact(other, key="b.txt", key_is_virtual=False, run=False).save()
    moved.key = "x/a.txt/c.txt"
    with pytest.raises(errors.ObjectExists, match="is a file"):
        moved.save()
    assert (above.refresh().verify(), moved.refresh().verify()) == (True, True)


@pytest.mark.req("R249")
def test_a_cache_that_cannot_be_written_names_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Server
) -> None:
    blocked = write(tmp_path / "blocked", "a file where a folder should be")
    root = s3.new_root()
    registry = ln.connect(tmp_path / "r.db", storage=root, cache_dir=blocked / "cache")
    try:
        with pytest.raises(errors.StorageError, match=r"cache_dir.*LAMART_CACHE_DIR"):
            ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save().cache()
    finally:
        registry.close()
        set_default_registry(None)
    monkeypatch.delenv("LAMART_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked / "of the user"))
    registry = ln.connect(tmp_path / "r.db", storage=root)
    try:
        assert registry.settings.cache_dir.is_relative_to(os.path.realpath(os.environ.get("TMPDIR", "/tmp")))
        assert ln.Artifact.filter().count() in (0, 1)
    finally:
        registry.close()
        set_default_registry(None)


# ---------------------------------------------------------------------- names


@pytest.mark.req("R64", "R68")
@pytest.mark.parametrize(
    ("name", "key", "suffix"),
    [
        ("model-1.0", "models/mine", ""),
        ("model-1.0", "models/mine-1.0", ".0"),
        ("model-1.0", "models/mine-2.1", ".1"),
        ("counts.2024-01-31", "exports/counts", ""),
        ("run.v2", "run.final", ".final"),
        ("data", "data.v2", ".v2"),
        ("a.txt", "b.txt", ".txt"),
    ],
)
def test_only_what_names_content_is_a_suffix(
    sqlite_registry: Registry, tmp_path: Path, name: str, key: str, suffix: str
) -> None:
    artifact = ln.Artifact(write(tmp_path / name, "content"), key=key, run=False).save()
    assert (artifact.key, artifact.suffix) == (key, suffix)
    assert artifact.cache().read_text() == "content"
    artifact.key = f"elsewhere/{key}"
    assert artifact.save().key == f"elsewhere/{key}"
    artifact.replace(write(tmp_path / f"again/{name}", "other"))
    assert (artifact.save().key, artifact.suffix, artifact.cache().read_text()) == (f"elsewhere/{key}", suffix, "other")


@pytest.mark.req("R64")
@pytest.mark.parametrize(
    ("name", "key"),
    [("a.txt", "a"), ("a", "a.txt"), ("a.txt", "a.v2"), ("a.v2", "a.csv"), ("weights.pt", "weights.safetensors"),
     ("a.csv.gz", "a.csv"), ("photo.jpg", "photo.png")],
)  # fmt: skip
def test_suffixes_that_contradict_each_other_are_refused(
    sqlite_registry: Registry, tmp_path: Path, name: str, key: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match="suffix"):
        ln.Artifact(write(tmp_path / name, "content"), key=key, run=False)


@pytest.mark.req("R155")
def test_daily_exports_are_versions_of_one_key(registry: Registry, tmp_path: Path) -> None:
    tree(tmp_path, {"counts.2024-01-30": "one", "counts.2024-01-31": "two"})
    for day in ("30", "31"):
        last = ln.Artifact(tmp_path / f"counts.2024-01-{day}", key="exports/counts", run=False).save()
    assert [each.load() if each.suffix else each.cache().read_text() for each in last.versions] == ["two", "one"]
