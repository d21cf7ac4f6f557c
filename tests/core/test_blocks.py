"""Texts of artifacts: a versioned read-me, and comments."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.models import ArtifactBlock
from tests.processes import answers, release, start
from tests.registries import write


@pytest.fixture
def artifact(registry: Registry, tmp_path: Path) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / "a.txt", "1"), key="a.txt").save()


@pytest.mark.req("R208", "R213")
def test_a_readme_is_versioned_and_comments_are_not(artifact: ln.Artifact) -> None:
    assert artifact.notes is None
    first = ArtifactBlock(artifact=artifact, content="What it is.").save()
    comments = [ArtifactBlock(artifact=artifact, content=text, kind="comment").save() for text in ("nice", "nice")]
    second = ArtifactBlock(artifact=artifact, content="What it really is.\n\nAt length.", kind="readme").save()
    assert artifact.notes == "What it really is.\n\nAt length."
    assert (len(first.uid), second.uid) == (20, first.stem_uid + "0001")
    assert [block.uid for block in second.versions] == [second.uid, first.uid]
    assert (first.refresh().is_latest, second.is_latest) == (False, True)
    assert first.content == "What it is."
    assert len({block.stem_uid for block in (first, *comments)}) == 3
    assert all(block.is_latest for block in comments)
    assert set(artifact.ablocks) == {first, second, *comments}
    assert artifact.ablocks.filter(kind="readme", is_latest=True).one() == second
    assert second.artifact == artifact
    assert second.created_by.handle == "tester"
    assert ln.Artifact.filter(ablocks__content__contains="really").one() == artifact
    assert ArtifactBlock.filter(artifact__key="a.txt").count() == 4
    assert ArtifactBlock(artifact=artifact, content=second.content).save() == second
    assert "What it really is." in str(artifact.describe(return_str=True))


@pytest.mark.req("R213")
def test_what_is_no_text(artifact: ln.Artifact, tmp_path: Path) -> None:
    for keywords, message in (
        ({"kind": "other"}, "readme.*comment"),
        ({"kind": None}, "readme.*comment"),
        ({"content": ""}, "needs text"),
        ({"content": " \n"}, "needs text"),
        ({"content": None}, "needs text"),
        ({"content": b"bytes"}, "needs text"),
        ({"artifact": None}, "artifact"),
        ({"artifact": ln.Artifact(write(tmp_path / "b.txt", "2"), key="b.txt")}, "not saved"),
        ({"colour": "red"}, "colour"),
    ):
        with pytest.raises(ValueError, match=message):
            ArtifactBlock(**{"artifact": artifact, "content": "text", "kind": "readme", **keywords})
    block = ArtifactBlock(artifact=artifact, content="text").save()
    for name, value in (("content", "other"), ("kind", "comment"), ("artifact_id", 7), ("hash", "x"), ("uid", "x")):
        with pytest.raises(ln.errors.InvalidArgument):
            setattr(block, name, value)
        with pytest.raises(ln.errors.InvalidArgument):
            ArtifactBlock.filter().update(**{name: value})
    with pytest.raises(ln.errors.InvalidArgument):
        artifact.ablocks.remove(block)


@pytest.mark.req("R212", "R213")
def test_deleting(artifact: ln.Artifact) -> None:
    first, second = (ArtifactBlock(artifact=artifact, content=text).save() for text in ("1", "2"))
    second.delete()
    assert artifact.notes == "1"
    second.restore()
    assert artifact.notes == "2"
    second.delete(permanent=True)
    assert artifact.notes == "1"
    first.delete()
    assert artifact.notes is None
    third = ArtifactBlock(artifact=artifact, content="3").save()
    assert third.uid == first.stem_uid + "0002"
    late = ArtifactBlock(artifact=artifact, content="late")
    artifact.delete(permanent=True)
    assert ArtifactBlock.filter(branch=None).count() == 0
    with pytest.raises(ln.errors.ObjectDoesNotExist, match="deleted"):
        late.save()


@pytest.mark.req("R213")
def test_branches(artifact: ln.Artifact) -> None:
    on_main = ArtifactBlock(artifact=artifact, content="main").save()
    ln.settings.branch = branch = ln.Branch(name="draft").save()
    assert artifact.notes == "main"
    on_branch = ArtifactBlock(artifact=artifact, content="draft").save()
    assert on_branch.uid == on_main.stem_uid + "0001"
    assert artifact.notes == "draft"
    ln.settings.branch = "main"
    assert artifact.notes == "main"
    branch.merge()
    assert artifact.notes == "draft"
    assert [block.is_latest for block in on_branch.versions] == [True, False]


RACE = """
from lamart_core.models import ArtifactBlock
branch = ln.Branch.get(name=("main", "draft")[number % 2])
told = []
for key in arguments["keys"]:
    artifact = ln.Artifact.get(key=key)
    ready()
    told.append(ArtifactBlock(artifact=artifact, content=f"{number}", branch=branch).save().uid)
tell(told)
"""


@pytest.mark.req("R213")
def test_processes_that_write_at_the_same_time(registry: Registry, tmp_path: Path) -> None:
    """The read-mes of an artifact are one family, whoever writes the first and on whatever branch."""
    branch = ln.Branch(name="draft").save()
    artifacts = [ln.Artifact(write(tmp_path / f"{n}.txt", f"{n}"), key=f"{n}.txt").save() for n in range(5)]
    keys = [artifact.key for artifact in artifacts]
    processes = [start(registry, RACE, number=number, keys=keys) for number in range(3)]
    for _ in keys:
        release(processes)
    told = answers(processes)
    for artifact, uids in zip(artifacts, zip(*told, strict=True), strict=True):
        blocks = artifact.ablocks.order_by("uid").to_list()
        assert [block.uid for block in blocks] == sorted(uids)
        assert len({block.stem_uid for block in blocks}) == 1
        assert len(set(uids)) == 3
        assert artifact.ablocks.filter(is_latest=True, branch=branch).count() == 1
        assert artifact.ablocks.filter(is_latest=True, branch_id=1).count() == 1
