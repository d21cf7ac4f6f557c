from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from lamart_core import errors
from lamart_core.hashing import hash_file, hash_tree
from lamart_core.storage import Backend, backend_at
from tests.storage.s3_server import S3Server


def everything(root: str) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if not path.is_dir())


@pytest.fixture
def mounted(tmp_path: Path) -> Generator[Callable[[str], Path], None, None]:
    """Mount small or read-only file systems of memory, where this process may."""
    points: list[Path] = []

    def mount(options: str) -> Path:
        point = tmp_path / "mounted"
        point.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)]
        if "remount" in options:
            command = ["mount", "-o", options, str(point)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a file system is not permitted here")
        points.append(point)
        return point

    yield mount
    if points:
        subprocess.run(["umount", str(points[0])], check=True)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    mounted: Callable[[str], Path], source: Path, folder: Path, tmp_path: Path
) -> None:
    small = backend_at(str(mounted("size=64k")))
    big = folder / "big.bin"
    shutil.copy(source, big)
    with pytest.raises(errors.StorageFull, match="full"):
        small.put_file(source, "a.bin", digest=hash_file(source))
    with pytest.raises(errors.StorageFull):
        small.put_folder(folder, "f", tree=hash_tree(folder))
    assert everything(small.root) == []
    other = backend_at(str(tmp_path))
    with pytest.raises(errors.StorageFull):
        other.get("source.bin", Path(small.root, "copy.bin"))
    assert everything(small.root) == []
    small.put_file(folder / "a.txt", "small.txt")


def test_a_file_size_limit_is_a_clear_error_and_leaves_nothing(local: Backend, tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
from lamart_core import errors
from lamart_core.hashing import hash_tree
from lamart_core.storage import backend_at
folder = Path({str(tmp_path / "f")!r})
folder.mkdir()
for name in "ab":
    (folder / name).write_bytes(b"x" * 5_000_000)
tree = hash_tree(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
for put in (lambda at: at.put_file(folder / "a", "a"), lambda at: at.put_folder(folder, "f", tree=tree)):
    try:
        put(backend_at({local.root!r}))
    except errors.StorageFull as error:
        print("full", error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [f"full {errno.EFBIG}"] * 2, done.stderr
    assert everything(local.root) == []


def test_a_read_only_file_system_is_a_clear_error(mounted: Callable[[str], Path], source: Path, folder: Path) -> None:
    root = mounted("size=1m")
    backend = backend_at(str(root))
    backend.put_file(source, "a.bin")
    mounted("remount,ro")
    with pytest.raises(errors.ReadOnlyStorage, match="cannot be written"):
        backend.put_file(source, "b.bin")
    with pytest.raises(PermissionError):
        backend.put_folder(folder, "f", tree=hash_tree(folder))
    assert backend.stat("a.bin").size == 100_000


@pytest.mark.req("R266")
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EROFS, errors.ReadOnlyStorage),
        (errno.EACCES, errors.ReadOnlyStorage),
        (errno.ENOSPC, errors.StorageFull),
        (errno.EDQUOT, errors.StorageFull),
        (errno.EIO, errors.StorageError),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "link", "mkdir"])
def test_whatever_the_disk_refuses_is_typed_and_leaves_nothing(
    local: Backend,
    source: Path,
    number: int,
    kind: type[errors.StorageError],
    call: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path if call == "mkdir" else os, call, refuse)
    with pytest.raises(kind, match=re.escape(local.root)) as caught:
        local.put_file(source, "deep/a.bin", digest=hash_file(source))
    monkeypatch.undo()
    assert caught.value.errno == number
    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, OSError)
    assert everything(local.root) == []
    assert source.exists()
    local.put_file(source, "deep/a.bin")


def test_a_failed_publication_of_a_folder_leaves_nothing(
    local: Backend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(errors.StorageFull):
        local.put_folder(folder, "f", tree=hash_tree(folder))
    assert everything(local.root) == []


def test_without_hard_links_a_file_is_renamed(local: Backend, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links on this file system")

    monkeypatch.setattr(os, "link", refuse)
    local.put_file(source, "a.bin")
    assert Path(local.root, "a.bin").read_bytes() == source.read_bytes()
    with pytest.raises(errors.ObjectExists):
        local.put_file(source, "a.bin")


def test_an_interrupted_put_leaves_nothing(local: Backend, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        local.put_file(source, "a.bin")
    assert everything(local.root) == []


def test_a_storage_that_is_not_mounted_is_not_made(tmp_path: Path, source: Path) -> None:
    missing = backend_at(str(tmp_path / "missing"))
    with pytest.raises(errors.StorageError, match="not there"):
        missing.put_file(source, "a.bin")
    assert not Path(missing.root).exists()


def test_a_bucket_that_is_not_there_is_named(s3: S3Server, source: Path) -> None:
    backend = backend_at(f"s3://no-such-bucket-{os.getpid()}/lab?endpoint_url={s3.endpoint_url}")
    with pytest.raises(errors.StorageError, match="no-such-bucket"):
        backend.put_file(source, "a.bin")


@pytest.mark.req("R266")
def test_an_upload_that_fails_half_way_is_aborted(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.new_bucket()
    backend = backend_at(f"s3://{bucket}/lab?endpoint_url={s3.endpoint_url}")
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(120 * 2**20)
    call = backend.fs._call_s3

    async def fail(method: str, *args: object, **kwargs: object) -> object:
        if method == "upload_part" and kwargs["PartNumber"] == 2:
            raise PermissionError("access revoked")
        return await call(method, *args, **kwargs)

    monkeypatch.setattr(backend.fs, "_call_s3", fail)
    with pytest.raises(errors.ReadOnlyStorage, match="access revoked"):
        backend.put_file(large, "large.bin")
    monkeypatch.undo()
    assert s3.uploads(bucket) == []
    assert backend.fs.find(bucket) == []


@pytest.mark.req("R266")
def test_of_a_folder_that_fails_half_way_nothing_stays(
    s3: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_at(s3.new_root())
    put = backend.fs.put_file

    def fail(source: str, url: str, **kwargs: object) -> None:
        if url.endswith("empty"):
            raise OSError(errno.EIO, "connection lost")
        put(source, url, **kwargs)

    monkeypatch.setattr(backend.fs, "put_file", fail)
    with pytest.raises(errors.StorageError, match="connection lost"):
        backend.put_folder(folder, "f", tree=hash_tree(folder))
    monkeypatch.undo()
    assert backend.fs.find(backend.url()) == []
    assert not backend.exists("f")


def test_an_upload_that_arrives_short_is_noticed(s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = backend_at(s3.new_root())

    def lose(source: str, url: str, **_: object) -> None:
        backend.fs.pipe_file(url, b"short")

    monkeypatch.setattr(backend.fs, "put_file", lose)
    with pytest.raises(errors.StorageError, match="5 of 100,000 bytes"):
        backend.put_file(source, "a.bin")
    monkeypatch.undo()
    assert not backend.exists("a.bin")


@pytest.mark.req("R249")
def test_a_download_that_stops_leaves_nothing(
    s3: S3Server, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_at(s3.new_root())
    backend.put_file(source, "a.bin")

    def stop(_: str, target: str, **__: object) -> None:
        Path(target).write_bytes(b"short")

    monkeypatch.setattr(backend.fs, "get_file", stop)
    out = tmp_path / "out"
    with pytest.raises(errors.StorageError, match="5 of 100,000 bytes"):
        backend.get("a.bin", out / "a.bin")
    assert list(out.iterdir()) == []


def test_a_store_without_conditional_writes_is_written_to(
    s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    backend = backend_at(s3.new_root())
    put = backend.fs.put_file

    def refuse(source: str, url: str, mode: str = "overwrite", **kwargs: object) -> None:
        if mode == "create":
            raise OSError(errno.ENOSYS, "not implemented") from ClientError(
                {"Error": {"Code": "NotImplemented"}}, "PutObject"
            )
        put(source, url, **kwargs)

    monkeypatch.setattr(backend.fs, "put_file", refuse)
    backend.put_file(source, "a.bin")
    assert backend.stat("a.bin").size == 100_000


def test_a_killed_put_leaves_nothing_visible(local: Backend, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(30 * 2**20))
    code = f"""
import os, signal
from pathlib import Path
from lamart_core.storage import backend_at
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
backend_at({local.root!r}).put_file(Path({str(large)!r}), "a.bin")
"""
    Path(local.root, ".lamart/tmp").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    assert not local.exists("a.bin")
    (staged,) = everything(local.root)
    assert staged.startswith(".lamart/tmp/")
    local.put_file(large, "a.bin", digest=hash_file(large))
