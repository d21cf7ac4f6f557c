"""Hybrid registries: kept local first, uploaded when asked."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry


@pytest.fixture
def hybrid(lab: Registry, tmp_path: Path) -> Iterator[Registry]:
    registry = reopen(lab, local_storage=tmp_path / "kept")
    with registry:
        yield registry
    registry.close()


def reopen(lab: Registry, **options: Any) -> Registry:
    url = lab.url.render_as_string(hide_password=False)
    return ln.connect(url, make_default=False, **(lab.options | options))


def save(content: bytes, tmp_path: Path, *, upload: bool | None = None, key: str = "a.bin") -> ln.Artifact:
    source = tmp_path / "a.bin"
    source.write_bytes(content)
    return ln.Artifact(source, key=key, run=False).save(upload=upload)


@pytest.mark.req("R269")
@pytest.mark.parametrize("upload", [None, False])
def test_what_is_saved_stays_local(hybrid: Registry, tmp_path: Path, upload: bool | None) -> None:
    artifact = save(b"first", tmp_path, upload=upload)
    assert artifact.storage.id == hybrid.local_storage_id
    assert Path(artifact.path).is_relative_to(tmp_path / "kept")
    assert hybrid.Artifact.filter(storage_id=hybrid.storage_id).count() == 0


@pytest.mark.req("R269")
def test_upload_moves_a_family_and_the_next_versions_follow(hybrid: Registry, tmp_path: Path) -> None:
    first = save(b"first", tmp_path)
    local = Path(first.path)
    second = save(b"second", tmp_path, upload=True)
    assert second.storage.id == hybrid.storage_id
    assert second._key_is_virtual
    assert not local.exists()
    third = save(b"third", tmp_path)
    assert third.storage.id == hybrid.storage_id
    versions = third.versions.order_by("id").to_list()
    assert [version.uid[-4:] for version in versions] == ["0000", "0001", "0002"]
    assert {version.storage_id for version in versions} == {hybrid.storage_id}
    assert [version.load(as_type=bytes) for version in versions] == [b"first", b"second", b"third"]
    assert ln.Artifact.get(key="a.bin") == third
    revised = ln.Artifact(_file(tmp_path, b"fourth"), revises=third, run=False).save()
    assert revised.storage.id == hybrid.storage_id
    assert save(b"fourth", tmp_path, upload=True) == revised


@pytest.mark.req("R269")
def test_the_uploaded_bytes_stay_in_the_cache(hybrid: Registry, tmp_path: Path) -> None:
    artifact = save(b"bytes" * 1000, tmp_path, upload=True)
    path = artifact.path
    if isinstance(path, Path):
        assert artifact.cache() == path
        return
    path.fs.rm_file(path.path)  # reads again would fail, but this machine has a copy
    assert artifact.cache().read_bytes() == b"bytes" * 1000
    assert not list(hybrid.settings.cache_dir.glob(".*.part"))


@pytest.mark.req("R269")
def test_a_folder_is_uploaded_too(hybrid: Registry, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "x.txt").write_text("x")
    (source / "y.txt").write_text("y")
    artifact = ln.Artifact(source, key="both", run=False).save(upload=True)
    assert artifact.storage.id == hybrid.storage_id
    assert {path.name for path in artifact.cache().iterdir()} == {"x.txt", "y.txt"}
    (source / "x.txt").write_text("X")
    files = ln.Artifact.from_dir(source, key="files", run=False).save()
    assert {file.storage_id for file in files} == {hybrid.local_storage_id}
    files[0].save(upload=True)
    (source / "x.txt").write_text("z")
    (source / "y.txt").write_text("Z")
    again = ln.Artifact.from_dir(source, key="files", run=False).save()
    assert [file.storage_id for file in again] == [hybrid.storage_id, hybrid.local_storage_id]
    assert [file.uid[-4:] for file in again] == ["0001", "0001"]


@pytest.mark.req("R269")
def test_only_what_is_kept_local_is_uploaded(hybrid: Registry, tmp_path: Path) -> None:
    other = ln.Storage(tmp_path / "other").save()
    artifact = ln.Artifact(_file(tmp_path, b"a"), key="o.bin", storage=other, run=False).save()
    with pytest.raises(errors.InvalidArgument, match="other"):
        artifact.save(upload=True)
    assert artifact.load(as_type=bytes) == b"a"


@pytest.mark.req("R269")
def test_upload_without_a_local_storage(lab: Registry, tmp_path: Path) -> None:
    with reopen(lab) as registry:
        assert save(b"first", tmp_path, upload=True).storage.id == registry.storage_id
        other = ln.Storage(tmp_path / "other").save()
        artifact = ln.Artifact(_file(tmp_path, b"a"), key="o.bin", storage=other, run=False).save()
        with pytest.raises(errors.InvalidArgument, match="local_storage"):
            artifact.save(upload=True)
        assert ln.settings.local_storage is None


def test_the_local_storage_is_a_folder_of_its_own(lab: Registry, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match="no local folder"):
        reopen(lab, local_storage="s3://bucket/kept")
    registry = reopen(lab, local_storage=tmp_path / "kept")
    with registry:
        assert ln.settings.local_storage is not None
        assert ln.settings.local_storage.root == str(tmp_path / "kept")
        assert pickle.loads(pickle.dumps(registry)).local_storage_id == registry.local_storage_id
        with pytest.raises(errors.ProtectedError):
            ln.settings.local_storage.delete()
    with reopen(lab) as again, pytest.raises(errors.InvalidArgument, match="default storage"):
        reopen(lab, local_storage=tmp_path / "same", storage=tmp_path / "same")
    again.close()


def _file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "b.bin"
    path.write_bytes(content)
    return path
