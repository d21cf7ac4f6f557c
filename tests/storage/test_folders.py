"""Folders that share files with stored ones: links, copies by the store itself, and what happens without."""

from __future__ import annotations

import errno
import os
import pickle
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lamart_core.errors import ReadOnlyStorage, StorageFull
from lamart_core.hashing import TreeDigest, hash_file, hash_tree
from lamart_core.storage import Backend, ContentAddressedFolder, FilePut, KnownFile, StoredFile, backend_at
from tests.registries import tree
from tests.storage.s3_server import S3Server

FILES: dict[str, str | bytes] = {"a.txt": "one", "b/c.txt": "two", "b/d.txt": "three", "empty": "", "b/same.txt": "two"}
_failing: list[tuple[str, int]] = []
_hooked: list[bool] = []


def _fail(event: str, args: tuple[Any, ...]) -> None:
    for name, number in _failing:
        if event == name and os.fspath(args[0]).startswith("/"):
            raise OSError(number, os.strerror(number))


@contextmanager
def failing(event: str, number: int) -> Generator[None, None, None]:
    """Let a system call of this process fail, as a file system does at its limits."""
    if not _hooked:
        sys.addaudithook(_fail)  # stays; it does nothing outside of these blocks
        _hooked.append(True)
    _failing.append((event, number))
    try:
        yield
    finally:
        _failing.clear()


def known_of(relpath: str, digest: TreeDigest) -> dict[str, KnownFile]:
    """Return what is known after a folder was stored."""
    return {entry.value: KnownFile(f"{relpath}/{entry.path}", relpath) for entry in digest.entries}


def stored_first(backend: Backend, folder: Path) -> dict[str, KnownFile]:
    """Store the first folder."""
    digest = hash_tree(tree(folder, FILES))
    backend.put_folder(folder, "first", tree=digest, known={})
    return known_of("first", digest)


@pytest.fixture
def local(tmp_path: Path) -> Backend:
    """A folder as a location."""
    (tmp_path / "storage").mkdir()
    return backend_at(str(tmp_path / "storage"))


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return what lies below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.req("R70")
@pytest.mark.parametrize("move", [False, True])
def test_unchanged_files_are_linked(local: Backend, tmp_path: Path, move: bool) -> None:
    known = stored_first(local, tmp_path / "one")
    files = FILES | {"a.txt": "new", "moved/deep.txt": "three", "twin.txt": "new"}
    source = local.staging().new_path("") if move else tmp_path / "two"
    digest = hash_tree(tree(source, files))
    local.put_folder(source, "second", tree=digest, move=move, known=known)
    first, second = local.path("first"), local.path("second")
    assert hash_tree(second).digest == digest.digest
    assert contents_of(first) == {name: str(content).encode() for name, content in FILES.items()}
    assert (second / "b/c.txt").samefile(first / "b/c.txt")
    assert (second / "moved/deep.txt").samefile(first / "b/d.txt")
    assert (second / "twin.txt").samefile(second / "a.txt")
    assert (first / "b/same.txt").samefile(first / "b/c.txt")
    assert not (second / "empty").samefile(first / "empty")
    assert not any(path.name.startswith(".") for path in second.rglob("*"))
    assert list(local.staging().folder.iterdir()) == []


@pytest.mark.req("R70")
def test_folders_that_others_may_write_to_share_nothing(local: Backend, tmp_path: Path) -> None:
    local.put_folder(tmp_path / "one", "real", tree=hash_tree(tree(tmp_path / "one", FILES)))
    assert {path.stat().st_nlink for path in local.path("real").rglob("*") if path.is_file()} == {1}


@pytest.mark.req("R70")
def test_a_name_that_others_write_to_never_shares_with_other_versions(local: Backend, tmp_path: Path) -> None:
    known = stored_first(local, tmp_path / "one")
    digest = hash_tree(tree(tmp_path / "two", FILES | {"new.txt": "new"}))
    local.put_folder(tmp_path / "two", "second", tree=digest, known=known)
    local.publish("second", "key/run", is_folder=True, by_link=True)
    assert local.path("key/run/new.txt").samefile(local.path("second/new.txt"))
    assert not local.path("key/run/a.txt").samefile(local.path("first/a.txt"))
    assert hash_tree(local.path("key/run")).digest == digest.digest


@pytest.mark.req("R70")
@pytest.mark.parametrize("number", [errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP])
@pytest.mark.parametrize("move", [False, True])
def test_without_links_files_are_copied(local: Backend, tmp_path: Path, number: int, move: bool) -> None:
    known = stored_first(local, tmp_path / "one")
    source = local.staging().new_path("") if move else tmp_path / "two"
    digest = hash_tree(tree(source, FILES))
    with failing("os.link", number):
        local.put_folder(source, "second", tree=digest, move=move, known=known)
    assert hash_tree(local.path("second")).digest == digest.digest
    assert not local.path("second/a.txt").samefile(local.path("first/a.txt"))


@pytest.mark.req("R70")
def test_a_full_disk_is_no_reason_to_copy(local: Backend, tmp_path: Path) -> None:
    known = stored_first(local, tmp_path / "one")
    digest = hash_tree(tree(tmp_path / "two", FILES))
    with failing("os.link", errno.ENOSPC), pytest.raises(StorageFull):
        local.put_folder(tmp_path / "two", "second", tree=digest, known=known)
    assert not local.path("second").exists()
    assert list(local.staging().folder.iterdir()) == []


@pytest.mark.req("R70")
@pytest.mark.parametrize("harm", ["longer", "later", "gone", "link"])
def test_a_stored_file_that_was_altered_is_not_shared(local: Backend, tmp_path: Path, harm: str) -> None:
    known = stored_first(local, tmp_path / "one")
    victim = local.path("first/a.txt")
    if harm == "longer":
        before = victim.stat()
        victim.write_text("longer")
        os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif harm == "later":
        victim.write_text("ONE")
        os.utime(victim, ns=(0, local.path("first").stat().st_mtime_ns + 1))
    elif harm == "gone":
        victim.unlink()
    else:
        victim.unlink()
        victim.symlink_to("b/c.txt")
    digest = hash_tree(tree(tmp_path / "two", FILES))
    local.put_folder(tmp_path / "two", "second", tree=digest, known=known)
    assert hash_tree(local.path("second")).digest == digest.digest
    assert local.path("second/b/c.txt").samefile(local.path("first/b/c.txt"))


@pytest.mark.req("R70", "R71")
def test_a_store_copies_what_it_has(s3: S3Server, tmp_path: Path) -> None:
    backend = backend_at(s3.new_root())
    known = stored_first(backend, tmp_path / "one")
    backend.fs.rm_file(backend.url("first/b/d.txt"))
    files = FILES | {"a.txt": "new", "moved.txt": "two"}
    digest = hash_tree(tree(tmp_path / "two", files))
    requests: list[str] = []
    send = backend.fs.s3.meta.events
    send.register("before-call.s3", lambda model, **_: requests.append(model.name))
    backend.put_folder(tmp_path / "two", "second", tree=digest, known=known)
    assert requests.count("CopyObject") == 3  # and a fourth that is not there
    assert requests.count("PutObject") == 3  # new, empty, and the one that went away
    found = backend.stat("second")
    assert (found.size, found.n_files) == (digest.size, digest.n_files)
    assert backend.fs.cat_file(backend.url("second/moved.txt")) == b"two"


def content_addressed(backend: Backend, folder: Path) -> ContentAddressedFolder:
    """Store files as objects of their own, and return the folder that they make."""
    names = {"a b.txt": "one", "b/c #1.txt": "two", "b/deep/version": "three"}
    tree(folder, dict(names))
    puts = [FilePut(folder / name, f"objects/{number}") for number, name in enumerate(names)]
    backend.put_files(puts)
    files = [
        StoredFile(name, len(names[name]), hash_file(put.source).value, put.relpath)
        for put, name in zip(puts, names, strict=True)
    ]
    return ContentAddressedFolder(backend, ".lamart/run.zarr", [*files, StoredFile("empty", 0, "", None)])


@pytest.mark.req("R70")
@pytest.mark.parametrize("protocol", ["s3", "memory"])
def test_a_content_addressed_folder_reads_as_a_folder(s3: S3Server, tmp_path: Path, protocol: str) -> None:
    backend = backend_at(s3.new_root() if protocol == "s3" else f"memory://{tmp_path.name}")
    folder = content_addressed(backend, tmp_path / "files")
    path = folder.path
    assert (path.name, path.suffix, path.exists(), path.is_dir()) == ("run.zarr", ".zarr", True, True)
    found = {str(item).removeprefix(f"{path}/"): item.read_text() for item in path.rglob("*") if item.is_file()}
    assert found == {"a b.txt": "one", "b/c #1.txt": "two", "b/deep/version": "three", "empty": ""}
    again = pickle.loads(pickle.dumps(path))
    assert (again / "b" / "deep" / "version").read_bytes() == b"three"
    assert (path / "b/c #1.txt").stat().st_size == 3
    with (path / "b/deep/version").open("rb") as file:
        file.seek(2)
        assert file.read() == b"ree"
    assert path.fs.cat_file("run.zarr/b/deep/version", start=-2) == b"ee"
    path.fs.get_file("run.zarr/empty", str(tmp_path / "empty"))
    assert (tmp_path / "empty").read_bytes() == b""
    with pytest.raises(FileNotFoundError):
        (path / "b/nothing").read_bytes()
    with pytest.raises(IsADirectoryError):
        (path / "b").read_bytes()
    with pytest.raises(ReadOnlyStorage):
        (path / "b/new.txt").write_text("x")
    backend.get_files({tmp_path / "copy" / file.path: file for file in folder.files})
    assert contents_of(tmp_path / "copy") == {name: content.encode() for name, content in found.items()}
