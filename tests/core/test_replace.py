"""Replacing: other content for the same version, and nothing else changes."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import collect_garbage
from lamart_core.db import Registry
from lamart_core.places.publish import finish_publication, publish_pending
from lamart_core.storage import backend_at
from tests.core.test_real_keys import at_key, dead_after_the_commit, put_at
from tests.registries import contents, tree, write
from tests.seams import at_commit


def save(folder: Path, content: str, key: str = "a.txt", **fields: Any) -> ln.Artifact:
    return ln.Artifact(write(folder / "a.txt", content), key=key, **fields).save()


@pytest.mark.req("R230", "R231", "R232")
def test_the_content_changes_and_the_identity_does_not(lab: Registry, tmp_path: Path) -> None:
    run = ln.track("clean.py", new_run=True)
    artifact = save(tmp_path, "old")
    ln.finish()
    before = {name: getattr(artifact, name) for name in ("id", "uid", "key", "stem_uid", "is_latest", "run_id")}
    stored, rows = contents(lab), artifact.hash
    assert artifact.replace(write(tmp_path / "new.txt", "new content")) is None
    # Nothing is persisted, and nobody sees it.
    assert ln.Artifact.get(key="a.txt").load() == artifact.load() == "old"
    assert (contents(lab), artifact.hash, artifact.size) == (stored, rows, 3)
    assert artifact.save() is artifact
    assert {name: getattr(artifact, name) for name in before} == before
    assert artifact.run == run
    found = ln.Artifact.get(key="a.txt")
    assert (found.hash, found.size, found.load()) == (artifact.hash, 11, "new content")
    assert found.hash != rows
    assert found.verify()
    assert ln.Artifact.filter(key="a.txt").count() == 1
    # The old bytes are gone, and nothing waits.
    held = contents(lab)
    assert (held.objects, len(held.files)) == (1, 1)
    assert artifact.save() == found
    assert (tmp_path / "new.txt").exists()


@pytest.mark.req("R231", "R232", "R233")
def test_objects_in_memory(lab: Registry, tmp_path: Path) -> None:
    df = pd.DataFrame({"a": [1, 2, 3]})
    artifact = ln.Artifact.from_dataframe(df, key="t.parquet").save()
    artifact.replace(df.iloc[:2])
    artifact.save()
    assert (artifact.n_observations, artifact.otype, artifact.suffix) == (2, "DataFrame", ".parquet")
    assert artifact.load().equals(df.iloc[:2])
    artifact.replace(df, format="csv")
    artifact.save()
    assert (artifact.key, artifact.suffix, artifact.n_observations) == ("t.csv", ".csv", 3)
    assert str(artifact.path).endswith(".csv")
    assert artifact.load()["a"].tolist() == [1, 2, 3]
    # A table that was a CSV file stays one.
    artifact.replace(df.iloc[:1])
    artifact.save()
    assert (artifact.key, artifact.load()["a"].tolist()) == ("t.csv", [1])
    artifact.replace({"a": 1}, format="json")
    artifact.save()
    assert (artifact.key, artifact.otype, artifact.n_observations) == ("t.json", None, None)
    assert len(contents(lab).files) == 1
    for data, format in ((df, "h5ad"), (df, "zip"), ({"a": 1}, "parquet")):
        with pytest.raises(errors.InvalidArgument, match="cannot be written"):
            artifact.replace(data, format=format)
    with pytest.raises(TypeError):
        artifact.replace(object())
    assert ln.Artifact.get(key="t.json").load() == {"a": 1}


@pytest.mark.req("R232", "R278")
def test_the_run_that_replaced_is_the_run(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    with_run = ln.track("fix.py", new_run=True)
    artifact.replace(write(tmp_path / "b.txt", "2"), run=False)
    artifact.save()
    assert artifact.run is None
    artifact.replace(write(tmp_path / "b.txt", "3"))
    ln.finish()
    artifact.save()
    assert artifact.run == ln.Artifact.get(artifact.uid).run == with_run
    with pytest.raises(errors.InvalidArgument, match="run is None"):
        artifact.replace(tmp_path / "b.txt", run=True)


@pytest.mark.req("R233", "R66")
def test_another_suffix_at_a_real_key_moves_the_file(
    lab: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = save(tmp_path, "old", "y/a.txt", key_is_virtual=False)
    artifact.replace(write(tmp_path / "b.md", "# new"))
    assert "moves from 'y/a.txt' to 'y/a.md'" in caplog.text
    artifact.save()
    assert (artifact.key, artifact.suffix) == ("y/a.md", ".md")
    assert at_key(lab, "y/a.md").read_text() == "# new"
    assert not at_key(lab).exists()
    assert str(artifact.path) == str(at_key(lab, "y/a.md"))
    put_at(lab, "precious", "y/a.txt")
    with pytest.raises(FileExistsError):
        artifact.replace(tmp_path / "a.txt")
    assert at_key(lab).read_text() == "precious"


@pytest.mark.req("R236", "R53")
def test_replacing_at_a_real_key(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "first", "y/a.txt", key_is_virtual=False)
    second = save(tmp_path, "second", "y/a.txt", key_is_virtual=False)
    second.replace(write(tmp_path / "b.txt", "replaced"))
    with dead_after_the_commit():
        second.save()
    assert at_key(lab).read_text() == "second"
    assert ln.Artifact.get(second.uid).load() == "replaced"
    (pending,) = publish_pending(lab)
    finish_publication(lab, pending)
    assert at_key(lab).read_text() == ln.Artifact.get(second.uid).load() == "replaced"
    # An older version is replaced in the version store, and what lies at the key stays.
    first.refresh()
    first.replace(write(tmp_path / "b.txt", "older"))
    first.save()
    assert (first.load(), at_key(lab).read_text()) == ("older", "replaced")
    assert collect_garbage(lab) == []
    assert len(contents(lab).files) == 2


@pytest.mark.req("R234")
def test_what_cannot_replace(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    folder = ln.Artifact(tree(tmp_path / "in", {"a": "1"}), key="in").save()
    inside = Path(artifact.storage.root, "inside.txt")
    inside.write_text("2")
    before = contents(registry)
    for item, data, words in (
        (artifact, tmp_path / "in", "cannot become a folder"),
        (folder, tmp_path / "a.txt", "cannot become a file"),
        (artifact, inside, "lies in the storage location"),
        (artifact, artifact.path, "lies in the storage location"),
        (ln.Artifact(write(tmp_path / "u.txt", "u"), key="u.txt"), tmp_path / "a.txt", "not saved"),
    ):
        with pytest.raises(ValueError, match=words):
            item.replace(data)
    with pytest.raises(FileNotFoundError):
        artifact.replace(tmp_path / "nothing.txt")
    with pytest.raises(ValueError, match="contradicts"):
        artifact.replace(tmp_path / "a.txt", format="csv")
    artifact.delete()
    with pytest.raises(ValueError, match="in the trash"):
        artifact.replace(tmp_path / "u.txt")
    assert contents(registry) == before


@pytest.mark.req("R233")
def test_a_key_of_another_family_is_refused(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1", "x.txt")
    ln.Artifact(write(tmp_path / "b.md", "2"), key="x.md").save()
    with pytest.raises(ValueError, match="belongs to the family"):
        artifact.replace(write(tmp_path / "c.md", "3"))
    assert artifact.save().load() == "1"


@pytest.mark.req("R235")
def test_content_of_another_artifact_replaces_and_is_shared(lab: Registry, tmp_path: Path) -> None:
    one, other = save(tmp_path, "1", "one.txt"), save(tmp_path, "2", "other.txt")
    one.replace(write(tmp_path / "b.txt", "2"))
    one.save()
    assert (one.load(), one.hash, one.object_id) == ("2", other.hash, other.object_id)
    assert len(contents(lab).files) == 1
    # Its own content changes nothing, and what waited before is dropped.
    one.replace(write(tmp_path / "b.txt", "3"))
    one.replace(write(tmp_path / "b.txt", "2"))
    updated = one.updated_at
    assert one.save().updated_at == updated
    other.replace(write(tmp_path / "b.txt", "4"))
    other.save()
    assert (one.load(), other.load()) == ("2", "4")
    one.delete(permanent=True)
    assert other.load() == "4"
    assert len(contents(lab).files) == 1


@pytest.mark.req("R231", "R232")
def test_folders_are_replaced(lab: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact(tree(tmp_path / "1", {"a": "1", "b/c": "2"}), key="run", overwrite_versions=False).save()
    artifact.replace(tree(tmp_path / "2", {"a": "other"}))
    artifact.save()
    assert (artifact.n_files, artifact.size) == (1, 5)
    assert [path.name for path in artifact.cache().iterdir()] == ["a"]
    assert artifact.verify()
    assert len(contents(lab).files) == 1


@pytest.mark.req("R236")
def test_a_storage_that_fails_leaves_the_old_content(lab: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "old")
    before = contents(lab)
    artifact.replace(write(tmp_path / "b.txt", "new"))
    write(tmp_path / "b.txt", "changed since")
    with pytest.raises(errors.SourceChanged):
        artifact.save()
    assert ln.Artifact.get(key="a.txt").load() == "old"
    assert contents(lab) == before
    artifact.replace(tmp_path / "b.txt")

    def refuse() -> None:
        raise errors.DatabaseBusy("others write")

    with at_commit("lamart_artifact", before=refuse), pytest.raises(errors.DatabaseBusy):
        artifact.save()
    assert contents(lab) == before
    assert artifact.save().load() == "changed since"


@pytest.mark.req("R236")
def test_two_who_replace_at_once(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "old")
    second = ln.Artifact.get(first.uid)
    first.replace(write(tmp_path / "1.txt", "first"))
    second.replace(write(tmp_path / "2.txt", "second"))
    first.save()
    second.save()
    assert ln.Artifact.get(first.uid).load() == "second"
    assert first.refresh().load() == "second"
    held = contents(registry)
    assert (held.objects, len(held.files)) == (1, 1)
    # One that is deleted meanwhile is not brought back.
    first.replace(tmp_path / "1.txt")
    second.delete(permanent=True)
    with pytest.raises(errors.ObjectDoesNotExist):
        first.save()
    assert contents(registry).files == ()


@pytest.mark.req("R230")
def test_content_that_is_never_saved_leaves_nothing(lab: Registry) -> None:
    artifact = ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="t.parquet").save()
    before = contents(lab)
    artifact.replace(pd.DataFrame({"a": [2]}))
    assert contents(lab) != before  # a staging file
    artifact.replace(pd.DataFrame({"a": [3]}))
    del artifact
    gc.collect()
    assert contents(lab) == before


@pytest.mark.req("R232")
def test_older_and_overwritten_versions(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    first.refresh()
    first.replace(write(tmp_path / "b.txt", "1b"))
    assert "is not the latest version" in caplog.text
    first.save()
    assert (first.load(), second.load(), first.is_latest) == ("1b", "2", False)
    old = ln.Artifact(tree(tmp_path / "f", {"a": "1"}), key="f").save()
    new = ln.Artifact(tree(tmp_path / "f", {"a": "2"}), key="f").save()
    old.refresh()
    with pytest.raises(errors.OutdatedVersion):
        old.replace(tree(tmp_path / "g", {"a": "3"}))
    new.replace(tmp_path / "g")
    new.save()
    with pytest.raises(errors.OutdatedVersion):
        old.load()
    assert new.verify()


@pytest.mark.req("R234", "R57")
def test_a_file_in_place_is_its_owners(lab: Registry, tmp_path: Path) -> None:
    put_at(lab, "mine", "in/place.txt")
    artifact = ln.Artifact(at_key(lab, "in/place.txt"), key="name.txt").save()
    artifact.replace(write(tmp_path / "b.txt", "new"))
    artifact.save()
    assert artifact.load() == "new"
    assert at_key(lab, "in/place.txt").read_text() == "mine"
    assert ".lamart/" in str(artifact.path)


@pytest.mark.req("R231")
def test_a_remote_path_has_to_be_downloaded(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "old")
    path = backend_at("memory://elsewhere").path("x.txt")
    path.write_text("remote")
    with pytest.raises(ValueError, match="download it"):
        artifact.replace(path)


@pytest.mark.req("R214", "R230")
def test_a_member_of_a_collection_is_not_replaced(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "old")
    waiting = ln.Artifact.get(artifact.uid)
    waiting.replace(write(tmp_path / "new.txt", "new"))
    ln.Collection([artifact], key="release").save()
    # Neither what begins now, nor what was begun before.
    with pytest.raises(errors.ProtectedError, match=r"release.*new version"):
        artifact.replace(write(tmp_path / "new.txt", "new"))
    with pytest.raises(errors.ProtectedError, match=r"release.*new version"):
        waiting.save()
    assert ln.Artifact.get(artifact.uid).load() == "old"
    held = contents(registry)
    assert (held.objects, len(held.files)) == (1, 1)
