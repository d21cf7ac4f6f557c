"""Hits: which known content the caller gets instead of his own, and what becomes of what he passed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lamart_core as ln
from lamart_core.care import check_registry
from lamart_core.db import Registry
from lamart_core.saving import create
from tests.registries import contents, storage_root, tree, write


def read(artifact: ln.Artifact) -> str:
    return ln.Artifact.get(artifact.uid).cache().read_text()


# ---------------------------------------------------------------------- of one kind


@pytest.mark.req("R298")
def test_equal_bytes_under_another_suffix_or_type_are_another_artifact(lab: Registry, tmp_path: Path) -> None:
    text = ln.Artifact(write(tmp_path / "a.txt", "x\n1\n"), key="a.txt").save()
    table = ln.Artifact.from_dataframe(pd.DataFrame({"x": [1]}), key="b.csv").save()
    assert (table != text, table.key, table.otype, table.hash == text.hash) == (True, "b.csv", "DataFrame", True)
    assert ln.Artifact.get(key="b.csv").load()["x"].tolist() == [1]
    assert ln.Artifact.get(key="b.csv").path.suffix == ln.Artifact.get(key="b.csv").cache().suffix == ".csv"
    notes = ln.Artifact(tmp_path / "a.txt", key="notes.txt", otype="Notes").save()
    assert (notes not in (text, table), notes.otype, notes.object_id == text.object_id) == (True, "Notes", True)
    text.delete(permanent=True)
    assert (read(notes), read(table)) == ("x\n1\n", "x\n1\n")
    # The same for the state of a key.
    again = create(lab, tmp_path / "a.txt", key="notes.txt").artifact
    assert (again.stem_uid == notes.stem_uid, again != notes, again.otype) == (True, True, None)


# ---------------------------------------------------------------------- readable and whole


@pytest.mark.req("R299")
def test_bytes_of_another_registry_that_are_gone_are_no_hit(registry: Registry, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "theirs")
    other = ln.connect(f"sqlite:///{tmp_path}/other.db", storage=tmp_path / "other", make_default=False)
    with other:
        theirs = ln.Artifact(source, key="a.txt", run=False).save()
    here = ln.DB(f"sqlite:///{tmp_path}/other.db").Artifact.get(key="a.txt").save()
    assert ln.Artifact(source, key="mine.txt") == here
    found = ln.Artifact(source, key="mine.txt")  # a hit so far
    with other:
        theirs.delete(permanent=True)
    assert not ln.Artifact(source, key="mine.txt").is_saved
    saved = found.save()
    source.unlink()
    assert (saved.uid != here.uid, saved.key, read(saved), saved.storage) == (
        True,
        "mine.txt",
        "theirs",
        ln.settings.storage,
    )


@pytest.mark.req("R299")
@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_others_changed_is_no_hit_and_stays_as_it_is(
    registry: Registry, tmp_path: Path, in_place: bool
) -> None:
    place = storage_root(registry) / "raw/a.txt"
    if in_place:
        first = ln.Artifact(write(place, "mine")).save()
    else:
        first = ln.Artifact(write(tmp_path / "a.txt", "mine"), key="raw/a.txt", key_is_virtual=False).save()
    write(place, "theirs, longer")
    source = write(tmp_path / "b.txt", "mine")
    saved = ln.Artifact(source, key="b.txt").save()
    assert (saved != first, read(saved), place.read_text()) == (True, "mine", "theirs, longer")
    # Once it is known under what it is now, what it was is lost, and no hit either.
    ln.Artifact(place).save()
    saved.delete(permanent=True)
    again = ln.Artifact(source, key="c.txt").save()
    assert (again not in (first, saved), read(again), place.read_text()) == (True, "mine", "theirs, longer")
    # A hit that was found before they changed it neither.
    write(place, "more of theirs")
    found = ln.Artifact(place)
    found.save()
    hit = ln.Artifact(write(tmp_path / "d.txt", "more of theirs"), key="d.txt")
    assert hit == found
    write(place, "nothing of that at all")
    hit.save()
    assert (hit.uid != found.uid, read(hit), place.read_text()) == (True, "more of theirs", "nothing of that at all")


@pytest.mark.req("R299")
def test_the_local_storage_of_a_colleague_is_no_hit(registry: Registry, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "of a colleague")
    local = ln.Storage(root=str(tmp_path / "local")).save()
    first = ln.Artifact(source, key="a.txt", storage=local).save()
    assert ln.Artifact(source, key="b.txt") == first
    (tmp_path / "local").rename(tmp_path / "on another machine")
    saved = ln.Artifact(source, key="b.txt").save()
    assert (saved != first, read(saved)) == (True, "of a colleague")
    shutil.move(tmp_path / "on another machine", tmp_path / "local")
    assert read(first) == "of a colleague"


# ---------------------------------------------------------------------- where the branch sees it


@pytest.mark.req("R83")
def test_a_hit_that_the_branch_does_not_see_is_said(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ln.Branch(name="dev").save()
    path = write(tmp_path / "a.txt", "equal")
    draft = ln.Artifact(path, key="a.txt", branch="dev").save()
    caplog.clear()
    assert ln.Artifact(path, key="a.txt") == draft
    assert "stays on the branch 'dev', and is not on 'main'" in caplog.text
    assert "skip_hash_lookup=True" in caplog.text
    main = ln.Artifact(path, key="main.txt", skip_hash_lookup=True).save()
    newest = ln.Artifact(path, key="newest.txt", branch="dev", skip_hash_lookup=True).save()
    caplog.clear()
    assert ln.Artifact(path, key="main.txt") == main, "what the branch sees comes first"
    assert caplog.text == ""
    assert ln.Artifact(path, key="newest.txt", branch="dev") == newest
    main.archive()
    newest.archive()
    assert ln.Artifact(path, key="a.txt", branch="dev") == draft
    draft.archive()
    caplog.clear()
    ln.Artifact(path, key="a.txt")
    assert "stays on the branch 'archive', and is not on 'main'" in caplog.text


# ---------------------------------------------------------------------- what was passed


@pytest.mark.req("R85")
def test_what_a_hit_does_not_take_is_said(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.txt", "equal")
    first = ln.Artifact(path, key="a.txt", kind="dataset", extra_data={"lot": 1}, version="1").save()
    older = ln.Artifact(write(tmp_path / "c.txt", "older"), key="c.txt").save()
    other = ln.Storage(root=str(tmp_path / "other")).save()
    ln.Branch(name="dev").save()
    ln.Space(name="lab").save()
    passed: dict[str, tuple[dict[str, Any], str]] = {
        "extra_data": ({"extra_data": {"lot": 2}}, "its extra_data stays {'lot': 1}"),
        "version": ({"version": "2"}, "its version_tag stays '1'"),
        "kind": ({"kind": "model"}, "its kind stays 'dataset'"),
        "storage": ({"storage": other}, "its storage stays "),
        "branch": ({"branch": "dev"}, "stays on the branch 'main', and is not on 'dev'"),
        "real key": ({"key_is_virtual": False}, "its key_is_virtual stays True"),
        "observations": ({"n_observations": 5}, "its n_observations stays None"),
        "overwrite": ({"overwrite_versions": True}, "its overwrite_versions stays False"),
        "revises": ({"revises": older, "key": "c.txt"}, f"no version of {older.uid}"),
    }
    for name, (arguments, told) in passed.items():
        caplog.clear()
        assert ln.Artifact(path, **{"key": "a.txt", **arguments}).save() == first, name
        assert told in caplog.text, name
    caplog.clear()
    # Nothing is said where nothing differs.
    ln.Artifact(path, key="a.txt", kind="dataset", extra_data={"lot": 1}, version="1", branch="main").save()
    ln.Artifact(path, key="a.txt", storage=first.storage, key_is_virtual=True).save()
    assert caplog.text == ""


@pytest.mark.req("R85")
def test_a_hit_takes_what_it_has_not(registry: Registry, tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "equal")
    first = ln.Artifact(path, key="a.txt").save()
    ln.Artifact(path, key="a.txt", extra_data={"lot": 1}, version="1.0").save()
    now_there = ln.Artifact.get(key="a.txt", version="1.0")
    assert (now_there, now_there.extra_data) == (first, {"lot": 1})
    second = ln.Artifact(write(tmp_path / "b.txt", "next"), key="a.txt").save()
    with pytest.raises(ln.errors.InvalidArgument, match="already taken"):
        ln.Artifact(tmp_path / "b.txt", key="a.txt", version="1.0")
    assert ln.Artifact.get(second.uid).version_tag is None


@pytest.mark.req("R85")
def test_a_hit_at_the_commit_is_told_as_one_of_the_constructor(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = write(tmp_path / "a.txt", "equal"), write(tmp_path / "b.txt", "equal")
    first, second = ln.Artifact(one, key="a.txt"), ln.Artifact(two, key="b.txt", description="both", n_observations=3)
    ln.save([first, second])
    assert first == second
    assert "'a.txt' is kept" in caplog.text
    assert "n_observations stays None" in caplog.text
    assert ln.Artifact.get(first.uid).description == "both"


# ---------------------------------------------------------------------- overwritten versions


def folder(tmp_path: Path, content: str, **options: Any) -> ln.Artifact:
    return ln.Artifact(tree(tmp_path / content, {"f.txt": content}), key="run", **options).save()


@pytest.mark.req("R300")
def test_an_overwritten_version_is_never_the_latest_nor_a_hit(registry: Registry, tmp_path: Path) -> None:
    first, second = folder(tmp_path, "AAAA"), folder(tmp_path, "BBBB")
    first = ln.Artifact.get(first.uid)
    dev = ln.Branch(name="dev").save()
    for move in (lambda: first.archive(), lambda: _on(first, dev)):
        with pytest.raises(ln.errors.OutdatedVersion, match="overwritten by a later version"):
            move()
        assert ln.Artifact.get(first.uid).branch_id == 1
    first = ln.Artifact.get(first.uid)
    first.delete()
    ln.settings.branch = "dev"
    with pytest.raises(ln.errors.OutdatedVersion):
        first.restore()
    ln.settings.branch = "main"
    first.restore()
    assert (first.is_latest, second.refresh().is_latest) == (False, True)
    again = folder(tmp_path, "AAAA")
    assert (again not in (first, second), (again.cache() / "f.txt").read_text()) == (True, "AAAA")
    assert check_registry(registry, verify=True).is_clean


def _on(artifact: ln.Artifact, branch: ln.Branch) -> None:
    artifact.branch = branch
    artifact.save()


@pytest.mark.req("R256", "R300")
def test_each_version_says_whether_it_goes_with_the_latest(lab: Registry, tmp_path: Path) -> None:
    overwritten = folder(tmp_path, "0000")
    kept = folder(tmp_path, "AAAA", overwrite_versions=False)
    latest = folder(tmp_path, "BBBB")
    with pytest.raises(ln.errors.OutdatedVersion):
        ln.Artifact.get(overwritten.uid).load()
    latest.delete()
    assert ln.Artifact.filter(branch_id=-1).to_list("uid") == [overwritten.uid, latest.uid]
    assert (kept.refresh().is_latest, (kept.cache() / "f.txt").read_text()) == (True, "AAAA")
    latest.restore()
    assert [item.refresh().is_latest for item in (overwritten, kept, latest)] == [False, False, True]
    latest.delete(permanent=True)
    assert ln.Artifact.filter(branch=None).to_list("uid") == [kept.uid]
    assert (ln.Artifact.get(key="run"), (kept.cache() / "f.txt").read_text()) == (kept, "AAAA")
    # A file that was never to be overwritten stays beside one that was.
    zero = ln.Artifact(write(tmp_path / "f.txt", "v0"), key="f.txt").save()
    one = ln.Artifact(write(tmp_path / "f.txt", "v1"), key="f.txt", overwrite_versions=True).save()
    one.delete(permanent=True)
    assert ln.Artifact.filter(key="f.txt", branch=None).one() == zero
    assert len(contents(lab).files) == 2
