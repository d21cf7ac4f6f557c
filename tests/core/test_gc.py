"""Garbage collection: what nobody refers to, what somebody still holds, and saves that go on beside it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
from sqlalchemy import Connection, select

import lamart_core as ln
from lamart_core import errors, hashing
from lamart_core.care import Reason, collect_garbage, iter_garbage
from lamart_core.db import Registry, now
from lamart_core.models import Artifact, StoredObject
from lamart_core.objects.garbage import give_up
from lamart_core.objects.tombstones import TOMBSTONE
from lamart_core.records import Lease, Tombstone
from lamart_core.storage import Backend, Local, object_path
from tests.processes import answers, release, start
from tests.registries import STORAGES, advance, contents, fresh_registry, tree, write
from tests.seams import at_storage

AT_ONCE = timedelta(0)


def location_of(registry: Registry) -> Backend:
    return registry.Storage.get(registry.storage_id).backend


def leave_file(registry: Registry, tmp_path: Path, content: str = "left over", suffix: str = ".txt") -> str:
    """Put a file into the version store as a save does that is killed before its commit."""
    relpath = object_path("K" * 16, suffix)
    location_of(registry).put_file(write(tmp_path / f"{content}.txt", content), relpath)
    return relpath


def lease(registry: Registry, path: str, ends_in: timedelta) -> None:
    row = {
        "storage_id": registry.storage_id,
        "path": path,
        "holder": "elsewhere",
        "expires_at": now() + ends_in,
        "created_at": now(),
    }
    registry.unit_of_work(lambda connection: connection.execute(Lease.__table__.insert().values(row)))


def rows(registry: Registry, model: type) -> int:
    with registry.read() as session:
        return len(session.scalars(select(model.id)).all())


@pytest.mark.req("R291", "R267")
def test_what_no_record_refers_to_is_shown_first_and_then_removed(lab: Registry, tmp_path: Path) -> None:
    kept = ln.Artifact(write(tmp_path / "kept.txt", "kept"), key="kept.txt").save()
    file = leave_file(lab, tmp_path)
    folder = object_path("K" * 16, "")
    source = tree(tmp_path / "tree", {"a.txt": "a", "b/c.txt": "bcd"})
    location_of(lab).put_folder(source, folder, tree=hashing.hash_tree(source, "blake3"))
    assert collect_garbage(lab) == [], "younger than the grace time"

    found = collect_garbage(lab, grace=AT_ONCE)
    assert {(item.path, item.is_folder, item.size, item.reason, item.is_removed) for item in found} == {
        (file, False, 9, Reason.UNCLAIMED, False),
        (folder, True, 4, Reason.UNCLAIMED, False),
    }
    assert rows(lab, Tombstone) == 0, "a dry run writes nothing"
    assert location_of(lab).exists(file)

    removed = collect_garbage(lab, grace=AT_ONCE, dry_run=False)
    assert {item.path for item in removed if item.is_removed} == {file, folder}
    assert contents(lab).files == (kept.object.path,)
    assert kept.load() == "kept"
    assert collect_garbage(lab, grace=AT_ONCE) == []


@pytest.mark.req("R258", "R291")
def test_objects_that_no_artifact_names_are_removed_rows_first(lab: Registry, tmp_path: Path) -> None:
    named = ln.Artifact(write(tmp_path / "a.txt", "named"), key="a.txt").save()
    unnamed = ln.Artifact(write(tmp_path / "b.txt", "unnamed"), key="b.txt").save()
    path = unnamed.object.path
    unnamed.delete(permanent=True, storage=False)
    assert [(item.path, item.reason) for item in collect_garbage(lab, grace=AT_ONCE)] == [(path, Reason.UNNAMED)]
    (removed,) = collect_garbage(lab, grace=AT_ONCE, dry_run=False)
    assert removed.is_removed
    assert contents(lab).files == (named.object.path,)
    assert rows(lab, StoredObject) == 1


def test_files_in_place_are_never_removed(lab: Registry, tmp_path: Path) -> None:
    backend = location_of(lab)
    backend.put_file(write(tmp_path / "raw.csv", "a,b\n"), "raw/raw.csv")
    artifact = ln.Artifact(backend.path("raw/raw.csv")).save()
    artifact.delete(permanent=True, storage=False)
    assert collect_garbage(lab, grace=AT_ONCE, dry_run=False) == []
    assert backend.exists("raw/raw.csv")
    assert rows(lab, StoredObject) == 0


@pytest.mark.req("R161")
def test_what_somebody_writes_to_is_left_alone_until_it_is_abandoned(lab: Registry, tmp_path: Path) -> None:
    held, abandoned = leave_file(lab, tmp_path, "held"), leave_file(lab, tmp_path, "abandoned")
    lease(lab, held, timedelta(hours=1))
    lease(lab, abandoned, -timedelta(hours=1))
    lease(lab, ".lamart/never-written", -timedelta(hours=1))
    assert [(item.path, item.reason) for item in collect_garbage(lab, grace=AT_ONCE, dry_run=False)] == [
        (abandoned, Reason.ABANDONED)
    ]
    assert contents(lab).files == (held,)
    with lab.read() as session:
        assert session.scalars(select(Lease.path)).all() == [held]


@pytest.mark.parametrize("storage", STORAGES)
def test_staging_files_belong_to_their_process_while_it_lives(storage: str, tmp_path: Path) -> None:
    with fresh_registry("sqlite", tmp_path / "lab", storage) as registry:
        check_staging(registry)


def check_staging(lab: Registry) -> None:
    unsaved = ln.Artifact.from_dataframe(pd.DataFrame({"a": [1, 2]}), key="mine.parquet")
    code = """
import pandas as pd
ready()
staged = ln.Artifact.from_dataframe(pd.DataFrame({"a": [3, 4]}), key="theirs.parquet")
print("staged", flush=True)
sys.stdin.readline()
"""
    other = start(lab, code)
    try:
        release([other])
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "staged"
        assert collect_garbage(lab, grace=AT_ONCE, dry_run=False) == [], "both processes are there"
    finally:
        other.kill()
        other.wait()
    (found,) = collect_garbage(lab, grace=AT_ONCE, dry_run=False)
    assert found.reason is Reason.STAGING
    assert found.is_removed
    assert not Path(found.root, found.path).exists()
    assert unsaved.save().load()["a"].tolist() == [1, 2]


def test_old_tombstones_are_purged(registry: Registry, tmp_path: Path) -> None:
    leave_file(registry, tmp_path)
    collect_garbage(registry, grace=AT_ONCE, dry_run=False)
    assert rows(registry, Tombstone) == 1
    collect_garbage(registry, grace=AT_ONCE, dry_run=False)
    assert rows(registry, Tombstone) == 1, "a save may still meet it"
    old = {"created_at": now() - timedelta(days=31)}
    registry.unit_of_work(lambda connection: connection.execute(TOMBSTONE.update().values(old)))
    collect_garbage(registry, grace=AT_ONCE, dry_run=False)
    assert rows(registry, Tombstone) == 0


def test_unfinished_uploads_are_aborted(tmp_path: Path) -> None:
    with fresh_registry("sqlite", tmp_path / "lab", "s3") as registry:
        backend = location_of(registry)
        bucket, key, _ = backend.fs.split_path(backend.url(".lamart/" + "U" * 24))
        outside = backend.fs.call_s3("create_multipart_upload", Bucket=bucket, Key="elsewhere/x")["UploadId"]
        upload = backend.fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)["UploadId"]
        backend.fs.call_s3("upload_part", Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 100)
        # The server of the tests says of every upload that it began in 2010.
        assert collect_garbage(registry, grace=timedelta(days=365 * 100)) == []
        (found,) = collect_garbage(registry, grace=AT_ONCE)
        assert (found.path, found.reason) == (".lamart/" + "U" * 24, Reason.UPLOAD)
        (removed,) = collect_garbage(registry, grace=AT_ONCE, dry_run=False)
        assert removed.is_removed
        left = backend.fs.call_s3("list_multipart_uploads", Bucket=bucket).get("Uploads", [])
        assert [item["UploadId"] for item in left] == [outside], "another prefix of the bucket is not ours"


# ---------------------------------------------------------------- saves beside garbage collection


@contextmanager
def collecting_after_the_put(registry: Registry, *, beside_others: bool = True) -> Generator[list[str], None, None]:
    """Collect garbage once, when the next save has put its bytes and not yet recorded them; yield what is removed.

    Args:
        registry: The registry.
        beside_others: Whether others have saved something since, so that these bytes are not the newest.
    """
    removed: list[str] = []

    def collect() -> None:
        if beside_others:
            advance(registry)
        removed.extend(found.path for found in collect_garbage(registry, grace=AT_ONCE, dry_run=False))

    with at_storage("put_file", "put_files", "put_folder", after=collect):
        yield removed


def test_a_save_beside_garbage_collection_is_left_alone_while_nobody_else_saves(lab: Registry, tmp_path: Path) -> None:
    with collecting_after_the_put(lab, beside_others=False) as removed:
        artifact = ln.Artifact(write(tmp_path / "a.txt", "a file"), key="a.txt").save()
    assert (artifact.load(), removed) == ("a file", [])


@pytest.mark.req("R258", "R267")
def test_bytes_that_are_collected_before_the_commit_are_put_again(lab: Registry, tmp_path: Path) -> None:
    sources = [
        ln.Artifact(write(tmp_path / "a.txt", "a file"), key="a.txt"),
        ln.Artifact(tree(tmp_path / "folder", {"x.txt": "x", "y.txt": "y"}), key="folder"),
        ln.Artifact.from_dataframe(pd.DataFrame({"a": [1, 2, 3]}), key="table.parquet"),
    ]
    for artifact in sources:
        with collecting_after_the_put(lab) as removed:
            artifact.save()
        found = Artifact.get(artifact.uid)
        assert removed
        assert found.object.path not in removed
        assert found.verify()
    assert collect_garbage(lab, grace=AT_ONCE) == []
    assert {"/".join(name.split("/")[:2]) for name in contents(lab).files} == {
        artifact.object.path for artifact in Artifact.filter()
    }


def test_a_moved_folder_that_is_collected_is_an_error_and_no_record(registry: Registry, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    artifact = ln.Artifact.from_anndata(anndata.AnnData(pd.DataFrame({"g": [1.0, 2.0]})), key="a.zarr")
    with collecting_after_the_put(registry), pytest.raises(errors.IntegrityError, match="garbage collection"):
        artifact.save()
    assert contents(registry) == type(contents(registry))(0, 0, ())


def test_a_row_that_is_being_inserted_is_waited_for(registry: Registry, tmp_path: Path) -> None:
    relpath = leave_file(registry, tmp_path)
    row = {"storage_id": registry.storage_id, "path": relpath, "suffix": ".txt", "is_exact": False, "is_managed": True}
    taken: list[set[str]] = []
    thread = Thread(target=lambda: taken.append(give_up(registry, registry.storage_id, {relpath})))

    def insert_slowly(connection: Connection) -> None:
        connection.execute(StoredObject.__table__.insert().values({**row, "created_at": now()}))
        thread.start()
        thread.join(timeout=0.5)

    registry.unit_of_work(insert_slowly)
    thread.join()
    assert taken == [set()]


SAVER = """
from pathlib import Path
import pandas as pd, pyarrow.parquet
folder = Path(arguments["folder"])
ready()
uids = []
for turn in range(arguments["turns"]):
    name = f"{number}-{turn}"
    source = folder / f"{name}.txt"
    source.write_text(f"file {name}")
    uids.append(ln.Artifact(source, key=f"file-{number}.txt").save().uid)
    (folder / name).mkdir()
    for part in range(4):
        (folder / name / f"{part}.txt").write_text(f"{part} of {name}")
    uids.append(ln.Artifact(folder / name, key=f"folder-{number}", overwrite_versions=False).save().uid)
    table = pd.DataFrame({"name": [name], "turn": [turn]})
    uids.append(ln.Artifact.from_dataframe(table, key=f"table-{number}.parquet").save().uid)
tell(uids)
"""
COLLECTOR = """
from datetime import timedelta
from lamart_core.care import collect_garbage
import select
ready()
passes = taken = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    taken += len(collect_garbage(registry, grace=timedelta(0), dry_run=False))
    passes += 1
tell([passes, taken])
"""


@pytest.mark.req("R258", "R267", "R291")
def test_saves_beside_garbage_collection_without_grace_lose_nothing(lab: Registry, tmp_path: Path) -> None:
    is_local = isinstance(location_of(lab), Local)
    savers, turns = 2, 4 if is_local else 2
    processes = [start(lab, SAVER, number=n, folder=tmp_path, turns=turns) for n in range(savers)]
    collectors = [start(lab, COLLECTOR)]
    try:
        release([*processes, *collectors])
        uids = [uid for told in answers(processes) for uid in told]
        for collector in collectors:
            assert collector.stdin is not None
            collector.stdin.write("stop\n")
            collector.stdin.flush()
        passes = answers(collectors)
    finally:
        for process in (*processes, *collectors):
            process.kill()
            process.wait()
    assert all(count > 0 for count, _ in passes)
    assert len(set(uids)) == len(uids) == savers * turns * 3
    for uid in uids:
        assert Artifact.get(uid).verify()
    collect_garbage(lab, grace=AT_ONCE, dry_run=False)
    stored = {"/".join(name.split("/")[:2]) for name in contents(lab).files}
    with lab.read() as session:
        # Where the files of a folder are objects of their own, nothing lies at its own path.
        assert stored == set(session.scalars(select(StoredObject.path).where(~StoredObject.is_content_addressed)))


# ---------------------------------------------------------------- memory


def peak_of_collecting(registry: Registry) -> tuple[int, int]:
    """Return how many were found, and the most memory that finding them took, in bytes."""
    found, peaks = 0, []
    for _ in range(2):  # what is loaded once is in the first figure only
        tracemalloc.start()
        found = sum(1 for _ in iter_garbage(registry, grace=AT_ONCE))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return found, min(peaks)


@pytest.mark.req("R291")
def test_memory_does_not_grow_with_the_number_of_names(sqlite_registry: Registry) -> None:
    folder = Path(location_of(sqlite_registry).root, ".lamart")
    for number in range(2_000):
        (folder / f"{number:024d}.txt").touch()
    few = peak_of_collecting(sqlite_registry)
    for number in range(2_000, 12_000):
        (folder / f"{number:024d}.txt").touch()
    many = peak_of_collecting(sqlite_registry)
    assert (few[0], many[0]) == (2_000, 12_000)
    # The names alone would take more.
    assert many[1] < few[1] + 1_000_000
    assert many[1] < 3_000_000


def test_progress_counts_what_was_looked_at(sqlite_registry: Registry, tmp_path: Path) -> None:
    for number in range(3):
        leave_file(sqlite_registry, tmp_path, f"number {number}")
    counts: list[int] = []
    collect_garbage(sqlite_registry, progress=counts.append)
    assert sum(counts) == 3
