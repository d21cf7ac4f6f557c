"""The tests that every backend of a storage passes."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lamart_core import errors, uids
from lamart_core.hashing import TreeDigest, hash_file, hash_tree
from lamart_core.storage import (
    MARKER,
    RESERVED,
    Backend,
    FilePut,
    KnownFile,
    Marker,
    StoredFile,
    object_path,
)

# What people call files, and what servers and clients take for patterns, escapes and questions.
NAMES = ("plain.csv", "ünï code.txt", "a b/c&d=e+f.txt", "100%.txt", "[1]*{2}.txt", "#1.txt", "deep/er/x.bin")


class BackendContract:
    """Subclass it in a test file and override the fixture `backend`; pytest finds the tests in the subclass.

    They check what the registry relies on: what is put comes back as it was, under any name; nothing is overwritten
    but by `publish`; what fails leaves nothing; what is not there is told as such; nothing leads out of the root.

    Example:
        .. code-block:: python

            class TestMine(BackendContract):
                @pytest.fixture
                def backend(self, tmp_path):
                    return MyBackend(str(tmp_path))
    """

    @pytest.fixture
    def backend(self) -> Backend:
        """An empty storage that is there and can be written to."""
        raise NotImplementedError("override the fixture `backend`")

    def test_a_file_comes_back(self, backend: Backend, tmp_path: Path) -> None:
        """Under any name, with size and kind, and only that one."""
        for number, name in enumerate(NAMES):
            assert not backend.exists(name)
            source = _file(tmp_path / f"source{number}", name.encode())
            put = backend.put_file(source, name, digest=hash_file(source))
            assert (put.size, put.is_folder) == (len(name.encode()), False)
            assert source.exists()
        for name in NAMES:
            found = backend.stat(name)
            assert (found.size, found.n_files, found.is_folder) == (len(name.encode()), None, False)
            assert backend.exists(name)
            backend.get(name, tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() == name.encode()
            with backend.on_disk(name, is_folder=False) as path:
                assert path.read_bytes() == name.encode()
        sizes = {name: stat.size for name, stat in backend.list_files("").items()}
        assert sizes == {name: len(name.encode()) for name in NAMES}
        assert list(sizes) == sorted(NAMES, key=str.encode)

    def test_a_file_of_any_size_comes_back(self, backend: Backend, tmp_path: Path) -> None:
        """An empty one, and one that servers are given in parts."""
        for size in (0, 1, 7 * 2**20 + 3):
            source, path = _file(tmp_path / "source", os.urandom(size)), _stored(".bin")
            digest = hash_file(source)
            put = backend.put_file(source, path, digest=digest)
            assert (put.size, put.n_files, put.digest) == (size, None, digest)
            assert backend.stat(path).size == size
            backend.get(path, tmp_path / "copy")
            assert hash_file(tmp_path / "copy") == digest
            assert backend.path(path).read_bytes() == source.read_bytes()

    def test_nothing_is_overwritten(self, backend: Backend, tmp_path: Path) -> None:
        """A name is given once: to a file, or to a folder."""
        first, second = _file(tmp_path / "1", b"first"), _file(tmp_path / "2", b"second")
        folder = _folder(tmp_path / "f", {"x": b"x"})
        backend.put_file(first, "key")
        backend.put_folder(folder, "folder", tree=hash_tree(folder))
        for name in ("key", "folder"):
            with pytest.raises(errors.ObjectExists):
                backend.put_file(second, name)
            with pytest.raises(errors.ObjectExists):
                backend.put_folder(folder, name, tree=hash_tree(folder))
        assert _bytes(backend, "key") == b"first"
        assert list(backend.list_files("folder")) == ["x"]

    def test_what_is_not_as_it_was_is_not_stored(self, backend: Backend, tmp_path: Path) -> None:
        """A file that changed since it was staged, or went away."""
        source = _file(tmp_path / "1", b"before")
        digest = hash_file(source)
        for path, content in ((_stored(".txt"), b"after!"), ("key", b"longer than before"), ("gone", None)):
            if content is None:
                source.unlink()
            else:
                source.write_bytes(content)
            with pytest.raises(errors.SourceChanged, match=re.escape(str(source))):
                backend.put_file(source, path, digest=digest)
        assert backend.list_files("") == {}

    def test_a_folder_that_is_not_as_it_was_is_not_stored(self, backend: Backend, tmp_path: Path) -> None:
        """Whatever happened to it since it was staged."""
        content = {"a": b"A", "b/c": b"C", "empty": b""}
        changes: dict[str, dict[str, bytes]] = {
            "edited": content | {"b/c": b"c"},
            "added": content | {"new": b""},
            "removed": {name: content[name] for name in ("a", "b/c")},
            "swapped": content | {"a": b"C", "b/c": b"A"},
            "gone": {},
        }
        tree = hash_tree(_folder(tmp_path / "before", content))
        for change, files in changes.items():
            folder = _folder(tmp_path / change, files)
            for path in (_stored(""), "key"):
                with pytest.raises(errors.SourceChanged):
                    backend.put_folder(folder, path, tree=tree)
        assert backend.list_files("") == {}

    def test_what_is_moved_is_gone_where_it_was(self, backend: Backend, tmp_path: Path) -> None:
        """A staging file or folder."""
        staging = backend.staging(tmp_path / "cache")
        source, folder = _file(staging.new_path(".txt"), b"bytes"), _folder(staging.new_path(), {"x": b"x"})
        path, other = _stored(".txt"), _stored("")
        backend.put_file(source, path, digest=hash_file(source), move=True)
        backend.put_folder(folder, other, tree=hash_tree(folder), move=True)
        assert not source.exists()
        assert not folder.exists()
        assert _bytes(backend, path) == b"bytes"
        assert list(backend.list_files(other)) == ["x"]

    def test_many_files_are_stored_or_none(self, backend: Backend, tmp_path: Path) -> None:
        """One that changed since it was staged takes the others with it."""
        sources = [_file(tmp_path / str(number), str(number).encode()) for number in range(5)]
        puts = [FilePut(source, _stored(".txt"), hash_file(source)) for source in sources]
        stats = backend.put_files(puts)
        assert [stat.digest for stat in stats] == [put.digest for put in puts]
        assert [_bytes(backend, put.relpath) for put in puts] == [b"0", b"1", b"2", b"3", b"4"]
        before = backend.list_stored()
        again = [replace(put, relpath=_stored(".txt")) for put in puts]
        sources[3].write_bytes(b"other")
        with pytest.raises(errors.SourceChanged, match=re.escape(str(sources[3]))):
            backend.put_files(again)
        assert backend.put_files([]) == []
        assert [name.relpath for name in backend.list_stored()] == [name.relpath for name in before]

    def test_a_folder_comes_back(self, backend: Backend, tmp_path: Path) -> None:
        """With the same digest, also where the contents of some of its files are stored already."""
        content = {name: name.encode() for name in NAMES} | {"empty": b""}
        folder = _folder(tmp_path / "f", content)
        tree = hash_tree(folder)
        first, second = _stored(""), _stored("")
        put = backend.put_folder(folder, first, tree=tree, known={})
        assert hash_tree(folder) == tree
        assert (put.size, put.n_files, put.is_folder, put.digest) == (tree.size, tree.n_files, True, tree.digest)
        known = {entry.value: KnownFile(f"{first}/{entry.path}", first) for entry in tree.entries}
        backend.put_folder(folder, second, tree=tree, known=known)
        for path in (first, second):
            found = backend.stat(path)
            assert (found.size, found.n_files, found.is_folder) == (tree.size, tree.n_files, True)
            target = tmp_path / "copies" / path
            backend.get(path, target, is_folder=True)
            assert hash_tree(target).digest == tree.digest
        sizes = {path: stat.size for path, stat in backend.list_files(first).items()}
        assert sizes == {path: len(text) for path, text in content.items()}
        backend.delete(first, is_folder=True)
        assert not backend.exists(first)
        assert backend.stat(second).n_files == tree.n_files
        single = _folder(tmp_path / "single", {"only.txt": b"x"})
        backend.put_folder(single, "single", tree=hash_tree(single))
        assert (backend.stat("single").is_folder, backend.stat("single").n_files) == (True, 1)

    def test_a_copy_replaces_what_was_there(self, backend: Backend, tmp_path: Path) -> None:
        """Also a folder; one that cannot be made leaves it as it was."""
        folder = _folder(tmp_path / "f", {"new": b"new"})
        backend.put_folder(folder, "f", tree=hash_tree(folder))
        backend.put_file(folder / "new", "file")
        target = _folder(tmp_path / "target", {"old": b"old"})
        with pytest.raises(errors.PathNotFound):
            backend.get("nothing", target, is_folder=True)
        assert [path.name for path in target.iterdir()] == ["old"]
        backend.get("f", target, is_folder=True)
        assert [path.name for path in target.iterdir()] == ["new"]
        files = {tmp_path / "a/1": StoredFile("1", 3, "", "file"), tmp_path / "a/2": StoredFile("2", 0, "", None)}
        backend.get_files(files)
        assert [path.read_bytes() for path in files] == [b"new", b""]
        assert [path.name for path in (tmp_path / "a").iterdir() if path not in files] == []

    def test_what_is_not_there_is_told(self, backend: Backend, tmp_path: Path) -> None:
        """A name that begins like another one is another one."""
        backend.put_file(_file(tmp_path / "1", b"1"), "folder2/x")
        backend.check_reachable()
        assert backend.list_files("folder") == {}
        for ask in (
            lambda: backend.stat("folder"),
            lambda: backend.get("folder", tmp_path / "copy"),
            lambda: backend.delete("folder", missing_ok=False),
            lambda: backend.delete("folder", is_folder=True, missing_ok=False),
            lambda: backend.publish("folder", "key", is_folder=False, by_link=False),
            lambda: backend.publish("folder", "key", is_folder=True, by_link=False),
        ):
            with pytest.raises(errors.PathNotFound):
                ask()
        backend.delete("folder", is_folder=True)
        backend.delete("folder")
        assert not backend.exists("key")
        assert not (tmp_path / "copy").exists()
        assert list(tmp_path.glob(".*")) == []
        assert _bytes(backend, "folder2/x") == b"1"
        backend.put_file(tmp_path / "1", "folder2/xy")
        backend.delete("folder2/x", missing_ok=False)
        assert list(backend.list_files("")) == ["folder2/xy"]

    def test_bytes_are_published(self, backend: Backend, tmp_path: Path) -> None:
        """What was there is replaced, with all its files, if that is allowed; the object stays."""
        file, folder = _stored(".txt"), _stored("")
        source = _folder(tmp_path / "f", {"a": b"new", "b/c": b"c"})
        backend.put_file(_file(tmp_path / "1", b"new"), file)
        backend.put_folder(source, folder, tree=hash_tree(source))
        old = _folder(tmp_path / "old", {"a": b"old", "gone": b""})
        backend.put_file(_file(tmp_path / "2", b"old"), "key")
        backend.put_folder(old, "run", tree=hash_tree(old))
        for source_path, target, is_folder in ((file, "key", False), (folder, "run", True)):
            with pytest.raises(errors.ObjectExists):
                backend.publish(source_path, target, is_folder=is_folder, by_link=True, replace=False)
            with pytest.raises(errors.ObjectExists):
                backend.duplicate(source_path, target, is_folder=is_folder)
        assert _bytes(backend, "key") == b"old"
        backend.publish(file, "key", is_folder=False, by_link=False)
        backend.publish(folder, "run", is_folder=True, by_link=False)
        backend.duplicate(file, "second", is_folder=False)
        files = [StoredFile("a", 3, "", f"{folder}/a"), StoredFile("none", 0, "", None)]
        backend.publish_files(files, "parts")
        backend.delete(file)
        backend.delete(folder, is_folder=True)
        assert (_bytes(backend, "key"), _bytes(backend, "second")) == (b"new", b"new")
        assert list(backend.list_files("run")) == ["a", "b/c"]
        assert _bytes(backend, "run/a") == b"new"
        assert {path: stat.size for path, stat in backend.list_files("parts").items()} == {"a": 3, "none": 0}

    def test_the_first_marker_stays(self, backend: Backend) -> None:
        """And is removed by its own storage only."""
        first, second = Marker("storage1", "registry1"), Marker("storage2", "registry2")
        assert backend.read_marker() is None
        backend.write_marker(first)
        backend.write_marker(first)
        with pytest.raises(errors.ObjectExists, match="registry1"):
            backend.write_marker(second)
        backend.remove_marker("storage2")
        assert backend.read_marker() == first
        backend.remove_marker("storage1")
        assert backend.read_marker() is None
        assert not backend.exists(MARKER)

    def test_the_version_store_is_surveyed(self, backend: Backend, tmp_path: Path) -> None:
        """One level deep, with sizes and times of what is there, and what is missing or has another size."""
        assert list(backend.list_reserved()) == []
        assert backend.list_stored() == []
        folder = _folder(tmp_path / "f", {"a": b"12", "b/c": b"345"})
        file, run = _stored(".txt"), _stored("")
        backend.put_file(_file(tmp_path / "1", b"1234"), file)
        backend.put_folder(folder, run, tree=hash_tree(folder))
        backend.put_file(_file(tmp_path / "2", b"1"), "key")
        backend.write_marker(Marker("storage", "registry"))
        names = {name.relpath: name for name in backend.list_reserved()}
        assert {file, run, MARKER} <= names.keys()
        assert all(name.startswith(f"{RESERVED}/") and name.count("/") == 1 for name in names)
        assert [(name.relpath, name.is_folder, name.size) for name in backend.list_stored()] == sorted(
            [(file, False, 4), (run, True, 5)]
        )
        gone = _stored(".txt")
        assert backend.mismatched({file: 4}) == {}
        assert backend.mismatched({file: 5, gone: 1}) == {file: 4, gone: None}
        name = names[file]
        backend.delete(file)
        assert backend.measure(replace(name, size=None)) is None
        assert list(backend.list_uploads()) == []

    def test_what_is_only_read_is_not_written(self, backend: Backend, tmp_path: Path) -> None:
        """Neither files nor marks, and nothing is removed."""
        source, folder = _file(tmp_path / "1", b"1"), _folder(tmp_path / "f", {"x": b"x"})
        tree = hash_tree(folder)
        backend.put_file(source, "key")
        read_only = _read_only(backend)
        for write in _writes(read_only, source, folder, tree):
            with pytest.raises(errors.ReadOnlyStorage):
                write()
        assert _bytes(read_only, "key") == b"1"
        assert list(backend.list_files("")) == ["key"]

    def test_no_path_leads_out(self, backend: Backend, tmp_path: Path) -> None:
        """Nor is the root itself an object."""
        source = _file(tmp_path / "1", b"1")
        for path in ("../out", "a/../../out", "/etc/out", "a//b", "a/./b", "nul\0"):
            for ask in (
                lambda path=path: backend.put_file(source, path),
                lambda path=path: backend.stat(path),
                lambda path=path: backend.delete(path),
                lambda path=path: backend.path(path),
                lambda path=path: backend.check_path(path),
            ):
                with pytest.raises(errors.InvalidArgument):
                    ask()
        for refuse in (
            lambda: backend.delete(""),
            lambda: backend.check_path(""),
            lambda: backend.put_file(source, ""),
        ):
            with pytest.raises(errors.InvalidArgument):
                refuse()
        assert not (tmp_path / "out").exists()

    def test_staging_is_found_again(self, backend: Backend, tmp_path: Path) -> None:
        """Its names are new ones; a copy shares nothing with its source."""
        staging = backend.staging(tmp_path / "cache")
        first, second = staging.new_path(".zarr"), staging.new_path(".zarr")
        assert first != second
        assert first.parent.is_dir()
        assert not first.exists()
        assert first.name.endswith(".zarr")
        source = _folder(tmp_path / "f", {"x": b"x"})
        copy = staging.copy(source, ".zarr")
        (copy / "x").write_bytes(b"changed")
        assert (source / "x").read_bytes() == b"x"

    def test_it_can_be_sent_to_another_process(self, backend: Backend, tmp_path: Path) -> None:
        """It is a value: equal where it leads to the same place, and it shows none of its options."""
        backend.put_file(_file(tmp_path / "1", b"1"), "key")
        again: Backend = pickle.loads(pickle.dumps(backend))
        assert again == backend
        assert _bytes(again, "key") == b"1"
        assert "options" not in repr(backend)


def _file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _folder(path: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        _file(path / name, data)
    return path


def _stored(suffix: str) -> str:
    return object_path(uids.new_stem(), suffix)


def _bytes(backend: Backend, relpath: str) -> bytes:
    with backend.on_disk(relpath, is_folder=False) as path:
        return path.read_bytes()


def _read_only(backend: Backend) -> Backend:
    value: Any = backend
    return replace(value, read_only=True)


def _writes(backend: Backend, source: Path, folder: Path, tree: TreeDigest) -> list[Callable[[], object]]:
    return [
        lambda: backend.put_file(source, "new"),
        lambda: backend.put_files([FilePut(source, "new")]),
        lambda: backend.put_folder(folder, "new", tree=tree),
        lambda: backend.delete("key"),
        lambda: backend.publish("key", "new", is_folder=False, by_link=False),
        lambda: backend.duplicate("key", "new", is_folder=False),
        lambda: backend.publish_files([StoredFile("x", 1, "", "key")], "new"),
        lambda: backend.make_parent("new/x"),
        lambda: backend.staging().new_path(),
        lambda: backend.write_marker(Marker("a", "b")),
        lambda: backend.remove_marker("a"),
    ]
