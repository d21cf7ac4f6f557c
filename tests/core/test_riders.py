"""Riders: what is written with a record in one transaction, whichever way the record is saved."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DBAPIError

import lamart_core as ln
from lamart_core import errors, uids
from lamart_core.db import Registry, now
from lamart_core.models import RunInput
from lamart_core.records.kinds.riders import Outcome, Saved
from lamart_core.storage import Backend
from tests.registries import contents, tree, write

Save = Callable[[Any], Any]


def one(record: Any) -> Any:
    return record.save()


def many(record: Any) -> Any:
    beside = ln.Transform(key=f"beside {uids.base62(8)}")
    return ln.save([beside, record])[1]


WAYS = [one, many]


class Notes:
    """A rider that keeps what it was told, and writes a row: the artifact as an input of a run."""

    def __init__(self) -> None:
        self.run = ln.Run(transform=ln.Transform(key="notes").save()).save()
        self.told: list[Saved] = []

    def __call__(self, connection: Connection, saved: Saved) -> None:
        self.told.append(saved)
        row = {"run_id": self.run.id, "artifact_id": saved.row["id"], "created_at": now()}
        connection.execute(insert(RunInput.__table__).values(row))

    def ride(self, artifact: ln.Artifact, save: Save) -> tuple[Outcome, str]:
        """Save with this rider; return what it was told, having checked that its row is there."""
        artifact._riders = (self,)
        save(artifact)
        assert artifact._riders == ()
        links = RunInput.filter(run_id=self.run.id)
        assert [link.artifact_id for link in links] == [artifact.id]
        for link in links:
            link.delete()
        saved = self.told.pop()
        assert self.told == []
        assert saved.row["id"] == artifact.id
        return saved.outcome, saved.row["uid"]


@pytest.mark.parametrize("save", WAYS)
def test_a_rider_sees_the_row_and_what_was_done(registry: Registry, tmp_path: Path, save: Save) -> None:
    notes = Notes()

    def artifact(content: str, **keywords: Any) -> ln.Artifact:
        return ln.Artifact(write(tmp_path / f"{content}.txt", content), key="a.txt", **keywords)

    run = ln.Run(transform=ln.Transform(key="t").save()).save()
    first = artifact("first", run=run)
    assert notes.ride(first, save) == (Outcome.CREATED, first.uid)
    second = artifact("second", run=run)
    assert notes.ride(second, save) == (Outcome.NEW_VERSION, f"{first.stem_uid}0001")
    assert notes.ride(artifact("second", run=False), save) == (Outcome.EXISTING, second.uid)
    again = ln.Run(transform=ln.Transform(key="u").save()).save()
    assert notes.ride(artifact("second", run=again), save) == (Outcome.RECREATED, second.uid)
    second.delete()
    assert notes.ride(artifact("second", run=False), save) == (Outcome.RESTORED, second.uid)
    second.refresh().replace(write(tmp_path / "other.txt", "other"))
    assert notes.ride(second, save) == (Outcome.REPLACED, second.uid)
    assert second.load() == "other"
    # An artifact that only changes, or does not even do that.
    second.description = "changed"
    assert notes.ride(second, save) == (Outcome.EXISTING, second.uid)
    updated = ln.Artifact.get(second.uid).updated_at
    assert notes.ride(second, save) == (Outcome.EXISTING, second.uid)
    assert ln.Artifact.get(second.uid).updated_at == updated


@pytest.mark.parametrize("save", WAYS)
def test_a_rider_runs_again_when_the_transaction_does(registry: Registry, tmp_path: Path, save: Save) -> None:
    seen: list[str] = []

    def twice(connection: Connection, saved: Saved) -> None:
        seen.append(saved.row["uid"])
        if len(seen) == 1:
            raise errors.Conflict("another writer came in between")

    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False)
    artifact._riders = (twice,)
    save(artifact)
    assert seen == [artifact.uid, artifact.uid]
    held = contents(registry)
    assert held.artifacts == held.objects == len(held.files) == 1


# What a rider may raise: an error of ours, of anybody, and of the database.
def refuse(connection: Connection, saved: Saved) -> None:
    raise errors.InvalidArgument("no feature is called so")


def break_down(connection: Connection, saved: Saved) -> None:
    raise KeyError("a mistake in the rider")


def query_nonsense(connection: Connection, saved: Saved) -> None:
    connection.exec_driver_sql("SELECT * FROM nowhere")


def new_file(tmp_path: Path) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / "file.txt", "file"), key="file.txt", run=False)


def new_version(tmp_path: Path) -> ln.Artifact:
    ln.Artifact(write(tmp_path / "old.txt", "old"), key="file.txt", run=False).save()
    return new_file(tmp_path)


def new_folder(tmp_path: Path) -> ln.Artifact:
    return ln.Artifact(
        tree(tmp_path / "folder", {"x.txt": "x", "y.txt": "y"}), key="folder", overwrite_versions=False, run=False
    )


def new_table(tmp_path: Path) -> ln.Artifact:
    return ln.Artifact.from_dataframe(pd.DataFrame({"a": [1, 2]}), key="a.parquet", run=False)


def at_a_real_key(tmp_path: Path) -> ln.Artifact:
    old = write(tmp_path / "old.txt", "old")
    ln.Artifact(old, key="real/a.txt", key_is_virtual=False, run=False).save()
    path = write(tmp_path / "real.txt", "real")
    return ln.Artifact(path, key="real/a.txt", key_is_virtual=False, run=False)


def replaced(tmp_path: Path) -> ln.Artifact:
    artifact = ln.Artifact(write(tmp_path / "old.txt", "old"), key="a.txt", run=False).save()
    artifact.replace(write(tmp_path / "new.txt", "new"))
    return artifact


@pytest.mark.req("R266")
@pytest.mark.parametrize("save", WAYS)
@pytest.mark.parametrize(
    ("make", "rider"),
    [
        (new_file, refuse),
        (new_file, break_down),
        (new_file, query_nonsense),
        (new_version, break_down),
        (new_folder, break_down),
        (new_table, break_down),
        (at_a_real_key, refuse),
        (at_a_real_key, break_down),
        (replaced, refuse),
        (replaced, break_down),
    ],
)
def test_a_rider_that_fails_leaves_nothing(
    lab: Registry, tmp_path: Path, make: Callable[[Path], ln.Artifact], rider: Any, save: Save
) -> None:
    artifact = make(tmp_path)
    before = contents(lab)
    rows = _rows(lab)
    artifact._riders = (rider,)
    with pytest.raises((errors.BulkSaveError, errors.InvalidArgument, KeyError, DBAPIError)) as caught:
        save(artifact)
    cause = caught.value.__cause__ if save is many else caught.value
    assert isinstance(cause, errors.InvalidArgument | KeyError | DBAPIError)
    assert contents(lab) == before
    assert _rows(lab) == rows
    assert ln.Transform.filter(key__startswith="beside").count() == 0
    artifact._riders = ()
    save(artifact)
    assert ln.Artifact.get(artifact.uid).verify()
    after = contents(lab)
    assert not any(name.startswith(".lamart/tmp/") for name in after.files)


def _rows(registry: Registry) -> list[Any]:
    with registry.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(ln.Artifact.__table__).order_by("id"))]


def same(record: Any) -> Any:
    return ln.save([record])[0]


@pytest.mark.parametrize("save", [one, same])
def test_riders_of_other_records(registry: Registry, save: Save) -> None:
    told: list[tuple[Outcome, int]] = []

    def note(connection: Connection, saved: Saved) -> None:
        told.append((saved.outcome, saved.row["id"]))

    for record in (ln.Transform(key="t"), ln.ULabel(name="t"), ln.Branch(name="t")):
        record._riders = (break_down,)
        with pytest.raises((KeyError, errors.BulkSaveError)):
            save(record)
        assert not record.is_saved
        assert type(record).filter(uid=record.uid).count() == 0
        record._riders = (note,)
        save(record)
        assert told.pop() == (Outcome.CREATED, record.id)
        record.description = "changed"
        record._riders = (note,)
        save(record)
        assert told.pop() == (Outcome.EXISTING, record.id)
        assert (told, record._riders) == ([], ())
    again = ln.ULabel(name="new")
    ln.ULabel(name="new").save()
    again._riders = (note,)
    save(again)
    assert told == [(Outcome.EXISTING, again.id)]


def test_what_is_not_saved_for_a_rider_leaves_no_staging_file(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = new_table(tmp_path)
    artifact._riders = (break_down,)
    with pytest.raises(KeyError):
        artifact.save()
    assert len(contents(sqlite_registry).files) == 1
    del artifact
    gc.collect()
    assert contents(sqlite_registry) == type(contents(sqlite_registry))(0, 0, ())


@pytest.mark.parametrize("save", WAYS)
def test_a_failed_statement_that_a_rider_hides_is_no_saved_record(lab: Registry, tmp_path: Path, save: Save) -> None:
    """Postgres rolls back then, whoever commits; SQLite goes on without the statement."""

    def rider(connection: Connection, saved: Saved) -> None:
        with suppress(DBAPIError):
            connection.exec_driver_sql("INSERT INTO lamart_nothing VALUES (1)")

    before = contents(lab)
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt")
    artifact._riders = (rider,)
    if lab.is_sqlite:
        assert save(artifact).is_saved
        assert ln.Artifact.filter().count() == 1
        return
    with pytest.raises((errors.DatabaseError, errors.BulkSaveError), match="its error was not raised"):
        save(artifact)
    assert not artifact.is_saved
    assert contents(lab) == before
    artifact._riders = ()
    assert save(artifact).load() == "a"


def test_what_fails_after_the_commit_of_a_batch_leaves_saved_records(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Saved] = []

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    records: list[Any] = [
        ln.Transform(key="t"),
        ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", key_is_virtual=False),
        ln.ULabel(name="x"),
    ]
    records[1]._riders = (lambda _, saved: told.append(saved),)
    with monkeypatch.context() as patch:
        patch.setattr(Backend, "publish", fail)
        with pytest.raises(KeyboardInterrupt):
            ln.save(records)
    assert [record.is_saved for record in records] == [True, True, True]
    assert ln.save(records)
    assert len(told) == 1
    assert ln.Artifact.get(key="a.txt").load() == "a"
    assert (ln.Transform.filter(key="t").count(), ln.ULabel.filter(name="x").count()) == (1, 1)


def test_collections_and_texts_have_riders_too(registry: Registry, tmp_path: Path) -> None:
    told: list[Outcome] = []

    def tell(_: Connection, saved: Saved) -> None:
        told.append(saved.outcome)

    def fail(_: Connection, saved: Saved) -> None:
        raise ValueError(saved.row["uid"])

    one, two = (ln.Artifact(write(tmp_path / name, name), key=name).save() for name in ("a.txt", "b.txt"))

    def collect(*members: ln.Artifact) -> Any:
        return ln.Collection(list(members), key="c")

    def read_me(content: str) -> Any:
        return ln.models.ArtifactBlock(artifact=one, content=content)

    for make, model in ((collect, ln.Collection), (read_me, ln.models.ArtifactBlock)):
        first, second = (("first",), ("second",)) if make is read_me else ((one,), (one, two))
        record: Any = make(*first)  # pyright: ignore[reportArgumentType]
        record._riders = (fail,)
        with pytest.raises(ValueError, match=record.uid or ""):
            record.save()
        assert model.filter().count() == 0
        for arguments in (first, second):
            record = make(*arguments)  # pyright: ignore[reportArgumentType]
            record._riders = (tell,)
            record.save()
            assert record._riders == ()
        assert [told.pop(0), told.pop(0)] == [Outcome.CREATED, Outcome.NEW_VERSION]


def renamed(tmp_path: Path) -> ln.Artifact:
    artifact = new_file(tmp_path).save()
    artifact.key = "renamed.txt"
    return artifact


def renamed_at_a_real_key(tmp_path: Path) -> ln.Artifact:
    artifact = at_a_real_key(tmp_path).save()
    artifact.key = "elsewhere/b.txt"
    return artifact


def moved(tmp_path: Path) -> ln.Artifact:
    artifact = new_version(tmp_path).save()
    artifact.storage = ln.Storage(root=tmp_path / "elsewhere").save()
    return artifact


def moved_from_a_real_key(tmp_path: Path) -> ln.Artifact:
    artifact = at_a_real_key(tmp_path).save()
    artifact.storage = ln.Storage(root=tmp_path / "elsewhere").save()
    return artifact


@pytest.mark.req("R268")
@pytest.mark.parametrize("save", WAYS)
@pytest.mark.parametrize("rider", [refuse, break_down])
@pytest.mark.parametrize("make", [renamed, renamed_at_a_real_key, moved, moved_from_a_real_key])
def test_a_rider_that_fails_undoes_a_rename_and_a_move(
    sqlite_registry: Registry, tmp_path: Path, make: Callable[[Path], ln.Artifact], rider: Any, save: Save
) -> None:
    artifact = make(tmp_path)
    artifact.description = "said with it"
    before, rows = contents(sqlite_registry), _rows(sqlite_registry)
    artifact._riders = (rider,)
    with pytest.raises((errors.BulkSaveError, errors.InvalidArgument, KeyError)):
        save(artifact)
    assert (contents(sqlite_registry), _rows(sqlite_registry)) == (before, rows)
    assert ln.Artifact.get(artifact.uid).verify()
    told: list[Saved] = []
    artifact._riders = (lambda _, saved: told.append(saved),)
    key, storage_id = artifact.key, artifact.storage_id
    save(artifact)
    found = ln.Artifact.get(artifact.uid)
    assert (found.key, found.storage_id, found.description) == (key, storage_id, "said with it")
    assert found.verify()
    assert len(told) == 1
    assert told[0].row["description"] == "said with it"


@pytest.mark.req("R268")
def test_a_rider_is_told_the_row_and_not_what_the_object_knows(sqlite_registry: Registry, tmp_path: Path) -> None:
    first = new_file(tmp_path).save()
    held = ln.Artifact.get(first.uid)
    newer = ln.Artifact(write(tmp_path / "newer.txt", "newer"), key="file.txt", run=False).save()
    assert newer.is_latest
    told: list[Saved] = []
    held.description = "of the first"
    held._riders = (lambda _, saved: told.append(saved),)
    held.save()
    assert (told[0].row["is_latest"], told[0].row["description"]) == (False, "of the first")
