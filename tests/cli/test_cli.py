"""The command `lamart`: what it says, how it ends, and that it asks only where somebody can answer."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lamart_core as ln
from lamart_core.cli import main
from lamart_core.db import Registry
from lamart_core.storage import MARKER
from tests.core.test_fsck import overwrite
from tests.core.test_gc import leave_file, location_of
from tests.registries import write


def address(registry: Registry) -> str:
    return registry.url.render_as_string(hide_password=False)


def lamart(registry: Registry, command: str, *arguments: str) -> Result:
    """Run a command in this process; what it writes to stdout and stderr is kept apart."""
    result = CliRunner().invoke(main, [command, "--db", address(registry), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.req("R291")
def test_gc_lists_first_and_removes_when_asked(lab: Registry, tmp_path: Path) -> None:
    path = leave_file(lab, tmp_path, "0123456789")
    young = lamart(lab, "gc")
    assert (young.exit_code, young.stdout) == (0, "0 found, 0 bytes\n")
    listed = lamart(lab, "gc", "--grace", "0")
    assert listed.exit_code == 0
    assert f"10 bytes   0 min  unclaimed  {location_of(lab).root}/{path}\n" in listed.stdout
    assert "1 found, 10 bytes; remove them with --delete" in listed.stdout
    assert location_of(lab).exists(path)
    removed = lamart(lab, "gc", "--grace", "0", "--delete", "--json")
    item, total = (json.loads(line) for line in removed.stdout.splitlines())
    assert item["path"] == path
    assert item["reason"] == "unclaimed"
    assert item["is_removed"] is True
    assert total == {"found": 1, "removed": 1, "size": 10}
    assert not location_of(lab).exists(path)


@pytest.mark.req("R291")
def test_fsck_tells_by_its_exit_status(lab: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact(write(tmp_path / "a.txt", "content"), key="a.txt").save()
    clean = lamart(lab, "fsck", "--verify")
    assert (clean.exit_code, clean.stdout) == (0, "clean\n")
    overwrite(lab, artifact.object.path, b"CONTENT")
    # Of a remote object only the size is looked at; a file of this machine shows by its time that it was written.
    assert lamart(lab, "fsck").exit_code == (0 if artifact.storage.backend.is_cached else 1)
    found = lamart(lab, "fsck", "--verify")
    assert found.exit_code == 1
    assert found.stdout.startswith(f"altered: {location_of(lab).root}/{artifact.object.path} (artifact {artifact.uid})")
    assert "1 found, 0 repaired, 1 remaining" in found.stdout
    item, total = (json.loads(line) for line in lamart(lab, "fsck", "--verify", "--json").stdout.splitlines())
    assert (item["kind"], item["severity"], item["artifact"]) == ("altered", "error", artifact.uid)
    assert total == {"found": 1, "repaired": 0, "remaining": 1}


@pytest.mark.req("R97", "R291")
def test_fsck_repairs_and_is_clean_then(registry: Registry, tmp_path: Path) -> None:
    leave_file(registry, tmp_path)
    location_of(registry).delete(MARKER)
    repaired = lamart(registry, "fsck", "--repair")
    assert repaired.exit_code == 0
    assert "1 found, 1 repaired, 0 remaining" in repaired.stdout
    assert lamart(registry, "fsck", "--grace", "0").exit_code == 1
    assert lamart(registry, "fsck", "--grace", "0", "--gc").exit_code == 0
    assert lamart(registry, "fsck", "--grace", "0").stdout == "clean\n"


def test_fsck_of_one_storage_location(sqlite_registry: Registry, tmp_path: Path) -> None:
    other = ln.Storage(root=str(tmp_path / "other")).save()
    location_of(sqlite_registry).delete(MARKER)
    assert lamart(sqlite_registry, "fsck").exit_code == 1
    assert lamart(sqlite_registry, "fsck", "--storage", other.root).exit_code == 0
    unknown = lamart(sqlite_registry, "fsck", "--storage", str(tmp_path / "none"))
    assert unknown.exit_code == 2
    assert "no storage location has the root" in unknown.stderr


def test_verify(sqlite_registry: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(write(tmp_path / "a.txt", "first"), key="a.txt").save()
    second = ln.Artifact(write(tmp_path / "a.txt", "second"), key="a.txt").save()
    right = lamart(sqlite_registry, "verify", "a.txt", first.uid)
    assert (right.exit_code, [line.split("\t")[:2] for line in right.stdout.splitlines()]) == (
        0,
        [[second.uid, "right"], [first.uid, "right"]],
    )
    overwrite(sqlite_registry, first.object.path, b"FIRST")
    wrong = lamart(sqlite_registry, "verify", "a.txt", first.uid)
    assert wrong.exit_code == 1
    assert "altered" in wrong.stdout.splitlines()[1]
    unknown = lamart(sqlite_registry, "verify", "nothing.txt")
    assert unknown.exit_code == 2
    assert "has the key 'nothing.txt', or a uid that begins so" in unknown.stderr
    first.refresh().delete(permanent=True)
    deleted = lamart(sqlite_registry, "verify", first.uid)
    assert deleted.exit_code == 2
    assert "deleted" in deleted.stderr


@pytest.mark.parametrize("command", ["gc", "fsck", "migrate", "verify x"])
def test_looking_after_a_registry_never_makes_one(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 2
    assert "there is no database" in result.stderr
    assert list(tmp_path.iterdir()) == []


def on_a_terminal(registry: Registry, answer: str, *arguments: str) -> str:
    """Run `lamart gc` on a terminal of its own, answer, and return what was shown."""
    run = [sys.executable, "-m", "lamart_core.cli", "gc", "--db", address(registry), "--grace", "0", *arguments]
    own, theirs = pty.openpty()
    process = subprocess.Popen(run, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    os.write(own, answer.encode())
    shown = b""
    while True:
        try:
            piece = os.read(own, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(own)
    process.wait(timeout=60)
    return shown.decode()


def test_only_a_terminal_is_asked(sqlite_registry: Registry, tmp_path: Path) -> None:
    backend = location_of(sqlite_registry)
    path = leave_file(sqlite_registry, tmp_path, "one")
    assert "Aborted" in on_a_terminal(sqlite_registry, "n\n", "--delete")
    assert backend.exists(path)
    assert "1 of 1 removed" in on_a_terminal(sqlite_registry, "y\n", "--delete")
    assert not backend.exists(path)
    path = leave_file(sqlite_registry, tmp_path, "two")
    shown = on_a_terminal(sqlite_registry, "", "--delete", "--yes")
    assert "[y/N]" not in shown
    assert not backend.exists(path)
