"""The store knows whose it is: what lies at a root that is not the store which is meant is left alone, and told."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import event, text

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import Kind, check_registry, collect_garbage
from lamart_core.db import Registry
from tests.databases import fresh_database
from tests.registries import create_tables, on_clouds_too, storage_root, write
from tests.storage.proxy import proxied
from tests.storage.s3_server import S3Server, credentials, s3

__all__ = ["s3"]

AT_ONCE = timedelta(0)


@pytest.fixture
def other(tmp_path: Path) -> Generator[Registry, None, None]:
    """Another registry on this machine, with one artifact."""
    with fresh_database("sqlite", tmp_path) as url:
        registry = ln.connect(url, storage=tmp_path / "theirs", make_default=False)
        with registry:
            ln.Artifact(write(tmp_path / "t.txt", "theirs"), key="theirs.txt").save()
        yield registry
        registry.close()


def saved(tmp_path: Path, content: str, key: str = "a.txt", **options: bool) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / "source.txt", content), key=key, **options).save()


def everything(folder: Path) -> dict[str, bytes]:
    """What lies below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(registry: Registry) -> list[str]:
    """All rows that tell of artifacts, objects and locations."""
    tables = ("lamart_artifact", "lamart_storedobject", "lamart_tombstone", "lamart_lease")
    queries = [f"SELECT * FROM {table} ORDER BY id" for table in tables]
    # Not how often a marker was written: the other locations are ours.
    queries.append("SELECT id, uid, root, instance_uid FROM lamart_storage ORDER BY id")
    with registry.engine.connect() as connection:
        return [str(row) for query in queries for row in connection.execute(text(query))]


def refuse_everything(registry: Registry, artifact: ln.Artifact, tmp_path: Path, match: str) -> None:
    """Each verb that would write, remove, or call something lost is refused, and changes no row."""
    before = rows(registry)
    virtual = artifact._key_is_virtual
    with pytest.raises(errors.WrongStorage, match=match):
        saved(tmp_path, "another content", artifact.key or "", key_is_virtual=virtual)
    with pytest.raises(errors.WrongStorage, match=match):
        ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="frame.parquet").save()
    with pytest.raises(errors.WrongStorage, match=match):
        saved(tmp_path, "kept", f"again/{artifact.key}")  # a hit, whose bytes cannot be seen
    with pytest.raises(errors.WrongStorage, match=match):
        artifact.load()
    with pytest.raises(errors.WrongStorage, match=match):
        artifact.verify()
    with pytest.raises(errors.WrongStorage, match=match):
        artifact.delete(permanent=True, storage=True)
    with pytest.raises(errors.WrongStorage, match=match):
        collect_garbage(registry, grace=AT_ONCE, dry_run=False)
    found = check_registry(registry, verify=True, repair=True, gc=True, grace=AT_ONCE).findings
    assert [(item.kind, item.is_repaired) for item in found] in ([(Kind.MARKER, False)], [(Kind.UNREACHABLE, False)])
    assert rows(registry) == before


class Disk:
    """A folder that is mounted at another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self.point = folder / "mounted"
        self.folder.mkdir()
        self.point.mkdir()

    def mount(self) -> None:
        command = ["mount", "--bind", self.folder, self.point]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a file system is not permitted here")

    def unmount(self) -> None:
        subprocess.run(["umount", self.point], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Disk, None, None]:
    """A disk that is mounted, where this process may mount any."""
    disk = Disk(tmp_path)
    disk.mount()
    yield disk
    subprocess.run(["umount", disk.point], capture_output=True, check=False)  # unless the test has done so


@pytest.mark.parametrize("virtual", [True, False])
def test_a_disk_that_is_not_mounted(sqlite_registry: Registry, disk: Disk, tmp_path: Path, virtual: bool) -> None:
    """The folder below the mount point is there, and empty: nothing is written into it, nothing is called lost."""
    storage = ln.Storage(disk.point).save()
    ln.settings.storage = storage
    artifact = saved(tmp_path, "kept", key_is_virtual=virtual)
    disk.unmount()
    refuse_everything(sqlite_registry, artifact, tmp_path, "Is its disk not mounted")
    assert not list(disk.point.iterdir())
    disk.mount()
    assert artifact.load() == "kept"
    assert saved(tmp_path, "second", key_is_virtual=virtual).version != artifact.version
    assert check_registry(sqlite_registry, verify=True).is_clean


@pytest.mark.req("R315")
def test_a_folder_that_is_gone(registry: Registry, tmp_path: Path) -> None:
    artifact = saved(tmp_path, "kept")
    root = storage_root(registry)
    root.rename(root.with_name("away"))
    refuse_everything(registry, artifact, tmp_path, "is not there")
    assert not root.exists()
    with pytest.raises(errors.WrongStorage, match="another machine"):
        ln.connect(registry.url.render_as_string(hide_password=False), storage=root, make_default=False)
    assert not root.exists(), "connect makes no folder where a known location should be"
    opened = ln.connect(registry.url.render_as_string(hide_password=False), make_default=False)
    assert opened.Artifact.get(key="a.txt") == artifact, "records can be read meanwhile"
    opened.close()
    root.with_name("away").rename(root)
    assert artifact.load() == "kept"
    assert collect_garbage(registry, grace=AT_ONCE, dry_run=False) == []
    assert check_registry(registry).is_clean


@pytest.mark.req("R315")
def test_the_store_of_another_registry_at_our_root(registry: Registry, other: Registry, tmp_path: Path) -> None:
    """Another disk was mounted at our root, or a folder was moved there."""
    artifact = saved(tmp_path, "kept")
    with other:
        for number in range(3):  # more than this registry has recorded
            saved(tmp_path, str(number), f"{number}.txt")
    root = storage_root(registry)
    root.rename(root.with_name("away"))
    (tmp_path / "theirs").rename(root)
    before = everything(root)
    refuse_everything(registry, artifact, tmp_path, other.uid)
    assert everything(root) == before


def test_another_location_of_the_same_registry_at_a_root(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = saved(tmp_path, "kept")
    second = ln.Storage(tmp_path / "second").save()
    root = storage_root(sqlite_registry)
    root.rename(tmp_path / "away")
    Path(second.root).rename(root)
    before = everything(root)
    with pytest.raises(errors.WrongStorage, match=second.uid):
        collect_garbage(sqlite_registry, grace=AT_ONCE, dry_run=False)
    with pytest.raises(errors.WrongStorage, match=second.uid):
        artifact.load()
    assert everything(root) == before


@on_clouds_too
def test_a_store_of_others_is_seen_by_the_next_process(lab: Registry, tmp_path: Path) -> None:
    artifact = saved(tmp_path, "kept")
    backend = lab.Storage.get(lab.storage_id).backend
    marker = backend.read_marker()
    assert marker is not None
    backend.replace_marker(type(marker)("storageother", "registryothe"))
    url = lab.url.render_as_string(hide_password=False)
    options = lab.storage_options
    lab.forget("markers that were read")  # as a process that begins now
    with pytest.raises(errors.WrongStorage, match="registryothe"):
        saved(tmp_path, "second")
    with pytest.raises(errors.WrongStorage, match="registryothe"):
        artifact.delete(permanent=True)
    with pytest.raises(errors.WrongStorage, match="registryothe"):
        collect_garbage(lab, grace=AT_ONCE, dry_run=False)
    assert url
    assert options is not None
    assert artifact.load() == "kept", "what is there can be read"
    backend.replace_marker(marker)
    assert saved(tmp_path, "second").version != artifact.version


def test_a_missing_marker_is_written_again_only_where_the_objects_lie(
    sqlite_registry: Registry, tmp_path: Path
) -> None:
    artifact = saved(tmp_path, "kept")
    marker = storage_root(sqlite_registry) / ".lamart/storage_uid.txt"
    marker.unlink()
    with pytest.raises(errors.WrongStorage, match="has no marker"):
        saved(tmp_path, "second")
    assert check_registry(sqlite_registry, repair=True).is_clean
    assert saved(tmp_path, "second").version != artifact.version
    shutil.rmtree(storage_root(sqlite_registry))
    storage_root(sqlite_registry).mkdir()
    found = check_registry(sqlite_registry, repair=True).findings
    assert [(item.kind, item.is_repairable, item.is_repaired) for item in found] == [(Kind.MARKER, False, False)]
    assert list(storage_root(sqlite_registry).iterdir()) == []


# ---------------------------------------------------------------------- the database


@pytest.mark.parametrize("how", ["deleted", "replaced", "moved"])
def test_a_database_file_that_is_replaced_under_a_process(sqlite_registry: Registry, tmp_path: Path, how: str) -> None:
    saved(tmp_path, "kept")
    path = Path(str(sqlite_registry.url.database))
    if how == "replaced":
        shutil.copy(path, tmp_path / "copy.db")
        os.replace(tmp_path / "copy.db", path)
    elif how == "moved":
        path.rename(tmp_path / "elsewhere.db")
    else:
        path.unlink()
    before = everything(storage_root(sqlite_registry))
    with pytest.raises(errors.DatabaseReplaced, match="connect again"):
        saved(tmp_path, "into the void")
    assert everything(storage_root(sqlite_registry)) == before


# ---------------------------------------------------------------------- strangers


def test_a_row_of_a_stranger_makes_nothing_ours(sqlite_registry: Registry, other: Registry, tmp_path: Path) -> None:
    """What is managed here is said by our own rows and the marker on the disk, never by a row from elsewhere."""
    (tmp_path / "theirs/thesis.tex").write_text("years of work")
    with fresh_database("sqlite", tmp_path) as url:
        evil = ln.connect(url, storage=tmp_path / "evil", make_default=False)
        with evil:
            ln.Artifact(write(tmp_path / "e.txt", "years of work"), key="data.txt").save()
        with evil.engine.begin() as connection:
            for statement in (
                f"UPDATE lamart_storage SET root = '{tmp_path / 'theirs'}', instance_uid = '{sqlite_registry.uid}'",
                "UPDATE lamart_storedobject SET path = 'thesis.tex', is_managed = 0, suffix = '.tex'",
                "UPDATE lamart_artifact SET key = 'thesis.tex', suffix = '.tex', _key_is_virtual = 0",
            ):
                connection.execute(text(statement))
        evil.close()
        before = everything(tmp_path / "theirs")
        got = ln.DB(url).Artifact.get(key="thesis.tex").save()
    assert not got.storage.is_managed
    past = time.time() - 3 * 86400
    for path in (tmp_path / "theirs").rglob("*.txt"):
        os.utime(path, (past, past))
    assert collect_garbage(sqlite_registry, grace=AT_ONCE, dry_run=False) == []
    with pytest.raises(errors.IntegrityError, match="not managed"):
        got.delete(permanent=True, storage=True)
    assert everything(tmp_path / "theirs") == before


def test_a_row_that_says_that_a_place_is_ours_is_not_believed(
    sqlite_registry: Registry, other: Registry, tmp_path: Path
) -> None:
    """Whoever wrote such a row: the marker on the disk decides."""
    place = ln.Storage(tmp_path / "theirs").save()
    artifact = ln.Artifact(write(tmp_path / "theirs/thesis.tex", "years of work")).save()
    with sqlite_registry.engine.begin() as connection:
        connection.execute(
            text("UPDATE lamart_storage SET instance_uid = :uid WHERE id = :id"),
            {"uid": sqlite_registry.uid, "id": place.id},
        )
    before = everything(tmp_path / "theirs")
    artifact = ln.Artifact.get(artifact.uid)
    with pytest.raises(errors.WrongStorage, match=other.uid):
        artifact.delete(permanent=True, storage=True)
    with pytest.raises(errors.WrongStorage, match=other.uid):
        collect_garbage(sqlite_registry, grace=AT_ONCE, dry_run=False)
    with pytest.raises(errors.WrongStorage, match=other.uid):
        ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt", storage=ln.Storage.get(place.id)).save()
    assert everything(tmp_path / "theirs") == before


def test_opening_a_registry_whose_disk_is_away_says_so(
    sqlite_registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = storage_root(sqlite_registry)
    root.rename(root.with_name("away"))
    with caplog.at_level(logging.WARNING):
        ln.connect(str(sqlite_registry.url.database), make_default=False).close()
    assert "is not there" in caplog.text


# ---------------------------------------------------------------------- what it costs


@pytest.mark.req("R315", on="sqlite")
def test_what_looking_costs_in_an_object_store(s3: S3Server, tmp_path: Path) -> None:
    """Two requests an hour and process for the marker, and none with each save; no further statement at all."""
    with (
        proxied(s3.endpoint_url) as proxy,
        fresh_database("sqlite", tmp_path, prepare=create_tables) as url,
        credentials(),
    ):
        root = f"s3://{s3.new_bucket()}/lab?endpoint_url={proxy.endpoint_url}"
        registry = ln.connect(url, storage=root, make_default=False)
        with registry:
            saved(tmp_path, "first")
            counts: list[tuple[int, int, int]] = []
            for number in range(3):
                statements: list[str] = []
                listen = partial(_note_statement, statements)
                event.listen(registry.engine, "before_cursor_execute", listen)
                if number == 1:
                    registry.forget("markers that were read")  # as the next process, or after an hour
                proxy.asked.clear()
                saved(tmp_path, f"content {number}", f"{number}.txt")
                event.remove(registry.engine, "before_cursor_execute", listen)
                marker = sum("storage_uid.txt" in asked.target for asked in proxy.asked)
                counts.append((len(proxy.asked), marker, len(statements)))
        registry.close()
    (requests, _, statements_), again, later = counts
    assert [counted[1] for counted in counts] == [0, 2, 0]
    assert (again[0], again[2]) == (requests + 2, statements_)
    assert later == counts[0]


def _note_statement(statements: list[str], *arguments: object) -> None:
    statements.append(str(arguments[2]))
