"""Changes that the size does not show: what a read sees of them, and what a hit makes of them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lamart_core as ln
from lamart_core.care import check_registry
from lamart_core.care.findings import Kind
from lamart_core.db import Registry
from lamart_core.reading import read
from tests.registries import storage_root, tree, write

AGAIN = "x\n1\n", "x\n9\n"


def in_place(registry: Registry, tmp_path: Path) -> ln.Artifact:
    return ln.Artifact(write(storage_root(registry) / "raw/a.csv", AGAIN[0])).save()


def real_key(registry: Registry, tmp_path: Path) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / "a.csv", AGAIN[0]), key="raw/a.csv", key_is_virtual=False).save()


def swap(path: Path, content: str) -> None:
    """Put another file of equal size and time in the place of one."""
    before = path.stat()
    other = write(path.with_name("other"), content)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, path)


def rewrite(path: Path, content: str) -> None:
    """Write to a file, as whoever may do all things can."""
    path.write_text(content)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))


@pytest.mark.req("R302")
@pytest.mark.parametrize("change", [swap, rewrite])
@pytest.mark.parametrize("make", [in_place, real_key])
def test_a_change_of_equal_size_is_refused_by_every_read(
    registry: Registry,
    tmp_path: Path,
    make: Callable[[Registry, Path], ln.Artifact],
    change: Callable[[Path, str], None],
) -> None:
    artifact = make(registry, tmp_path)
    place = artifact.path
    assert isinstance(place, Path)
    assert artifact.load()["x"].tolist() == [1]
    change(place, AGAIN[1])
    for way in (artifact.load, artifact.open, artifact.cache, artifact.verify):
        with pytest.raises(ln.errors.ContentMismatch, match="digest"):
            way()
    assert [found.kind for found in check_registry(registry).findings] == [Kind.CHANGED_IN_PLACE]
    saved = ln.Artifact(write(tmp_path / "b.csv", AGAIN[0]), key="b.csv").save()
    assert (saved != artifact, saved.load()["x"].tolist(), place.read_text()) == (True, [1], AGAIN[1])
    # What comes back is read again, once.
    change(place, AGAIN[0])
    assert artifact.load()["x"].tolist() == [1]
    assert artifact.refresh().object.refresh().stamp == artifact.storage.backend.stamp(artifact.object.path)


@pytest.mark.req("R302")
def test_a_folder_in_place_of_which_a_file_changed(registry: Registry) -> None:
    root = storage_root(registry)
    artifact = ln.Artifact(tree(root / "raw", {"a.txt": "one", "deep/b.txt": "two"})).save()
    swap(root / "raw/deep/b.txt", "TWO")
    with pytest.raises(ln.errors.ContentMismatch, match=r"digest"):
        artifact.cache()


@pytest.mark.req("R303")
def test_stored_files_are_read_only_and_altered_ones_are_mended(registry: Registry, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1]})
    files = [
        ln.Artifact.from_dataframe(frame, key="v.csv").save(),
        ln.Artifact(write(tmp_path / "a.txt", "text"), key="a.txt").save(),
        ln.Artifact(write(tmp_path / "b.txt", "real"), key="b.txt", key_is_virtual=False).save(),
    ]
    lazy = ln.Artifact.from_lazy(suffix=".txt", overwrite_versions=False, key="lazy.txt")
    lazy.path.write_text("lazy")
    files += ln.save([ln.Artifact(write(tmp_path / f"{n}.txt", f"{n}"), key=f"{n}.txt") for n in range(2)])
    folder = ln.Artifact(tree(tmp_path / "f", {"x.txt": "x", "y/z.txt": "z"}), key="f").save()
    paths = [artifact.cache() for artifact in (*files, lazy.save())]
    paths += [path for path in folder.cache().rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o222 for path in paths} == {0}
    assert write(tmp_path / "a.txt", "the source stays as it is").exists()
    # Who may do all things changes one all the same, without changing its size.
    rewrite(files[0].path, files[0].path.read_text().replace("1", "7"))
    with pytest.raises(ln.errors.ContentMismatch):
        ln.Artifact.get(files[0].uid).load()
    assert ln.Artifact.from_dataframe(frame, key="other.csv").save() == files[0]
    assert ln.Artifact.get(files[0].uid).load()["a"].tolist() == [1]
    assert check_registry(registry, verify=True).is_clean


@pytest.mark.req("R302")
def test_a_store_that_was_restored_from_a_backup_is_read_once(registry: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact(write(tmp_path / "a.txt", "text"), key="a.txt").save()
    root = storage_root(registry)
    shutil.copytree(root, tmp_path / "backup", copy_function=shutil.copyfile)
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "backup", root, copy_function=shutil.copyfile)
    before = artifact.object.stamp
    assert ln.Artifact.get(artifact.uid).cache().read_text() == "text"
    after = artifact.object.refresh().stamp
    assert (after != before, after) == (True, str(artifact.path.stat().st_mtime_ns))


@pytest.mark.req("R304")
@pytest.mark.parametrize("opened", [False, True])
def test_a_version_that_is_published_during_a_read(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    source = write(tmp_path / "a.csv", "x\n1\n")
    first = ln.Artifact(source, key="shared/a.csv", key_is_virtual=False, run=False).save()
    check, done = read._check, []

    def check_and_publish(record: Any, *rest: Any) -> None:
        check(record, *rest)
        if record.uid == first.uid and not done:
            done.append(True)
            write(source, "x\n2\n")
            ln.Artifact(source, key="shared/a.csv", key_is_virtual=False, run=False).save()

    monkeypatch.setattr(read, "_check", check_and_publish)
    record = ln.Artifact.get(first.uid)
    found = record.open().to_table().to_pandas() if opened else record.load()
    assert (found["x"].tolist(), done) == ([1], [True])
    assert ln.Artifact.get(key="shared/a.csv").load()["x"].tolist() == [2]
