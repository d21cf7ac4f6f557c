"""Artifacts whose content is written straight into the storage."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import collect_garbage
from lamart_core.db import Registry
from lamart_core.models import Artifact, LazyArtifact
from lamart_core.objects import leases
from tests.processes import answers, start
from tests.registries import advance, contents, storage_root
from tests.seams import at_storage


def write_to(lazy: LazyArtifact, content: str) -> LazyArtifact:
    lazy.path.write_text(content)
    return lazy


def new(key: str | None = "notes.txt", suffix: str = ".txt", **fields: Any) -> LazyArtifact:
    return ln.Artifact.from_lazy(suffix, False, key=key, **fields)


def held(registry: Registry) -> set[str]:
    with registry.engine.connect() as connection:
        return leases.held_paths(connection, registry.storage_id)


@pytest.mark.req("R157", "R158")
def test_what_is_written_becomes_the_artifact(lab: Registry) -> None:
    run = ln.track("stream.py", new_run=True)
    lazy = new(description="words", kind="model")
    assert isinstance(lazy, LazyArtifact)
    assert not lazy.path.exists()
    assert lazy.path.parent.exists() or not isinstance(lazy.path, Path)
    assert "not saved" in repr(lazy)
    with pytest.raises(FileNotFoundError):
        lazy.save()
    write_to(lazy, "content")
    artifact = lazy.save()
    ln.finish()
    assert isinstance(artifact, Artifact)
    assert (artifact.key, artifact.description, artifact.kind, artifact.run) == ("notes.txt", "words", "model", run)
    # No copy: what was written is the object.
    assert str(artifact.path) == str(lazy.path)
    assert (artifact.size, artifact.load(), artifact.verify()) == (7, "content", True)
    assert lazy.save() is artifact
    assert ln.Artifact.get(key="notes.txt") == artifact
    assert contents(lab).files == (lazy.relpath,)
    assert held(lab) == set()
    assert collect_garbage(lab, grace=timedelta(0)) == []


@pytest.mark.req("R158")
def test_arguments_are_checked_first(registry: Registry) -> None:
    before = contents(registry)
    for fields in ({"key": "a.csv"}, {"key": "../a.txt"}, {"key": None}, {"kind": 3}, {"nonsense": 1}):
        with pytest.raises(errors.InvalidArgument):
            new(**{"run": False, **fields})
    with pytest.raises(ValueError, match="no suffix"):
        new(suffix="txt")
    with pytest.raises(ValueError, match="suffix"):
        ln.Artifact.from_lazy(None, False, key="a.txt")  # pyright: ignore[reportArgumentType]
    assert contents(registry) == before
    assert held(registry) == set()
    folder = new(key="run", suffix="")
    folder.path.mkdir()
    with pytest.raises(ValueError, match="empty"):
        folder.save()


@pytest.mark.req("R159")
def test_zarr_is_streamed(lab: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both examples of the documentation."""
    lazy = ln.Artifact.from_lazy(suffix=".zarr", overwrite_versions=True, key="mydata.zarr")
    if isinstance(lazy.path, Path):
        zarr.open(lazy.path, mode="w")["test"] = np.array(["test"])
    else:
        given = dict(lazy.path.storage_options)
        if "endpoint_url" in given:
            monkeypatch.setenv("AWS_ENDPOINT_URL", str(given.pop("endpoint_url")))
        store = zarr.storage.FsspecStore.from_url(lazy.path.as_posix(), storage_options=given)
        group = zarr.open(store, mode="w")
        group["ones"] = np.ones(3)
        options = zarr.storage.FsspecStore.from_url(
            lazy.path.as_posix(), storage_options=dict(lazy.path.storage_options)
        )
        zarr.open(options, mode="a")["twos"] = np.full(3, 2)
    artifact = lazy.save()
    assert artifact.n_files is not None
    assert artifact.n_files > 2
    assert artifact.verify()
    content = zarr.open(artifact.cache(), mode="r")
    if isinstance(lazy.path, Path):
        assert content["test"][:].tolist() == ["test"]
    else:
        assert content["ones"][:].tolist() == [1, 1, 1]
        assert content["twos"][:].tolist() == [2, 2, 2]
        assert not artifact.object.is_exact
    assert str(artifact.path) == str(lazy.path)
    assert collect_garbage(lab, grace=timedelta(0)) == []


@pytest.mark.req("R160", "R75")
def test_versions_and_known_content(lab: Registry) -> None:
    first = write_to(new(), "one").save()
    second = write_to(new(), "two").save()
    assert (second.stem_uid, second.version, second.is_latest) == (first.stem_uid, "0001", True)
    assert not first.refresh().is_latest
    again = new()
    path = again.path
    assert write_to(again, "one").save() == first
    assert not path.exists()
    assert len(contents(lab).files) == 2
    # Stored bytes are shared as well.
    other = write_to(new(key="other.txt", skip_hash_lookup=True), "one").save()
    assert other != first
    assert other.object_id == first.object_id
    assert len(contents(lab).files) == 2
    assert held(lab) == set()
    assert collect_garbage(lab, grace=timedelta(0)) == []


@pytest.mark.req("R160")
def test_folders_have_versions(lab: Registry) -> None:
    versions: list[ln.Artifact] = []
    for text in ("one", "two"):
        lazy = ln.Artifact.from_lazy("", False, key="run")
        for name in ("a.txt", "deep/b.txt"):
            path = lazy.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} {text}")
        versions.append(lazy.save())
    first, second = versions
    assert second.stem_uid == first.stem_uid
    assert [(item.cache() / "deep/b.txt").read_text() for item in versions] == ["deep/b.txt one", "deep/b.txt two"]
    assert first.verify()
    assert second.verify()


@pytest.mark.req("R52", "R157")
def test_a_real_key(lab: Registry) -> None:
    artifact = write_to(new(key="y/notes.txt", key_is_virtual=False), "content").save()
    path = lab.Storage.get(lab.storage_id).backend.path("y/notes.txt")
    assert str(artifact.path) == str(path)
    assert path.read_text() == "content"
    assert contents(lab).files == ("y/notes.txt",)


@pytest.mark.req("R157", "R94")
def test_a_writer_that_still_writes(registry: Registry) -> None:
    lazy = write_to(new(), "one")
    with at_storage("flush", after=lambda: write_to(lazy, "other")), pytest.raises(errors.SourceChanged):
        lazy.save()
    assert ln.Artifact.filter().count() == 0
    # What was written is not lost: when it is complete, it is saved.
    assert lazy.save().load() == "other"


@pytest.mark.req("R161")
def test_what_is_given_up(lab: Registry) -> None:
    lazy = write_to(new(), "content")
    assert held(lab) == {lazy.relpath}
    # This process lives, so the path is left alone, however old it is.
    assert collect_garbage(lab, grace=timedelta(0), dry_run=False) == []
    assert lazy.path.exists()
    lazy.discard()
    lazy.discard()
    assert not lazy.path.exists()
    assert held(lab) == set()
    with pytest.raises(ValueError, match="discarded"):
        lazy.save()
    saved = write_to(new(), "content")
    artifact = saved.save()
    saved.discard()
    assert artifact.load() == "content"


WRITER = """
lazy = ln.Artifact.from_lazy(".txt", False, key="a.txt", run=False)
lazy.path.write_text("content")
ready()
tell(lazy.relpath)
"""


@pytest.mark.req("R161")
def test_a_process_that_dies_gives_its_path_up(registry: Registry) -> None:
    process = start(registry, WRITER)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        (path,) = held(registry)
        assert collect_garbage(registry, grace=timedelta(0), dry_run=False) == []
        assert (storage_root(registry) / path).exists()
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert answers([process]) == [path]
        assert held(registry) == set()
        advance(registry)
        found = collect_garbage(registry, grace=timedelta(0), dry_run=False)
        assert [item.path for item in found] == [path]
        assert contents(registry).files == ()
    finally:
        process.kill()
        process.wait()


def test_who_holds_a_lease() -> None:
    later, earlier = datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) - timedelta(days=1)
    own = leases.holder()
    # A process of this machine is looked at; time says nothing.
    assert leases.is_held(own, earlier)
    host, pid, started = own.rsplit("|", 2)
    assert pid == str(os.getpid())
    # Another process that got the number of one that ended.
    assert not leases.is_held(f"{host}|{pid}|{int(started) + 1}", later)
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        assert not leases.is_held(f"{host}|{child.pid}|1", later)
    # Elsewhere only time tells.
    assert leases.is_held(f"elsewhere|boot|1|{pid}|{started}", later)
    assert not leases.is_held(f"elsewhere|boot|1|{pid}|{started}", earlier)
    assert leases.is_held("what others write", later)
    assert not leases.is_held("what others write", earlier)


def test_one_holder_at_a_time(registry: Registry) -> None:
    storage = registry.Storage.get(registry.storage_id)
    assert leases.take(registry, storage, "a")
    assert not leases.take(registry, storage, "a")
    assert leases.take(registry, storage, "b")
    registry.unit_of_work(lambda connection: leases.release(connection, storage.id, "a"))
    assert leases.take(registry, storage, "a")
    table = leases.LEASE
    dead = leases.holder().rsplit("|", 1)[0] + "|1"
    registry.unit_of_work(
        lambda connection: connection.execute(table.update().where(table.c.path == "a").values(holder=dead))
    )
    assert held(registry) == {"b"}
    assert leases.take(registry, storage, "a")
