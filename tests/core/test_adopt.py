"""`lamart fsck --adopt`: what a database forgot is registered again, from what the bytes say of themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import text

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import Kind, check_registry
from lamart_core.db import Registry
from lamart_core.objects.about import About
from tests.registries import on_clouds_too, storage_root, tree, write


def forget(registry: Registry, *artifacts: ln.Artifact) -> None:
    """Let the database be one that never knew these artifacts, as one that is put back from a backup."""
    with registry.engine.begin() as connection:
        for artifact in artifacts:
            connection.execute(text("DELETE FROM lamart_artifact WHERE uid = :uid"), {"uid": artifact.uid})
            if artifact.n_files is not None:
                files = "DELETE FROM lamart_folderfile WHERE history_id = (SELECT history_id FROM lamart_storedobject"
                connection.execute(text(f"{files} WHERE id = :id)"), {"id": artifact.object_id})
            connection.execute(text("DELETE FROM lamart_storedobject WHERE id = :id"), {"id": artifact.object_id})


def adopt(registry: Registry) -> dict[str | None, bool]:
    """What was found to be claimed by nothing: whether it is registered now, by uid."""
    found = check_registry(registry, adopts=True).findings
    return {item.artifact: item.is_repaired for item in found if item.kind is Kind.ORPHANED}


@pytest.mark.req("R318")
@on_clouds_too
def test_what_a_database_forgot_is_registered_again(lab: Registry, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    first = ln.Artifact(write(tmp_path / "a.txt", "first"), key="a.txt", run=False).save()
    lost = [
        ln.Artifact(write(tmp_path / "a.txt", "second"), key="a.txt", run=False).save(),
        ln.Artifact(write(tmp_path / "b.txt", "other"), key="Größe/b.txt", run=False).save(),
        ln.Artifact.from_dataframe(frame, key="t.parquet", run=False).save(),
    ]
    paths = [artifact.path for artifact in lost]
    forget(lab, *lost)
    assert adopt(lab) == {artifact.uid: True for artifact in lost}
    for artifact, path in zip(lost, paths, strict=True):
        again = ln.Artifact.get(artifact.uid)
        same = ("key", "hash", "size", "suffix", "kind", "otype", "is_latest", "_key_is_virtual")
        assert [getattr(again, name) for name in same] == [getattr(artifact, name) for name in same]
        assert again.path == path
        assert again.verify()
    assert ln.Artifact.get(key="a.txt").load() == "second"
    assert not ln.Artifact.get(first.uid).is_latest
    assert ln.Artifact.get(key="t.parquet").load().equals(frame)
    assert check_registry(lab, verify=True).is_clean
    assert adopt(lab) == {}
    assert ln.Artifact(write(tmp_path / "a.txt", "third"), key="a.txt", run=False).save().uid > lost[0].uid


def test_folders_on_a_disk_are_registered_again(registry: Registry, tmp_path: Path) -> None:
    folder = tree(tmp_path / "folder", {"x.txt": "x", "deep/y.txt": "y"})
    lost = ln.Artifact(folder, key="folder", run=False, overwrite_versions=False).save()
    forget(registry, lost)
    assert adopt(registry) == {lost.uid: True}
    again = ln.Artifact.get(key="folder")
    assert (again.uid, again.n_files, again._overwrite_versions) == (lost.uid, 2, False)
    assert (again.load() / "deep/y.txt").read_text() == "y"
    write(folder / "x.txt", "other")
    assert ln.Artifact(folder, key="folder", run=False).save().uid > lost.uid
    assert check_registry(registry, verify=True).is_clean


def test_what_is_not_whole_or_says_nothing_is_told_and_left(sqlite_registry: Registry, tmp_path: Path) -> None:
    altered = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save()
    silent = ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt", run=False).save()
    deleted = ln.Artifact(write(tmp_path / "c.txt", "c"), key="c.txt", run=False).save()
    place = Path(str(deleted.path))
    kept = tmp_path / "kept"
    os.link(place, kept)
    deleted.delete(permanent=True)
    os.link(kept, place)  # as a deletion that was killed between row and bytes leaves it
    root = storage_root(sqlite_registry)
    paths = [Path(str(artifact.path)) for artifact in (altered, silent)]
    forget(sqlite_registry, altered, silent)
    for artifact, path, content in zip((altered, silent), paths, "Ab", strict=True):
        said = os.getxattr(path, "user.lamart.about")
        path.unlink()
        path.write_text(content)
        if artifact is altered:
            os.setxattr(path, "user.lamart.about", said)
    found = {item.path: item.detail for item in check_registry(sqlite_registry, adopts=True).remaining}
    assert "not what it was put as" in found[paths[0].relative_to(root).as_posix()]
    assert "does not say what it is" in found[paths[1].relative_to(root).as_posix()]
    assert "was deleted for good" in found[place.relative_to(root).as_posix()]
    assert ln.Artifact.filter(branch=None).count() == 0
    assert place.exists()


def test_a_file_system_without_attributes_says_nothing(
    sqlite_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    lost = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save()
    forget(sqlite_registry, lost)
    assert adopt(sqlite_registry) == {None: False}


def test_a_key_that_others_have_taken_is_told(sqlite_registry: Registry, tmp_path: Path) -> None:
    lost = ln.Artifact(write(tmp_path / "a.txt", "lost"), key="a.txt", run=False).save()
    forget(sqlite_registry, lost)
    other = ln.Artifact(write(tmp_path / "a.txt", "other"), key="a.txt", run=False).save()
    assert adopt(sqlite_registry) == {lost.uid: True}
    again = ln.Artifact.get(lost.uid)
    assert (again.key, again.load()) == (None, "lost")
    assert f"its key a.txt is that of {other.uid}" in str(again.description)


def test_descriptions_fit_into_the_metadata_of_object_stores() -> None:
    about = About("u" * 20, "ü" * 1000, ".txt", "h" * 43, "blake3")
    written = about.written()
    assert written is not None
    assert written.isascii()
    assert len(written) <= 1800
    assert About.parse(written) == About("u" * 20, None, ".txt", "h" * 43, "blake3")
    for text_ in ("", "[]", "null", "{", '{"uid": "a", "other": 1}', '{"key": "no uid"}'):
        assert About.parse(text_) is None


def test_a_copy_adopts_nothing(sqlite_registry: Registry, tmp_path: Path) -> None:
    lost = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save()
    forget(sqlite_registry, lost)
    sqlite_registry.copy_of = "is a copy"
    with pytest.raises(errors.DatabaseCopied):
        check_registry(sqlite_registry, adopts=True)
