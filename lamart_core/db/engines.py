"""Engines for SQLite and Postgres, set up for many writers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from lamart_core import errors

WRITE = "lamart_write"


def database_url(url: str | os.PathLike[str] | URL) -> URL:
    """Normalise a database URL.

    `postgresql://` and `postgres://` mean psycopg 3; a path means the SQLite file of exactly that name.

    Raises:
        InvalidArgument: The URL names no supported database.
    """
    parsed = _parsed(url)
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


def _parsed(url: str | os.PathLike[str] | URL) -> URL:
    if isinstance(url, URL):
        return url
    text: Any = os.fspath(url) if isinstance(url, os.PathLike) else url
    if not isinstance(text, str) or "\0" in text:
        raise errors.InvalidArgument(f"{url!r} is neither a database URL nor the path of an SQLite file")
    if "://" not in text:  # not by way of a URL, in which `%` and `?` have a meaning
        return URL.create("sqlite", database=text)
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise errors.InvalidArgument(f"{text!r} is no database URL; use sqlite:///path or postgresql://…") from error
    if parsed.get_backend_name() == "sqlite" and "?" in text:
        raise errors.InvalidArgument(
            f"{text!r}: a '?' begins the options of a URL, and there are none for SQLite; write it as %3F, "
            "or pass the path of the file"
        )
    return parsed


def shown_url(url: URL) -> str:
    """Return a URL for people: without its password, and the path of a file as it is."""
    is_file = url.get_backend_name() == "sqlite"
    return f"sqlite:///{url.database}" if is_file else url.render_as_string(hide_password=True)


@contextmanager
def opening(url: URL) -> Generator[None, None, None]:
    """Say what is wrong with a database that cannot be opened.

    Raises:
        DatabaseError: It cannot: it is no database, it cannot be reached, or it refuses.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise errors.DatabaseError(f"{shown_url(url)} cannot be opened: {reason}") from error


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
