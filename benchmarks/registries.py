"""Opening the registries that are compared, each in the folder of its side."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from benchmarks.model import Job

DATABASE = "registry.db"


def open_ours(job: Job) -> Any:
    """Connect our registry and return its module and the registry."""
    import lamart_core as ln

    url = job.database_url or f"sqlite:///{job.folder / DATABASE}"
    return ln, ln.connect(url, storage=job.folder / "storage")


def make_peer(job: Job) -> None:
    """Create the peer's registry; the folder, which is the working directory, remembers it."""
    import lamindb_setup  # pyright: ignore[reportMissingImports]

    lamindb_setup.init(storage=str(job.folder / "storage"), name=f"bench-{job.folder.parent.name}", db=job.database_url)


def open_peer() -> Any:
    """Import the peer, connected to the registry of the working directory, and tell it that it is offline."""
    import lamindb as ln  # pyright: ignore[reportMissingImports]
    import lamindb_setup  # pyright: ignore[reportMissingImports]

    # Otherwise its first save asks a web service whether it knows this registry, and fails when there is no network.
    # This is the answer for a registry that was never uploaded.
    lamindb_setup.settings.instance._is_on_hub = False
    ln.settings.verbosity = "error"
    return ln


def copy_row(
    connection: Any, table: str, template_id: int, variations: Callable[[int], dict[str, Any]], ids: range
) -> None:
    """Insert copies of a row by raw SQL in one transaction: a registry of many artifacts without saving each.

    Args:
        connection: SQLite connection of the driver, in autocommit mode.
        table: Name of the table.
        template_id: Id of the row that is copied.
        variations: Gives, for an id, the columns in which the copy differs.
        ids: Ids of the copies.
    """
    cursor = connection.execute(f"SELECT * FROM {table} WHERE id = {template_id}")
    row = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    marks = ", ".join("?" for _ in row)

    def copies() -> Iterator[tuple[Any, ...]]:
        for number in ids:
            changed = {**row, "id": number, **variations(number)}
            yield tuple(changed.values())

    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", copies())
    connection.execute("COMMIT")


def floor_database(job: Job) -> sqlite3.Connection:
    """Open the least that a registry of files needs: one table, and commits as durable as ours."""
    connection = sqlite3.connect(job.folder / DATABASE, isolation_level=None, timeout=60)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(FLOOR_TABLE.format(id="INTEGER PRIMARY KEY"))
    return connection


FLOOR_TABLE = "CREATE TABLE IF NOT EXISTS artifact (id {id}, key TEXT UNIQUE, path TEXT, size INTEGER)"


def make_floor(job: Job) -> None:
    """Create the table of the floor."""
    if job.database_url is None:
        floor_database(job).close()
        return
    import psycopg

    with closing(psycopg.connect(job.database_url, autocommit=True)) as connection:
        connection.execute(FLOOR_TABLE.format(id="serial PRIMARY KEY"))
