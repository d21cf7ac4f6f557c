from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lamart_core import errors
from lamart_core.hashing import Digest, hash_bytes, hash_file
from lamart_core.storage import Backend, Local, backend_at, object_path
from lamart_core.storage.objectstore.clients import client_of

STEM = "9Kq3mZ0aBcDeFgHi"


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


@pytest.mark.req("R78")
def test_what_only_the_server_says_is_inexact(s3: object, backend: Backend, source: Path) -> None:
    backend.put_file(source, "a.bin")
    digest = backend.stat("a.bin").digest
    if isinstance(backend, Local):
        assert digest is None
    else:
        assert digest == Digest("md5", hash_file(source, "md5").value, is_exact=False)


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


def test_a_staging_file_is_moved_without_copying(local: Backend) -> None:
    staged = local.staging().new_path(".csv")
    staged.write_bytes(b"a,b\n")
    inode = staged.stat().st_ino
    local.put_file(staged, object_path(STEM, ".csv"), digest=hash_bytes(b"a,b\n"), move=True)
    (published,) = [path for path in Path(local.root, ".lamart").iterdir() if path.is_file()]
    assert (published.stat().st_ino, published.stat().st_nlink) == (inode, 1)


def test_a_file_of_another_disk_is_moved_by_copying(local: Backend, source: Path) -> None:
    content = source.read_bytes()
    local.put_file(source, "a.bin", move=True)
    assert not source.exists()
    assert Path(local.root, "a.bin").read_bytes() == content


def test_http_is_only_read(source: Path) -> None:
    with pytest.raises(errors.ReadOnlyStorage, match="http"):
        (backend_at("http://127.0.0.1:9/data")).put_file(source, "a")
