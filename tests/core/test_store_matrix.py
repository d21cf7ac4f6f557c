"""What can happen to a store, and what each verb then does: the table of `docs/stores.md` is what is observed here."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import check_registry, collect_garbage
from lamart_core.db import Registry, set_default_registry
from lamart_core.storage import Marker, ReservedName, backend_at
from tests.registries import fresh_registry, write
from tests.storage.s3_server import S3Server, s3

__all__ = ["s3"]

TABLE = Path(__file__).parent.parent.parent / "docs/stores.md"
VERBS = ("connect", "load", "fsck", "save", "gc", "delete")


class World:
    """A registry on SQLite with an artifact in its default location, to which something happens."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder = folder
        self.registry = registry
        self.url = registry.url.render_as_string(hide_password=False)
        self.root = ln.Storage.get(registry.storage_id).root
        self.kept = self.save("kept")

    @property
    def path(self) -> Path:
        return Path(self.root)

    def save(self, content: str) -> ln.Artifact:
        with self.registry:
            return ln.Artifact(write(self.folder / "a.txt", content), key=f"{content}.txt", run=False).save()

    def reopen(self) -> None:
        """Open the registry as the next process does."""
        self.registry.close()
        self.registry = ln.connect(self.url, make_default=False)

    def observe(self) -> dict[str, str]:
        """What each verb does now, in a word: the class of the error, `works`, or what a check finds."""
        done: dict[str, str] = {}
        for verb in VERBS:
            try:
                done[verb] = getattr(self, f"do_{verb}")() or "works"
            except errors.LamartError as error:
                done[verb] = type(error).__name__
        return done

    def do_connect(self) -> None:
        ln.connect(self.url, storage=self.root, make_default=False).close()

    def do_load(self) -> None:
        assert str(self.registry.Artifact.get(self.kept.uid).load()).startswith("kept")

    def do_fsck(self) -> str:
        kinds = {found.kind.value for found in check_registry(self.registry, grace=timedelta(0)).findings}
        return ", ".join(sorted(kinds)) or "clean"

    def do_save(self) -> None:
        assert self.save("next").load() == "next"

    def do_gc(self) -> None:
        collect_garbage(self.registry, grace=timedelta(0), dry_run=False)

    def do_delete(self) -> None:
        self.registry.Artifact.get(self.kept.uid).delete(permanent=True)


Event = Callable[[World], AbstractContextManager[None]]
EVENTS: dict[str, tuple[str, Event]] = {}


def event(name: str, where: str = "local") -> Callable[[Callable[[World], Iterator[None]]], None]:
    def keep(happen: Callable[[World], Iterator[None]]) -> None:
        EVENTS[name] = (where, contextmanager(happen))

    return keep


def mount(*options: str | Path) -> None:
    if shutil.which("mount") is None or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")


# ---------------------------------------------------------------------- a folder of this machine


@event("nothing")
def _(world: World) -> Iterator[None]:
    yield


@event("its disk is not mounted: an empty folder is there")
def _(world: World) -> Iterator[None]:
    world.path.rename(world.folder / "away")
    world.path.mkdir()
    yield


@event("it is not there: moved, or another machine")
def _(world: World) -> Iterator[None]:
    world.path.rename(world.folder / "away")
    yield


@event("the store of another registry is there")
def _(world: World) -> Iterator[None]:
    marker = backend_at(world.root).read_marker()
    assert marker is not None
    backend_at(world.root).replace_marker(Marker("storageother", "registryothe"))
    yield


@event("its marker was removed")
def _(world: World) -> Iterator[None]:
    (world.path / ".lamart/storage_uid.txt").unlink()
    yield


@event("the store is older than the database: put back, or copied while in use")
def _(world: World) -> Iterator[None]:
    shutil.copytree(world.path, world.folder / "copy")
    missing = world.save("since")
    shutil.rmtree(world.path)
    (world.folder / "copy").rename(world.path)
    assert missing.uid
    yield


@event("the database is older than the store: put back from a backup")
def _(world: World) -> Iterator[None]:
    path, backup = Path(str(world.registry.url.database)), world.folder / "backup.db"
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(backup)) as copy:
        live.backup(copy)
    for content in ("one", "two"):
        world.save(content)
    world.registry.close()
    shutil.copy(backup, path)
    world.reopen()
    yield


@event("database and store were copied, and the original is there")
def _(world: World) -> Iterator[None]:
    path = Path(str(world.registry.url.database))
    world.registry.close()
    world.url = f"sqlite:///{shutil.copy(path, world.folder / 'copied.db')}"
    shutil.copytree(world.path, world.folder / "copied")
    world.reopen()
    yield


@event("database and store were moved together")
def _(world: World) -> Iterator[None]:
    world.registry.close()
    lab = Path(str(world.registry.url.database)).parent
    moved = lab.rename(lab.with_name("moved"))
    world.url = f"sqlite:///{moved / Path(str(world.registry.url.database)).name}"
    world.root = str(moved / "storage")
    world.reopen()
    yield


@event("its disk is mounted for reading only")
def _(world: World) -> Iterator[None]:
    mount("--bind", world.path, world.path)
    try:
        mount("-o", "remount,ro,bind", world.path)
        yield
    finally:
        subprocess.run(["umount", world.path], check=True)


def fill(path: Path) -> None:
    """Write to a file until its disk is full."""
    with open(path, "wb") as file:
        try:
            while True:
                os.write(file.fileno(), b"0" * 4096)
        except OSError:
            return


@event("its disk is full")
def _(world: World) -> Iterator[None]:
    kept = world.folder / "kept"
    shutil.copytree(world.path, kept)
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", world.path)
    try:
        shutil.copytree(kept, world.path, dirs_exist_ok=True)
        fill(world.path / "large")
        yield
    finally:
        subprocess.run(["umount", world.path], check=True)


@event("it was moved to another file system, under the same root")
def _(world: World) -> Iterator[None]:
    kept = world.folder / "kept"
    shutil.copytree(world.path, kept)
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", world.path)
    try:
        shutil.copytree(kept, world.path, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", world.path], check=True)


@event("its file system has no hard links and no attributes")
def _(world: World) -> Iterator[None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", refuse)
        patch.setattr(os, "setxattr", refuse)
        yield


@event("the database file was replaced or removed under the process")
def _(world: World) -> Iterator[None]:
    path, other = Path(str(world.registry.url.database)), world.folder / "other.db"
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(other)) as copy:
        live.backup(copy)
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    os.replace(other, path)
    yield


# ---------------------------------------------------------------------- a bucket


@event("a bucket that keeps old versions", "s3")
def _(world: World) -> Iterator[None]:
    bucket_setting(world, "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    yield


@event("a bucket with an object lock", "s3")
def _(world: World) -> Iterator[None]:
    backend: Any = backend_at(world.root)
    bucket = f"locked-{os.getpid()}"
    backend.fs.call_s3("create_bucket", Bucket=bucket, ObjectLockEnabledForBucket=True)
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    backend.fs.call_s3("put_object_lock_configuration", Bucket=bucket, ObjectLockConfiguration=lock)
    world.root = f"s3://{bucket}/lab?endpoint_url={world.root.partition('endpoint_url=')[2]}"
    world.registry.storage_id = ln.Storage(world.root).save().id
    world.kept = world.save("kept in the locked bucket")
    yield


@event("a bucket whose listings are late", "s3")
def _(world: World) -> Iterator[None]:
    """The newest object is not listed yet, and one that is gone still is."""
    from lamart_core.storage import ObjectStore

    real = ObjectStore.list_reserved
    gone = ReservedName(f".lamart/{'G' * 24}-0.txt", is_folder=False, size=4)

    def late(self: ObjectStore) -> Iterator[ReservedName]:
        names = sorted(real(self), key=lambda name: name.relpath)
        yield from [*names[:-1], gone]

    world.save("since")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectStore, "list_reserved", late)
        yield


@event("credentials that expire", "s3")
def _(world: World) -> Iterator[None]:
    said = {"Error": {"Code": "ExpiredToken", "Message": "The provided token has expired."}}
    backend = backend_at(world.root)
    call: Any = backend.fs._call_s3  # type: ignore[attr-defined]

    async def expired(method: str, *args: object, **kwargs: object) -> object:
        if method in ("put_object", "head_object", "get_object", "delete_object", "list_objects_v2"):
            error = PermissionError("The provided token has expired.")
            raise error from ClientError(said, method)
        return await call(method, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend.fs, "_call_s3", expired)  # type: ignore[attr-defined]
        yield


def bucket_setting(world: World, operation: str, **options: Any) -> None:
    backend: Any = backend_at(world.root)
    bucket, _, _ = backend.fs.split_path(backend.url())
    backend.fs.call_s3(operation, Bucket=bucket, **options)


# ---------------------------------------------------------------------- the table


def documented() -> dict[str, dict[str, str]]:
    """The table: what happened, and what each verb does."""
    text = TABLE.read_text()
    lines = [line for line in text[text.index("## What happens") :].splitlines() if line.startswith("| ")]
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    found: dict[str, dict[str, str]] = {}
    for line in lines[1:]:
        cells = [re.sub(r"[`*]", "", cell).strip() for cell in line.strip("|").split("|")]
        if not set(cells[0]) <= {"-", " ", ":"}:
            found[cells[0]] = dict(zip(head[1:], cells[1:], strict=True))
    return found


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[World, None, None]:
    where, _ = EVENTS[request.param]
    with fresh_registry("sqlite", tmp_path / "lab", where) as registry:
        world = World(tmp_path, registry)
        yield world
        world.registry.close()
    set_default_registry(None)


@pytest.mark.req("R315", "R316", "R317", on="sqlite")
@pytest.mark.parametrize("world", EVENTS, indirect=True)
def test_the_table_says_what_happens(world: World, request: pytest.FixtureRequest, s3: S3Server) -> None:
    name = request.node.callspec.params["world"]
    with EVENTS[name][1](world):
        observed = world.observe()
    assert documented()[name] == observed


def test_credentials_that_expire_in_the_middle_of_an_upload(s3: S3Server, tmp_path: Path) -> None:
    """Neither the rest nor the parts that are there can be sent or removed; later, garbage collection removes them."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(120 * 2**20)
    with fresh_registry("sqlite", tmp_path / "lab", "s3") as registry:
        backend: Any = registry.Storage.get(registry.storage_id).backend
        call = backend.fs._call_s3
        begun: list[str] = []

        async def expired(method: str, *args: object, **kwargs: object) -> object:
            if method == "upload_part" or (begun and method != "create_multipart_upload"):
                begun.append(method)
                said = {"Error": {"Code": "ExpiredToken", "Message": "The provided token has expired."}}
                raise PermissionError("The provided token has expired.") from ClientError(said, method)
            return await call(method, *args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backend.fs, "_call_s3", expired)
            with pytest.raises(errors.AccessDenied, match="expired"):
                ln.Artifact(large, key="large.bin", run=False).save()
        assert ln.Artifact.filter(branch=None).count() == 0
        taken = collect_garbage(registry, grace=timedelta(0), dry_run=False)
        assert [(found.reason.value, found.is_removed) for found in taken] == [("upload", True)]
        assert check_registry(registry, grace=timedelta(0)).is_clean
        assert ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save().load() == "a"


def test_the_table_has_no_other_rows() -> None:
    assert list(documented()) == list(EVENTS)
