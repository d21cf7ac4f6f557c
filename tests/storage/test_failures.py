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
from lamart_core.storage import Location, exists, get, put_file, put_folder, stat
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
    small = Location(str(mounted("size=64k")))
    big = folder / "big.bin"
    shutil.copy(source, big)
    with pytest.raises(errors.StorageFull, match="full"):
        put_file(source, small, "a.bin", digest=hash_file(source))
    with pytest.raises(errors.StorageFull):
        put_folder(folder, small, "f", tree=hash_tree(folder))
    assert everything(small.root) == []
    other = Location(str(tmp_path))
    with pytest.raises(errors.StorageFull):
        get(other, "source.bin", Path(small.root, "copy.bin"))
    assert everything(small.root) == []
    put_file(folder / "a.txt", small, "small.txt")


def test_a_file_size_limit_is_a_clear_error_and_leaves_nothing(local: Location, tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
from lamart_core import errors
from lamart_core.hashing import hash_tree
from lamart_core.storage import Location, put_file, put_folder
folder = Path({str(tmp_path / "f")!r})
folder.mkdir()
for name in "ab":
    (folder / name).write_bytes(b"x" * 5_000_000)
tree = hash_tree(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
for put in (lambda at: put_file(folder / "a", at, "a"), lambda at: put_folder(folder, at, "f", tree=tree)):
    try:
        put(Location({local.root!r}))
    except errors.StorageFull as error:
        print("full", error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [f"full {errno.EFBIG}"] * 2, done.stderr
    assert everything(local.root) == []


def test_a_read_only_file_system_is_a_clear_error(mounted: Callable[[str], Path], source: Path, folder: Path) -> None:
    root = mounted("size=1m")
    location = Location(str(root))
    put_file(source, location, "a.bin")
    mounted("remount,ro")
    with pytest.raises(errors.ReadOnlyStorage, match="cannot be written"):
        put_file(source, location, "b.bin")
    with pytest.raises(PermissionError):
        put_folder(folder, location, "f", tree=hash_tree(folder))
    assert stat(location, "a.bin").size == 100_000


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
    local: Location,
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
        put_file(source, local, "deep/a.bin", digest=hash_file(source))
    monkeypatch.undo()
    assert caught.value.errno == number
    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, OSError)
    assert everything(local.root) == []
    assert source.exists()
    put_file(source, local, "deep/a.bin")


def test_a_failed_publication_of_a_folder_leaves_nothing(
    local: Location, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(errors.StorageFull):
        put_folder(folder, local, "f", tree=hash_tree(folder))
    assert everything(local.root) == []


def test_without_hard_links_a_file_is_renamed(local: Location, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links on this file system")

    monkeypatch.setattr(os, "link", refuse)
    put_file(source, local, "a.bin")
    assert Path(local.root, "a.bin").read_bytes() == source.read_bytes()
    with pytest.raises(errors.ObjectExists):
        put_file(source, local, "a.bin")


def test_an_interrupted_put_leaves_nothing(local: Location, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        put_file(source, local, "a.bin")
    assert everything(local.root) == []


def test_a_storage_that_is_not_mounted_is_not_made(tmp_path: Path, source: Path) -> None:
    missing = Location(str(tmp_path / "missing"))
    with pytest.raises(errors.StorageError, match="not there"):
        put_file(source, missing, "a.bin")
    assert not Path(missing.root).exists()


def test_a_bucket_that_is_not_there_is_named(s3: S3Server, source: Path) -> None:
    location = Location(f"s3://no-such-bucket-{os.getpid()}/lab?endpoint_url={s3.endpoint_url}")
    with pytest.raises(errors.StorageError, match="no-such-bucket"):
        put_file(source, location, "a.bin")


@pytest.mark.req("R266")
def test_an_upload_that_fails_half_way_is_aborted(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.new_bucket()
    location = Location(f"s3://{bucket}/lab?endpoint_url={s3.endpoint_url}")
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(120 * 2**20)
    call = location.fs._call_s3

    async def fail(method: str, *args: object, **kwargs: object) -> object:
        if method == "upload_part" and kwargs["PartNumber"] == 2:
            raise PermissionError("access revoked")
        return await call(method, *args, **kwargs)

    monkeypatch.setattr(location.fs, "_call_s3", fail)
    with pytest.raises(errors.ReadOnlyStorage, match="access revoked"):
        put_file(large, location, "large.bin")
    monkeypatch.undo()
    assert s3.uploads(bucket) == []
    assert location.fs.find(bucket) == []


@pytest.mark.req("R266")
def test_of_a_folder_that_fails_half_way_nothing_stays(
    s3: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = Location(s3.new_root())
    put = location.fs.put_file

    def fail(source: str, url: str, **kwargs: object) -> None:
        if url.endswith("empty"):
            raise OSError(errno.EIO, "connection lost")
        put(source, url, **kwargs)

    monkeypatch.setattr(location.fs, "put_file", fail)
    with pytest.raises(errors.StorageError, match="connection lost"):
        put_folder(folder, location, "f", tree=hash_tree(folder))
    monkeypatch.undo()
    assert location.fs.find(location.url()) == []
    assert not exists(location, "f")


def test_an_upload_that_arrives_short_is_noticed(s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = Location(s3.new_root())

    def lose(source: str, url: str, **_: object) -> None:
        location.fs.pipe_file(url, b"short")

    monkeypatch.setattr(location.fs, "put_file", lose)
    with pytest.raises(errors.StorageError, match="5 of 100,000 bytes"):
        put_file(source, location, "a.bin")
    monkeypatch.undo()
    assert not exists(location, "a.bin")


@pytest.mark.req("R249")
def test_a_download_that_stops_leaves_nothing(
    s3: S3Server, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = Location(s3.new_root())
    put_file(source, location, "a.bin")

    def stop(_: str, target: str, **__: object) -> None:
        Path(target).write_bytes(b"short")

    monkeypatch.setattr(location.fs, "get_file", stop)
    out = tmp_path / "out"
    with pytest.raises(errors.StorageError, match="5 of 100,000 bytes"):
        get(location, "a.bin", out / "a.bin")
    assert list(out.iterdir()) == []


def test_a_store_without_conditional_writes_is_written_to(
    s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    location = Location(s3.new_root())
    put = location.fs.put_file

    def refuse(source: str, url: str, mode: str = "overwrite", **kwargs: object) -> None:
        if mode == "create":
            raise OSError(errno.ENOSYS, "not implemented") from ClientError(
                {"Error": {"Code": "NotImplemented"}}, "PutObject"
            )
        put(source, url, **kwargs)

    monkeypatch.setattr(location.fs, "put_file", refuse)
    put_file(source, location, "a.bin")
    assert stat(location, "a.bin").size == 100_000


def test_a_killed_put_leaves_nothing_visible(local: Location, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(30 * 2**20))
    code = f"""
import os, signal
from pathlib import Path
from lamart_core.storage import Location, put_file
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
put_file(Path({str(large)!r}), Location({local.root!r}), "a.bin")
"""
    Path(local.root, ".lamart/tmp").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    assert not exists(local, "a.bin")
    (staged,) = everything(local.root)
    assert staged.startswith(".lamart/tmp/")
    put_file(large, local, "a.bin", digest=hash_file(large))
