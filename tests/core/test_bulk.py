"""Saving many records: what is written together, and what is left when a part fails."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import event

import lamart_core as ln
from lamart_core.care import collect_garbage
from lamart_core.db import Registry
from lamart_core.models import RunInput
from lamart_core.saving import write as writing
from tests.processes import answers, release, run_together, start
from tests.registries import advance, contents, storage_root, tree, write
from tests.seams import at_commit


def _files(folder: Path, count: int, suffix: str = "txt") -> list[Path]:
    return [write(folder / f"{number:04}.{suffix}", f"{folder.name} {number}") for number in range(count)]


def _new(paths: list[Path], prefix: str, **keywords: Any) -> list[ln.Artifact]:
    return [ln.Artifact(path, key=f"{prefix}/{path.name}", run=False, **keywords) for path in paths]


@pytest.mark.req("R271")
def test_records_of_any_class(lab: Registry, tmp_path: Path) -> None:
    saved = ln.Transform(key="saved").save()
    saved.description = "changed"
    paths = _files(tmp_path / "in", 3)
    table = ln.Artifact.from_dataframe(pd.DataFrame({"a": [1, 2]}), key="t.parquet", run=False)
    folder = ln.Artifact(tree(tmp_path / "folder", {"x.txt": "x"}), key="folder", run=False)
    root = tmp_path / "other"
    records = [
        ln.Transform(key="one"),
        *_new(paths[:2], "bulk"),
        ln.Transform(key="two", description="second"),
        table,
        ln.Storage(root=root),
        folder,
        saved,
        *_new(paths[2:], "bulk"),
    ]
    got = ln.save(records)
    assert isinstance(got, ln.SQLRecordList)
    assert got == records
    assert all(record.is_saved for record in records)
    assert len({record.id for record in records if isinstance(record, ln.Transform)}) == 3
    assert ln.Transform.get(saved.id).description == "changed"
    assert ln.Transform.get(key="two").description == "second"
    for record in records:
        fresh = type(record).get(record.id)
        assert fresh == record
        assert record._changes() == {}
        columns = [column.name for column in type(record).__table__.columns]
        assert [vars(fresh).get(name) for name in columns] == [vars(record).get(name) for name in columns]
    for artifact in ln.Artifact.filter():
        assert artifact.verify()
    assert table.load()["a"].tolist() == [1, 2]
    assert (root / ".lamart").is_dir()
    held = contents(lab)
    assert len(held.files) == held.objects == held.artifacts == 5
    # Nothing to do is nothing done.
    seen: list[str] = []
    event.listen(lab.engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    ln.save(records)
    assert [statement for statement in seen if not statement.startswith(("BEGIN", "SELECT"))] == []


@pytest.mark.req("R271")
def test_what_is_refused_before_anything(sqlite_registry: Registry, tmp_path: Path) -> None:
    paths = _files(tmp_path / "in", 2)
    (artifact, other) = _new(paths, "bulk")
    with pytest.raises(ValueError, match=r"\.save\(\)"):
        ln.save(artifact)  # pyright: ignore[reportArgumentType]
    for wrong in ("text", 17, None, [artifact, "text"], [artifact, None]):
        with pytest.raises(ValueError, match="records"):
            ln.save(wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ln.errors.InvalidArgument, match="batch_size"):
        ln.save([artifact], batch_size=0)
    long = ln.Transform(key="k")
    long.kind = "x" * 21
    with pytest.raises(ln.errors.InvalidArgument, match="more than 20"):
        ln.save([artifact, other, long])
    assert not artifact.is_saved
    assert contents(sqlite_registry).files == ()
    assert ln.save([]) == []
    assert ln.save(iter([artifact, artifact, other])) == [artifact, artifact, other]
    assert contents(sqlite_registry).artifacts == 2


@pytest.mark.req("R271", "R43", "R47", "R153")
def test_one_key_twice_and_one_content_twice(registry: Registry, tmp_path: Path) -> None:
    a, b, c = (write(tmp_path / f"{name}.txt", name) for name in "abc")
    before = ln.Artifact(a, key="k.txt", run=False).save()
    first, second = (ln.Artifact(path, key="k.txt", run=False) for path in (b, c))
    # Content that is known anywhere is the artifact that holds it, also within one call.
    one, same = (ln.Artifact(write(tmp_path / "d.txt", "d"), key=key, run=False) for key in ("x.txt", "y.txt"))
    ln.save([first, one, second, same])
    assert [first.version, second.version] == ["0001", "0002"]
    assert [item.uid for item in before.versions] == [second.uid, first.uid, before.uid]
    assert [item.is_latest for item in before.versions] == [True, False, False]
    assert (first.is_latest, second.is_latest) == (False, True)
    assert one == same
    assert one.key == "x.txt"
    assert ln.Artifact.filter(key="y.txt").count() == 0
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == 4
    assert {artifact.load() for artifact in ln.Artifact.filter()} == set("abcd")


@pytest.mark.req("R85", "R86", "R92", "R271")
def test_what_exists_already(registry: Registry, tmp_path: Path) -> None:
    paths = _files(tmp_path / "in", 5)
    made, unclaimed, trashed, read = ln.save(_new(paths[:4], "k"))
    run = ln.track("bulk")
    owner = ln.Run(transform=run.transform).save()
    made.run_id = owner.id
    made.save()
    trashed.delete()
    read.load()
    assert [link.artifact_id for link in RunInput.filter(run_id=run.id)] == [read.id]
    again = [ln.Artifact(path, key=f"k/{path.name}") for path in paths]
    assert [artifact.is_saved for artifact in again] == [True, True, False, True, False]
    again[1].description = "changed by hand"
    ln.save(again)
    ln.finish()
    assert again[:4] == [made, unclaimed, trashed, read]
    # What the run has read it did not make.
    assert [artifact.run_id for artifact in again] == [owner.id, run.id, run.id, None, run.id]
    assert [ln.Artifact.get(artifact.id).run_id for artifact in again] == [artifact.run_id for artifact in again]
    assert run.recreated_artifacts.to_list() == [made]
    assert ln.Artifact.get(unclaimed.id).description == "changed by hand"
    assert ln.Artifact.get(trashed.id).branch_id == registry.branch_id
    assert ln.Artifact.get(trashed.id).is_latest
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == 5


@pytest.mark.req("R271")
def test_folders_revisions_and_what_is_restored_are_one_transaction(lab: Registry, tmp_path: Path) -> None:
    old = ln.Artifact(write(tmp_path / "old.txt", "old"), key="old.txt", run=False).save()
    trashed = ln.Artifact(write(tmp_path / "back.txt", "back"), key="back.txt", run=False).save()
    trashed.delete()
    records = [
        ln.Artifact(tree(tmp_path / "one", {"x.txt": "x", "y.txt": "y"}), key="one", run=False),
        ln.Artifact(
            tree(tmp_path / "two", {"x.txt": "x", "z.txt": "z"}), key="two", overwrite_versions=False, run=False
        ),
        ln.Artifact(write(tmp_path / "new.txt", "new"), key="renamed.txt", revises=old, run=False),
        ln.Artifact(tmp_path / "back.txt", key="back.txt", run=False),
        ln.Artifact(write(tmp_path / "real.txt", "real"), key="real.txt", key_is_virtual=False, run=False),
        *_new(_files(tmp_path / "in", 2), "k"),
    ]
    commits: list[Any] = []
    event.listen(lab.engine, "commit", lambda connection: commits.append(connection))
    ln.save(records)
    # One for the records, and what publishing at a real key takes: the lease, and the new place that gives it back.
    assert len(commits) == 3, commits
    assert {artifact.key for artifact in ln.Artifact.filter()} == {
        "one", "two", "renamed.txt", "back.txt", "real.txt", "k/0000.txt", "k/0001.txt"
    }  # fmt: skip
    assert (records[2].version, ln.Artifact.get(old.uid).key) == ("0001", "renamed.txt")
    assert records[3] == trashed.refresh()
    assert trashed.branch_id == lab.branch_id
    assert all(artifact.verify() for artifact in ln.Artifact.filter())
    assert (lab.Storage.get(lab.storage_id).backend.path("real.txt")).read_text() == "real"


@pytest.mark.req("R43", "R53", "R271")
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]])
def test_what_is_restored_among_new_versions_of_its_family(
    registry: Registry, tmp_path: Path, order: list[int]
) -> None:
    paths = [write(tmp_path / f"{name}.txt", name) for name in ("zero", "one", "two", "three")]
    first, back = (ln.Artifact(path, key="a.txt", run=False).save() for path in paths[:2])
    back.delete()
    records = [ln.Artifact(path, key="a.txt", run=False) for path in (paths[2], paths[1], paths[3])]
    ln.save([records[index] for index in order])
    assert records[1] == back
    versions = first.versions.to_list()
    assert len(versions) == 4
    assert [version.is_latest for version in versions] == [True, False, False, False]
    numbers = {version.load(): version.version for version in versions}
    made = [("two", "one", "three")[index] for index in order if index != 1]
    assert numbers == {"zero": "0000", "one": "0001", made[0]: "0002", made[1]: "0003"}


@pytest.mark.req("R43", "R47", "R271")
def test_a_family_that_gets_another_key_among_others(registry: Registry, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number}.txt", str(number)) for number in range(4)]
    old = ln.Artifact(paths[0], key="old.txt", run=False).save()
    before = ln.Artifact(paths[1], key="old.txt", run=False)
    renaming = ln.Artifact(paths[2], key="new.txt", revises=old, run=False)
    after = ln.Artifact(paths[3], key="new.txt", run=False)
    with pytest.raises(ln.errors.BulkSaveError, match="is the latest now"):
        ln.save([before, renaming])
    ln.save([renaming, after])
    assert [(item.version, item.key) for item in old.versions] == [(f"000{n}", "new.txt") for n in (2, 1, 0)]
    assert after.uid == f"{old.stem_uid}0002"
    assert ln.save([before])[0].version == "0000"


@pytest.mark.req("R155", "R266", "R271")
def test_a_batch_that_fails(lab: Registry, tmp_path: Path) -> None:
    paths = _files(tmp_path / "in", 7)
    artifacts = _new(paths, "bulk")
    transform = ln.Transform(key="in the batch that fails")
    paths[4].unlink()
    with pytest.raises(RuntimeError, match="4 of 8 records are saved, 4 are not") as caught:
        ln.save([*artifacts[:3], transform, *artifacts[3:]], batch_size=2)
    error = caught.value
    assert isinstance(error, ln.errors.BulkSaveError)
    # Batches of two: the third one holds the file that is gone.
    assert error.saved == [*artifacts[:3], transform]
    assert error.unsaved == artifacts[3:]
    assert isinstance(error.__cause__, FileNotFoundError)
    assert [record.is_saved for record in error.unsaved] == [False] * len(error.unsaved)
    assert len(error.saved) + len(error.unsaved) == 8
    saved = [record for record in error.saved if isinstance(record, ln.Artifact)]
    held = contents(lab)
    assert held.artifacts == held.objects == len(held.files) == len(saved)
    assert all(artifact.verify() for artifact in saved)
    write(paths[4], "in 4")
    ln.save(error.unsaved)
    held = contents(lab)
    assert held.artifacts == held.objects == len(held.files) == 7
    assert ln.Artifact.filter(key__startswith="bulk/").order_by("key").to_list() == artifacts
    assert transform.is_saved


@pytest.mark.req("R155", "R266")
def test_a_batch_for_two_storages_that_fails_at_the_second(registry: Registry, tmp_path: Path) -> None:
    other = ln.Storage(root=tmp_path / "other").save()
    first = _new(_files(tmp_path / "in", 3), "k")
    path = write(tmp_path / "gone.txt", "gone")
    second = ln.Artifact(path, key="gone.txt", storage=other, run=False)
    path.unlink()
    with pytest.raises(ln.errors.BulkSaveError):
        ln.save([*first, second])
    assert contents(registry).files == ()
    assert contents(registry).artifacts == 0
    ln.save(first)
    assert len(contents(registry).files) == 3


LIMITED = """
import resource
from pathlib import Path
import pyarrow.parquet
folder = Path(arguments["folder"])
artifacts = [ln.Artifact(path, key=path.name, run=False) for path in sorted(folder.iterdir())]
ready()
# Every file that grows beyond this fails to, as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
try:
    ln.save(artifacts, batch_size=3)
except ln.errors.BulkSaveError as error:
    tell([len(error.saved), len(error.unsaved), type(error.__cause__).__name__])
"""


@pytest.mark.req("R155", "R266")
def test_a_full_disk(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    _files(folder, 8)
    write(folder / "0004.txt", b"x" * 3_000_000)
    (told,) = run_together(registry, LIMITED, 1, folder=folder)
    assert told == [3, 5, "StorageFull"]
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == 3
    assert all(artifact.verify() for artifact in ln.Artifact.filter())


@pytest.mark.req("R94", "R155")
def test_a_source_that_changed(registry: Registry, tmp_path: Path) -> None:
    paths = _files(tmp_path / "in", 3)
    lying = _files(storage_root(registry) / "here", 2)
    outside, inside = _new(paths, "k"), ln.Artifact.from_dir(storage_root(registry) / "here", run=False)
    write(paths[1], "other")
    write(lying[1], "here 9")
    for records in (outside, inside):
        with pytest.raises(ln.errors.BulkSaveError) as caught:
            ln.save(records)
        assert isinstance(caught.value.__cause__, ln.errors.SourceChanged)
        assert caught.value.saved == []
    held = contents(registry)
    assert (held.artifacts, held.objects) == (0, 0)
    assert held.files == ("here/0000.txt", "here/0001.txt")


@pytest.mark.req("R266", "R271")
def test_objects_in_memory_survive_a_failed_batch(registry: Registry, tmp_path: Path) -> None:
    tables = [ln.Artifact.from_dataframe(pd.DataFrame({"a": [n]}), key=f"{n}.parquet", run=False) for n in range(3)]
    path = write(tmp_path / "gone.txt", "gone")
    gone = ln.Artifact(path, key="gone.txt", run=False)
    path.unlink()
    with pytest.raises(ln.errors.BulkSaveError):
        ln.save([*tables, gone])
    assert all(name.startswith(".lamart/tmp/") for name in contents(registry).files)
    ln.save(tables)
    assert [table.load()["a"].tolist() for table in tables] == [[0], [1], [2]]
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == 3


@pytest.mark.req("R266", "R267")
def test_a_commit_that_fails_and_one_whose_answer_is_lost(registry: Registry, tmp_path: Path) -> None:
    def fail() -> None:
        raise ln.errors.DatabaseBusy("others are writing")

    artifacts = _new(_files(tmp_path / "in", 3), "k")
    with at_commit("lamart_artifact", before=fail), pytest.raises(ln.errors.BulkSaveError) as caught:
        ln.save(artifacts)
    assert caught.value.unsaved == artifacts
    assert contents(registry).files == ()

    def lose() -> None:
        raise KeyboardInterrupt

    with at_commit("lamart_artifact", after=lose), pytest.raises(KeyboardInterrupt):
        ln.save(artifacts)
    assert all(artifact.verify() for artifact in ln.Artifact.filter())
    ln.save(artifacts)
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == 3


@pytest.mark.req("R93", "R155")
def test_bytes_of_known_content_that_are_not_whole_are_stored_again(lab: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    _files(folder, 4)
    artifacts = ln.Artifact.from_dir(folder, run=False).save()
    artifacts[1].storage.backend.path(artifacts[1].object.path).unlink()
    artifacts[2].storage.backend.path(artifacts[2].object.path).write_bytes(b"cut")
    again = ln.Artifact.from_dir(folder, run=False).save()
    assert again == artifacts
    assert all(artifact.verify() for artifact in artifacts)
    assert contents(lab).artifacts == len(contents(lab).files) == 4


@pytest.mark.req("R291")
def test_what_garbage_collection_took_is_put_again(registry: Registry, tmp_path: Path) -> None:
    artifacts = _new(_files(tmp_path / "in", 3), "k")
    taken: list[str] = []
    original = writing.put_bytes

    def put_and_lose(*arguments: Any) -> Any:
        puts = original(*arguments)
        if not taken:
            # With no grace time garbage collection does not wait for those who are saving.
            advance(registry)
            collect_garbage(registry, grace=timedelta(0), dry_run=False)
            taken.extend(put.relpath for put in puts)
            assert contents(registry).files == ()
        return puts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "put_bytes", put_and_lose)
        ln.save(artifacts)
    assert len(taken) == 3
    assert all(artifact.verify() for artifact in artifacts)
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == 3
    assert not set(taken) & set(held.files)


KILLED = """
from pathlib import Path
import pyarrow.parquet
artifacts = ln.Artifact.from_dir(Path(arguments["folder"]), run=False)
ready()
ln.save(artifacts, batch_size=arguments["batch"])
tell("saved")
"""


@pytest.mark.req("R155", "R267", "R291")
def test_killed_in_the_middle(registry: Registry, tmp_path: Path) -> None:
    folder, count, batch = tmp_path / "in", 200, 20
    _files(folder, count)
    process = start(registry, KILLED, folder=folder, batch=batch)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    process.stdin.write("go\n")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while ln.Artifact.filter().count() < 3 * batch and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    artifacts = ln.Artifact.filter(branch=None).order_by("key").to_list()
    # Whole batches, in their order, and nothing of the one that was begun.
    assert 3 * batch <= len(artifacts) < count
    assert len(artifacts) % batch == 0
    assert [artifact.key for artifact in artifacts] == [f"in/{number:04}.txt" for number in range(len(artifacts))]
    assert all(artifact.verify() for artifact in artifacts)
    advance(registry)
    collect_garbage(registry, grace=timedelta(0), dry_run=False)
    assert set(contents(registry).files) == {artifact.object.path for artifact in artifacts}
    again = ln.Artifact.from_dir(folder, run=False)
    assert [artifact.is_saved for artifact in again] == [number < len(artifacts) for number in range(count)]
    again.save()
    assert again[: len(artifacts)] == artifacts
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == count


SPREAD = """
from pathlib import Path
import pyarrow.parquet
paths = sorted(Path(arguments["folder"]).iterdir())
told = []
for part in range(arguments["parts"]):
    some = paths[part :: arguments["parts"]]
    artifacts = [ln.Artifact(path, key=f"{number}/{path.name}", run=False) for path in some]
    ready()
    told += [artifact.uid for artifact in ln.save(artifacts)]
tell(told)
"""


@pytest.mark.req("R79", "R89", "R91", "R271")
def test_processes_that_save_equal_contents_under_keys_of_their_own(registry: Registry, tmp_path: Path) -> None:
    count, parts = 120, 4
    _files(tmp_path / "in", count)
    processes = [start(registry, SPREAD, number=number, folder=tmp_path / "in", parts=parts) for number in range(2)]
    try:
        for _ in range(parts):
            release(processes)
        told = answers(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    # Content that is known anywhere is one artifact, whoever came first.
    assert told[0] == told[1]
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == count


@pytest.mark.req("R272")
def test_the_bar_is_never_on_stdout(
    sqlite_registry: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ln.save(_new(_files(tmp_path / "a", 2), "a"), print_progress=True)
    drawn = capfd.readouterr()
    assert drawn.out == ""
    assert "saving 2 records" in drawn.err
    ln.SQLRecordList(_new(_files(tmp_path / "b", 2), "b")).save(print_progress=False)
    ln.save(_new(_files(tmp_path / "c", 2), "c"))
    assert capfd.readouterr() == ("", "")
    sqlite_registry.settings.progress = True
    ln.save(_new(_files(tmp_path / "d", 2), "d"))
    drawn = capfd.readouterr()
    assert drawn.out == ""
    assert "saving 2 records" in drawn.err
