"""Artifacts of another registry: read where they are, and saved as records of this one."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lamart_core as ln
from lamart_core.db import Registry, set_default_registry
from tests.registries import contents, fresh_registry, write


@pytest.fixture
def other(registry: Registry, tmp_path: Path) -> Iterator[Registry]:
    """A second registry, on SQLite, beside the current one."""
    with fresh_registry("sqlite", tmp_path / "other") as other:
        set_default_registry(registry)
        yield other


def url_of(registry: Registry) -> str:
    return registry.url.render_as_string(hide_password=False)


def save(registry: Registry, folder: Path, content: str, **how: Any) -> ln.Artifact:
    with registry:
        how = {"key": "a.txt"} | how
        return ln.Artifact(write(folder / "new" / Path(how["key"]).name, content), run=False, **how).save()


@pytest.mark.req("R270", "R288")
def test_a_record_is_transferred_and_the_bytes_stay(registry: Registry, other: Registry, tmp_path: Path) -> None:
    made = save(other, tmp_path, "one", description="First", kind="dataset")
    before = contents(registry), contents(other)
    foreign = ln.DB(url_of(other)).Artifact.get(key="a.txt")
    assert foreign.load() == "one"
    assert ln.Artifact.filter().count() == 0
    run = ln.track("import.py")
    here = foreign.save()
    ln.finish()
    assert here is foreign
    assert here.registry == registry
    assert ln.Artifact.get(made.uid) == here
    for name in ("uid", "key", "description", "kind", "hash", "size", "suffix", "is_latest", "created_at"):
        assert getattr(here, name) == getattr(made, name), name
    assert here.path == made.path
    assert here.load() == "one"
    assert here.verify()
    assert contents(registry).files == before[0].files
    assert contents(other) == before[1]

    storage = here.storage
    assert (storage.uid, storage.root) == (made.storage.uid, made.storage.root)
    assert not storage.is_managed
    with pytest.raises(ValueError, match="not managed"):
        ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt", storage=storage)

    transfer = here.run
    assert transfer.transform.key == f"__lamart_transfer__/{other.uid}"
    assert transfer.reference == url_of(other)
    assert (transfer.status, transfer.initiated_by_run) == ("completed", run)
    assert here.created_by.handle == "tester"


@pytest.mark.req("R270")
def test_transferring_again_updates_the_record(registry: Registry, other: Registry, tmp_path: Path) -> None:
    made = save(other, tmp_path, "one", description="First")
    db = ln.DB(url_of(other))
    here = db.Artifact.get(made.uid).save()
    again = db.Artifact.get(made.uid).save(transfer="annotations")
    assert again == here
    assert again.updated_at == here.updated_at
    made.description = "Second"
    made.key = "renamed.txt"
    made.save()
    db.Artifact.get(made.uid).save()
    [now] = ln.Artifact.filter().to_list()
    assert (now.uid, now.description, now.key) == (made.uid, "Second", "renamed.txt")
    assert ln.Run.filter().count() == 1
    assert ln.Storage.filter().count() == 2
    now.delete()
    assert db.Artifact.get(made.uid).save() == now
    assert ln.Artifact.get(made.uid).is_latest


@pytest.mark.req("R47", "R270")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_family_stays_a_family(registry: Registry, other: Registry, tmp_path: Path, order: tuple[int, ...]) -> None:
    made = [save(other, tmp_path, content) for content in ("one", "two", "three")]
    db = ln.DB(url_of(other))
    here: list[int] = []
    for number in order:
        db.Artifact.get(made[number].uid).save()
        here.append(number)
        latest = ln.Artifact.filter(is_latest=True).one()
        assert latest.uid == made[max(here)].uid
    assert [item.load() for item in latest.versions.order_by("uid")] == ["one", "two", "three"]
    assert {item.stem_uid for item in latest.versions} == {made[0].stem_uid}
    assert ln.Artifact.get(key="a.txt") == latest
    mine = ln.Artifact(write(tmp_path / "mine.txt", "mine"), revises=latest).save()
    assert (mine.uid, mine.is_latest, mine.storage.is_managed) == (f"{made[0].stem_uid}0003", True, True)
    assert ln.Artifact.filter(is_latest=True).one() == mine
    # The other registry makes a fourth version too: it is another one.
    theirs = save(other, tmp_path, "theirs")
    assert theirs.uid == mine.uid
    with pytest.raises(ln.errors.IntegrityError, match="bytes of its own"):
        db.Artifact.get(theirs.uid).save()
    assert ln.Artifact.get(mine.uid).load() == "mine"


@pytest.mark.req("R270")
def test_equal_content_here_is_not_mixed_up(registry: Registry, other: Registry, tmp_path: Path) -> None:
    mine = save(registry, tmp_path, "same")
    made = save(other, tmp_path, "same")
    here = ln.DB(url_of(other)).Artifact.get(key="a.txt").save()
    assert here != mine
    assert {item.uid for item in ln.Artifact.filter(key="a.txt")} == {mine.uid, made.uid}
    assert here.path != mine.path
    here.delete(permanent=True, storage=False)
    assert made.refresh().load() == "same"
    assert mine.refresh().load() == "same"


@pytest.mark.req("R270")
def test_deleting_a_transferred_record_leaves_the_bytes(registry: Registry, other: Registry, tmp_path: Path) -> None:
    made = save(other, tmp_path, "one")
    here = ln.DB(url_of(other)).Artifact.get(key="a.txt").save()
    with pytest.raises(ln.errors.IntegrityError):
        here.delete(permanent=True)
    with pytest.raises(ln.errors.IntegrityError):
        here.delete(permanent=True, storage=True)
    here.delete(permanent=True, storage=False)
    assert ln.Artifact.filter(branch_id=-1).count() == 0
    assert made.load() == "one"


@pytest.mark.req("R270")
def test_folders_tables_and_real_keys(registry: Registry, other: Registry, tmp_path: Path) -> None:
    write(tmp_path / "folder" / "deep" / "a.txt", "a")
    with other:
        folder = ln.Artifact(tmp_path / "folder", key="folder", run=False).save()
        table = ln.Artifact.from_dataframe(pd.DataFrame({"a": [1, 2]}), key="t.parquet", run=False).save()
        real = ln.Artifact(write(tmp_path / "r.txt", "r"), key="real/r.txt", key_is_virtual=False, run=False).save()
    twin = save(other, tmp_path, "r", key="twin.txt", skip_hash_lookup=True)
    db = ln.DB(url_of(other))
    assert (db.Artifact.get(folder.uid).save().cache() / "deep" / "a.txt").read_text() == "a"
    here = db.Artifact.get(table.uid).save()
    assert (here.n_observations, here.otype, here.load()["a"].tolist()) == (2, "DataFrame", [1, 2])
    assert db.Artifact.get(real.uid).save().path == Path(other.options["storage"]) / "real" / "r.txt"
    # Equal bytes at two places of the other registry stay two places.
    assert db.Artifact.get(twin.uid).save().path == twin.path


@pytest.mark.req("R270")
def test_what_cannot_be_transferred(registry: Registry, other: Registry, tmp_path: Path) -> None:
    save(other, tmp_path, "one")
    foreign = ln.DB(url_of(other)).Artifact.get(key="a.txt")
    for wrong in ("all", None, "sqlrecord"):
        with pytest.raises(ValueError, match="transfer="):
            foreign.save(transfer=wrong)
    assert contents(registry).artifacts == 0
    assert ln.Transform.filter().count() == 0
    foreign.save()
    # Registered here in place, before its own registry was asked.
    with other:
        real = ln.Artifact(write(tmp_path / "r.txt", "r"), key="real/r.txt", key_is_virtual=False, run=False).save()
    lookalike = ln.Artifact(real.path).save()
    assert (lookalike.key, lookalike.storage.root) == (real.key, real.storage.root)
    with pytest.raises(ln.errors.IntegrityError, match=f"family of {lookalike.uid}"):
        ln.DB(url_of(other)).Artifact.get(real.uid).save()
    assert ln.Artifact.filter(key="real/r.txt").one() == lookalike


@pytest.mark.req("R270", "R288")
def test_another_registry_is_read_only(registry: Registry, other: Registry, tmp_path: Path) -> None:
    made = save(other, tmp_path, "one")
    before = contents(other)
    db = ln.DB(url_of(other))
    foreign = db.Artifact.get(key="a.txt")
    writes = [
        lambda: foreign.delete(),
        lambda: foreign.delete(permanent=True, storage=False),
        lambda: db.Transform(key="x").save(),
        lambda: db.Storage(str(tmp_path / "new place")).save(),
    ]
    for attempt in writes:
        with pytest.raises(PermissionError, match="reading only"):
            attempt()
    with pytest.raises(ln.errors.LamartError):
        db.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt")
    with pytest.raises(ln.errors.LamartError):
        db.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="t.parquet")
    with db:
        assert ln.Artifact.get(key="a.txt").load() == "one"
        with pytest.raises(PermissionError):
            ln.track("x")
    assert contents(other) == before
    assert not (tmp_path / "new place").exists()
    copy = pickle.loads(pickle.dumps(db))
    assert copy.is_read_only
    assert copy.Artifact.get(made.uid).load() == "one"


@pytest.mark.req("R288")
def test_a_record_of_a_registry_that_is_open_for_writing_is_saved_there(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    made = save(other, tmp_path, "one")
    made.description = "changed"
    made.save()
    assert other.Artifact.get(made.uid).description == "changed"
    assert ln.Artifact.filter().count() == 0


@pytest.mark.req("R270", "R288")
def test_the_same_registry_opened_for_reading(registry: Registry, tmp_path: Path) -> None:
    mine = save(registry, tmp_path, "one")
    again = ln.DB(url_of(registry)).Artifact.get(key="a.txt").save()
    assert again == mine
    assert not again.registry.is_read_only
    assert ln.Run.filter().count() == 0


@pytest.mark.req("R288")
def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no database"):
        ln.DB(str(tmp_path / "none.db"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty.db").touch()
    with pytest.raises(ln.errors.DatabaseError, match="without a registry"):
        ln.DB(str(tmp_path / "empty.db"))


@pytest.mark.req("R270")
def test_a_storage_that_moved_is_followed(registry: Registry, other: Registry, tmp_path: Path) -> None:
    made = save(other, tmp_path, "one")
    db = ln.DB(url_of(other))
    here = db.Artifact.get(made.uid).save()
    assert here.load() == "one"
    root = Path(made.storage.root)
    moved = root.with_name("moved")
    shutil.move(root, moved)
    with other:
        storage = ln.Storage.get(made.storage_id)
        storage.root = str(moved)
        storage.save()
    fresh = ln.DB(url_of(other)).Artifact.get(made.uid).save()
    assert ln.Storage.filter(root=str(moved)).one() == fresh.storage
    assert fresh.load() == "one"


@pytest.mark.req("R43", "R270")
def test_a_version_that_was_deleted_here_comes_back_as_what_it_was(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    made = [save(other, tmp_path, content) for content in ("one", "two")]
    db = ln.DB(url_of(other))
    for artifact in made:
        db.Artifact.get(artifact.uid).save()
    ln.Artifact.get(made[1].uid).delete(permanent=True, storage=False)
    with pytest.raises(ln.errors.DoesNotExist, match="deleted permanently"):
        ln.Artifact.get(made[1].uid)
    again = db.Artifact.get(made[1].uid).save()
    assert (again.uid, again.is_latest, again.load()) == (made[1].uid, True, "two")
    # It was never another one, so it may go and come as often as it likes.
    again.delete(permanent=True, storage=False)
    mine = ln.Artifact(write(tmp_path / "mine.txt", "mine"), revises=ln.Artifact.get(made[0].uid)).save()
    assert mine.uid == f"{made[0].stem_uid}0002"
    assert db.Artifact.get(made[1].uid).save().is_latest is False
    assert ln.Artifact.filter(is_latest=True).one() == mine


@pytest.mark.req("R43", "R270")
def test_a_uid_that_was_given_here_is_not_that_of_other_content(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    made = save(other, tmp_path, "one")
    db = ln.DB(url_of(other))
    here = db.Artifact.get(made.uid).save()
    mine = ln.Artifact(write(tmp_path / "mine.txt", "mine"), revises=here).save()
    mine.delete(permanent=True)
    theirs = save(other, tmp_path, "theirs")
    assert theirs.uid == mine.uid
    before = contents(registry)
    with pytest.raises(ln.errors.IntegrityError, match=f"{mine.uid} cannot be transferred.*{mine.hash}"):
        db.Artifact.get(theirs.uid).save()
    assert contents(registry) == before
    assert ln.Artifact.filter(branch=None).one() == here
    with pytest.raises(ln.errors.DoesNotExist, match=f"{mine.hash}"):
        ln.Artifact.get(mine.uid)


def _one(artifact: ln.Artifact) -> ln.Artifact:
    return artifact.save()


def _many(artifact: ln.Artifact) -> ln.Artifact:
    return ln.save([artifact])[0]


@pytest.mark.req("R43", "R288")
@pytest.mark.parametrize("saved", [_one, _many])
def test_a_family_that_lies_in_two_locations_goes_on(
    registry: Registry, other: Registry, tmp_path: Path, saved: Any
) -> None:
    for content in ("zero", "one", "two"):
        save(other, tmp_path, content)
    db = ln.DB(url_of(other))
    zero, _, two = db.Artifact.filter(key="a.txt").order_by("uid")
    first = zero.save()
    ours = ln.Artifact(write(tmp_path / "ours.txt", "ours"), revises=first, run=False).save()
    assert (ours.version, ours.storage.is_managed) == ("0001", True)
    assert (two.save().version, ours.refresh().is_latest) == ("0002", False)
    # Ours is the only version in our location, and not the latest.
    made = [ln.Artifact(write(tmp_path / f"{name}.txt", name), key="a.txt", run=False) for name in ("next", "last")]
    assert [saved(artifact).uid for artifact in made] == [f"{first.stem_uid}{number}" for number in ("0003", "0004")]
    assert [version.is_latest for version in first.versions] == [True, False, False, False, False]
    assert {version.load() for version in first.versions} == {"zero", "ours", "two", "next", "last"}
