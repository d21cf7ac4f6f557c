"""The database schema: migrations are the models, versions are checked, and processes that come together agree."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, inspect, text

import lamart_core as ln
from lamart_core.db import Base, Registry
from lamart_core.db.schema import COMPARE, VERSION_TABLE, ensure_schema
from tests.databases import BACKENDS, fresh_database
from tests.processes import Process, release


def url_of(registry: Registry) -> str:
    return registry.url.render_as_string(hide_password=False)


def test_migrations_give_the_tables_of_the_models(registry: Registry) -> None:
    with registry.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts=COMPARE), Base.metadata)
        made = {table: _shape(connection, table) for table in Base.metadata.tables}
    assert differences == []
    # What the comparison above does not look into: expressions and conditions of indexes.
    with fresh_models(registry) as connection:
        assert {table: _shape(connection, table) for table in Base.metadata.tables} == made


def fresh_models(registry: Registry) -> Connection:
    """Return a connection to the same database, where the models made the tables instead of the migrations."""
    registry.engine.dispose()
    connection = registry.engine.connect()
    if registry.is_sqlite:
        # Runs refer to artifacts and artifacts to runs: no order of dropping satisfies both.
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys=OFF")
    Base.metadata.drop_all(connection)
    Base.metadata.create_all(connection)
    return connection


def _shape(connection: Connection, table: str) -> object:
    if connection.dialect.name == "sqlite":
        query = text("SELECT sql FROM sqlite_master WHERE tbl_name = :table AND type = 'index' AND sql IS NOT NULL")
    else:
        query = text("SELECT indexdef FROM pg_indexes WHERE tablename = :table")
    indexes = sorted(" ".join(row[0].split()) for row in connection.execute(query, {"table": table}))
    keys = [
        (key["constrained_columns"], key["referred_table"], key["options"].get("ondelete"))
        for key in inspect(connection).get_foreign_keys(table)
    ]
    # Columns that a later migration added come last in the table, wherever the model has them.
    columns = sorted((column["name"], column["nullable"]) for column in inspect(connection).get_columns(table))
    return indexes, sorted(keys), columns


def set_version(registry: Registry, version: str) -> None:
    statement = text(f"UPDATE {VERSION_TABLE} SET version_num = :version")
    registry.unit_of_work(lambda connection: connection.execute(statement, {"version": version}).rowcount)


def test_a_newer_database_is_refused(registry: Registry, tmp_path: Path) -> None:
    set_version(registry, "9999")
    with pytest.raises(ln.errors.DatabaseTooNew, match=r"9999.*pip install -U"):
        ln.connect(url_of(registry), make_default=False)
    assert list((tmp_path / "lab").rglob("*.txt")) == [tmp_path / "lab/storage/.lamart/storage_uid.txt"]


def test_an_unsupported_url_is_refused(tmp_path: Path) -> None:
    for url in ("mysql://localhost/lab", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ln.errors.InvalidArgument):
            ln.connect(url, storage=tmp_path, make_default=False)


def test_a_new_registry_needs_a_storage(tmp_path: Path) -> None:
    with pytest.raises(ln.errors.UnknownStorageLocation, match="storage="):
        ln.connect(f"sqlite:///{tmp_path / 'lab.db'}", make_default=False)


def test_without_arguments_a_registry_is_made_here(tmp_path: Path) -> None:
    code = "import lamart_core as ln; print(ln.Artifact.filter().count(), ln.settings.storage.root)"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["0", str(tmp_path / ".lamart/storage")]
    assert (tmp_path / ".lamart/lamart.db").is_file()


def test_a_connection_that_meets_the_switch_to_wal_is_tried_again(tmp_path: Path) -> None:
    registry = ln.connect(str(tmp_path / "lamart.db"), storage=tmp_path / "storage", make_default=False)
    refused: list[str] = []

    def refuse_once(*_: Any) -> None:
        if not refused:
            refused.append("database is locked")
            raise sqlite3.OperationalError(refused[0])

    registry.engine.dispose()
    event.listen(registry.engine, "do_connect", refuse_once)
    assert not ensure_schema(registry)
    assert refused
    registry.close()


CONNECT = """
import sys
import lamart_core as ln
from lamart_core.saving import create
print("ready", flush=True)
sys.stdin.readline()
registry = ln.connect(sys.argv[1], storage=sys.argv[2], user="tester")
from pathlib import Path
source = Path(sys.argv[3])
source.write_text(sys.argv[3])
ln.Artifact(source, key=source.name).save()
print(registry.uid, registry.storage_id, ln.settings.storage.uid, ln.settings.storage.is_managed, flush=True)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_eight_processes_open_a_new_registry_at_once(backend: str, tmp_path: Path) -> None:
    with fresh_database(backend, tmp_path) as url:
        processes = [
            Process(CONNECT, url, str(tmp_path / "storage"), str(tmp_path / f"{number}.txt")) for number in range(8)
        ]
        try:
            release(processes)
            told: set[str] = set()
            for process in processes:
                out, err = process.communicate()
                assert process.returncode == 0, err
                told.add(out.strip())
        finally:
            for process in processes:
                process.close()
        assert len(told) == 1
        registry_uid, _, storage_uid, is_managed = told.pop().split()
        assert is_managed == "True"
        marker = (tmp_path / "storage/.lamart/storage_uid.txt").read_text().split()
        assert marker == [storage_uid, registry_uid]
        registry = ln.connect(url, make_default=False)
        assert registry.Artifact.filter().count() == 8
        assert registry.Storage.filter().count() == 1
        assert registry.User.filter(handle="tester").count() == 1
        registry.close()
