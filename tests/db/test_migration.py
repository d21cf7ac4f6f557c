"""A database that an older version wrote: refused as it is, and whole after the upgrade."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, select, text

import lamart_core as ln
from lamart_core import hashing
from lamart_core.cli import main
from lamart_core.db import Registry, schema
from lamart_core.db.schema import HEAD, MIGRATIONS, schema_version, upgrade
from lamart_core.records import StoredObject
from lamart_core.settings import Settings
from tests.databases import BACKENDS, fresh_database
from tests.registries import fresh_registry, write

OLD_VERSIONS = [path.name[:4] for path in sorted((MIGRATIONS / "versions").glob("[0-9]*.py")) if path.name[:4] != HEAD]
STEM = "OldFamilyOfFiles"
WHEN = "2024-01-02 03:04:05"


def insert(connection: Connection, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO lamart_{table} ({names}) VALUES ({values})"), dict(row))


def write_old_version(registry: Registry, folder: Path, version: str) -> None:
    """Make the tables of an old version, with a family of two artifacts that a run made and read."""
    scope = {"is_locked": False, "branch_id": 1, "created_on_id": 1, "space_id": 1}
    times = {"created_at": WHEN, "created_by_id": 1, "updated_at": WHEN}
    version_store = folder / "storage/.lamart"
    version_store.mkdir(parents=True)
    (version_store / "storage_uid.txt").write_text("oldstorage00\noldregistry0\n")

    upgrade(registry, version)

    def work(connection: Connection) -> None:
        insert(
            connection,
            "registry",
            {"id": 1, "uid": "oldregistry0", "hash_algorithm": "blake3", "created_at": WHEN},
        )
        storage = {"uid": "oldstorage00", "root": str(folder / "storage"), "type": "local"}
        insert(connection, "storage", {"id": 1, **storage, "instance_uid": "oldregistry0", **scope, **times})
        transform = {"uid": "OldTransform0000", "key": "old.py", "kind": "script", "is_latest": True}
        insert(connection, "transform", {"id": 1, **transform, **scope, **times})
        run = {
            "uid": "OldRunOfTheScrip",
            "transform_id": 1,
            "started_at": WHEN,
            "_status_code": 0,
            "params": '{"a": 1}',
        }
        insert(connection, "run", {"id": 1, **run, **scope, **times})
        for number, content in enumerate(["first", "second"], start=1):
            path = f".lamart/{STEM}Random0{number}.txt"
            (folder / "storage" / path).write_text(content)
            digest = hashing.hash_bytes(content.encode())
            same = {"suffix": ".txt", "hash": digest.value, "size": len(content)}
            row = {"storage_id": 1, "path": path, "hash_type": digest.algorithm, "is_exact": True, "is_managed": True}
            insert(connection, "storedobject", {"id": number, **row, **same, "created_at": WHEN})
            row = {"uid": f"{STEM}000{number - 1}", "key": "old/file.txt", "_hash_type": digest.algorithm, "run_id": 1}
            flags = {"_key_is_virtual": True, "_overwrite_versions": False, "is_latest": number == 2}
            ids = {"id": number, "storage_id": 1, "object_id": number}
            insert(connection, "artifact", {**ids, **row, **same, **flags, **scope, **times})
        insert(connection, "runinput", {"id": 1, "run_id": 1, "artifact_id": 1, "created_at": WHEN})
        used = ["storage", "transform", "run", "storedobject", "artifact", "runinput"]
        if version >= "0002":
            used += write_what_0002_added(connection, scope | times, version)
        if version >= "0003":
            gone = {"uid": f"{STEM}0002", "class_name": "Artifact", "hash": "gone", "deleted_at": WHEN}
            insert(connection, "deletedversion", gone)
        if not registry.is_sqlite:
            for table in used:
                name = f"lamart_{table}"
                connection.execute(
                    text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))")
                )

    registry.unit_of_work(work)


def write_what_0002_added(connection: Connection, common: Mapping[str, Any], version: str) -> list[str]:
    """Insert a collection of both artifacts, a note, a label and lost bytes; return the tables that have ids now."""
    collection = {"uid": "OldCollectionOfA0000", "key": "old", "hash": "h", "is_latest": True}
    insert(connection, "collection", {"id": 1, **collection, **common})
    for number in (1, 2):
        member = {"collection_id": 1, "artifact_id": number, "position": 2 - number, "created_at": WHEN}
        insert(connection, "collectionartifact", {"id": number, **member})
    note = {"uid": "OldNoteOfArtifac0000", "artifact_id": 2, "content": "A note.", "kind": "readme", "_status_code": 0}
    made = {name: value for name, value in common.items() if name != "updated_at"}
    insert(connection, "artifactblock", {"id": 1, **note, "is_latest": True, **made})
    insert(connection, "artifactuser", {"id": 1, "artifact_id": 2, "user_id": 1, "created_at": WHEN})
    is_renamed = version >= "0005"
    state, scattered = ("state", "is_content_addressed") if is_renamed else ("fate", "is_scattered")
    for number, fate in ((3, "lost"), (4, "obsolete" if is_renamed else "doomed")):
        row = {"storage_id": 1, "path": f"{number}.txt", "suffix": ".txt", "is_exact": False, "is_managed": False}
        kept = {state: fate, scattered: number == 3, "created_at": WHEN}
        insert(connection, "storedobject", {"id": number, **row, **kept})
    return ["collection", "collectionartifact", "artifactblock", "artifactuser"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_an_old_database_is_upgraded_and_keeps_everything(backend: str, version: str, tmp_path: Path) -> None:
    with fresh_database(backend, tmp_path) as url:
        old = Registry(url, settings=Settings(cache_dir=tmp_path / "cache"))
        write_old_version(old, tmp_path, version)
        with pytest.raises(ln.errors.DatabaseTooOld, match=rf"{version}.*lamart migrate --db \S*(sqlite|postgres)"):
            ln.connect(url, make_default=False)
        refused = CliRunner().invoke(main, ["fsck", "--db", url])
        assert refused.exit_code == 2
        assert "lamart migrate" in refused.stderr

        upgraded = CliRunner().invoke(main, ["migrate", "--db", url])
        assert (upgraded.exit_code, upgraded.stdout) == (0, "upgraded\n")
        again = CliRunner().invoke(main, ["migrate", "--db", url])
        assert again.stdout == "already at the newest version\n"
        with old.engine.connect() as connection:
            assert schema_version(connection) == HEAD
        old.close()

        with ln.connect(url, cache_dir=tmp_path / "cache", make_default=False) as registry:
            artifact = ln.Artifact.get(key="old/file.txt")
            assert (artifact.uid, artifact.load(), artifact.created_at.year) == (f"{STEM}0001", "second", 2024)
            assert [version.load() for version in artifact.versions.order_by("uid")] == ["first", "second"]
            assert artifact.run.params == {"a": 1}
            assert artifact.run.transform.key == "old.py"
            assert [read.uid for read in artifact.run.input_artifacts.all()] == [f"{STEM}0000"]
            if version >= "0002":
                assert [member.uid[-1] for member in ln.Collection.get(key="old").ordered_artifacts] == ["1", "0"]
                assert artifact.notes == "A note."
                assert artifact.users.to_list("handle") == ["anonymous"]
                columns = StoredObject.__table__.c
                stored = select(columns.state, columns.is_content_addressed).where(columns.id.in_([3, 4]))
                with registry.engine.connect() as connection:
                    rows = connection.execute(stored.order_by(columns.id)).all()
                assert rows == [("lost", True), ("obsolete", False)]
                remove = StoredObject.__table__.delete().where(columns.id.in_([3, 4]))
                registry.unit_of_work(lambda connection: connection.execute(remove).rowcount)
            source = tmp_path / "new.txt"
            source.write_text("third")
            # What was deleted before the upgrade is not given again.
            first = 3 if version >= "0003" else 2
            assert ln.Artifact(source, key="old/file.txt").save().uid == f"{STEM}000{first}"
            assert ln.Artifact.get(f"{STEM}0001").is_latest is False
            ln.Artifact.get(f"{STEM}000{first}").delete(permanent=True)
            assert ln.Artifact(source, key="old/file.txt").save().uid == f"{STEM}000{first + 1}"
            artifact.ulabels.add(ln.ULabel(name="new").save())
            assert artifact.ulabels.count() == 1
            done = CliRunner().invoke(main, ["fsck", "--verify", "--db", url])
            assert (done.exit_code, done.stdout) == (0, "clean\n")
            registry.close()


REPLACES_TABLES = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade():
    for table in ("artifact", "ulabel"):
        with op.batch_alter_table(f"lamart_{{table}}", recreate="always") as batch:
            batch.add_column(sa.Column("colour", sa.String(10), nullable=True))
"""


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
def test_a_migration_that_replaces_a_table_keeps_what_refers_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As SQLite has to, for most changes of a table.
    with fresh_registry("sqlite", tmp_path / "lab") as registry:
        artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt").save()
        artifact.ulabels.add(ln.ULabel(name="x").save())
        monkeypatch.setattr(schema, "MIGRATIONS", tmp_path / "migrations")
        shutil.copytree(MIGRATIONS, tmp_path / "migrations")
        (tmp_path / "migrations/versions/9999_replaces.py").write_text(REPLACES_TABLES.format(head=HEAD))
        assert upgrade(registry, "9999")
        assert [label.name for label in artifact.ulabels] == ["x"]
        with registry.engine.connect() as connection:
            assert connection.execute(text("SELECT colour FROM lamart_artifact")).all() == [(None,)]
        # References are checked again.
        with pytest.raises(ln.errors.ProtectedError):
            ln.ULabel.get(name="x").delete(permanent=True)
