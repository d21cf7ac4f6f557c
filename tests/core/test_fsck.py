"""Checking a registry: what is found in one that was damaged, and what a repair makes of it."""

from __future__ import annotations

import errno
import shutil
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import Finding, Kind, Severity, check_registry, iter_findings
from lamart_core.db import Registry
from lamart_core.models import Artifact, StoredObject
from lamart_core.objects.candidates import candidates
from lamart_core.objects.record import ContentKey, shared_objects
from lamart_core.objects.rows import OBJECT
from lamart_core.records import FolderFile
from lamart_core.storage import MARKER, Local, Marker
from tests.core.test_gc import AT_ONCE, lease, leave_file, location_of
from tests.registries import fresh_registry, tree, write
from tests.seams import at_storage

DAY = timedelta(days=1)


def save(tmp_path: Path, name: str, content: str, **options: Any) -> Artifact:
    return ln.Artifact(write(tmp_path / name, content), key=name, **options).save()


def kinds(registry: Registry, **options: Any) -> list[Kind]:
    return [found.kind for found in check_registry(registry, **options).findings]


def only(registry: Registry, **options: Any) -> Finding:
    (found,) = check_registry(registry, **options).findings
    return found


def overwrite(registry: Registry, relpath: str, content: bytes) -> None:
    """Damage an object behind the back of everybody."""
    backend = location_of(registry)
    if isinstance(backend, Local):
        backend.path(relpath).write_bytes(content)
    else:
        backend.fs.pipe_file(backend.url(relpath), content)


def sql(registry: Registry, *statements: str) -> None:
    """Run SQL as somebody does who edits or restores a database, without the checks of the database."""

    def work(connection: Connection) -> None:
        if not registry.is_sqlite:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))

    if not registry.is_sqlite:
        registry.unit_of_work(work)
        return
    import sqlite3

    with sqlite3.connect(str(registry.url.database)) as database:  # foreign keys are off unless they are asked for
        for statement in statements:
            database.execute(statement)
    database.close()


# ---------------------------------------------------------------- bytes


@pytest.mark.req("R291")
def test_a_sound_registry_is_clean(lab: Registry, tmp_path: Path) -> None:
    save(tmp_path, "a.txt", "a")
    save(tmp_path, "empty.txt", "")
    for content in ("x", "y"):
        source = tree(tmp_path / content, {"one.txt": content, "sub/two.txt": "2"})
        ln.Artifact(source, key="overwritten").save()
        ln.Artifact(source, key="kept", overwrite_versions=False).save()
    backend = location_of(lab)
    backend.put_file(write(tmp_path / "raw.csv", "a,b\n"), "raw/raw.csv")
    ln.Artifact(backend.path("raw/raw.csv")).save()
    Artifact.get(key="a.txt").delete()
    report = check_registry(lab, verify=True, grace=AT_ONCE)
    assert report.findings == ()
    assert report.is_clean


@pytest.mark.req("R291")
def test_missing_truncated_and_altered_bytes_are_found(lab: Registry, tmp_path: Path) -> None:
    missing, short, altered = (save(tmp_path, f"{name}.txt", f"content of {name}") for name in ("m", "s", "a"))
    folder = ln.Artifact(tree(tmp_path / "f", {"1.txt": "one", "2.txt": "two"}), key="f").save()
    backend = location_of(lab)
    backend.delete(missing.object.path)
    overwrite(lab, short.object.path, b"content")
    overwrite(lab, altered.object.path, b"CONTENT of a")
    overwrite(lab, f"{folder.object.path}/1.txt", b"ONE")
    quick = {(found.kind, found.artifact) for found in check_registry(lab).findings}
    # A file of this machine shows by its time that it was written.
    seen = set() if backend.is_cached else {(Kind.ALTERED, altered.uid)}
    assert quick == {(Kind.MISSING, missing.uid), (Kind.TRUNCATED, short.uid)} | seen
    findings = check_registry(lab, verify=True).findings
    assert {(found.kind, found.artifact) for found in findings} == quick | {
        (Kind.ALTERED, altered.uid),
        (Kind.ALTERED, folder.uid),
    }
    assert "differs in '1.txt'" in next(found.detail for found in findings if found.artifact == folder.uid)
    assert all(found.severity is Severity.ERROR and not found.is_repairable for found in findings)
    assert {found.path for found in findings} == {
        artifact.object.path for artifact in (missing, short, altered, folder)
    }
    backend.delete(f"{folder.object.path}/2.txt")
    assert Kind.TRUNCATED in [found.kind for found in check_registry(lab).findings if found.artifact == folder.uid]

    repaired = check_registry(lab, verify=True, repair=True)
    assert len(repaired.remaining) == 4, "there is no other copy"
    assert Artifact.filter().count() == 4


@pytest.mark.req("R291")
@pytest.mark.parametrize("lab", ["sqlite-local", "postgres-s3"], indirect=True)
def test_what_cannot_be_read_is_not_told_as_altered(lab: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "a.txt", "content")
    save(tmp_path, "again.txt", "other")

    def refuse() -> None:
        raise errors.StorageError(errno.EIO, "the disk, or the network, failed")

    with at_storage("on_disk", before=refuse, always=True):
        findings = check_registry(lab, verify=True, repair=True).findings
    assert {(found.kind, found.is_repairable) for found in findings} == {(Kind.UNREACHABLE, False)}
    assert artifact.uid in {found.artifact for found in findings}
    assert check_registry(lab).is_clean
    location_of(lab).delete(artifact.object.path)
    with pytest.raises(errors.ContentMismatch, match="missing"):
        artifact.verify()


def place_of_file(registry: Registry, artifact: Artifact, name: str) -> str:
    """Return where the bytes of a file of a folder lie: in the folder, or as an object of their own."""
    folder = artifact.object
    part = (
        select(StoredObject.path)
        .join(FolderFile, FolderFile.object_id == StoredObject.id)
        .where(FolderFile.history_id == folder.history_id, FolderFile.path == name)
        .where(FolderFile.since <= (folder.position or 0))
        .where(FolderFile.until.is_(None) | (FolderFile.until > (folder.position or 0)))
    )
    with registry.read() as session:
        return session.scalars(part).one_or_none() or f"{artifact.object.path}/{name}"


@pytest.mark.req("R291")
def test_damaged_files_of_kept_folders_are_told_with_their_folder(lab: Registry, tmp_path: Path) -> None:
    def save_folder(files: dict[str, str | bytes]) -> Artifact:
        return ln.Artifact(tree(tmp_path / "f", files), key="f", overwrite_versions=False).save()

    first = save_folder({"1.txt": "one", "2.txt": "two", "empty.txt": ""})
    second = save_folder({"1.txt": "ONE AGAIN"})
    assert check_registry(lab, verify=True, grace=AT_ONCE).is_clean
    overwrite(lab, place_of_file(lab, second, "1.txt"), b"one again")
    found = only(lab, verify=True)
    assert (found.kind, found.artifact) == (Kind.ALTERED, second.uid)
    assert check_registry(lab).is_clean, "only the size was looked at"
    overwrite(lab, place_of_file(lab, first, "2.txt"), b"TWO TIMES")
    assert (Kind.TRUNCATED, first.uid) in [(found.kind, found.artifact) for found in check_registry(lab).findings]


@pytest.mark.req("R291")
def test_a_folder_of_objects_whose_rows_are_lost_is_told(tmp_path: Path) -> None:
    with fresh_registry("sqlite", tmp_path / "lab", "s3") as registry:
        source = tree(tmp_path / "f", {"1.txt": "one", "2.txt": "two"})
        artifact = ln.Artifact(source, key="f", overwrite_versions=False).save()
        sql(registry, "DELETE FROM lamart_folderfile WHERE path = '2.txt'")
        found = check_registry(registry, repair=True).findings[0]
        assert (found.kind, found.artifact, found.is_repaired) == (Kind.MISSING, artifact.uid, False)


@pytest.mark.req("R291")
@pytest.mark.parametrize("damage", ["missing", "altered", "folder"])
def test_bytes_are_put_again_from_an_equal_copy(damage: str, registry: Registry, tmp_path: Path) -> None:
    other = ln.Storage(root=str(tmp_path / "other")).save()
    if damage == "folder":
        source = tree(tmp_path / "f", {"1.txt": "one", "2.txt": "two"})
        artifact = ln.Artifact(source, key="f").save()
        ln.Artifact(source, key="copy/f", storage=other, skip_hash_lookup=True).save()
        overwrite(registry, f"{artifact.object.path}/1.txt", b"ONE")
    else:
        artifact = save(tmp_path, "a.txt", "content")
        ln.Artifact(tmp_path / "a.txt", key="copy/a.txt", storage=other, skip_hash_lookup=True).save()
        if damage == "missing":
            location_of(registry).delete(artifact.object.path)
        else:
            overwrite(registry, artifact.object.path, b"CONTENT")
    damaged = artifact.object.path
    assert only(registry, verify=True).is_repairable
    found = only(registry, verify=True, repair=True)
    assert found.is_repaired
    again = Artifact.get(artifact.uid)
    assert again.verify()
    assert again.object.path != damaged
    assert check_registry(registry, verify=True).is_clean
    if damage == "altered":
        assert (Path(location_of(registry).root) / damaged).exists(), "left to garbage collection"


@pytest.mark.req("R291")
def test_bytes_are_put_again_from_the_cache_but_not_from_a_damaged_copy(tmp_path: Path) -> None:
    with fresh_registry("sqlite", tmp_path / "lab", "s3") as registry:
        good, bad = save(tmp_path, "good.txt", "good content"), save(tmp_path, "bad.txt", "bad content")
        good.cache()
        bad.cache().write_text("BAD CONTENT")
        for artifact in (good, bad):
            location_of(registry).delete(artifact.object.path)
        findings = check_registry(registry, repair=True).findings
        assert {(found.artifact, found.is_repaired) for found in findings} == {(good.uid, True), (bad.uid, False)}
        assert Artifact.get(good.uid).verify()


IN_BUCKETS = pytest.mark.parametrize("lab", ["sqlite-s3", "postgres-s3"], indirect=True)


def damage_file(lab: Registry, artifact: Artifact, name: str, damage: str) -> None:
    relpath = place_of_file(lab, artifact, name)
    if damage == "missing":
        location_of(lab).delete(relpath)
    else:
        overwrite(lab, relpath, b"OTHER"[: 3 if damage == "altered" else 5])


@pytest.mark.req("R70", "R291")
@IN_BUCKETS
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
@pytest.mark.parametrize("copy", ["cached folder", "linked file", "file of a folder", "file of a bucket", "none"])
def test_files_of_kept_folders_are_put_again_from_equal_ones(
    lab: Registry, tmp_path: Path, damage: str, copy: str
) -> None:
    source = tree(tmp_path / "f", {"1.txt": "one", "sub/2.txt": "two", "empty": ""})
    first = ln.Artifact(source, key="f", overwrite_versions=False).save()
    second = ln.Artifact(tree(tmp_path / "f", {"1.txt": "ONE"}), key="f", overwrite_versions=False).save()
    if copy == "cached folder":
        cached = first.cache()
        for shared in lab.settings.cache_dir.rglob("files/*"):
            shared.unlink()
        assert (cached / "sub/2.txt").read_text() == "two"
    elif copy == "linked file":
        for artifact in (first, second):
            shutil.rmtree(artifact.cache())
    elif copy == "file of a folder":
        other = ln.Storage(root=str(tmp_path / "other")).save()
        for content in ("one", "ONE"):  # the second version has it too, the first one has lost it
            files = tree(tmp_path / content, {"deep/x.bin": "two", "y.txt": content})
            ln.Artifact(files, key="g", storage=other, overwrite_versions=False).save()
    elif copy == "file of a bucket":
        files = tree(tmp_path / "g", {"deep/x.bin": "two", "y.txt": "y"})
        ln.Artifact(files, key="g", overwrite_versions=True).save()
    damage_file(lab, first, "sub/2.txt", damage)
    found = only(lab, verify=True)
    assert (found.kind, found.artifact) == (Kind(damage), first.uid)
    assert found.is_repairable is (copy != "none")
    assert only(lab, verify=True, repair=True).is_repaired is (copy != "none")
    if copy != "none":
        assert check_registry(lab, verify=True).is_clean
        shutil.rmtree(lab.settings.cache_dir, ignore_errors=True)
        for artifact, one in ((first, "one"), (second, "ONE")):
            assert ln.Artifact.get(artifact.uid).verify()
            folder = artifact.cache()
            assert [(folder / name).read_text() for name in ("1.txt", "sub/2.txt")] == [one, "two"]


@pytest.mark.req("R291")
def test_files_are_not_put_again_from_copies_that_are_others(tmp_path: Path) -> None:
    with fresh_registry("sqlite", tmp_path / "lab", "s3") as registry:
        source = tree(tmp_path / "f", {"1.txt": "one", "2.txt": "two"})
        artifact = ln.Artifact(source, key="f", overwrite_versions=False).save()
        other = ln.Storage(root=str(tmp_path / "other")).save()
        copy = ln.Artifact(tree(tmp_path / "g", {"x.bin": "two", "y": "y"}), key="g", storage=other).save()
        (Path(str(copy.path)) / "x.bin").write_text("TWO")
        for shared in (artifact.cache() / "2.txt", *registry.settings.cache_dir.rglob("files/*")):
            shared.chmod(0o644)
            shared.write_text("TWO")
        damage_file(registry, artifact, "2.txt", "missing")
        (found,) = check_registry(registry, repair=True).findings
        assert (found.is_repairable, found.is_repaired) == (True, False)


@pytest.mark.req("R56", "R291")
def test_a_file_that_changed_in_place_is_told_and_left_alone(lab: Registry, tmp_path: Path) -> None:
    backend = location_of(lab)
    backend.put_file(write(tmp_path / "raw.csv", "a,b\n1,2\n"), "raw/raw.csv")
    artifact = ln.Artifact(backend.path("raw/raw.csv")).save()
    overwrite(lab, "raw/raw.csv", b"a,b\n")
    found = only(lab, verify=True, repair=True)
    assert (found.kind, found.artifact, found.is_repaired) == (Kind.CHANGED_IN_PLACE, artifact.uid, False)
    assert found.severity is Severity.WARNING
    ln.Artifact(backend.path("raw/raw.csv")).save()
    # What it is now is a version of its own; the other one is lost, and that is told.
    lost = only(lab, verify=True, repair=True)
    assert (lost.kind, lost.artifact, lost.severity) == (Kind.LOST, artifact.uid, Severity.WARNING)
    assert "Artifact(path)" in lost.detail
    overwrite(lab, "raw/raw.csv", b"a,b\n1,2\n")
    ln.Artifact(backend.path("raw/raw.csv")).save()
    assert only(lab, verify=True).artifact == artifact.uid[:-4] + "0001"


@pytest.mark.req("R161", "R291")
def test_what_is_left_over_is_told_and_removed_only_when_asked(lab: Registry, tmp_path: Path) -> None:
    orphan, held = leave_file(lab, tmp_path, "orphan"), leave_file(lab, tmp_path, "held")
    lease(lab, held, -DAY)
    overwrite(lab, ".lamart/notes.txt", b"somebody's notes")
    young = check_registry(lab).findings
    assert [found.kind for found in young] == [Kind.FOREIGN, Kind.LEASE], "younger than the grace time"
    assert (young[1].row_id, young[1].storage_id) == (None, lab.storage_id)
    findings = check_registry(lab, grace=AT_ONCE, repair=True).findings
    assert {(found.kind, found.path, found.is_repaired) for found in findings} == {
        (Kind.FOREIGN, ".lamart/notes.txt", False),
        (Kind.ORPHANED, orphan, False),
        (Kind.ORPHANED, held, False),
        (Kind.LEASE, held, True),
    }
    assert all(found.severity is Severity.WARNING for found in findings)
    collected = check_registry(lab, grace=AT_ONCE, gc=True)
    assert [found.kind for found in collected.remaining] == [Kind.FOREIGN]
    assert not location_of(lab).exists(orphan)
    assert location_of(lab).exists(".lamart/notes.txt")


# ---------------------------------------------------------------- storage locations


@pytest.mark.req("R97", "R291")
def test_markers(lab: Registry, tmp_path: Path) -> None:
    backend = location_of(lab)
    uid = lab.Storage.get(lab.storage_id).uid
    backend.delete(MARKER)
    found = only(lab)
    assert (found.kind, found.row_id, found.storage_id) == (Kind.MARKER, None, lab.storage_id)
    assert only(lab, repair=True).is_repaired
    assert backend.read_marker() == Marker(uid, lab.uid)
    assert check_registry(lab).is_clean
    overwrite(lab, MARKER, b"storageofothr\nregistryothr\n")
    found = only(lab, repair=True)
    assert (found.kind, found.is_repaired) == (Kind.MARKER, False)
    assert "registryothr" in found.detail
    assert backend.read_marker() == Marker("storageofothr", "registryothr")


@pytest.mark.req("R291")
def test_a_storage_that_is_not_there_is_told_and_the_others_are_checked(registry: Registry, tmp_path: Path) -> None:
    other = ln.Storage(root=str(tmp_path / "other")).save()
    ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt", storage=other).save()
    artifact = save(tmp_path, "a.txt", "a")
    location_of(registry).delete(artifact.object.path)
    shutil.move(tmp_path / "other", tmp_path / "elsewhere")
    assert kinds(registry) == [Kind.MISSING, Kind.UNREACHABLE]
    assert kinds(registry, storage=str(tmp_path / "other")) == [Kind.UNREACHABLE]
    with pytest.raises(errors.UnknownStorageLocation, match="nowhere"):
        check_registry(registry, storage=str(tmp_path / "nowhere"))


# ---------------------------------------------------------------- rows


@pytest.mark.req("R49", "R291")
def test_a_family_without_a_latest_version_gets_its_newest(registry: Registry, tmp_path: Path) -> None:
    save(tmp_path, "a.txt", "1")
    newest = save(tmp_path, "a.txt", "2")
    sql(registry, "UPDATE lamart_artifact SET is_latest = (1 = 0)")
    found = only(registry)
    assert (found.kind, found.artifact, found.is_repairable) == (Kind.HEADLESS, newest.uid, True)
    assert (found.table, found.row_id, found.branch_id) == ("lamart_artifact", None, newest.branch_id)
    assert only(registry, repair=True).is_repaired
    assert Artifact.get(key="a.txt") == newest
    assert check_registry(registry).is_clean


@pytest.mark.req("R49", "R291")
def test_of_several_latest_versions_the_newest_stays(registry: Registry, tmp_path: Path) -> None:
    save(tmp_path, "a.txt", "1")
    newest = save(tmp_path, "a.txt", "2")
    sql(
        registry,
        "DROP INDEX uq_lamart_artifact_latest",
        "DROP INDEX uq_lamart_artifact_key",
        "UPDATE lamart_artifact SET is_latest = (1 = 1)",
    )
    found = only(registry)
    assert (found.kind, found.row_id, found.branch_id) == (Kind.SEVERAL_HEADS, None, newest.branch_id)
    assert only(registry, repair=True).is_repaired
    assert [artifact.uid for artifact in Artifact.filter(is_latest=True)] == [newest.uid]
    assert check_registry(registry).is_clean


@pytest.mark.req("R291")
def test_shared_keys_and_uids_are_told_and_left_to_people(registry: Registry, tmp_path: Path) -> None:
    save(tmp_path, "a.txt", "a")
    save(tmp_path, "b.txt", "b")
    sql(
        registry,
        "DROP INDEX uq_lamart_artifact_key",
        "DROP INDEX uq_lamart_artifact_first",
        "UPDATE lamart_artifact SET key = 'a.txt'",
    )
    found = only(registry, repair=True)
    assert (found.kind, found.is_repaired) == (Kind.SHARED_KEY, False)
    without_constraint = (
        [
            "CREATE TABLE bare AS SELECT * FROM lamart_artifact",
            "DROP TABLE lamart_artifact",
            "ALTER TABLE bare RENAME TO lamart_artifact",
        ]
        if registry.is_sqlite
        else [
            "DROP INDEX uq_lamart_artifact_latest",
            "ALTER TABLE lamart_artifact DROP CONSTRAINT uq_lamart_artifact_uid",
        ]
    )
    sql(registry, *without_constraint, "UPDATE lamart_artifact SET uid = (SELECT min(uid) FROM lamart_artifact)")
    assert Kind.SAME_UID in kinds(registry, repair=True)
    assert Artifact.filter().count() == 2


@pytest.mark.req("R291")
def test_links_to_what_is_not_there_are_removed_and_other_references_told(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "a.txt", "a")
    sql(
        registry,
        "INSERT INTO lamart_runinput (run_id, artifact_id, created_at) "
        f"VALUES (987, {artifact.id}, '2024-01-01 00:00:00')",
        "UPDATE lamart_artifact SET run_id = 987",
    )
    findings = check_registry(registry, repair=True).findings
    assert {(found.kind, found.table, found.is_repaired) for found in findings} == {
        (Kind.DANGLING, "lamart_runinput", True),
        (Kind.DANGLING, "lamart_artifact", False),
    }
    assert [found.table for found in check_registry(registry).findings] == ["lamart_artifact"]
    assert Artifact.get(artifact.uid).verify()


@pytest.mark.req("R291")
def test_copied_values_follow_the_stored_object_when_its_bytes_are_right(registry: Registry, tmp_path: Path) -> None:
    artifact, other = save(tmp_path, "a.txt", "a"), save(tmp_path, "b.txt", "bb")
    sql(registry, f"UPDATE lamart_artifact SET hash = 'wrong', size = 99 WHERE id = {artifact.id}")
    assert only(registry).kind is Kind.DIFFERING
    assert only(registry, repair=True).is_repaired
    assert (Artifact.get(artifact.uid).hash, Artifact.get(artifact.uid).size) == (artifact.hash, 1)
    sql(registry, f"UPDATE lamart_artifact SET size = 99 WHERE id = {other.id}")
    overwrite(registry, other.object.path, b"BB")
    assert [found.is_repaired for found in check_registry(registry, repair=True).findings] == [False, False]
    assert Artifact.get(other.uid).size == 99


# ---------------------------------------------------------------- memory


def many_objects(registry: Registry, artifact: Artifact, first: int, last: int) -> None:
    """Fabricate stored objects with bytes, each named by an artifact: rows that differ in names only."""
    folder = Path(location_of(registry).root, ".lamart")
    for number in range(first, last):
        (folder / f"{number:024d}.txt").write_text("x")
    span = f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {last}) "
    name = "substr('000000000000000000000000' || i, -24)"
    columns = [column.name for column in Artifact.__table__.columns]
    values = {"id": "100 + i", "uid": f"substr({name}, -16) || '0000'", "key": "'k' || i", "object_id": "100 + i"}
    chosen = ", ".join(values.get(column, f'"{column}"') for column in columns)
    listed = ", ".join(f'"{column}"' for column in columns)
    sql(
        registry,
        "INSERT INTO lamart_storedobject (id, storage_id, path, suffix, is_exact, size, is_managed, created_at) "
        f"{span} SELECT 100 + i, {registry.storage_id}, '.lamart/' || {name} || '.txt', '.txt', 0, 1, 1, "
        "'2024-01-01 00:00:00' FROM n",
        f"INSERT INTO lamart_artifact ({listed}) {span} SELECT {chosen} FROM n JOIN lamart_artifact "
        f"ON id = {artifact.id}",
        "UPDATE lamart_artifact SET hash = NULL, size = 1, n_files = NULL WHERE id >= 100",
    )


def peak_of_checking(registry: Registry) -> int:
    """Return the most memory that a check took, in bytes."""
    peaks: list[int] = []
    for _ in range(2):  # what is loaded once is in the first figure only
        tracemalloc.start()
        assert [found.kind for found in iter_findings(registry)] == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(peaks)


@pytest.mark.req("R291")
def test_memory_does_not_grow_with_the_number_of_objects(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "a.txt", "a")
    many_objects(sqlite_registry, artifact, 0, 1_100)
    few = peak_of_checking(sqlite_registry)
    many_objects(sqlite_registry, artifact, 1_100, 4_000)
    many = peak_of_checking(sqlite_registry)
    # The rows alone would take more.
    assert many < few + 1_000_000
    assert many < 5_000_000


@pytest.mark.req("R291")
def test_equal_content_is_found_by_indexes(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "a.txt", "a")
    with sqlite_registry.engine.connect() as connection:
        row = connection.execute(OBJECT.select()).one()
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *others: Any) -> None:
        asked.append((statement, parameters))

    event.listen(sqlite_registry.engine, "before_cursor_execute", note)
    candidates(sqlite_registry, row)
    with sqlite_registry.engine.connect() as connection:
        key = ContentKey(row.storage_id, row.hash, row.hash_type, row.suffix)
        assert shared_objects(connection, [key])[key]["id"] == artifact.object_id
    event.remove(sqlite_registry.engine, "before_cursor_execute", note)
    plans: list[str] = []
    with sqlite_registry.engine.connect() as connection:
        for statement, parameters in asked:
            if "storedobject" in statement:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans += [step.detail for step in plan]
    assert sum("uq_lamart_storedobject_content" in step for step in plans) == 2
    assert not [step for step in plans if "SCAN lamart_storedobject" in step or "storedobject_path" in step]


@pytest.mark.req("R291")
def test_references_are_checked_by_one_statement(sqlite_registry: Registry) -> None:
    asked: list[str] = []
    event.listen(sqlite_registry.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert check_registry(sqlite_registry).is_clean
    assert len([statement for statement in asked if "NOT EXISTS" in statement and "UNION ALL" in statement]) == 1
    assert len(asked) < 60
