"""A database that is older than its store, or a copy of another: it writes to no store and collects nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, make_url, text

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import Kind, check_registry, collect_garbage
from lamart_core.cli import main
from lamart_core.db import Registry, set_default_registry
from lamart_core.records import identity, ownership
from lamart_core.storage import Local
from tests.databases import fresh_database
from tests.registries import create_tables, storage_root, write

AT_ONCE = timedelta(0)


def save(registry: Registry, folder: Path, content: str, key: str | None = None) -> ln.Artifact:
    with registry:
        path = write(folder / "source.txt", content)
        return ln.Artifact(path, key=key or f"{content}.txt", run=False).save()


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


class Restored:
    """A registry on SQLite of which a backup is made, and put back into the same file."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.path = Path(str(registry.url.database))
        self.url = f"sqlite:///{self.path}"
        self.backup = folder / "backup.db"
        self.registry = registry

    def back_up(self) -> None:
        with closing(sqlite3.connect(self.path)) as live, closing(sqlite3.connect(self.backup)) as copy:
            live.backup(copy)

    def put_back(self) -> Registry:
        self.registry.close()
        for path in storage_root(self.registry).glob(".lamart/*.txt"):
            os.utime(path, (time.time() - 3 * 86400,) * 2)
        self.registry.close()
        for ending in ("-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)
        shutil.copy(self.backup, self.path)
        self.registry = ln.connect(self.url)
        return self.registry


@pytest.fixture
def restored(sqlite_registry: Registry, tmp_path: Path) -> Generator[Restored, None, None]:
    restored = Restored(sqlite_registry, tmp_path)
    yield restored
    restored.registry.close()


# ---------------------------------------------------------------------- older than its store


@pytest.fixture
def without_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an object store knows, and a file system without extended attributes."""
    monkeypatch.setattr(Local, "highest", lambda self: 0)


@pytest.mark.usefixtures("without_attributes")
def test_what_was_saved_after_a_backup_survives_garbage_collection(restored: Restored, tmp_path: Path) -> None:
    save(restored.registry, tmp_path, "old")
    restored.back_up()
    new = [save(restored.registry, tmp_path, content) for content in ("new", "newer")]
    paths = [Path(str(artifact.path)) for artifact in new]
    older = restored.put_back()
    code, output = run("gc", "--db", restored.url, "--delete", "--grace", "0")
    assert code == 2
    assert "older than what lies in its storage" in output
    with pytest.raises(errors.DatabaseOutdated, match="take-over"):
        collect_garbage(older, grace=AT_ONCE)
    code, output = run("fsck", "--db", restored.url, "--gc", "--repair", "--grace", "0")
    assert code == 1
    assert "database: " in output
    assert [path.read_text() for path in paths] == ["new", "newer"]


@pytest.mark.usefixtures("without_attributes")
def test_the_only_save_since_a_backup_is_kept(restored: Restored, tmp_path: Path) -> None:
    """Its epoch is that of bytes whose save was killed: nobody can tell them apart, so both stay."""
    save(restored.registry, tmp_path, "old")
    restored.back_up()
    path = Path(str(save(restored.registry, tmp_path, "new").path))
    older = restored.put_back()
    assert collect_garbage(older, grace=AT_ONCE, dry_run=False) == []
    assert path.read_text() == "new"


@pytest.mark.usefixtures("without_attributes")
def test_saving_after_a_backup_was_put_back_is_refused(
    restored: Restored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a database that was put back cannot grow until nothing tells that it is older."""
    save(restored.registry, tmp_path, "old")
    restored.back_up()
    monkeypatch.setattr(ownership, "_PERIOD", AT_ONCE)  # as if an hour had gone by
    path = Path(str(save(restored.registry, tmp_path, "new").path))
    monkeypatch.setattr(ownership, "_PERIOD", timedelta(hours=1))
    older = restored.put_back()
    with pytest.raises(errors.DatabaseOutdated, match="generation 1, not 0"):
        save(older, tmp_path, "next")
    with pytest.raises(errors.DatabaseOutdated):
        collect_garbage(older, grace=AT_ONCE, dry_run=False)
    assert ln.Artifact.get(key="old.txt").load() == "old", "reading goes on"
    code, output = run("take-over", "--db", restored.url)
    assert (code, path.read_text()) == (0, "new"), output
    older.close()
    older = ln.connect(restored.url)
    save(older, tmp_path, "next")
    assert [Path(found.path).name for found in collect_garbage(older, grace=AT_ONCE, dry_run=False)] == [path.name]


@pytest.mark.req("R316")
def test_ids_of_objects_are_never_used_again(registry: Registry, tmp_path: Path) -> None:
    """What epochs stand on: the database remembers the largest id, whatever was deleted."""
    save(registry, tmp_path, "kept")
    for _ in range(3):
        save(registry, tmp_path, "gone").delete(permanent=True)
    newest = save(registry, tmp_path, "next").path
    assert Path(str(newest)).name.endswith("-4.txt")


@pytest.mark.req("R316")
def test_what_a_killed_save_left_is_collected_when_the_next_one_is_recorded(registry: Registry, tmp_path: Path) -> None:
    save(registry, tmp_path, "first")
    left = Path(str(save(registry, tmp_path, "second").path)).with_name("K" * 24 + "-2.txt")
    left.write_text("of a save that was killed")
    assert collect_garbage(registry, grace=AT_ONCE, dry_run=False) == []
    save(registry, tmp_path, "third")
    assert [found.path for found in collect_garbage(registry, grace=AT_ONCE, dry_run=False)] == [f".lamart/{left.name}"]


# ---------------------------------------------------------------------- copies


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path, None, None]:
    """A project with its database and storage in it, and one artifact; closed."""
    folder = tmp_path / "proj"
    folder.mkdir()
    monkeypatch.chdir(folder)
    registry = ln.connect(make_default=False)
    save(registry, tmp_path, "first")
    registry.close()
    yield folder
    set_default_registry(None)


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.chdir(folder)
    return ln.connect()


@pytest.mark.req("R317", on="sqlite")
def test_a_copied_project_takes_nothing_from_the_original(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(project, tmp_path / "copy")
    original = opened(project, monkeypatch)
    later = save(original, tmp_path, "later")
    copy = opened(tmp_path / "copy", monkeypatch)
    assert f"is a copy of the database at {project}" in caplog.text
    assert copy.Artifact.get(key="first.txt").load() == "first"
    with pytest.raises(errors.DatabaseCopied, match="lamart fork"):
        save(copy, tmp_path, "of the copy")
    with pytest.raises(errors.DatabaseCopied, match="lamart fork"):
        copy.Artifact.get(key="first.txt").delete(permanent=True)
    with pytest.raises(errors.DatabaseCopied, match="take-over"):
        collect_garbage(copy, grace=AT_ONCE, dry_run=False)
    assert Kind.DATABASE in {found.kind for found in check_registry(copy, gc=True, grace=AT_ONCE).findings}
    assert later.load() == "later"
    assert check_registry(original, verify=True).is_clean
    copy.close()
    original.close()


def test_a_copied_project_becomes_a_registry_of_its_own(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = opened(project, monkeypatch)
    with original:
        elsewhere = ln.Storage(tmp_path / "elsewhere").save()
        ln.Artifact(write(tmp_path / "e.txt", "e"), key="e.txt", storage=elsewhere, run=False).save()
    shutil.copytree(project, tmp_path / "copy")
    url = f"sqlite:///{tmp_path / 'copy/.lamart/lamart.db'}"
    code, output = run("fork", "--db", url)
    assert code == 0, output
    fork = opened(tmp_path / "copy", monkeypatch)
    assert fork.uid != original.uid
    assert fork.copy_of is None
    own = save(fork, tmp_path, "own")
    assert Path(str(own.path)).is_relative_to(tmp_path / "copy")
    taken = fork.Artifact.get(key="first.txt")
    assert (taken.load(), Path(str(taken.path)).is_relative_to(tmp_path / "copy")) == ("first", True)
    theirs = fork.Artifact.get(key="e.txt")
    assert (theirs.load(), theirs.storage.is_managed) == ("e", False)
    with pytest.raises(errors.IntegrityError, match="not managed"):
        theirs.delete(permanent=True)
    taken.delete(permanent=True)
    assert collect_garbage(fork, grace=AT_ONCE, dry_run=False) == []
    assert check_registry(fork, verify=True).is_clean
    assert check_registry(original, verify=True).is_clean
    assert original.Artifact.get(key="first.txt").load() == "first"
    save(original, tmp_path, "next")
    code, output = run("fork", "--db", url)
    assert (code, "no copy" in output) == (2, True)
    fork.close()
    original.close()


def test_a_fork_that_ended_before_the_markers_is_completed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project, tmp_path / "copy")
    copy = opened(tmp_path / "copy", monkeypatch)

    def fail(self: Local, marker: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Local, "replace_marker", fail)
        with pytest.raises(KeyboardInterrupt):
            identity.fork(copy)
    copy.close()
    url, root = f"sqlite:///{tmp_path / 'copy/.lamart/lamart.db'}", tmp_path / "copy/.lamart/storage"
    with pytest.raises(errors.WrongStorage, match="lamart claim"):
        opened(tmp_path / "copy", monkeypatch)
    assert run("claim", "--db", url, str(root))[0] == 0
    fork = opened(tmp_path / "copy", monkeypatch)
    assert Path(str(save(fork, tmp_path, "own").path)).is_relative_to(root)
    assert check_registry(fork, verify=True).is_clean
    fork.close()


def test_a_project_that_was_moved_goes_on(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    project.rename(tmp_path / "moved")
    registry = opened(tmp_path / "moved", monkeypatch)
    assert "was moved here from" in caplog.text
    assert registry.Artifact.get(key="first.txt").load() == "first"
    assert Path(str(save(registry, tmp_path, "second").path)).is_relative_to(tmp_path / "moved")
    assert [storage.root for storage in registry.Storage.filter()] == [str(tmp_path / "moved/.lamart/storage")]
    assert check_registry(registry, verify=True).is_clean
    registry.close()
    caplog.clear()
    opened(tmp_path / "moved", monkeypatch).close()
    assert caplog.text == ""


def test_a_database_on_another_machine(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    shared = opened(project, monkeypatch)
    assert shared.copy_of is None, "the same file, seen from another machine or container"
    save(shared, tmp_path, "second")
    shared.close()
    shutil.copytree(project, tmp_path / "received")
    received = opened(tmp_path / "received", monkeypatch)
    with pytest.raises(errors.DatabaseCopied, match="moved or copied from the database"):
        save(received, tmp_path, "third")
    received.close()
    shutil.rmtree(project)
    code, output = run("take-over", "--db", f"sqlite:///{tmp_path / 'received/.lamart/lamart.db'}")
    assert code == 0, output
    received = opened(tmp_path / "received", monkeypatch)
    assert received.Artifact.get(key="first.txt").load() == "first"
    save(received, tmp_path, "third")
    assert check_registry(received, verify=True).is_clean
    received.close()


@pytest.mark.req("R317", on="postgres")
def test_a_copy_on_postgres(tmp_path: Path) -> None:
    with fresh_database("postgres", tmp_path, prepare=create_tables) as url:
        original = ln.connect(url, storage=tmp_path / "storage", make_default=False)
        save(original, tmp_path, "first")
        original.close()
        name, copied = make_url(url).database, f"{make_url(url).database}_copy"
        admin = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{copied}" TEMPLATE "{name}"'))
        there = make_url(url).set(database=copied).render_as_string(hide_password=False)
        try:
            copy = ln.connect(there, make_default=False)
            with pytest.raises(errors.DatabaseCopied, match="is a copy of the database"):
                save(copy, tmp_path, "second")
            with pytest.raises(errors.DatabaseCopied):
                collect_garbage(copy, grace=AT_ONCE, dry_run=False)
            assert copy.Artifact.get(key="first.txt").load() == "first"
            save(original, tmp_path, "second")
            identity.take_over(copy)
            save(copy, tmp_path, "third")
            with pytest.raises(errors.DatabaseOutdated):
                save(original, tmp_path, "fourth")
            copy.close()
        finally:
            with admin.connect() as connection:
                connection.execute(text(f'DROP DATABASE "{copied}" WITH (FORCE)'))
            admin.dispose()
            original.close()


# ---------------------------------------------------------------------- a place that is claimed


def test_a_place_whose_files_are_lost_is_used_again(sqlite_registry: Registry, tmp_path: Path) -> None:
    lost = save(sqlite_registry, tmp_path, "lost")
    root = storage_root(sqlite_registry)
    shutil.rmtree(root)
    root.mkdir()
    with pytest.raises(errors.WrongStorage, match="lamart claim"):
        save(sqlite_registry, tmp_path, "next")
    code, output = run("claim", "--db", str(sqlite_registry.url.database), str(root))
    assert code == 0, output
    assert save(sqlite_registry, tmp_path, "next").load() == "next"
    with pytest.raises(errors.ContentMismatch, match="missing"):
        lost.load()


def test_a_database_that_was_put_back_is_known_by_the_first_save(restored: Restored, tmp_path: Path) -> None:
    """On a disk the store knows the largest id that was recorded: at once, and not only after an hour."""
    save(restored.registry, tmp_path, "old")
    restored.back_up()
    path = Path(str(save(restored.registry, tmp_path, "new").path))
    older = restored.put_back()
    with pytest.raises(errors.DatabaseOutdated, match="2 objects that were recorded, not 1"):
        save(older, tmp_path, "next")
    assert path.read_text() == "new"
    assert {found.artifact for found in check_registry(older, adopts=True).findings if found.is_repaired}
    identity.take_over(older)
    assert ln.Artifact.get(key="new.txt").load() == "new"
    save(older, tmp_path, "next")
    assert check_registry(older, verify=True).is_clean
