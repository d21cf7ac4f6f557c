"""Folders of another registry whose files are stored objects of their own: known file by file, bytes stay there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import func, select

import lamart_core as ln
from lamart_core.care import check_registry, collect_garbage
from lamart_core.db import Registry, set_default_registry
from lamart_core.models import StoredObject
from lamart_core.objects import histories
from lamart_core.records import FolderFile, FolderHistory
from tests.processes import run_together
from tests.registries import contents, fresh_registry, tree

Files = dict[str, str]
FILES: Files = {"a.txt": "one", "b/c.txt": "two", "b/d.csv": "three", "same.txt": "one", "empty": ""}
VERSIONS = [FILES, FILES | {"a.txt": "changed"}, FILES | {"new.txt": "new"}]


@pytest.fixture
def other(registry: Registry, tmp_path: Path) -> Iterator[Registry]:
    """A second registry, on SQLite and with a bucket, beside the current one."""
    with fresh_registry("sqlite", tmp_path / "other", "s3") as other:
        set_default_registry(registry)
        yield other


def url_of(registry: Registry) -> str:
    return registry.url.render_as_string(hide_password=False)


def save(registry: Registry, folder: Path, files: Files, key: str = "run") -> ln.Artifact:
    with registry:
        source = tree(folder / f"source-{len(list(folder.iterdir()))}", dict(files))
        return ln.Artifact(source, key=key, overwrite_versions=False, run=False).save()


def transferred(other: Registry, made: ln.Artifact) -> ln.Artifact:
    return ln.DB(url_of(other)).Artifact.get(made.uid).save()


def check(artifact: ln.Artifact, files: Files) -> None:
    """Check that an artifact reads back by every way."""
    prefix = len(str(artifact.path)) + 1
    assert {str(path)[prefix:]: path.read_text() for path in artifact.path.rglob("*") if path.is_file()} == files
    assert {name: (artifact.cache() / name).read_text() for name in files} == files
    assert artifact.verify()
    assert (artifact.n_files, artifact.size) == (len(files), sum(map(len, files.values())))


def count(registry: Registry, model: Any) -> int:
    with registry.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def files_of(registry: Registry, artifact: ln.Artifact) -> list[Any]:
    with registry.engine.connect() as connection:
        return histories.files_of(connection, registry.Artifact.get(artifact.uid).object_id)


def check_sound(registry: Registry) -> None:
    assert collect_garbage(registry, grace=timedelta(0), dry_run=False) == []
    assert check_registry(registry, verify=True, grace=timedelta(0)).is_clean


@pytest.mark.req("R70", "R270")
def test_a_folder_of_objects_is_transferred_and_its_bytes_stay(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    made = save(other, tmp_path, FILES)
    before = contents(other)
    here = transferred(other, made)
    assert here.registry == registry
    assert (here.uid, here.key, here.hash, here.size, here.n_files) == (
        made.uid, made.key, made.hash, made.size, made.n_files,
    )  # fmt: skip
    assert contents(other) == before
    assert contents(registry).files == ()
    check(here, FILES)
    assert files_of(registry, here) == files_of(other, made)
    objects = registry.StoredObject.filter().to_list()
    assert len(objects) == 1 + 3
    assert not any(stored.is_managed for stored in objects)
    check_sound(registry)

    again = transferred(other, made)
    assert (again, again.updated_at) == (here, here.updated_at)
    assert (count(registry, FolderFile), count(registry, StoredObject)) == (5, 4)
    check(again, FILES)


@pytest.mark.req("R239", "R270")
def test_a_transferred_folder_of_tables_is_opened_and_loaded(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    (tmp_path / "tables").mkdir()
    for number in range(2):
        pd.DataFrame({"x": [number, 10]}).to_parquet(tmp_path / f"tables/{number}.parquet")
    with other:
        made = ln.Artifact(tmp_path / "tables", key="tables", overwrite_versions=False, run=False).save()
    here = transferred(other, made)
    assert here.open().to_table().column("x").to_pandas().sum() == 21
    assert here.load()["x"].sum() == 21


@pytest.mark.req("R47", "R70", "R270")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_versions_of_a_family_share_their_files_here_too(
    registry: Registry, other: Registry, tmp_path: Path, order: tuple[int, ...]
) -> None:
    made = [save(other, tmp_path, files) for files in VERSIONS]
    here = {number: transferred(other, made[number]) for number in order}
    for number, files in enumerate(VERSIONS):
        here[number].refresh()
        assert here[number].is_latest is (number == 2)
        check(here[number], files)
        assert files_of(registry, here[number]) == files_of(other, made[number])
    assert count(registry, FolderHistory) == 1
    assert count(registry, FolderFile) < sum(map(len, VERSIONS))
    contained = {content for files in VERSIONS for content in files.values()} - {""}
    assert count(registry, StoredObject) == 3 + len(contained)
    check_sound(registry)
    # A version that is made here shares nothing of what is another's.
    with registry:
        source = tree(tmp_path / "mine", dict(FILES | {"mine.txt": "mine"}))
        mine = ln.Artifact(source, revises=here[2], overwrite_versions=False, run=False).save()
    assert mine.storage.is_managed
    check(mine, FILES | {"mine.txt": "mine"})
    check(here[2], VERSIONS[2])


@pytest.mark.req("R257", "R270")
def test_deleting_transferred_folders_leaves_their_bytes(registry: Registry, other: Registry, tmp_path: Path) -> None:
    made = [save(other, tmp_path, files) for files in VERSIONS]
    single = save(other, tmp_path, {"x.txt": "two", "y.txt": "y"}, key="other")
    here = [transferred(other, artifact) for artifact in (*made, single)]
    before = contents(other)
    with pytest.raises(ln.errors.IntegrityError, match="not managed"):
        here[1].delete(permanent=True)
    for artifact in here[:2]:
        artifact.delete(permanent=True, storage=False)
        check(here[2], VERSIONS[2])
        check(here[3], {"x.txt": "two", "y.txt": "y"})
        check_sound(registry)
    storage = here[2].storage
    for artifact in here[2:]:
        artifact.delete(permanent=True, storage=False)
    assert (count(registry, StoredObject), count(registry, FolderFile), count(registry, FolderHistory)) == (0, 0, 0)
    storage.delete()
    assert contents(other) == before
    for artifact, files in zip(made, VERSIONS, strict=True):
        check(artifact, files)
    # And once more, after it was deleted here.
    check(transferred(other, made[1]), VERSIONS[1])


@pytest.mark.req("R93", "R270")
def test_files_that_the_other_registry_put_again_are_followed(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    made = [save(other, tmp_path, files) for files in VERSIONS[:2]]
    here = [transferred(other, artifact) for artifact in made]
    relpath = {file.path: file.relpath for file in files_of(other, made[0])}["b/c.txt"]
    with other:
        other.Storage.get(other.storage_id).backend.delete(relpath)
    with pytest.raises(FileNotFoundError):
        (here[0].path / "b/c.txt").read_text()
    save(other, tmp_path, VERSIONS[2])
    again = transferred(other, made[0])
    check(again, VERSIONS[0])
    # The other version has the row of this file in common.
    check(ln.Artifact.get(here[1].uid), VERSIONS[1])
    assert count(registry, StoredObject) == 2 + 4
    check_sound(registry)


@pytest.mark.req("R270")
def test_a_version_that_the_other_registry_replaced_is_replaced_here(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    made = save(other, tmp_path, FILES)
    here = transferred(other, made)
    files = {"a.txt": "one", "z.txt": "replaced"}
    with other:
        made.replace(tree(tmp_path / "replaced", dict(files)))
        made.save()
    assert transferred(other, made) == here
    check(ln.Artifact.get(here.uid), files)
    assert (count(registry, StoredObject), count(registry, FolderFile)) == (1 + 2, 2)
    check_sound(registry)


@pytest.mark.req("R270")
def test_a_folder_of_which_rows_are_lost_is_not_transferred(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    made = save(other, tmp_path, FILES)
    with other.engine.begin() as connection:
        connection.execute(FolderFile.__table__.delete().where(FolderFile.path == "empty"))
    before = contents(registry)
    with pytest.raises(ln.errors.IntegrityError, match="lamart fsck"):
        transferred(other, made)
    assert contents(registry) == before
    assert ln.Storage.filter().count() == 1


@pytest.mark.req("R270")
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_record_that_comes_back_leaves_the_original_as_it_is(
    registry: Registry, other: Registry, tmp_path: Path, kind: str
) -> None:
    def content(number: int) -> Path:
        source = tree(tmp_path / f"content-{number}", dict(VERSIONS[number]))
        return source if kind == "folder" else source / "a.txt"

    with other:
        made = ln.Artifact(content(0), key="k" if kind == "folder" else "k.txt", overwrite_versions=False).save()
    here = transferred(other, made)
    with other:
        made.replace(content(1))
        made.save()
        back = ln.DB(url_of(registry)).Artifact.get(here.uid).save()
        assert back == made
        assert back.hash == made.hash
        assert made.refresh().verify()
        made.delete()
        assert ln.DB(url_of(registry)).Artifact.get(here.uid).save().branch_id == other.branch_id
        made.refresh().delete(permanent=True)
        with pytest.raises(ln.errors.IntegrityError, match="has deleted it"):
            ln.DB(url_of(registry)).Artifact.get(here.uid).save()
        assert ln.Artifact.filter(branch=None).count() == 0
        check_sound(other)


TOGETHER = """
ready()
for number in range(6):
    for artifact in ln.DB(arguments["other"]).Artifact.filter().order_by("uid"):
        artifact.save()
    if number % 2:
        for found in ln.Artifact.filter().order_by("uid").to_list()[:1]:
            try:
                found.delete(permanent=True, storage=False)
            except ln.errors.ObjectDoesNotExist:
                pass
for artifact in ln.DB(arguments["other"]).Artifact.filter():
    artifact.save()
tell(None)
"""


@pytest.mark.req("R43", "R270")
def test_processes_that_transfer_and_delete_the_same_versions(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    made = [save(other, tmp_path, files) for files in VERSIONS]
    single = save(other, tmp_path, {"x.txt": "two", "y.txt": "y"}, key="other")
    run_together(registry, TOGETHER, 3, other=url_of(other))
    for artifact, files in zip((*made, single), (*VERSIONS, {"x.txt": "two", "y.txt": "y"}), strict=True):
        check(ln.Artifact.get(artifact.uid), files)
    check_sound(registry)
    for artifact in ln.Artifact.filter().all():
        artifact.delete(permanent=True, storage=False)
    assert (count(registry, StoredObject), count(registry, FolderFile), count(registry, FolderHistory)) == (0, 0, 0)
