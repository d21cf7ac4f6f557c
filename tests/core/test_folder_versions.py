"""Folders whose versions are all kept: each stays readable, and costs only what changed."""

from __future__ import annotations

import os
import random
import stat
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import check_registry, collect_garbage
from lamart_core.db import Registry
from lamart_core.models import StoredObject
from lamart_core.objects import histories
from lamart_core.records import FolderFile, FolderHistory
from lamart_core.saving import create
from lamart_core.storage import Local
from tests.processes import run_together
from tests.registries import contents, storage_root, tree
from tests.storage.s3_server import credentials, shared_server

Files = dict[str, str]

# Where the files of a folder that is kept in all versions are stored objects of their own.
IN_BUCKETS = pytest.mark.parametrize("lab", ["sqlite-s3", "postgres-s3"], indirect=True)


def write_folder(folder: Path, files: Files) -> Path:
    """Make a folder hold exactly these files."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return tree(folder, dict(files))


def save(lab: Registry, folder: Path, files: Files, key: str = "runs/one", **options: Any) -> ln.Artifact:
    """Save a folder as the state of a key."""
    artifact = create(lab, write_folder(folder, files), key=key, **options).artifact
    assert isinstance(artifact, ln.Artifact)
    return artifact


def read(folder: Any) -> Files:
    """Return what a folder holds, local or remote."""
    prefix = len(str(folder)) + 1
    return {str(path)[prefix:]: path.read_text() for path in folder.rglob("*") if path.is_file()}


def check_version(artifact: ln.Artifact, files: Files) -> None:
    """Check that a version reads back by every way."""
    assert read(artifact.path) == files
    assert read(artifact.cache()) == files
    assert artifact.verify()
    assert (artifact.n_files, artifact.size) == (len(files), sum(len(content) for content in files.values()))


def inodes(folder: Path) -> dict[int, os.stat_result]:
    """Return the status of each file below a folder once, however many names it has."""
    found = (path.lstat() for path in folder.rglob("*") if path.is_file())
    return {status.st_ino: status for status in found}


def stored_bytes(lab: Registry) -> int:
    """Return what the version store of the default storage takes."""
    backend = lab.Storage.get(lab.storage_id).backend
    if isinstance(backend, Local):
        return sum(status.st_blocks * 512 for status in inodes(Path(backend.root, ".lamart")).values())
    listed: Any = backend.fs.find(backend.url(".lamart"), detail=True)
    return sum(info["size"] for info in listed.values())


def check_bytes(lab: Registry, versions: Iterable[tuple[ln.Artifact, Files]]) -> None:
    """Check that what is stored is what the versions need, each content once, and that no row is left over."""
    histories: dict[int, list[tuple[StoredObject, Files]]] = {}
    for artifact, files in versions:
        stored = lab.StoredObject.get(artifact.object_id)
        histories.setdefault(stored.history_id, []).append((stored, files))
    with lab.read() as session:
        assert set(session.scalars(select(FolderHistory.id))) == set(histories)
        assert set(session.scalars(select(FolderFile.history_id).distinct())) == set(histories)
    is_local = isinstance(lab.Storage.get(lab.storage_id).backend, Local)
    if not is_local:
        needed = {content for pairs in histories.values() for _, files in pairs for content in files.values()} - {""}
        assert len(contents(lab).files) == len(needed)
        return
    root = storage_root(lab)
    assert {path.name for path in (root / ".lamart").iterdir() if path.is_dir() and path.name != "tmp"} == {
        Path(stored.path).name for pairs in histories.values() for stored, _ in pairs
    }
    for pairs in histories.values():
        names: dict[int, set[str]] = {}
        for stored, files in pairs:
            for path, content in files.items():
                if content:
                    names.setdefault((root / stored.path / path).stat().st_ino, set()).add(content)
        needed = {content for _, files in pairs for content in files.values()} - {""}
        assert sorted(names.values(), key=sorted) == sorted(({content} for content in needed), key=sorted)


def check_empty(lab: Registry) -> None:
    """Check that nothing is left of any folder."""
    assert (contents(lab).objects, contents(lab).files) == (0, ())
    with lab.read() as session:
        assert session.scalar(select(func.count()).select_from(FolderFile)) == 0
        assert session.scalar(select(func.count()).select_from(FolderHistory)) == 0


_during: dict[str, Any] = {}


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _during and event == _during["event"] and str(args[0]) == _during["path"]:
        act = _during["act"]
        _during.clear()
        act()


@contextmanager
def during(event: str, path: Path, act: Callable[[], Any]) -> Generator[list[bool], None, None]:
    """Do something when this process touches a path for the first time, before it does."""
    if not _hooked:
        sys.addaudithook(_hear)  # stays; it hears nothing outside of these blocks
        _hooked.append(True)
    happened: list[bool] = []
    _during.update(event=event, path=str(path), act=lambda: (happened.append(True), act()))
    try:
        yield happened
    finally:
        _during.clear()


_hooked: list[bool] = []
PATHS = st.sampled_from(["a.csv", "b/c.txt", "b/d.txt", "b/deep/e", "f #?%20.txt", "version"])
CONTENTS = st.sampled_from(["", "one", "two", "three", "four"])
FOLDERS = st.dictionaries(PATHS, CONTENTS, min_size=1)
EDITS = st.lists(st.tuples(PATHS, st.none() | CONTENTS | PATHS.map(Path)), min_size=1, max_size=2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), st.sampled_from(["runs/one", "runs/two"]), FOLDERS),
        st.tuples(st.just("edit"), st.sampled_from(["runs/one", "runs/two"]), EDITS),
        st.tuples(st.just("edit"), st.just("runs/one"), EDITS),
        st.tuples(st.just("delete"), st.integers(0, 5), st.none()),
    ),
    max_size=7,
)


@dataclass
class Model:
    """What should be there: the versions that were not deleted, and the latest content of each key."""

    versions: dict[str, tuple[ln.Artifact, Files]] = field(default_factory=dict[str, tuple[ln.Artifact, Files]])
    heads: dict[str, Files] = field(default_factory=dict[str, Files])

    def edited(self, key: str, edits: Iterable[tuple[str, str | Path | None]]) -> Files:
        """Return the latest content of a key, changed: files added, changed, removed and moved."""
        files = dict(self.heads.get(key, {"a.csv": "one", "b/c.txt": "two", "b/d.txt": "three", "b/deep/e": "four"}))
        for path, change in edits:
            if change is None:
                files.pop(path, None)
            elif isinstance(change, Path):
                files[str(change)] = files.pop(path, "one")
            else:
                files[path] = change
        return files or {"a.csv": "one"}


@pytest.mark.req("R69", "R70", "R109", "R257")
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(steps=STEPS, seed=st.integers(0, 99))
def test_any_history_of_versions(lab: Registry, tmp_path: Path, steps: list[Any], seed: int) -> None:
    model = Model()
    for verb, target, value in steps:
        if verb == "delete":
            uid = sorted(model.versions)[target % len(model.versions)] if model.versions else None
            if uid is not None:
                artifact, _ = model.versions.pop(uid)
                artifact.delete(permanent=True)
                model.heads.pop(artifact.key or "", None)
        else:
            files = value if verb == "save" else model.edited(target, value)
            artifact = save(lab, tmp_path / "source", files, key=target)
            model.versions[artifact.uid] = (artifact, files)
            model.heads[target] = files
        check_bytes(lab, model.versions.values())
    for artifact, files in model.versions.values():
        check_version(artifact, files)
    remaining = list(model.versions.values())
    random.Random(seed).shuffle(remaining)
    while remaining:
        artifact, _ = remaining.pop()
        artifact.delete(permanent=True)
        check_bytes(lab, remaining)
        for other, files in remaining[:1]:
            check_version(other, files)
    check_empty(lab)


@pytest.mark.req("R24", "R69", "R71", "R257")
def test_an_overwritten_folder_leaves_only_its_latest_files(lab: Registry, tmp_path: Path) -> None:
    files = {f"part-{number}.txt": f"{number}" for number in range(6)}
    first = ln.Artifact(write_folder(tmp_path / "source", files), key="run").save()
    kept = first.path
    for version in range(3):
        files = files | {"part-0.txt": f"version {version}", "moved.txt": "5"}
        files.pop("part-5.txt", None)
        latest = ln.Artifact(write_folder(tmp_path / "source", files), key="run").save()
        assert latest.overwrite_versions
        check_version(latest, files)
        assert contents(lab).objects == 1
        assert len(contents(lab).files) == 6
    assert not kept.exists()
    with pytest.raises(errors.OutdatedVersion):
        first.cache()
    with lab.read() as session:
        assert session.scalar(select(func.count()).select_from(FolderFile)) == 6
    latest.delete(permanent=True)
    check_empty(lab)


@pytest.mark.req("R70", "R108")
def test_versions_cost_only_the_files_that_changed(lab: Registry, tmp_path: Path) -> None:
    size = 2**16
    block = random.Random(1).randbytes(size).hex()
    files = {f"part-{number:02}.bin": f"{number:02}{block[2:size]}" for number in range(20)}
    for version in range(10):
        files = files | {f"part-{version:02}.bin": f"v{version}{block[2:size]}"}
        artifact = save(lab, tmp_path / "source", files)
    assert artifact.size == 20 * size
    cost = stored_bytes(lab)
    assert 29 * size <= cost <= 31 * size
    assert ln.Artifact(tmp_path / "source/part-00.bin", key="part.bin").save().size == size


@pytest.mark.req("R70")
def test_a_version_writes_rows_for_what_changed(lab: Registry, tmp_path: Path) -> None:
    files = {f"{number // 50}/{number}.txt": f"{number}" for number in range(100)}
    save(lab, tmp_path / "source", files)
    written: list[int] = []

    def count(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            written.append(max(cursor.rowcount, 1))

    event.listen(lab.engine, "after_cursor_execute", count)
    try:
        save(lab, tmp_path / "source", files | {f"0/{number}.txt": f"new {number}" for number in range(10)})
    finally:
        event.remove(lab.engine, "after_cursor_execute", count)
    is_local = isinstance(lab.Storage.get(lab.storage_id).backend, Local)
    # Ten rows closed and ten added, ten objects where each file is one; and what any save writes.
    assert sum(written) <= (20 if is_local else 30) + 10


@pytest.mark.req("R70")
@IN_BUCKETS
def test_only_new_contents_are_uploaded(lab: Registry, tmp_path: Path) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(8)} | {"same.txt": "0", "empty.txt": ""}
    backend = lab.Storage.get(lab.storage_id).backend
    uploads: list[str] = []
    fs: Any = backend.fs
    fs.connect()
    fs.s3.meta.events.register("before-call.s3.PutObject", lambda params, **_: uploads.append(params["url_path"]))
    save(lab, tmp_path / "source", files)
    assert len(uploads) == 8
    save(lab, tmp_path / "source", files | {"0.txt": "new", "moved.txt": "1"})
    assert len(uploads) == 9
    save(lab, tmp_path / "source", {"other.txt": "2", "another.txt": "new"}, key="runs/two")
    assert len(uploads) == 9


@pytest.mark.req("R70")
def test_a_history_goes_on_after_its_newest_version_was_deleted(lab: Registry, tmp_path: Path) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(8)}
    first = save(lab, tmp_path / "source", files)
    second = save(lab, tmp_path / "source", files | {"0.txt": "new"})
    second.delete(permanent=True)
    # A file that the deleted version had lost is still there.
    third_files = files | {"7.txt": "newer"}
    third = save(lab, tmp_path / "source", third_files)
    with lab.read() as session:
        assert session.scalar(select(func.count()).select_from(FolderHistory)) == 1
        assert session.scalar(select(func.count()).select_from(FolderFile)) == 9
    check_bytes(lab, [(first, files), (third, third_files)])
    check_version(first, files)
    check_version(third, third_files)


@pytest.mark.req("R70", "R257")
@IN_BUCKETS
def test_a_file_and_a_folder_share_their_bytes(lab: Registry, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("a,b\n")
    single = ln.Artifact(tmp_path / "one.csv", key="one.csv").save()
    folder = save(lab, tmp_path / "source", {"x/one.csv": "a,b\n", "two.csv": "c\n"})
    assert len(contents(lab).files) == 2
    single.delete(permanent=True)
    check_version(folder, {"x/one.csv": "a,b\n", "two.csv": "c\n"})
    single = ln.Artifact(tmp_path / "one.csv", key="one.csv").save()
    assert len(contents(lab).files) == 2
    folder.delete(permanent=True)
    assert single.load().columns.tolist() == ["a", "b"]
    assert len(contents(lab).files) == 1
    single.delete(permanent=True)
    check_empty(lab)


CONCURRENT = """
from pathlib import Path
from lamart_core.saving import create

folder = Path(arguments["folder"]) / str(number)
base = {f"{part}.txt": f"part {part}" for part in range(6)}
made = {}
ready()
for version in range(3):
    # Two families; in each, two processes save the same content at the same time, and other content afterwards.
    for key in ("runs/one", "runs/two"):
        files = base | ({"0.txt": f"shared {version}"} if version % 2 == 0 else {"1.txt": f"{number} {version}"})
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        artifact = create(registry, folder, key=key).artifact
        made[artifact.uid] = files
    if number == 3 and version == 1:
        uid = sorted(made)[0]
        ln.Artifact.get(uid).delete(permanent=True)
        made[uid] = None
tell(made)
"""


@pytest.mark.req("R43", "R47", "R70", "R257")
@pytest.mark.parametrize("lab", ["sqlite-local", "postgres-local", "postgres-s3"], indirect=True)
def test_four_processes_save_versions_of_folders(lab: Registry, tmp_path: Path) -> None:
    expected: dict[str, Files] = {}
    deleted: set[str] = set()
    for told in run_together(lab, CONCURRENT, 4, folder=tmp_path / "sources"):
        deleted |= {uid for uid, files in told.items() if files is None}
        expected |= {uid: files for uid, files in told.items() if files is not None}
    versions = {artifact.uid: artifact for artifact in ln.Artifact.filter().all()}
    assert set(versions) == set(expected) - deleted
    for uid, artifact in versions.items():
        check_version(artifact, expected[uid])
    removed = collect_garbage(lab, dry_run=False)
    assert removed == []
    for artifact in versions.values():
        artifact.delete(permanent=True)
    check_empty(lab)


@pytest.mark.req("R70")
def test_contents_that_vanish_before_the_commit_are_put_again(lab: Registry, tmp_path: Path) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(6)}
    other = save(lab, tmp_path / "other", files, key="runs/other")
    files["6.txt"] = "new"
    source = write_folder(tmp_path / "source", files)
    artifact = ln.Artifact(source, key="run", overwrite_versions=False)
    # What is new is being put; what is shared was found before that.
    with during("open", source / "6.txt", lambda: other.delete(permanent=True)) as happened:
        artifact.save()
    assert happened
    check_bytes(lab, [(artifact, files)])
    check_version(artifact, files)


@pytest.mark.req("R70")
def test_contents_that_another_writer_puts_first_are_used(lab: Registry, tmp_path: Path) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(4)}
    source = write_folder(tmp_path / "source", files)
    artifact = ln.Artifact(source, key="run", overwrite_versions=False)
    others: list[tuple[ln.Artifact, Files]] = []

    def save_other() -> None:
        contained = {"moved.txt": "3", "own.txt": "own"}
        others.append((save(lab, tmp_path / "other", contained, key="runs/other"), contained))

    with during("open", source / "3.txt", save_other):
        artifact.save()
    assert len(others) == 1
    check_bytes(lab, [(artifact, files), *others])
    check_version(artifact, files)


@pytest.mark.req("R70")
def test_linked_files_are_read_only_and_altered_ones_are_never_shared(registry: Registry, tmp_path: Path) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(8)}
    first = save(registry, tmp_path / "source", files)
    altered = Path(str(first.path)) / "0.txt"
    os.utime(altered, ns=(0, altered.stat().st_mtime_ns + 10**9))
    altered.write_text("X")
    second_files = files | {"7.txt": "new"}
    second = save(registry, tmp_path / "source", second_files)
    check_version(second, second_files)
    with pytest.raises(errors.ContentMismatch, match=r"'0\.txt'"):
        first.verify()
    shared = Path(str(second.path)) / "1.txt"
    assert shared.stat().st_nlink == 2
    assert not shared.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


@pytest.mark.req("R70")
@IN_BUCKETS
def test_an_altered_file_of_a_remote_version_is_named(lab: Registry, tmp_path: Path) -> None:
    backend = lab.Storage.get(lab.storage_id).backend
    artifact = save(lab, tmp_path / "source", {"a.txt": "one", "b.txt": "two"})
    with lab.engine.connect() as connection:
        stored = {file.path: file for file in histories.files_of(connection, artifact.object_id)}
    relpath = stored["b.txt"].relpath
    assert relpath is not None
    backend.fs.pipe_file(backend.url(relpath), b"TWO")
    with pytest.raises(errors.ContentMismatch, match=r"'b\.txt'"):
        artifact.verify()
    assert (artifact.path / "a.txt").read_text() == "one"


@pytest.mark.req("R70")
@IN_BUCKETS
def test_files_that_another_version_has_are_not_downloaded_again(lab: Registry, tmp_path: Path) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(8)}
    first = save(lab, tmp_path / "source", files)
    second = save(lab, tmp_path / "source", files | {"0.txt": "new"})
    one, two = first.cache(), second.cache()
    assert read(one) == files
    assert {path.name for path in one.iterdir() if path.samefile(two / path.name)} == files.keys() - {"0.txt"}
    assert not (one / "1.txt").stat().st_mode & stat.S_IWUSR
    # A copy that lost bytes is fetched again, and so is one that was altered, where bytes are verified.
    (one / "1.txt").chmod(0o644)
    (one / "1.txt").write_text("")
    assert read(first.cache()) == files
    (one / "2.txt").chmod(0o644)
    (one / "2.txt").write_text("X")
    lab.settings.verify_on_read = True
    assert read(first.cache()) == files
    assert read(second.cache()) == files | {"0.txt": "new"}


@pytest.mark.req("R70", "R239")
def test_kept_versions_open_without_download(lab: Registry, tmp_path: Path) -> None:
    import pandas as pd

    frames = [pd.DataFrame({"x": [number, number + 1]}) for number in range(4)]
    folder = tmp_path / "tables"
    folder.mkdir()
    artifacts: list[ln.Artifact] = []
    for version in range(2):
        for number, frame in enumerate(frames):
            (frame * 10 if version and number == 3 else frame).to_parquet(folder / f"part {number}.parquet")
        artifacts.append(ln.Artifact(folder, key="tables", overwrite_versions=False).save())
    totals = [artifact.open().to_table().column("x").to_pandas().sum() for artifact in artifacts]
    assert totals == [16, 79]
    assert not (lab.settings.cache_dir / "s3").exists()
    assert artifacts[1].load()["x"].sum() == 79


@pytest.mark.req("R70")
def test_anndata_in_zarr_versions(lab: Registry) -> None:
    anndata = pytest.importorskip("anndata")
    import numpy as np

    adata = anndata.AnnData(np.arange(600, dtype="float32").reshape(30, 20))
    artifacts: list[ln.Artifact] = []
    for version in range(2):
        adata.obs["batch"] = [f"{version}-{number % 3}" for number in range(30)]
        result = create(lab, adata, key="cells.anndata.zarr")
        assert isinstance(result.artifact, ln.Artifact)
        artifacts.append(result.artifact)
    with artifacts[0].open() as opened:
        assert float(opened.X[3, 4]) == 64.0
    loaded = [artifact.load() for artifact in artifacts]
    assert [str(item.obs["batch"].iloc[0]) for item in loaded] == ["0-0", "1-0"]
    assert all(artifact.verify() for artifact in artifacts)
    if isinstance(lab.Storage.get(lab.storage_id).backend, Local):
        both = [
            {path.stat().st_ino for path in Path(str(item.path)).rglob("*") if path.is_file()} for item in artifacts
        ]
        assert len(both[0] & both[1]) > len(both[1]) / 2


@pytest.mark.req("R70")
@IN_BUCKETS
def test_a_path_of_a_kept_version_refuses_writes(lab: Registry, tmp_path: Path) -> None:
    path = save(lab, tmp_path / "source", {"a/b.txt": "one", "c.txt": "two"}).path
    refused: list[Any] = [
        lambda: (path / "new.txt").write_text("x"),
        lambda: (path / "c.txt").write_text("x"),
        lambda: (path / "c.txt").unlink(),
        lambda: (path / "d").mkdir(),
        lambda: (path / "c.txt").rename(path / "e.txt"),
    ]
    for write in refused:
        with pytest.raises(errors.ReadOnlyStorage):
            write()
    assert sorted(child.name for child in path.iterdir()) == ["a", "c.txt"]
    assert [child.name for child in path.glob("*/*.txt")] == ["b.txt"]
    assert (path.is_dir(), (path / "a").is_dir(), (path / "a/b.txt").is_file()) == (True, True, True)
    assert not (path / "nothing").exists()
    assert ln.Artifact.get(path=path).n_files == 2
    assert ln.Artifact(path).uid == ln.Artifact.get(path=path).uid
    with pytest.raises(errors.InvalidArgument, match="reserved"):
        ln.Artifact(path / "c.txt", key="c.txt")
    with (path / "a" / "b.txt").open() as file:
        assert file.read() == "one"


@pytest.mark.req("R53", "R70")
def test_content_of_a_kept_version_at_a_real_key_is_its_own(lab: Registry, tmp_path: Path) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(6)} | {"a/empty": ""}
    save(lab, tmp_path / "source", files | {"0.txt": "old"})
    kept = save(lab, tmp_path / "source", files)
    at_key = ln.Artifact(tmp_path / "source", key="real/run", key_is_virtual=False, skip_hash_lookup=True).save()
    assert str(at_key.path).endswith("real/run")
    assert read(at_key.path) == files
    for path in (at_key.path / "0.txt", at_key.path / "5.txt"):
        path.write_text("X")
    check_version(kept, files)
    kept.delete(permanent=True)
    with pytest.raises(errors.ContentMismatch):
        at_key.verify()


@pytest.mark.req("R70", "R257")
@pytest.mark.parametrize("lab", ["sqlite-local", "postgres-s3"], indirect=True)
@pytest.mark.parametrize("into", ["local", "s3"])
def test_a_family_moves_with_all_versions(lab: Registry, tmp_path: Path, into: str) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(6)} | {"empty": ""}
    contained = [files | {"0.txt": f"version {version}"} for version in range(3)]
    versions = [save(lab, tmp_path / "source", item) for item in contained]
    with credentials():
        root = shared_server().new_root() if into == "s3" else str(tmp_path / "second")
        Path(tmp_path / "second").mkdir()
        target = ln.Storage(root=root).save()
        versions[-1].storage = target
        versions[-1].save()
        check_empty_storage(lab)
        if into == "local":
            assert len([item for item in inodes(tmp_path / "second").values() if item.st_size]) == 8 + 1
        else:
            assert len(target.backend.fs.find(target.backend.url(".lamart"))) == 8 + 1  # and the marker
        contained.append(files | {"0.txt": "version 3"})
        source = write_folder(tmp_path / "source", contained[-1])
        versions.append(ln.Artifact(source, key="runs/one", storage=target, overwrite_versions=False).save())
        assert versions[-1].stem_uid == versions[0].stem_uid
        for artifact, item in zip(versions, contained, strict=True):
            artifact.refresh()
            check_version(artifact, item)
        for artifact in versions:
            artifact.delete(permanent=True)
        check_empty(lab)


@pytest.mark.req("R70", "R257")
@pytest.mark.parametrize("lab", ["sqlite-local"], indirect=True)
def test_a_family_moves_to_where_one_of_its_versions_is_known(lab: Registry, tmp_path: Path) -> None:
    contained = [{"same.txt": "same", "new.txt": f"version {version}"} for version in range(2)]
    with credentials():
        target = ln.Storage(root=shared_server().new_root()).save()
        source = write_folder(tmp_path / "other", contained[1])
        other = ln.Artifact(source, key="other", storage=target, overwrite_versions=False).save()
        versions = [
            ln.Artifact(
                write_folder(tmp_path / f"{number}", item), key="run", overwrite_versions=False, skip_hash_lookup=True
            ).save()
            for number, item in enumerate(contained)
        ]
        versions[-1].storage = target
        versions[-1].save()
        for artifact, item in zip([*versions, other], [*contained, contained[1]], strict=True):
            check_version(artifact.refresh(), item)
        assert collect_garbage(lab, grace=timedelta(0)) == []
        assert check_registry(lab, verify=True, grace=timedelta(0)).is_clean


def check_empty_storage(lab: Registry) -> None:
    """Check that the default storage holds nothing."""
    assert contents(lab).files == ()


@pytest.mark.req("R70", "R257")
def test_a_version_is_replaced(lab: Registry, tmp_path: Path) -> None:
    files = {f"{number}.txt": f"{number}" for number in range(6)}
    first = save(lab, tmp_path / "source", files)
    second = save(lab, tmp_path / "source", files | {"0.txt": "new"})
    replaced = files | {"1.txt": "replaced", "2.txt": ""}
    second.replace(write_folder(tmp_path / "source", replaced))
    second.save()
    check_bytes(lab, [(first, files), (second, replaced)])
    check_version(first, files)
    check_version(second, replaced)
    first.delete(permanent=True)
    check_bytes(lab, [(second, replaced)])
    check_version(second, replaced)
