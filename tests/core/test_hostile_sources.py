"""Sources that are no plain files at rest: pipes, links, holes, what may not be read, what others write meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.hashing import hash_file, hash_tree
from lamart_core.saving.stage import resolve_source, stage_path
from lamart_core.storage import StorageOptions
from tests.registries import contents, storage_root, tree, write

SUFFIXES = ["", ".txt", ".csv", ".parquet", ".h5ad", ".zarr", ".ipc", ".json"]


@pytest.mark.req("R8", "R9")
@pytest.mark.timeout(60)
def test_pipes_sockets_and_devices_are_refused_and_never_waited_for(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(registry)
    monkeypatch.chdir(tmp_path)
    makers: list[Callable[..., Any]] = [ln.Artifact, ln.Artifact.from_dataframe, ln.Artifact.from_anndata]
    for suffix in SUFFIXES:
        os.mkfifo(f"pipe{suffix}")
        os.symlink(f"pipe{suffix}", f"link{suffix}")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"socket{suffix}")
        os.symlink("/dev/zero", f"device{suffix}")
        for kind in ("pipe", "link", "socket", "device"):
            for make in makers:
                with pytest.raises(errors.InvalidArgument, match=r"pipe|socket|device"):
                    make(tmp_path / f"{kind}{suffix}", key=f"{kind}{suffix}")
    with pytest.raises(errors.InvalidArgument, match="device"):
        ln.Artifact("/dev/null", key="null")
    assert contents(registry) == before


@pytest.mark.req("R7", "R60")
def test_links(lab: Registry, tmp_path: Path) -> None:
    folder = tree(tmp_path / "in", {"a.txt": "A", "deep/b.txt": "B"})
    os.link(folder / "a.txt", folder / "hard.txt")
    (folder / "soft.txt").symlink_to("deep/b.txt")
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    artifact = ln.Artifact(linked, key="linked").save()
    copy = artifact.cache()
    # What was read through links are files of their own.
    assert {path.name: path.read_text() for path in copy.rglob("*.txt")} == {
        "a.txt": "A", "b.txt": "B", "hard.txt": "A", "soft.txt": "B",
    }  # fmt: skip
    assert not [path for path in copy.rglob("*") if path.is_symlink()]
    # Equal files of a stored folder may share an inode, but never with the source.
    assert not {path.stat().st_ino for path in copy.rglob("*.txt")} & {path.stat().st_ino for path in folder.rglob("*")}
    (folder / "a.txt").write_text("changed")
    assert (artifact.cache() / "hard.txt").read_text() == "A"
    (tmp_path / "link.txt").symlink_to(folder / "soft.txt")
    assert ln.Artifact(tmp_path / "link.txt", key="link.txt").save().cache().read_text() == "B"


@pytest.mark.req("R8", "R77")
@pytest.mark.parametrize("kind", ["outside", "folder", "up", "nothing", "loop", "pipe", "empty", "surrogate"])
def test_folders_that_cannot_be_stored_are_refused_in_the_constructor(lab: Registry, tmp_path: Path, kind: str) -> None:
    folder = tree(tmp_path / "in", {"a.txt": "A", "deep/b.txt": "B"})
    before = contents(lab)
    odd = folder / "deep/odd"
    if kind == "outside":
        odd.symlink_to(write(tmp_path / "secret", "secret"))
    elif kind in ("folder", "up", "nothing", "loop"):
        odd.symlink_to({"folder": folder, "up": "..", "nothing": "missing", "loop": "odd"}[kind])
    elif kind == "pipe":
        os.mkfifo(odd)
    elif kind == "empty":
        shutil.rmtree(folder)
        (folder / "deep/odd").mkdir(parents=True)
    else:
        os.close(os.open(os.fsencode(odd) + b"\xff", os.O_CREAT))
    with pytest.raises(errors.InvalidArgument, match=r"odd|empty"):
        ln.Artifact(folder, key="in")
    assert contents(lab) == before


@pytest.mark.req("R8")
def test_paths_that_are_none(registry: Registry, tmp_path: Path) -> None:
    before = contents(registry)
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    for path, error in {
        "": errors.InvalidArgument,
        "nul\0.txt": errors.LamartError,
        "half\ud800.txt": errors.LamartError,
        "x" * 256: errors.LamartError,
        str(tmp_path / "loop.txt"): FileNotFoundError,
        str(write(tmp_path / "file", "x") / "below"): FileNotFoundError,
    }.items():
        with pytest.raises(error):
            ln.Artifact(path, key="a.txt")
    assert contents(registry) == before


@contextmanager
def as_nobody() -> Generator[None, None, None]:
    """Do without the rights of root for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.req("R8")
def test_what_may_not_be_read_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        write(top / "secret.txt", "x").chmod(0)
        tree(top / "folder", {"a.txt": "A", "secret.txt": "S"})
        (top / "folder/secret.txt").chmod(0)
        tree(top / "closed", {"inside/a.txt": "A"})
        (top / "closed/inside").chmod(0)
        with as_nobody():
            for path in ("secret.txt", "folder", "closed", "closed/inside/a.txt"):
                with pytest.raises(errors.UnreadablePath, match=r"secret|inside"):
                    stage_path(resolve_source(top / path, StorageOptions()), roots=[], algorithm="blake3")
        (top / "closed/inside").chmod(0o755)


@pytest.mark.req("R60", "R76")
def test_a_file_with_holes_is_stored_with_holes(sqlite_registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "holes.bin"
    size = 100 * 2**20 + 7
    with path.open("wb") as file:
        for position in (0, 50 * 2**20 + 3, size - 1):
            file.seek(position)
            file.write(b"\x01")
    artifact = ln.Artifact(path, key="holes.bin").save()
    stored = artifact.path.stat()
    assert artifact.size == stored.st_size == size
    assert hash_file(artifact.path) == hash_file(path)
    assert stored.st_blocks * 512 < 20 * 2**20
    with path.open("r+b") as file:
        file.truncate(size + 2**20)
    longer = ln.Artifact(path, key="holes.bin").save()
    assert longer.path.stat().st_size == size + 2**20
    assert longer.verify()


_WRITER = """
import os, random, sys, time
path, kind = sys.argv[1:]
print("ready", flush=True)
size = os.path.getsize(path)
number = 0
while True:
    time.sleep(random.choice([0, 0.01, 0.04, 0.08]))
    number = (number + 1) % 251
    if kind == "same size":
        with open(path, "r+b") as file:
            file.write(bytes([number]) * size)
    elif kind == "grow":
        with open(path, "ab") as file:
            file.write(bytes([number]) * 100)
        if os.path.getsize(path) > 4 * size:
            os.truncate(path, size)
    elif kind == "shrink":
        os.truncate(path, size // (number + 1))
        with open(path, "ab") as file:
            file.truncate(size)
    elif kind == "replace":
        with open(path + ".new", "wb") as file:
            file.write(bytes([number]) * size)
        os.replace(path + ".new", path)
    else:
        if os.path.exists(path):
            os.unlink(path)
        else:
            with open(path, "wb") as file:
                file.write(bytes([number]) * size)
"""


@contextmanager
def writer(path: Path, kind: str) -> Generator[None, None, None]:
    """Let another process change a file all the time."""
    command = [sys.executable, "-c", _WRITER, str(path), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close() if process.stdout is not None else None


@pytest.mark.req("R94")
def test_what_is_stored_is_what_was_hashed_whoever_writes_meanwhile(lab: Registry, tmp_path: Path) -> None:
    saved: list[ln.Artifact] = []
    for kind in ("same size", "grow", "shrink", "replace", "delete"):
        path = write(tmp_path / f"{kind}/busy.bin", os.urandom(20_000))
        tree(tmp_path / kind, {"still.txt": "still"})
        with writer(path, kind):
            for number, source in enumerate([path, path.parent] * 3):
                with suppress(errors.SourceChanged, errors.PathNotFound, errors.InvalidArgument):
                    key = f"{kind}/{number}" + source.suffix
                    saved.append(ln.Artifact(source, key=key, skip_hash_lookup=True).save())
    held = contents(lab)
    assert held.artifacts == len(saved)
    for artifact in saved:
        assert artifact.verify()
        assert artifact.size == sum(item.stat().st_size for item in _files(artifact.cache()))
    names = {artifact.path.name for artifact in saved}
    assert {name.split("/")[1] for name in held.files} == names


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]


@pytest.mark.req("R54", "R94")
@pytest.mark.parametrize("change", ["same size", "longer", "gone", "replaced"])
def test_what_is_registered_in_place_is_what_was_hashed(registry: Registry, change: str) -> None:
    root = storage_root(registry)
    for source, changed in ((root / "a.txt", root / "a.txt"), (root / "folder", root / "folder/deep/b.txt")):
        tree(root, {"a.txt": "before", "folder/deep/b.txt": "before", "folder/c.txt": "C"})
        artifact = ln.Artifact(source)
        if change == "gone":
            changed.unlink()
        elif change == "replaced":
            write(root / "other", "beside").replace(changed)
        else:
            changed.write_text("after." if change == "same size" else "much longer")
        before = contents(registry)
        with pytest.raises(errors.SourceChanged):
            artifact.save()
        assert contents(registry) == before
        tree(root, {"a.txt": "before", "folder/deep/b.txt": "before", "folder/c.txt": "C"})
        again = ln.Artifact(source).save()
        assert again.verify()
        assert again.hash == (hash_tree(source).digest if source.is_dir() else hash_file(source)).value


@pytest.mark.req("R94", "R265")
def test_a_source_that_is_gone_is_named_and_nothing_is_stored(lab: Registry, tmp_path: Path) -> None:
    before = contents(lab)
    for source in (write(tmp_path / "a.txt", "x"), tree(tmp_path / "in", {"a.txt": "A"})):
        artifact = ln.Artifact(source, key=source.name)
        shutil.rmtree(source) if source.is_dir() else source.unlink()
        with pytest.raises(errors.PathNotFound, match=source.name):
            artifact.save()
        assert not artifact.is_saved
    assert contents(lab) == before
