"""A uid means one content for ever: what was deleted permanently gives its uid to nothing else, and can be named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import lamart_core as ln
from lamart_core.cli import main
from lamart_core.db import Registry
from lamart_core.lineage import RunSpec, TransformSpec, open_run
from lamart_core.models import ArtifactBlock, IsVersioned, Transform
from tests.registries import tree, write


def save(tmp_path: Path, content: str, key: str = "a.txt", **keywords: object) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / f"{content}.txt", content), key=key, **keywords).save()


def gone(record: IsVersioned) -> str:
    """Delete a record permanently; return its uid."""
    record.delete(permanent=True)  # pyright: ignore[reportAttributeAccessIssue]
    return record.uid


def by_constructor(tmp_path: Path, first: ln.Artifact) -> ln.Artifact:
    return save(tmp_path, "new")


def by_revising(tmp_path: Path, first: ln.Artifact) -> ln.Artifact:
    return save(tmp_path, "new", revises=first)


def by_bulk(tmp_path: Path, first: ln.Artifact) -> ln.Artifact:
    return ln.save([ln.Artifact(write(tmp_path / "new.txt", "new"), key="a.txt")])[0]


def on_branch(tmp_path: Path, first: ln.Artifact) -> ln.Artifact:
    return save(tmp_path, "new", branch=ln.Branch(name="dev").save())


def on_branch_in_bulk(tmp_path: Path, first: ln.Artifact) -> ln.Artifact:
    branch = ln.Branch(name="dev").save()
    return ln.save([ln.Artifact(write(tmp_path / "new.txt", "new"), key="a.txt", branch=branch)])[0]


WAYS = [by_constructor, by_revising, by_bulk, on_branch, on_branch_in_bulk]


@pytest.mark.req("R43")
@pytest.mark.parametrize("way", WAYS)
def test_the_next_uid_follows_all_that_were_given(
    registry: Registry, tmp_path: Path, way: Callable[[Path, ln.Artifact], ln.Artifact]
) -> None:
    first = save(tmp_path, "1")
    uids = [gone(save(tmp_path, str(number))) for number in range(2, 5)]
    # Each of them was the newest, and was followed by another number all the same.
    assert [uid[-4:] for uid in uids] == ["0001", "0002", "0003"]
    assert way(tmp_path, first).uid == f"{first.stem_uid}0004"
    assert save(tmp_path, "5").uid == f"{first.stem_uid}0005"
    assert ln.Artifact.get(first.uid).load() == "1"


@pytest.mark.req("R43")
def test_the_order_in_which_versions_go_does_not_matter(registry: Registry, tmp_path: Path) -> None:
    versions = [save(tmp_path, str(number)) for number in range(5)]
    for number in (4, 2, 3, 0):
        gone(versions[number])
    assert save(tmp_path, "5").uid == f"{versions[0].stem_uid}0005"
    gone(ln.Artifact.get(key="a.txt"))
    ln.save([ln.Artifact(write(tmp_path / f"{text}.txt", text), key="a.txt") for text in ("6", "7")])
    assert [item.uid[-4:] for item in versions[1].versions] == ["0007", "0006", "0001"]


@pytest.mark.req("R43")
def test_what_comes_back_from_the_trash_keeps_its_uid(registry: Registry, tmp_path: Path) -> None:
    first, second, third = (save(tmp_path, text) for text in "123")
    second.delete()
    gone(third)
    assert second.restore().uid == f"{first.stem_uid}0001"
    assert second.refresh().is_latest
    second.delete()
    assert save(tmp_path, "2").uid == second.uid
    assert save(tmp_path, "4").uid == f"{first.stem_uid}0003"


@pytest.mark.req("R43")
def test_a_merge_gives_no_uid_again(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "1")
    branch = ln.Branch(name="dev").save()
    save(tmp_path, "2", branch=branch)
    gone(save(tmp_path, "3", branch=branch))
    branch.merge()
    assert save(tmp_path, "4").uid == f"{first.stem_uid}0003"


@pytest.mark.req("R43")
def test_the_versions_of_an_overwritten_folder(registry: Registry, tmp_path: Path) -> None:
    branch = ln.Branch(name="dev").save()
    folders = [ln.Artifact(tree(tmp_path / "d", {"a.txt": text}), key="d").save() for text in "12"]
    kept = ln.Artifact(tree(tmp_path / "d", {"a.txt": "3"}), key="d", branch=branch).save()
    top = ln.Artifact(tree(tmp_path / "d", {"a.txt": "4"}), key="d").save()
    # It takes along all versions of its branch.
    gone(top)
    assert ln.Artifact.filter(branch=None).one() == kept
    for folder in (*folders, top):
        with pytest.raises(ln.errors.DoesNotExist, match=f"{folder.uid} was deleted permanently"):
            ln.Artifact.get(folder.uid)
    assert ln.Artifact(tree(tmp_path / "d", {"a.txt": "5"}), key="d").save().uid == f"{kept.stem_uid}0004"


@pytest.mark.req("R43")
@pytest.mark.parametrize("is_bulk", [False, True])
def test_a_family_that_vanished_before_the_save(registry: Registry, tmp_path: Path, is_bulk: bool) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    waiting = [ln.Artifact(write(tmp_path / f"{text}.txt", text), key="a.txt") for text in ("3", "4")]
    for artifact in (first, second):
        gone(artifact)
    if is_bulk:
        ln.save(waiting)
    else:
        for artifact in waiting:
            artifact.save()
    assert {item.stem_uid for item in waiting} == {waiting[0].stem_uid}
    assert waiting[0].stem_uid != first.stem_uid
    assert [item.uid[-4:] for item in waiting] == ["0000", "0001"]


@pytest.mark.req("R43")
def test_collections_code_and_readmes(registry: Registry, tmp_path: Path) -> None:
    members = [save(tmp_path, text, f"{text}.txt") for text in "1234"]
    branch = ln.Branch(name="dev").save()

    def collection(number: int) -> ln.Collection:
        return ln.Collection(members[number], key="inputs").save()

    def on_branch(number: int) -> ln.Collection:
        return ln.Collection(members[number], key="inputs", branch=branch).save()

    def code(number: int) -> Transform:
        spec = TransformSpec("code.py", source_code=str(number))
        return open_run(registry, RunSpec(f"run {number}", spec)).transform

    def readme(number: int) -> ArtifactBlock:
        return ArtifactBlock(artifact=members[0], content=str(number)).save()

    for make in (collection, code, readme):
        first = make(0)
        uids = [gone(make(number)) for number in (1, 2)]
        assert [uid.removeprefix(first.stem_uid) for uid in uids] == ["0001", "0002"], make
        last = (on_branch if make is collection else make)(3)
        assert last.uid == f"{first.stem_uid}0003"
        with pytest.raises(ln.errors.DoesNotExist, match=rf"{type(first).__name__} {uids[1]} was deleted permanently"):
            type(first).get(uids[1])


@pytest.mark.req("R217")
def test_a_deleted_version_is_named_and_not_just_unknown(registry: Registry, tmp_path: Path) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    content = second.hash
    gone(second)
    with pytest.raises(ln.errors.DoesNotExist) as told:
        ln.Artifact.get(second.uid)
    for part in (second.uid, "was deleted permanently on 20", f"blake3 hash {content}", f"get({first.stem_uid!r})"):
        assert part in str(told.value)
    assert ln.Artifact.get(first.stem_uid) == first
    gone(first)
    for stub in (first.stem_uid, first.stem_uid[:12]):
        with pytest.raises(ln.errors.DoesNotExist, match=f"{stub}.*deleted permanently.*{second.uid}") as told:
            ln.Artifact.get(stub)
        assert "gives the latest" not in str(told.value)
    # Of another class, or never given.
    for model, uid in ((ln.Collection, second.uid), (ln.Artifact, f"{first.stem_uid}0002"), (ln.Artifact, "9" * 20)):
        with pytest.raises(ln.errors.DoesNotExist) as told:
            model.get(uid)
        assert "deleted" not in str(told.value)
    assert CliRunner().invoke(main, ["fsck", "--db", registry.url.render_as_string(hide_password=False)]).exit_code == 0
