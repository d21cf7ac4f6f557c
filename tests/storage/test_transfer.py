from __future__ import annotations

import errno
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lamart_core import errors
from lamart_core.hashing import Digest, hash_bytes, hash_file, hash_tree
from lamart_core.storage import Backend, FilePut, Local, backend_at, object_path
from lamart_core.storage.objectstore.clients import client_of

STEM = "9Kq3mZ0aBcDeFgHi"


def leftovers(backend: Backend) -> list[str]:
    """All files in the location, staging files too."""
    if not isinstance(backend, Local):
        return list(backend.fs.find(backend.url()))
    return [str(path) for path in Path(backend.root).rglob("*") if not path.is_dir()]


@pytest.mark.req("R60", "R61")
@pytest.mark.parametrize("size", [0, 1, 100_000, 7 * 2**20 + 3])
def test_a_file_comes_back_as_it_was_and_the_source_stays(backend: Backend, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(size))
    digest = hash_file(source)
    relpath = object_path(STEM, ".bin")
    stored = backend.put_file(source, relpath, digest=digest)
    assert (stored.size, stored.n_files, stored.is_folder, stored.digest) == (size, None, False, digest)
    assert source.stat().st_size == size
    assert backend.exists(relpath)
    assert backend.path(relpath).read_bytes() == source.read_bytes()
    backend.get(relpath, tmp_path / "copy.bin")
    assert hash_file(tmp_path / "copy.bin") == digest
    found = backend.stat(relpath)
    assert (found.size, found.n_files, found.is_folder) == (size, None, False)


@pytest.mark.parametrize("way", ["in the kernel", "refused by the kernel", "not offered by the system"])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_every_way_to_copy_gives_the_same_bytes(
    local: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, is_sparse: bool
) -> None:
    source = tmp_path / "source.bin"
    with source.open("wb") as file:
        file.write(os.urandom(5 * 2**20 + 3))
        if is_sparse:
            file.seek(20 * 2**20)
            file.write(b"end")
    copied: list[int] = []
    if way == "not offered by the system":
        monkeypatch.delattr(os, "copy_file_range")
    else:
        real = os.copy_file_range

        def copy_file_range(*args: int) -> int:
            if way == "refused by the kernel":
                raise OSError(errno.EXDEV, "not between these file systems")
            copied.append(real(*args))
            return copied[-1]

        monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    digest = hash_file(source)
    assert local.put_file(source, "a.bin", digest=digest).digest == digest
    stored = Path(local.root, "a.bin")
    assert hash_file(stored) == digest
    assert (stored.stat().st_blocks * 512 < stored.stat().st_size) == is_sparse
    assert bool(copied) == (way == "in the kernel" and not is_sparse)


@pytest.mark.req("R60", "R77")
def test_a_folder_comes_back_as_it_was(backend: Backend, folder: Path, tmp_path: Path) -> None:
    tree = hash_tree(folder)
    relpath = object_path(STEM, ".zarr")
    stored = backend.put_folder(folder, relpath, tree=tree)
    assert (stored.size, stored.n_files, stored.is_folder) == (tree.size, 4, True)
    assert hash_tree(folder) == tree
    backend.get(relpath, tmp_path / "copy", is_folder=True)
    assert hash_tree(tmp_path / "copy") == tree
    found = backend.stat(relpath)
    assert (found.size, found.n_files, found.is_folder) == (tree.size, 4, True)


@pytest.mark.req("R60")
def test_a_folder_with_one_file_stays_a_folder(backend: Backend, tmp_path: Path) -> None:
    single = tmp_path / "single"
    single.mkdir()
    (single / "only.txt").write_text("x")
    backend.put_folder(single, "single", tree=hash_tree(single))
    assert backend.stat("single").is_folder
    assert backend.path("single/only.txt").read_bytes() == b"x"


@pytest.mark.req("R78")
def test_what_only_the_server_says_is_inexact(s3: object, backend: Backend, source: Path) -> None:
    backend.put_file(source, "a.bin")
    digest = backend.stat("a.bin").digest
    if isinstance(backend, Local):
        assert digest is None
    else:
        assert digest == Digest("md5", hash_file(source, "md5").value, is_exact=False)


def test_many_files_are_stored_in_order(backend: Backend, tmp_path: Path) -> None:
    puts: list[FilePut] = []
    for number in range(50):
        path = tmp_path / f"{number}.txt"
        path.write_text(str(number))
        puts.append(FilePut(path, f"many/{number % 3}/{number}.txt", hash_file(path)))
    stored = backend.put_files(puts)
    assert [item.digest for item in stored] == [put.digest for put in puts]
    assert backend.stat("many").n_files == 50
    assert backend.put_files([]) == []
    if isinstance(backend, Local):
        assert list(Path(backend.root, ".lamart/tmp").iterdir()) == []


def test_of_many_files_all_are_stored_or_none(backend: Backend, tmp_path: Path) -> None:
    puts: list[FilePut] = []
    for number in range(20):
        path = tmp_path / f"{number}.txt"
        path.write_text(str(number))
        puts.append(FilePut(path, f"many/{number}.txt", hash_file(path)))
    (tmp_path / "13.txt").write_text("changed")
    with pytest.raises(errors.SourceChanged, match=r"13\.txt"):
        backend.put_files(puts)
    assert leftovers(backend) == []


def test_nothing_is_ever_overwritten(backend: Backend, source: Path, folder: Path, tmp_path: Path) -> None:
    tree = hash_tree(folder)
    backend.put_file(source, "x")
    backend.put_folder(folder, "y", tree=tree)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    for relpath in ("x", "y"):
        with pytest.raises(FileExistsError):
            backend.put_file(other, relpath)
        with pytest.raises(errors.ObjectExists):
            backend.put_folder(folder, relpath, tree=tree)
    assert backend.path("x").read_bytes() == source.read_bytes()
    assert backend.stat("y").n_files == 4


def test_of_many_writers_of_one_name_exactly_one_wins(
    request: pytest.FixtureRequest, backend: Backend, tmp_path: Path
) -> None:
    start = threading.Barrier(6)

    def put(number: int) -> int | None:
        path = tmp_path / f"{number}"
        path.write_bytes(str(number).encode() * 1000)
        start.wait()
        try:
            backend.put_file(path, "contested")
        except errors.ObjectExists:
            return None
        return number

    with ThreadPoolExecutor(6) as pool:
        winners = [number for number in pool.map(put, range(6)) if number is not None]
    stored = backend.path("contested").read_bytes()
    assert stored in [str(number).encode() * 1000 for number in winners]
    # rclone's server overwrites whatever it is asked; nobody who lost at the end may then believe to have won.
    if request.node.callspec.params["backend"] != "rclone":
        assert len(winners) == 1


@pytest.mark.req("R94")
@pytest.mark.parametrize("change", ["same size", "longer", "gone"])
def test_a_file_that_changed_since_it_was_staged_is_refused(backend: Backend, source: Path, change: str) -> None:
    digest = hash_file(source)
    before = leftovers(backend)
    if change == "gone":
        source.unlink()
    else:
        source.write_bytes(os.urandom(100_000 if change == "same size" else 100_001))
    with pytest.raises(errors.SourceChanged, match=r"source\.bin"):
        backend.put_file(source, "a.bin", digest=digest)
    assert not backend.exists("a.bin")
    assert leftovers(backend) == before


@pytest.mark.req("R94")
@pytest.mark.parametrize("change", ["edited", "added", "removed", "swapped", "gone"])
def test_a_folder_that_changed_since_it_was_staged_is_refused(backend: Backend, folder: Path, change: str) -> None:
    (folder / "c.txt").write_text("C")
    tree = hash_tree(folder)
    if change == "edited":
        (folder / "deep/er/b.bin").write_bytes(b"b" * 1000)
    elif change == "added":
        (folder / "new").write_text("")
    elif change == "removed":
        (folder / "empty").unlink()
    elif change == "swapped":
        (folder / "a.txt").write_text("C")
        (folder / "c.txt").write_text("A")
    else:
        shutil.rmtree(folder)
    with pytest.raises(errors.SourceChanged):
        backend.put_folder(folder, "f", tree=tree)
    assert not backend.exists("f")
    assert leftovers(backend) == []


@pytest.mark.req("R94")
def test_a_file_that_changes_while_it_is_copied_is_refused(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "growing"
    source.write_bytes(b"x" * 5 * 2**20)
    digest = hash_file(source)
    if isinstance(backend, Local):
        real = os.fsync

        def fsync(descriptor: int) -> None:
            source.write_bytes(b"y" * 5 * 2**20)
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
    else:
        client = type(client_of(backend))
        create = client.create

        def create_and_change(*args: Any, **kwargs: Any) -> None:
            create(*args, **kwargs)
            source.write_bytes(b"y" * 5 * 2**20)

        monkeypatch.setattr(client, "create", create_and_change)
    with pytest.raises(errors.SourceChanged):
        backend.put_file(source, "a.bin", digest=digest)
    monkeypatch.undo()
    assert not backend.exists("a.bin")


def test_a_staging_file_is_moved(backend: Backend, tmp_path: Path) -> None:
    staged = backend.staging(tmp_path / "cache").new_path(".csv")
    assert staged.name.endswith(".csv")
    assert not staged.exists()
    assert staged != backend.staging(tmp_path / "cache").new_path(".csv")
    staged.write_bytes(b"a,b\n")
    inode = staged.stat().st_ino
    stored = backend.put_file(staged, object_path(STEM, ".csv"), digest=hash_bytes(b"a,b\n"), move=True)
    assert stored.size == 4
    assert not staged.exists()
    if isinstance(backend, Local):
        (published,) = [path for path in Path(backend.root, ".lamart").iterdir() if path.is_file()]
        assert published.stat().st_ino == inode
        assert published.stat().st_nlink == 1


def test_a_staging_folder_is_moved(backend: Backend, folder: Path, tmp_path: Path) -> None:
    staged = backend.staging(tmp_path / "cache").new_path(".zarr")
    shutil.copytree(folder, staged)
    tree = hash_tree(staged)
    backend.put_folder(staged, "z.zarr", tree=tree, move=True)
    assert not staged.exists()
    assert backend.stat("z.zarr").size == tree.size


def test_a_file_of_another_disk_is_moved_by_copying(local: Backend, source: Path) -> None:
    content = source.read_bytes()
    local.put_file(source, "a.bin", move=True)
    assert not source.exists()
    assert Path(local.root, "a.bin").read_bytes() == content


def test_deleting_is_final_and_may_be_repeated(backend: Backend, source: Path, folder: Path) -> None:
    backend.put_file(source, "a/b")
    backend.put_file(source, "a/bc")
    backend.put_folder(folder, "f", tree=hash_tree(folder))
    backend.put_folder(folder, "f2", tree=hash_tree(folder))
    backend.delete("a/b")
    backend.delete("f", is_folder=True)
    assert not backend.exists("a/b")
    assert not backend.exists("f")
    assert backend.exists("a/bc")
    assert backend.stat("f2").n_files == 4
    backend.delete("a/b")
    backend.delete("f", is_folder=True)
    with pytest.raises(errors.PathNotFound, match="a/b"):
        backend.delete("a/b", missing_ok=False)
    with pytest.raises(errors.PathNotFound, match="f"):
        backend.delete("f", is_folder=True, missing_ok=False)


def test_what_is_not_there_is_an_error_that_names_it(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        backend.stat("nowhere")
    for is_folder in (False, True):
        with pytest.raises(errors.PathNotFound, match="nowhere"):
            backend.get("nowhere", tmp_path / "target", is_folder=is_folder)
    assert not backend.exists("nowhere")
    assert list(tmp_path.glob("*target*")) == list(tmp_path.glob(".*part")) == []


@pytest.mark.parametrize("relpath", ["../x", "a/../../x", "/etc/x", "a//b", "./x", "a\0b"])
def test_no_path_leads_out_of_the_location(backend: Backend, source: Path, relpath: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        backend.put_file(source, relpath)
    with pytest.raises(errors.InvalidArgument):
        backend.delete(relpath, is_folder=True)


def test_the_root_itself_is_neither_written_nor_deleted(backend: Backend, source: Path) -> None:
    with pytest.raises(errors.InvalidArgument):
        backend.delete("", is_folder=True)
    with pytest.raises(errors.InvalidArgument):
        backend.put_file(source, "")


def test_get_replaces_what_was_there_in_one_step(backend: Backend, source: Path, folder: Path, tmp_path: Path) -> None:
    backend.put_file(source, "a")
    backend.put_folder(folder, "f", tree=hash_tree(folder))
    target = tmp_path / "out"
    target.write_text("old")
    backend.get("a", target)
    assert target.read_bytes() == source.read_bytes()
    stale = tmp_path / "outs"
    stale.mkdir()
    (stale / "gone upstream").write_text("old")
    backend.get("f", stale, is_folder=True)
    assert hash_tree(stale) == hash_tree(folder)
    assert list(tmp_path.glob(".*")) == []


def test_a_read_only_location_refuses_before_anything_is_written(backend: Backend, source: Path, folder: Path) -> None:
    reader = backend_at(backend.root, read_only=True)
    with pytest.raises(errors.ReadOnlyStorage):
        reader.put_file(source, "a")
    with pytest.raises(PermissionError):
        reader.put_folder(folder, "f", tree=hash_tree(folder))
    with pytest.raises(errors.ReadOnlyStorage):
        reader.delete("a")
    with pytest.raises(errors.ReadOnlyStorage):
        reader.staging().new_path("")
    assert leftovers(backend) == []


def test_http_is_only_read(source: Path) -> None:
    with pytest.raises(errors.ReadOnlyStorage, match="http"):
        (backend_at("http://127.0.0.1:9/data")).put_file(source, "a")
