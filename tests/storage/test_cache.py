from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from lamart_core import errors
from lamart_core.hashing import hash_file, hash_tree
from lamart_core.storage import Backend, Cache, Local, Marker, backend_at, object_path
from tests.storage.s3_server import S3Server


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def remote(s3_server: S3Server) -> Backend:
    return backend_at(s3_server.new_root())


class Downloads:
    """Counts the downloads of a location."""

    def __init__(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = backend.fs.get_file

        def get_file(*args: object, **kwargs: object) -> None:
            self.count += 1
            real(*args, **kwargs)

        monkeypatch.setattr(backend.fs, "get_file", get_file)


@pytest.mark.req("R248")
def test_a_local_object_is_its_own_copy(local: Backend, source: Path, cache: Cache) -> None:
    local.put_file(source, "a.bin")
    assert cache.fetch(local, "a.bin", size=100_000) == Path(local.root, "a.bin")
    cache.evict(local, "a.bin")
    assert Path(local.root, "a.bin").exists()
    assert not cache.root.exists()


@pytest.mark.req("R248")
def test_a_remote_file_is_copied_once(
    remote: Backend, source: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hash_file(source)
    remote.put_file(source, "deep/a.bin")
    downloads = Downloads(remote, monkeypatch)
    path = cache.fetch(remote, "deep/a.bin", size=100_000, digest=digest)
    assert path.read_bytes() == source.read_bytes()
    assert path.name == "a.bin"
    assert path.is_relative_to(cache.root)
    assert cache.fetch(remote, "deep/a.bin", size=100_000, digest=digest, verify=True) == path
    assert downloads.count == 1
    cache.evict(remote, "deep/a.bin")
    assert not path.exists()
    cache.fetch(remote, "deep/a.bin", size=100_000, digest=digest)
    assert downloads.count == 2


@pytest.mark.req("R248", "R249")
def test_a_remote_folder_is_copied_once_and_again_when_it_is_damaged(
    remote: Backend, folder: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = hash_tree(folder)
    remote.put_folder(folder, "f.zarr", tree=tree)
    downloads = Downloads(remote, monkeypatch)
    path = cache.fetch(remote, "f.zarr", size=tree.size, digest=tree.digest, is_folder=True)
    assert hash_tree(path) == tree
    cache.fetch(remote, "f.zarr", size=tree.size, digest=tree.digest, is_folder=True)
    assert downloads.count == 4
    (path / "deep/er/b.bin").unlink()
    (path / "gone upstream").write_text("x")
    cache.fetch(remote, "f.zarr", size=tree.size, digest=tree.digest, is_folder=True)
    assert hash_tree(path) == tree


@pytest.mark.req("R247")
def test_bytes_that_are_not_those_that_were_stored_are_an_error(backend: Backend, source: Path, cache: Cache) -> None:
    digest = hash_file(source)
    backend.put_file(source, "a.bin")
    with pytest.raises(errors.ContentMismatch, match="100,000 bytes, but 99,999 were stored"):
        cache.fetch(backend, "a.bin", size=99_999, digest=digest)
    backend.path("a.bin").write_bytes(os.urandom(100_000))
    with pytest.raises(errors.IntegrityError, match="digest"):
        cache.fetch(backend, "a.bin", size=100_000, digest=digest, verify=True)
    if not isinstance(backend, Local):
        assert not cache.path(backend, "a.bin", size=100_000, digest=digest).exists()


@pytest.mark.req("R247")
def test_a_folder_that_lost_a_file_is_an_error(backend: Backend, folder: Path, cache: Cache) -> None:
    tree = hash_tree(folder)
    backend.put_folder(folder, "f", tree=tree)
    backend.path("f/a.txt").unlink()
    with pytest.raises(errors.ContentMismatch):
        cache.fetch(backend, "f", size=tree.size, digest=tree.digest, is_folder=True)


@pytest.mark.req("R247")
def test_a_damaged_copy_is_fetched_again(remote: Backend, source: Path, cache: Cache) -> None:
    digest = hash_file(source)
    remote.put_file(source, "a.bin")
    path = cache.fetch(remote, "a.bin", size=100_000, digest=digest)
    path.write_bytes(os.urandom(100_000))
    assert hash_file(cache.fetch(remote, "a.bin", size=100_000, digest=digest, verify=True)) == digest
    path.write_bytes(b"short")
    assert hash_file(cache.fetch(remote, "a.bin", size=100_000, digest=digest)) == digest


def test_a_missing_object_is_an_error(backend: Backend, cache: Cache) -> None:
    for is_folder in (False, True):
        with pytest.raises(errors.PathNotFound, match="nowhere"):
            cache.fetch(backend, "nowhere", size=1, is_folder=is_folder)


def test_an_inexact_digest_is_checked_with_the_server(remote: Backend, source: Path, cache: Cache) -> None:
    remote.put_file(source, "a.bin")
    digest = remote.stat("a.bin").digest
    cache.fetch(remote, "a.bin", size=100_000, digest=digest, verify=True)
    remote.path("a.bin").write_bytes(os.urandom(100_000))
    with pytest.raises(errors.ContentMismatch, match="server says"):
        cache.fetch(remote, "a.bin", size=100_000, digest=digest, verify=True)


@pytest.mark.req("R249")
def test_two_objects_never_share_a_path(s3: S3Server, cache: Cache) -> None:
    bucket = s3.new_bucket()
    locations = [
        backend_at(f"s3://{bucket}/lab"),
        backend_at(f"s3://{bucket}/lab?endpoint_url={s3.endpoint_url}"),
        backend_at(f"s3://{bucket}/lab/x"),
        backend_at("gs://other/lab"),
    ]
    paths = [cache.path(backend, relpath, size=1) for backend in locations for relpath in ("x", "x/y", "y", "X")]
    # The same object under two roots may have one copy: "lab" + "x/y" is "lab/x" + "y".
    assert len(set(paths)) == len(paths) - 1
    for one in set(paths):
        assert not any(one.is_relative_to(other) for other in set(paths) - {one})


def test_long_names_fit(s3: S3Server, source: Path, cache: Cache) -> None:
    remote = backend_at(s3.new_root())  # rclone keeps objects in files, whose names have at most 255 bytes
    relpath = "x" * 500 + ".csv.gz"
    remote.put_file(source, relpath)
    path = cache.fetch(remote, relpath, size=100_000)
    assert path.name.endswith(".csv.gz")


@pytest.mark.req("R249")
def test_many_who_want_one_object_download_it_once(
    remote: Backend, folder: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = hash_tree(folder)
    remote.put_folder(folder, "f", tree=tree)
    downloads = Downloads(remote, monkeypatch)

    def fetch(_: int) -> Path:
        return cache.fetch(remote, "f", size=tree.size, digest=tree.digest, is_folder=True, verify=True)

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(fetch, range(8)))
    assert len(paths) == 1
    assert downloads.count == 4


def test_what_nobody_claims_can_be_listed(backend: Backend, source: Path, folder: Path) -> None:
    assert backend.list_stored() == []
    file, tree = object_path("A" * 16, ".csv.gz"), object_path("B" * 16, "")
    backend.put_file(source, file)
    backend.put_folder(folder, tree, tree=hash_tree(folder))
    backend.put_file(source, "real/key.bin")
    backend.write_marker(Marker("a", "b"))
    if isinstance(backend, Local):
        Path(backend.root, ".lamart/lamart.db").touch()
        Path(backend.root, ".lamart/storage").mkdir()
    assert [(stored.relpath, stored.is_folder) for stored in backend.list_stored()] == [(file, False), (tree, True)]
    assert all(stored.modified.tzinfo is not None for stored in backend.list_stored())


@pytest.mark.req("R267")
def test_old_staging_files_are_cleared_and_young_ones_are_not(backend: Backend, tmp_path: Path, folder: Path) -> None:
    cache_dir = tmp_path / "cache"
    old, young, tree = (backend.staging(cache_dir).new_path(suffix) for suffix in (".old", ".young", ""))
    old.touch()
    young.touch()
    shutil.copytree(folder, tree)
    os.utime(old, (0, 0))
    os.utime(tree, (0, 0))
    found = list(backend.staging(cache_dir).abandoned(older_than=timedelta(hours=1)))
    assert [backend.staging(cache_dir).remove(item) for item in found] == [True]
    assert not old.exists()
    assert young.exists()
    assert tree.exists(), "a file in it is young"
