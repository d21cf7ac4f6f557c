"""Fresh databases for tests, on SQLite and on a real Postgres.

Fixtures of a folder of tests look like this:

    @pytest.fixture(params=BACKENDS)
    def database_url(request, tmp_path):
        with fresh_database(request.param, tmp_path) as url:
            yield url
"""

from __future__ import annotations

import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from tests.postgres import postgres_database

BACKENDS = ("sqlite", "postgres")


@contextmanager
def fresh_database(
    backend: str, folder: Path, *, prepare: Callable[[str], None] | None = None
) -> Generator[str, None, None]:
    """Give the URL of a database of its own.

    Args:
        backend: One of `BACKENDS`.
        folder: Where an SQLite file may lie.
        prepare: Called once per process with the URL of an empty database, to fill it; it must close its
            connections. The database given is as that one, which is much faster than filling each.
    """
    if backend == "postgres":
        with postgres_database(prepare) as url:
            yield url
        return
    path = folder / f"{uuid.uuid4().hex}.db"
    if prepare is not None:
        _copy_sqlite(_sqlite_template(prepare), path)
    yield f"sqlite:///{path}"


@cache
def _sqlite_template(prepare: Callable[[str], None]) -> Path:
    path = Path(_scratch.name) / f"{uuid.uuid4().hex}.db"
    prepare(f"sqlite:///{path}")
    return path


# Removed when the process ends.
_scratch = tempfile.TemporaryDirectory(prefix="lamart-test-")


def _copy_sqlite(source: Path, target: Path) -> None:
    # SQLite's own backup sees what still lies in a write-ahead log.
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
