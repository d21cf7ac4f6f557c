"""Progress of transfers: on stderr, never on stdout, and nothing where nobody looks."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lamart_core.hashing import hash_tree
from lamart_core.storage import Backend, Bar, Cache, FilePut, backend_at
from tests.storage.s3_server import S3Server


class Counter(Bar):
    """Adds up what a transfer says, as a bar does."""

    def __init__(self) -> None:
        self.total = 0

    def advance(self, count: int) -> None:
        self.total += count


@pytest.mark.req("R272")
def test_transfers_say_how_many_bytes_they_moved(backend: Backend, source: Path, folder: Path, tmp_path: Path) -> None:
    puts, gets = Counter(), Counter()
    backend.put_file(source, "a.bin", bar=puts)
    backend.put_files([FilePut(source, "b.bin"), FilePut(folder / "a.txt", "c.txt")], bar=puts)
    assert puts.total == 100_000 + 100_000 + 1
    backend.get("a.bin", tmp_path / "copy.bin", bar=gets)
    tree = hash_tree(folder)
    backend.put_folder(folder, "f", tree=tree)
    backend.get("f", tmp_path / "copy", is_folder=True, bar=gets)
    assert gets.total == 100_000 + tree.size


SAVING = """
import sys
from pathlib import Path
import lamart_core as ln
registry = ln.connect("lab.db", storage=sys.argv[1], cache_dir="cache")
ln.settings.progress = {"always": True, "never": False, "default": None}[sys.argv[2]]
muted = len(sys.argv) > 3
Path("big.bin").open("wb").truncate(20_000_000)
artifact = ln.Artifact("big.bin", key="big.bin", run=False)
artifact.save(print_progress=False if muted else None)
artifact.cache(mute=muted)
"""


def run(folder: Path, root: str, *arguments: str, terminal: int | None = None) -> tuple[str, str]:
    """Save and fetch a file of 20 MB in a process of its own; return what it wrote to stdout and stderr."""
    code = [sys.executable, "-c", SAVING, root, *arguments]
    done = subprocess.run(
        code,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if terminal is None else terminal,
        timeout=60,
        env=dict(os.environ) | {"TERM": "xterm"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(), (done.stderr or b"").decode()


@pytest.mark.req("R272")
def test_a_bar_is_drawn_on_stderr_only(s3: S3Server, tmp_path: Path) -> None:
    out, err = run(tmp_path, s3.new_root(), "always")
    assert out == ""
    assert "saving big.bin" in err
    assert "downloading" in err
    assert err.count("20.0/20.0 MB") >= 2


@pytest.mark.req("R272")
@pytest.mark.parametrize("arguments", [("always", "muted"), ("never",), ("default",)])
def test_what_is_muted_or_nobody_sees_is_not_drawn(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(tmp_path, str(tmp_path / "lab"), *arguments) == ("", "")


@pytest.mark.req("R272")
def test_by_default_a_terminal_shows_large_transfers(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    out, _ = run(tmp_path, str(tmp_path / "lab"), "default", terminal=theirs)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert out == ""
    assert "saving big.bin" in shown


def test_only_a_download_draws(s3: S3Server, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    backend = backend_at(s3.new_root())
    backend.put_file(source, "a.bin")
    cache = Cache(tmp_path / "cache")
    cache.fetch(backend, "a.bin", size=100_000, show_progress=True)
    assert "downloading a.bin" in capfd.readouterr().err
    cache.fetch(backend, "a.bin", size=100_000, show_progress=True)
    assert capfd.readouterr().err == ""
