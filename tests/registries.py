"""Fresh registries for tests, and what a test asks about the bytes and rows that they hold."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

import lamart_core as ln
from lamart_core.db import Registry, now, set_default_registry
from lamart_core.db.schema import ensure_schema
from lamart_core.models import Artifact, StoredObject
from lamart_core.settings import Settings
from lamart_core.storage import Local
from tests.databases import BACKENDS, fresh_database
from tests.storage.clouds import CLOUDS, reaching, shared_cloud
from tests.storage.s3_server import credentials, shared_server
from tests.tools import FULL

# Kinds of storage that every test of `lab` runs on; `LAMART_TEST_STORAGES=az,gs` chooses others.
STORAGES = tuple(os.environ.get("LAMART_TEST_STORAGES", "local,s3").split(","))
# Each database and each storage once. The database does not know where bytes lie, and the storage not where rows do.
_PAIRS = zip(cycle(BACKENDS), cycle(STORAGES), range(max(len(BACKENDS), len(STORAGES))))
_CHOSEN = product(BACKENDS, STORAGES) if FULL else ((backend, storage) for backend, storage, _ in _PAIRS)
LABS = [f"{backend}-{storage}" for backend, storage in _CHOSEN]
# Tests of what differs from store to store; how the database is asked does not.
on_clouds_too = pytest.mark.parametrize("lab", [*LABS, *(f"sqlite-{name}" for name in CLOUDS)], indirect=True)


def create_tables(url: str) -> None:
    """Fill an empty database with the tables of a registry."""
    registry = Registry(url, settings=Settings(cache_dir=Path("unused")))
    ensure_schema(registry)
    registry.close()


@contextmanager
def fresh_registry(backend: str, folder: Path, storage: str = "local") -> Generator[Registry, None, None]:
    """Give an empty registry, as the default of the process.

    Args:
        backend: One of `BACKENDS`.
        folder: Where its local files may lie.
        storage: What its default storage is: "local", "s3", or one of `CLOUDS`; a bucket of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _place(storage, folder) as (root, options), fresh_database(backend, folder, prepare=create_tables) as url:
        registry = ln.connect(url, storage=root, cache_dir=folder / "cache", user="tester", storage_options=options)
        try:
            yield registry
        finally:
            registry.close()
            set_default_registry(None)


@contextmanager
def _place(storage: str, folder: Path) -> Generator[tuple[str | Path, dict[str, Any]], None, None]:
    """Give the root of a new storage, and the options that it needs beside the environment."""
    if storage == "local":
        yield folder / "storage", {}
    elif storage == "s3":
        with credentials():
            yield shared_server().new_root(), {}
    else:
        server = shared_cloud(storage)
        with reaching(server):
            yield server.new_root(), {"gs": {"token": "anon"}} if storage == "gs" else {}


@pytest.fixture(params=BACKENDS)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Registry, None, None]:
    """An empty registry on each database, the default of the process."""
    with fresh_registry(request.param, tmp_path / "lab") as registry:
        yield registry


@pytest.fixture(params=LABS)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Registry, None, None]:
    """An empty registry on each database and each kind of default storage, the default of the process."""
    backend, storage = request.param.split("-")
    with fresh_registry(backend, tmp_path / "lab", storage) as registry:
        yield registry


@pytest.fixture
def sqlite_registry(tmp_path: Path) -> Generator[Registry, None, None]:
    """An empty registry on SQLite, for what does not depend on the database."""
    with fresh_registry("sqlite", tmp_path / "lab") as registry:
        yield registry


@dataclass(frozen=True)
class Contents:
    """What a registry holds: numbers of rows, and the files of its storage without the marker."""

    artifacts: int
    objects: int
    files: tuple[str, ...]


def contents(registry: Registry) -> Contents:
    """Return what a registry holds in database and default storage, staging files included."""
    with registry.read() as session:
        artifacts = session.scalar(select(func.count()).select_from(Artifact)) or 0
        objects = session.scalar(select(func.count()).select_from(StoredObject)) or 0
    backend = registry.Storage.get(registry.storage_id).backend
    if isinstance(backend, Local):
        files = _files(Path(backend.root))
    else:
        prefix = backend.stored_name() + "/"
        files = [str(name).removeprefix(prefix) for name in backend.fs.find(backend.url())]
        files += [f"staged/{name}" for name in _files(registry.settings.cache_dir / "tmp")]
    return Contents(artifacts, objects, tuple(sorted(name for name in files if name != ".lamart/storage_uid.txt")))


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def storage_root(registry: Registry) -> Path:
    """Return the folder of the default storage."""
    return Path(registry.Storage.get(registry.storage_id).root)


def tree(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def write(path: Path, content: str | bytes) -> Path:
    """Write one file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def advance(registry: Registry) -> None:
    """Let an object be recorded and forgotten, so that bytes which were put before are not the newest any more.

    Garbage collection leaves the newest bytes alone that no record refers to; see `records.epochs`.
    """
    row = {"storage_id": registry.storage_id, "path": "passing", "suffix": "", "is_exact": False, "is_managed": False}

    def work(connection: Connection) -> None:
        table = StoredObject.__table__
        inserted = connection.execute(table.insert().values(**row, created_at=now()).returning(table.c.id)).scalar_one()
        connection.execute(table.delete().where(table.c.id == inserted))

    registry.unit_of_work(work)
