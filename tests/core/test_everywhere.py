"""What holds on every database and every kind of default storage: what the constructor does, and where bytes lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.registries import contents, on_clouds_too, tree, write

pytestmark = on_clouds_too


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "notes.txt", "some notes")


@pytest.mark.req("R36", "R60", "R263")
def test_constructing_stores_nothing(tmp_path: Path, lab: Registry) -> None:
    folder = tree(tmp_path / "in", {"a.txt": "1", "deep/b.txt": "2"})
    artifact = ln.Artifact(folder, key="in")
    assert contents(lab).files == ()
    artifact.save()
    copy = artifact.cache()
    assert sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*.txt")) == ["a.txt", "deep/b.txt"]
    assert (folder / "deep/b.txt").read_text() == "2"
    single = ln.Artifact(tree(tmp_path / "one", {"only.txt": "3"}), key="one").save()
    assert (single.cache() / "only.txt").read_text() == "3"
    assert single.n_files == 1


@pytest.mark.req("R37", "R260")
def test_an_unsaved_artifact(lab: Registry, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    artifact = ln.Artifact(file, key="a.txt")
    assert artifact.path == file
    assert "a.txt" in repr(artifact)
    artifact.delete()
    assert "never saved" in caplog.text
    assert file.exists()


@pytest.mark.req("R54", "R55", "R61", "R263")
def test_what_lies_in_the_default_storage_stays_there(lab: Registry) -> None:
    backend = ln.settings.storage.backend
    for name in ("raw/a.txt", "raw/b.txt"):
        _put(backend.path(name), f"here {name}")
    plain = ln.Artifact(backend.path("raw/a.txt")).save()
    named = ln.Artifact(backend.path("raw/b.txt"), key="named/b.txt").save()
    assert (plain.key, plain._key_is_virtual, named.key, named._real_key) == (
        "raw/a.txt",
        False,
        "named/b.txt",
        "raw/b.txt",
    )
    for artifact, name in ((plain, "raw/a.txt"), (named, "raw/b.txt")):
        assert str(artifact.path) == str(backend.path(name))
        assert artifact.cache().read_text() == f"here {name}"
    assert contents(lab).files == ("raw/a.txt", "raw/b.txt")


def _put(path: Any, text: str) -> None:
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.req("R62")
def test_the_version_store_is_reserved(lab: Registry) -> None:
    stray = ln.settings.storage.backend.path(".lamart/stray.txt")
    _put(stray, "x")
    before = contents(lab)
    with pytest.raises(ValueError, match=r"\.lamart"):
        ln.Artifact(stray, key="a.txt")
    assert contents(lab) == before


@pytest.mark.req("R62")
def test_the_object_of_an_artifact_gives_that_artifact(lab: Registry, file: Path) -> None:
    saved = ln.Artifact(file, key="a.txt").save()
    assert ln.Artifact(saved.path) == saved


@pytest.mark.req("R52", "R64")
def test_renaming_a_real_key_moves_the_bytes(lab: Registry, file: Path) -> None:
    artifact = ln.Artifact(file, key="a/x.txt", key_is_virtual=False).save()
    backend = ln.settings.storage.backend
    taken = ln.Artifact(write(file.with_name("other.txt"), "other"), key="taken.txt", key_is_virtual=False).save()
    _put(backend.path("foreign.txt"), "foreign")
    before = contents(lab)
    assert before.files == ("a/x.txt", "foreign.txt", "taken.txt")
    wrong = {"taken.txt": ValueError, "foreign.txt": FileExistsError, "b.csv": ValueError, None: ValueError}
    for key, error in wrong.items():
        again = ln.Artifact.get(artifact.uid)
        again.key = key
        with pytest.raises(error):
            again.save()
        assert contents(lab) == before
    artifact.key = "b/y.txt"
    artifact.save()
    assert contents(lab).files == ("b/y.txt", "foreign.txt", "taken.txt")
    assert ln.Artifact.get(key="b/y.txt").cache().read_text() == "some notes"
    assert taken.cache().read_text() == "other"
