"""Engines for SQLite and Postgres, set up for many writers."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from lamart_core import errors

WRITE = "lamart_write"


def database_url(url: str | URL) -> URL:
    """Normalise a database URL.

    `postgresql://` and `postgres://` mean psycopg 3; a plain path means SQLite.

    Raises:
        InvalidArgument: The URL names no supported database.
    """
    if isinstance(url, str) and "://" not in url:
        url = f"sqlite:///{Path(url).expanduser().absolute()}"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise errors.InvalidArgument(f"{url!r} is no database URL; use sqlite:///path or postgresql://…") from error
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise errors.InvalidArgument(
            f"the database {parsed.get_backend_name()!r} is not supported; use sqlite:///path or postgresql://…"
        )
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise errors.InvalidArgument(
                "an in-memory database cannot be shared by threads and processes; use sqlite:///path"
            )
        parsed = parsed.set(database=str(Path(str(parsed.database)).expanduser().absolute()))
    return parsed


def make_engine(url: URL, *, busy_timeout: float) -> Engine:
    """Create the engine for a URL from `database_url`.

    Args:
        url: Normalised URL.
        busy_timeout: Seconds that SQLite waits for a lock.

    Raises:
        MissingExtra: The driver of this database is not installed.
    """
    if url.get_backend_name() == "sqlite":
        # Connections to a file cost little: no thread has to wait for one while writers queue for the lock.
        engine = create_engine(url, connect_args={"timeout": busy_timeout, "check_same_thread": False}, max_overflow=-1)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise errors.MissingExtra("psycopg", "postgres", "a registry on Postgres") from error


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    # SQLAlchemy, and not the driver, says when a transaction begins: only so can writers begin with IMMEDIATE.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns into a writer fails at once when another one wrote in between;
    # an immediate one waits for its turn.
    immediate = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def check_not_failed(connection: Connection) -> None:
    """Check that a transaction can be committed.

    After a statement that failed, Postgres answers COMMIT with a rollback, which the driver does not call an error.

    Raises:
        DatabaseError: A statement failed, and whoever sent it kept the error to himself.
    """
    if connection.dialect.name != "postgresql":
        return
    driver: Any = connection.connection.driver_connection
    if driver.info.transaction_status.name == "INERROR":
        raise errors.DatabaseError(
            "a statement of this transaction failed and its error was not raised, so nothing of it is written; "
            "let such errors pass, or try the statement within connection.begin_nested()"
        )
