"""Versions: families of one key, their uids, heads and names."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.registries import contents, storage_root, tree, write


def save(tmp_path: Path, content: str, **keywords: object) -> ln.Artifact:
    keywords.setdefault("key", "a.txt")
    return ln.Artifact(write(tmp_path / "a.txt", content), **keywords).save()


@pytest.mark.req("R40", "R41", "R43", "R44", "R47", "R72", "R224")
def test_new_content_under_a_key_is_the_next_version(registry: Registry, tmp_path: Path) -> None:
    saved = [save(tmp_path, f"content {number}") for number in range(3)]
    stem = saved[0].stem_uid
    assert re.fullmatch(r"[0-9A-Za-z]{16}", stem)
    assert [item.uid for item in saved] == [f"{stem}000{number}" for number in range(3)]
    assert [item.uid for item in saved[0].versions] == [item.uid for item in reversed(saved)]
    assert ln.Artifact.filter(key="a.txt", is_latest=True).one() == saved[2]
    assert ln.Artifact.filter(key="a.txt").count() == 3
    table = saved[1].versions.to_dataframe()
    assert list(table["uid"]) == [item.uid for item in reversed(saved)]
    assert [ln.Artifact.get(item.uid).load() for item in saved] == ["content 0", "content 1", "content 2"]
    assert saved[2].versions.get(is_latest=True) == saved[2]


@pytest.mark.req("R40", "R217")
def test_the_same_key_in_another_storage_is_another_family(registry: Registry, tmp_path: Path) -> None:
    archive = ln.Storage(root=tmp_path / "archive").save()
    here = save(tmp_path, "here")
    there = save(tmp_path, "there", storage=archive)
    assert here.stem_uid != there.stem_uid
    assert here.refresh().is_latest
    assert there.is_latest
    with pytest.raises(ln.errors.MultipleObjectsReturned):
        ln.Artifact.get(key="a.txt")


@pytest.mark.req("R42")
def test_descriptions_make_no_versions(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "1", key=None, description="same words")
    second = save(tmp_path, "2", key=None, description="same words")
    assert first.stem_uid != second.stem_uid


@pytest.mark.req("R43")
def test_the_counter_goes_on_after_trash_and_in_byte_order(registry: Registry, tmp_path: Path) -> None:
    from sqlalchemy import update

    first = save(tmp_path, "1")
    # As after 35 versions: Z is followed by a, whatever the collation of the database thinks of upper case.
    table = ln.Artifact.__table__
    registry.unit_of_work(
        lambda connection: connection.execute(update(table).values(uid=first.stem_uid + "000Z")).rowcount
    )
    second = save(tmp_path, "2")
    assert second.uid == first.stem_uid + "000a"
    second.delete()
    assert save(tmp_path, "3").uid == first.stem_uid + "000b"


@pytest.mark.req("R44")
def test_uids_are_not_settable(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    with pytest.raises(ln.errors.InvalidArgument):
        artifact.uid = "x" * 20
    with pytest.raises(ln.errors.FieldValidationError):
        ln.Artifact(write(tmp_path / "b.txt", "2"), key="b.txt", uid="x" * 20)


@pytest.mark.req("R45", "R46", "R216")
def test_version_tags(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "1", version="1.0")
    assert first.version == "1.0"
    with pytest.raises(ValueError, match=r"1\.0.*taken"):
        save(tmp_path, "2", version="1.0")
    second = save(tmp_path, "2")
    assert second.version == second.uid[-4:] == "0001"
    with pytest.raises(ln.errors.LamartError):
        save(tmp_path, "3", version="1.0")
    assert ln.Artifact.filter(key="a.txt").count() == 2
    assert ln.Artifact.get(key="a.txt", version="1.0") == first
    assert ln.Artifact.get(key="a.txt", version="0001") == second
    with pytest.raises(ValueError, match="more than 30"):
        save(tmp_path, "4", version="x" * 31)


@pytest.mark.req("R46")
def test_a_tag_of_an_older_version_is_refused_before_anything_is_written(registry: Registry, tmp_path: Path) -> None:
    save(tmp_path, "1", version="1.0")
    save(tmp_path, "2")
    before = contents(registry)
    with pytest.raises(ValueError, match=r"1\.0.*taken"):
        save(tmp_path, "3", version="1.0")
    assert contents(registry) == before


@pytest.mark.req("R21", "R22")
def test_revises_without_a_key(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "1", key=None, description="words")
    second = save(tmp_path, "2", key=None, revises=first)
    assert second.uid == first.stem_uid + "0001"
    assert (second.key, second.description) == (None, "words")
    assert not first.refresh().is_latest
    with pytest.raises(TypeError, match="has to be an Artifact"):
        save(tmp_path, "3", revises="a.txt")


@pytest.mark.req("R22", "R23")
def test_revises_with_another_key(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = save(tmp_path, "1", description="words")
    inherited = save(tmp_path, "2", key=None, revises=first)
    assert inherited.key == "a.txt"
    caplog.clear()
    renamed = save(tmp_path, "3", key="b.txt", revises=inherited)
    assert renamed.stem_uid == first.stem_uid
    assert (renamed.key, renamed.description) == ("b.txt", "words")
    assert "b.txt" in caplog.text
    # The old key is free again: what is saved under it is a thing of its own.
    again = save(tmp_path, "4", key="a.txt")
    assert again.is_latest
    assert renamed.refresh().is_latest
    assert ln.Artifact.get(key="a.txt").load() == "4"
    assert ln.Artifact.get(key="b.txt").load() == "3"


@pytest.mark.req("R48")
def test_revising_an_old_version_goes_to_the_head(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = save(tmp_path, "1")
    second = save(tmp_path, "2")
    third = save(tmp_path, "3", key=None, revises=first)
    assert third.uid == first.stem_uid + "0002"
    assert second.uid in caplog.text
    assert not second.refresh().is_latest


@pytest.mark.req("R48")
def test_a_real_race_of_explicit_revisions(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "1")
    mine = ln.Artifact(write(tmp_path / "mine.txt", "mine"), revises=first)
    ln.Artifact(write(tmp_path / "theirs.txt", "theirs"), revises=first).save()
    before = contents(registry)
    with pytest.raises(ln.errors.IntegrityError, match="cannot revise"):
        mine.save()
    assert contents(registry) == before


@pytest.mark.req("R50", "R47")
def test_an_inferred_version_follows_whoever_came_first(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "1")
    mine = ln.Artifact(write(tmp_path / "mine.txt", "mine"), key="a.txt")
    theirs = ln.Artifact(write(tmp_path / "theirs.txt", "theirs"), key="a.txt")
    assert mine.uid == theirs.uid
    theirs.save()
    mine.save()
    assert [theirs.uid[-4:], mine.uid[-4:]] == ["0001", "0002"]
    assert ln.Artifact.filter(is_latest=True, key="a.txt").one() == mine
    assert first.versions.count() == 3


@pytest.mark.req("R24", "R51", "R69", "R71")
def test_folders_keep_the_files_of_the_latest_version(registry: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(tree(tmp_path / "d", {"a.txt": "1", "b.txt": "2"}), key="d").save()
    assert first.overwrite_versions
    second = ln.Artifact(tree(tmp_path / "d", {"b.txt": "3"}), key="d").save()
    assert second.uid == first.stem_uid + "0001"
    assert (second.path / "b.txt").read_text() == "3"
    for read in (first.load, first.cache, first.open, lambda: ln.Artifact.get(first.uid).load()):
        with pytest.raises(ValueError, match=r"outdated version|overwritten"):
            read()
    assert {name.split("/")[1] for name in contents(registry).files} == {second.path.name}


@pytest.mark.req("R24", "R69", "R70")
def test_folders_that_keep_all_versions(registry: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(tree(tmp_path / "d", {"a.txt": "1"}), key="d", overwrite_versions=False).save()
    second = ln.Artifact(tree(tmp_path / "d", {"a.txt": "2"}), key="d", overwrite_versions=False).save()
    assert not second.overwrite_versions
    assert [(item.cache() / "a.txt").read_text() for item in (first, second)] == ["1", "2"]


@pytest.mark.req("R51", "R52", "R31")
def test_virtual_and_real_keys(registry: Registry, tmp_path: Path) -> None:
    root = storage_root(registry)
    virtual = save(tmp_path, "1", key="x/a.txt")
    assert virtual._key_is_virtual
    assert virtual.path.parent == root / ".lamart"
    real = save(tmp_path, "2", key="y/a.txt", key_is_virtual=False)
    assert real.path == root / "y/a.txt"
    assert real.path.read_text() == "2"
    registry.settings.creation._artifact_use_virtual_keys = False
    assert save(tmp_path, "3", key="z/a.txt").path == root / "z/a.txt"


@pytest.mark.req("R63")
def test_renaming_a_virtual_key(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1", key="old/a.txt")
    path = artifact.path
    artifact.key = "new/b.txt"
    artifact.save()
    assert ln.Artifact.get(key="new/b.txt").path == path
    assert ln.Artifact.filter(key="old/a.txt").count() == 0
    for bad in ("new/b.csv", None, "../b.txt"):
        other = ln.Artifact.get(key="new/b.txt")
        other.key = bad
        with pytest.raises(ln.errors.InvalidArgument):
            other.save()
        assert ln.Artifact.get(artifact.uid).key == "new/b.txt"


@pytest.mark.req("R40", "R47", "R63")
def test_a_renamed_family_goes_on_and_the_old_key_is_free(registry: Registry, tmp_path: Path) -> None:
    save(tmp_path, "1")
    head = save(tmp_path, "2")
    head.key = "b.txt"
    head.save()
    third = save(tmp_path, "3", key="b.txt")
    assert third.uid == head.stem_uid + "0002"
    fresh = save(tmp_path, "4", key="a.txt")
    assert fresh.stem_uid != head.stem_uid
    assert ln.Artifact.get(key="a.txt").load() == "4"
    assert ln.Artifact.get(key="b.txt").load() == "3"


@pytest.mark.req("R73")
def test_saving_an_old_version_warns(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = save(tmp_path, "1")
    save(tmp_path, "2")
    old = ln.Artifact.get(first.uid)
    old.description = "old words"
    old.save()
    assert "not the latest version" in caplog.text
    assert ln.Artifact.get(first.uid).description == "old words"


@pytest.mark.req("R47")
def test_heads_of_branches_are_apart(registry: Registry, tmp_path: Path) -> None:
    on_main = save(tmp_path, "1")
    draft = ln.connect(registry.url.render_as_string(hide_password=False), branch="draft", make_default=False)
    with draft:
        on_draft = save(tmp_path, "2")
    assert on_draft.uid == on_main.stem_uid + "0001"
    assert on_main.refresh().is_latest
    assert on_draft.is_latest
    assert ln.Artifact.get(key="a.txt") == on_main
    with draft:
        assert ln.Artifact.get(key="a.txt") == on_draft
    draft.close()


@pytest.mark.req("R41")
def test_versions_of_tables(lab: Registry) -> None:
    first = ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="t.parquet").save()
    second = ln.Artifact.from_dataframe(pd.DataFrame({"a": [2]}), key="t.parquet").save()
    assert second.uid == first.stem_uid + "0001"
    assert [list(ln.Artifact.get(item.uid).load()["a"]) for item in (first, second)] == [[1], [2]]
    assert contents(lab).objects == 2


@pytest.mark.req("R216", "R222")
def test_a_key_means_the_version_of_the_current_branch(registry: Registry, tmp_path: Path) -> None:
    main = ln.Artifact(write(tmp_path / "a.txt", "main"), key="a.txt").save()
    other = ln.connect(registry.url.render_as_string(hide_password=False), branch="other", make_default=False)
    with other:
        assert ln.Artifact.get(key="a.txt") == main  # falls back to main
        mine = ln.Artifact(write(tmp_path / "b.txt", "other"), key="a.txt").save()
    later = ln.Artifact(write(tmp_path / "c.txt", "later"), key="a.txt").save()
    assert mine.stem_uid == main.stem_uid == later.stem_uid
    with other:
        assert ln.Artifact.get(key="a.txt") == mine
    assert ln.Artifact.get(key="a.txt") == later
    other.close()
