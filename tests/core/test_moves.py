"""Moving: bytes to another place or another storage, and all versions with them."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import collect_garbage
from lamart_core.db import Registry
from lamart_core.models import Storage
from lamart_core.moving.move import move_to_storage
from lamart_core.places.publish import finish_publication, publish_pending
from tests.core.test_real_keys import at_key, dead_after_the_commit, put_at
from tests.processes import run_together
from tests.registries import contents, tree, write
from tests.seams import at_storage
from tests.storage.s3_server import credentials, shared_server


def save(folder: Path, content: str, key: str | None = "a.txt", **fields: Any) -> ln.Artifact:
    return ln.Artifact(write(folder / "a.txt", content), key=key, **fields).save()


@pytest.fixture(params=["local", "s3"])
def other(request: pytest.FixtureRequest, lab: Registry, tmp_path: Path) -> Generator[Storage, None, None]:
    """A second managed storage location of the registry, of each kind."""
    with credentials():
        root = str(tmp_path / "other") if request.param == "local" else shared_server().new_root("other")
        yield ln.Storage(root=root).save()


def stored(storage: Storage) -> int:
    return len(storage.backend.list_stored())


@contextmanager
def no_question(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    def ask(prompt: object = "") -> str:
        raise AssertionError(f"asked {prompt!r}")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.input", ask)
        patch.setattr(sys, "stdin", None)
        yield


@pytest.mark.req("R102", "R65", "R40")
def test_a_family_moves_with_its_bytes(
    lab: Registry, other: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = save(tmp_path, "first"), save(tmp_path, "second")
    sharing = save(tmp_path, "first", "b.txt", skip_hash_lookup=True)
    with no_question(monkeypatch):
        second.storage = other
        second.description = "moved"
        assert second.save() is second
    assert [item.storage for item in ln.Artifact.filter(key="a.txt")] == [other, other]
    first.refresh()
    assert [first.load(), second.load(), sharing.load()] == ["first", "second", "first"]
    assert all(item.verify() for item in (first, second, sharing))
    assert str(second.path).startswith(other.root.partition("?")[0])
    assert ln.Artifact.get(second.uid).description == "moved"
    # What another artifact refers to was copied; the rest is gone from the old place.
    assert (len(contents(lab).files), stored(other)) == (1, 2)
    assert collect_garbage(lab) == []
    # The next version is saved beside them.
    third = ln.Artifact(write(tmp_path / "a.txt", "third"), key="a.txt", storage=other).save()
    assert third.stem_uid == second.stem_uid
    move_to_storage(third, lab.Storage.get(lab.storage_id))
    assert (third.load(), stored(other)) == ("third", 0)
    assert collect_garbage(lab) == []


@pytest.mark.req("R102", "R60")
def test_folders_and_real_keys_move(lab: Registry, other: Storage, tmp_path: Path) -> None:
    folder = ln.Artifact(tree(tmp_path / "1", {"a": "1", "deep/b": "2"}), key="run", overwrite_versions=False).save()
    folder.storage = other
    folder.save()
    assert folder.verify()
    assert (folder.cache() / "deep/b").read_text() == "2"
    first = save(tmp_path, "first", "y/a.txt", key_is_virtual=False)
    second = save(tmp_path, "second", "y/a.txt", key_is_virtual=False)
    second.storage = other
    second.save()
    first.refresh()
    assert other.backend.path("y/a.txt").read_text() == "second"
    assert str(second.path) == str(other.backend.path("y/a.txt"))
    assert (first.load(), second.load()) == ("first", "second")
    assert not at_key(lab).exists()
    assert contents(lab).files == ()
    assert publish_pending(lab) == []


@pytest.mark.req("R102")
def test_moves_that_are_refused(lab: Registry, other: Storage, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    real = save(tmp_path, "2", "y/b.txt", key_is_virtual=False)
    space = ln.Space(name="lab").save()
    elsewhere = ln.Storage(root=str(tmp_path / "elsewhere"), space=space).save()
    (tmp_path / "foreign").mkdir()
    unmanaged = Storage.reference(str(tmp_path / "foreign")).save()
    ln.Artifact(write(tmp_path / "c.txt", "3"), key="a.txt", storage=other).save()
    other.backend.path("y").mkdir(parents=True, exist_ok=True)
    other.backend.path("y/b.txt").write_text("precious")
    before = contents(lab)
    for item, target, words in (
        (artifact, elsewhere, "two spaces"),
        (artifact, unmanaged, "not managed"),
        (artifact, other, "belongs to the family"),
    ):
        item.storage = target
        with pytest.raises(ValueError, match=words):
            item.save()
        item.refresh()
        assert item.load() == "1"
    real.storage = other
    with pytest.raises(FileExistsError):
        real.save()
    assert real.refresh().load() == "2"
    assert other.backend.path("y/b.txt").read_text() == "precious"
    write(tmp_path / "foreign/x.txt", "4")
    foreign = ln.Artifact(tmp_path / "foreign/x.txt").save()
    foreign.storage = other
    with pytest.raises(ValueError, match="not managed"):
        foreign.save()
    artifact.key, artifact.storage = "z.txt", other
    with pytest.raises(ValueError, match="at once"):
        artifact.save()
    assert contents(lab).files == before.files


@pytest.mark.req("R102")
def test_altered_bytes_do_not_move(registry: Registry, tmp_path: Path) -> None:
    first, second = save(tmp_path, "first"), save(tmp_path, "second")
    assert isinstance(first.path, Path)
    first.path.write_text("FIRST")
    other = ln.Storage(root=str(tmp_path / "other")).save()
    second.storage = other
    with pytest.raises(errors.ContentMismatch):
        second.save()
    assert second.refresh().load() == "second"
    assert stored(other) == 0


@pytest.mark.req("R102")
def test_a_version_that_is_saved_while_its_family_moves(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "first")
    other = ln.Storage(root=str(tmp_path / "other")).save()
    with at_storage("put_file", before=lambda: save(tmp_path, "second")):
        move_to_storage(first, other)
    assert {item.storage_id for item in ln.Artifact.filter(key="a.txt")} == {other.id}
    assert [item.load() for item in ln.Artifact.filter(key="a.txt").order_by("uid")] == ["first", "second"]
    assert (contents(registry).files, stored(other)) == ((), 2)


@pytest.mark.req("R64", "R65", "R52")
def test_renaming_a_real_key(lab: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = save(tmp_path, "first", "y/a.txt", key_is_virtual=False)
    second = save(tmp_path, "second", "y/a.txt", key_is_virtual=False)
    with no_question(monkeypatch):
        second.key = "z/b.txt"
        second.save()
    assert at_key(lab, "z/b.txt").read_text() == "second"
    assert not at_key(lab).exists()
    first.refresh()
    assert (first.key, first.load(), second.load()) == ("z/b.txt", "first", "second")
    assert len(contents(lab).files) == 2
    put_at(lab, "precious", "taken.txt")
    second.key = "taken.txt"
    with pytest.raises(FileExistsError):
        second.save()
    second.refresh()
    save(tmp_path, "other", "other.txt", key_is_virtual=False)
    second.key = "other.txt"
    with pytest.raises(ValueError, match="belongs to the family"):
        second.save()
    assert second.refresh().load() == "second"
    assert at_key(lab, "taken.txt").read_text() == "precious"
    assert at_key(lab, "other.txt").read_text() == "other"


@pytest.mark.req("R64", "R60")
def test_renaming_a_folder_at_a_real_key(lab: Registry, tmp_path: Path) -> None:
    source = tree(tmp_path / "1", {"a": "1", "deep/b": "2"})
    folder = ln.Artifact(source, key="run", key_is_virtual=False).save()
    folder.key = "runs/first"
    folder.save()
    assert at_key(lab, "runs/first/deep/b").read_text() == "2"
    assert not at_key(lab, "run/deep/b").exists()
    assert folder.verify()
    assert len(contents(lab).files) == 2


@pytest.mark.req("R64", "R267")
def test_a_renaming_that_died(lab: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "content", "y/a.txt", key_is_virtual=False)
    artifact.key = "z/b.txt"
    with dead_after_the_commit():
        artifact.save()
    found = ln.Artifact.get(key="z/b.txt")
    assert found.load() == "content"
    # The old bytes are still there, and garbage collection does not forget them.
    collect_garbage(lab, dry_run=False)
    pending = publish_pending(lab)
    assert {(item.key, item.uid) for item in pending} == {("z/b.txt", found.uid), ("y/a.txt", None)}
    for item in pending:
        finish_publication(lab, item)
    assert at_key(lab, "z/b.txt").read_text() == "content"
    assert contents(lab).files == ("z/b.txt",)
    assert publish_pending(lab) == []


RENAMERS = """
artifact = ln.Artifact.get(key=f"from-{number}.txt")
ready()
artifact.key = "to.txt"
try:
    artifact.save()
    tell("moved")
except (ln.errors.InvalidArgument, ln.errors.ObjectExists):
    tell("refused")
"""


@pytest.mark.req("R63", "R64")
@pytest.mark.parametrize("virtual", [True, False])
def test_two_families_that_want_one_key(registry: Registry, tmp_path: Path, virtual: bool) -> None:
    for number in range(2):
        save(tmp_path, f"content {number}", f"from-{number}.txt", key_is_virtual=virtual)
    assert sorted(run_together(registry, RENAMERS, 2)) == ["moved", "refused"]
    winner = ln.Artifact.get(key="to.txt")
    loser = ln.Artifact.filter(key__startswith="from-").one()
    assert {winner.load(), loser.load()} == {"content 0", "content 1"}
    assert winner.verify()
    assert loser.verify()
    assert len(contents(registry).files) == 2
