from __future__ import annotations

import base64
import hashlib
import os
import random
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamart_core import errors
from lamart_core.hashing import (
    ALGORITHMS,
    Digest,
    FileEntry,
    Hasher,
    algorithm_names,
    hash_bytes,
    hash_file,
    hash_tree,
    list_files,
    register_algorithm,
    tree_digest,
)

every_algorithm = pytest.mark.parametrize("algorithm", algorithm_names())


@pytest.mark.req("R74", "R75", "R76")
def test_digests_are_the_standard_ones() -> None:
    from blake3 import blake3

    data = os.urandom(100_000)
    expected = base64.urlsafe_b64encode(blake3(data).digest()).decode().rstrip("=")
    assert hash_bytes(data) == Digest("blake3", expected)
    assert len(expected) == 43
    md5 = base64.urlsafe_b64encode(hashlib.md5(data).digest()).decode().rstrip("=")
    assert hash_bytes(data, "md5") == Digest("md5", md5)
    assert len(md5) == 22
    assert str(hash_bytes(b"", "md5")) == "md5:1B2M2Y8AsgTpgAmY7PhCfg"


@every_algorithm
@given(data=st.binary(max_size=1000), cut=st.integers(0, 1000))
def test_pieces_make_the_digest_of_the_whole(algorithm: str, data: bytes, cut: int) -> None:
    hasher = Hasher(algorithm)
    hasher.update(bytearray(data[:cut]))
    hasher.update(memoryview(data)[cut:])
    assert hasher.digest() == hash_bytes(data, algorithm)
    assert hasher.size == len(data)


@every_algorithm
@pytest.mark.parametrize("size", [0, 1, 2**20, 16 * 2**20, 16 * 2**20 + 1])
@pytest.mark.parametrize("parallel", [True, False])
def test_a_file_has_the_digest_of_its_bytes(algorithm: str, size: int, parallel: bool, tmp_path: Path) -> None:
    data = random.Random(size).randbytes(size)
    path = tmp_path / "file"
    path.write_bytes(data)
    assert hash_file(path, algorithm, parallel=parallel) == hash_bytes(data, algorithm)
    assert hash_file(str(path), algorithm) == hash_bytes(data, algorithm)


@every_algorithm
@pytest.mark.req("R76")
def test_one_byte_in_the_middle_of_a_large_file_counts(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(130 * 2**20)
    before = hash_file(path, algorithm)
    with path.open("r+b") as file:
        file.seek(65 * 2**20)
        file.write(b"\x01")
    assert path.stat().st_size == 130 * 2**20
    assert hash_file(path, algorithm) != before


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        hash_file(tmp_path / "missing")
    with pytest.raises(errors.InvalidArgument, match="a folder"):
        hash_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.InvalidArgument, match="a named pipe"):
        hash_file(tmp_path / "pipe")
    with pytest.raises(errors.InvalidArgument, match="a device"):
        hash_file("/dev/null")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert hash_file(tmp_path / "link") == hash_bytes(b"x")


def test_unknown_algorithms_are_refused(tmp_path: Path) -> None:
    for call in (lambda: hash_bytes(b"", "crc"), lambda: hash_tree(tmp_path, "crc"), lambda: tree_digest([], "crc")):
        with pytest.raises(errors.InvalidArgument, match="blake3, md5"):
            call()


def test_algorithms_can_be_registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("sha256-test", "blake3"):
        monkeypatch.setitem(ALGORITHMS, name, ALGORITHMS["blake3"])
    del ALGORITHMS["sha256-test"]
    register_algorithm("sha256-test", lambda parallel: hashlib.sha256())
    (tmp_path / "a").write_bytes(b"x")
    assert len(hash_file(tmp_path / "a", "sha256-test").value) == 43
    assert hash_tree(tmp_path, "sha256-test").digest.algorithm == "sha256-test-tree"
    for name in ("blake3", "mine-tree"):
        with pytest.raises(errors.InvalidArgument, match=name):
            register_algorithm(name, lambda parallel: hashlib.sha256())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "folder"
    for name, content in {"a.txt": b"A", "b.txt": b"B", "deep/er/c.bin": b"C" * 1000, "empty": b"", "ü": b"u"}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


@every_algorithm
@pytest.mark.req("R77", "R109")
def test_a_folder_is_its_files(algorithm: str, folder: Path) -> None:
    tree = hash_tree(folder, algorithm)
    assert (tree.size, tree.n_files) == (1003, 5)
    assert tree.digest.algorithm == f"{algorithm}-tree"
    assert tree.digest.is_tree
    assert tree.digest.file_algorithm == algorithm
    assert [entry.path for entry in tree.entries] == ["a.txt", "b.txt", "deep/er/c.bin", "empty", "ü"]
    assert tree.entries[0] == FileEntry("a.txt", 1, hash_bytes(b"A", algorithm).value)
    assert tree_digest(reversed(tree.entries), algorithm) == tree.digest
    assert hash_tree(str(folder), algorithm) == tree


@every_algorithm
@pytest.mark.req("R77")
@pytest.mark.parametrize("change", ["swap", "rename", "move", "edit", "add empty", "remove empty", "case"])
def test_every_change_of_a_folder_counts(algorithm: str, folder: Path, change: str) -> None:
    before = hash_tree(folder, algorithm).digest
    if change == "swap":
        (folder / "a.txt").write_bytes(b"B")
        (folder / "b.txt").write_bytes(b"A")
    elif change == "rename":
        (folder / "a.txt").rename(folder / "z.txt")
    elif change == "move":
        (folder / "deep/er/c.bin").rename(folder / "deep/c.bin")
    elif change == "edit":
        (folder / "deep/er/c.bin").write_bytes(b"C" * 999 + b"D")
    elif change == "add empty":
        (folder / "empty2").touch()
    elif change == "case":
        (folder / "a.txt").rename(folder / "A.txt")
    else:
        (folder / "empty").unlink()
    assert hash_tree(folder, algorithm).digest != before


def test_what_is_no_content_does_not_count(folder: Path, tmp_path: Path) -> None:
    before = hash_tree(folder)
    (folder / "empty folder").mkdir()
    os.utime(folder / "a.txt", (0, 0))
    (folder / "a.txt").chmod(0o600)
    moved = folder.rename(tmp_path / "elsewhere")
    assert hash_tree(moved) == before


@given(st.dictionaries(st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1), st.binary()))
def test_different_folders_have_different_digests(files: dict[str, bytes]) -> None:
    entries = [FileEntry(path, len(data), hash_bytes(data).value) for path, data in files.items()]
    digest = tree_digest(entries)
    for i, entry in enumerate(entries):
        others = entries[:i] + entries[i + 1 :]
        assert tree_digest(others) != digest
        if entry.path + "x" not in files:
            assert tree_digest([*others, FileEntry(entry.path + "x", entry.size, entry.value)]) != digest
        assert tree_digest([*others, FileEntry(entry.path, entry.size + 1, entry.value)]) != digest


def test_a_path_cannot_occur_twice() -> None:
    with pytest.raises(errors.InvalidArgument, match="twice"):
        tree_digest([FileEntry("a", 1, "x"), FileEntry("a", 1, "y")])


@pytest.mark.req("R77")
def test_folders_without_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "only/folders").mkdir(parents=True)
    with pytest.raises(errors.InvalidArgument, match="no files"):
        hash_tree(tmp_path / "only")
    with pytest.raises(errors.PathNotFound):
        hash_tree(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(errors.InvalidArgument, match="not a folder"):
        hash_tree(tmp_path / "file")


def test_links_that_stay_inside_are_files(folder: Path) -> None:
    (folder / "deep/link").symlink_to("../a.txt")
    tree = hash_tree(folder)
    assert FileEntry("deep/link", 1, hash_bytes(b"A").value) in tree.entries


@pytest.mark.parametrize("kind", ["outside", "folder", "nothing", "loop", "pipe", "socket", "not UTF-8"])
def test_what_cannot_be_stored_is_refused_by_name(
    folder: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = folder / "odd"
    if kind == "outside":
        (tmp_path / "secret").write_text("x")
        odd.symlink_to(tmp_path / "secret")
    elif kind == "folder":
        odd.symlink_to("deep")
    elif kind == "nothing":
        odd.symlink_to("missing")
    elif kind == "loop":
        odd.symlink_to("odd")
    elif kind == "pipe":
        os.mkfifo(odd)
    elif kind == "socket":
        monkeypatch.chdir(folder)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("odd")
    else:
        Path(os.fsdecode(os.fsencode(odd) + b"\xff")).touch()
    with pytest.raises(errors.InvalidArgument, match="odd"):
        hash_tree(folder)


def test_a_linked_folder_may_be_the_root(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert hash_tree(tmp_path / "link") == hash_tree(folder)


def test_a_file_that_vanishes_meanwhile_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(top: object) -> list[object]:
        found = list_files(folder)
        (folder / "a.txt").unlink()
        return list(found)

    monkeypatch.setattr("lamart_core.hashing.trees.list_files", gone)
    with pytest.raises(errors.SourceChanged, match=r"a\.txt"):
        hash_tree(folder)


def test_many_files_of_all_sizes(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"{i}.bin").write_bytes(str(i).encode() * i)
    (tmp_path / "large.bin").write_bytes(bytes(17 * 2**20))
    tree = hash_tree(tmp_path)
    assert tree.n_files == 301
    for entry in tree.entries:
        assert hash_file(tmp_path / entry.path).value == entry.value
