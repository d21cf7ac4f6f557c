"""Relations of artifacts: both ends, idempotent changes, queries across them, and what deleting does."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.models import ArtifactBlock, StoredObject
from tests.registries import write


@pytest.fixture
def artifacts(registry: Registry, tmp_path: Path) -> list[ln.Artifact]:
    return [ln.Artifact(write(tmp_path / name, name), key=name).save() for name in ("a.txt", "b.txt", "c.txt")]


@pytest.fixture
def run(registry: Registry) -> ln.Run:
    run = ln.track("code")
    ln.finish()
    return run


@pytest.mark.req("R187", "R208")
def test_annotating_artifacts(artifacts: list[ln.Artifact]) -> None:
    a, b, c = artifacts
    a.artifacts.add(b)
    a.artifacts.add(b, c)
    assert set(a.artifacts) == {b, c}
    assert b.linked_by_artifacts.to_list() == [a]
    assert a.linked_by_artifacts.count() == 0
    assert ln.Artifact.filter(linked_by_artifacts__key="a.txt").order_by("key").to_list() == [b, c]
    assert ln.Artifact.filter(artifacts__key="b.txt").one() == a
    a.artifacts.remove(b)
    a.artifacts.remove(b)
    assert a.artifacts.to_list() == [c]
    b.linked_by_artifacts.set([a, c])
    assert set(a.artifacts) == {b, c}
    assert c.artifacts.to_list() == [b]
    # Both ends of the link go with either artifact.
    b.delete(permanent=True)
    assert a.artifacts.to_list() == [c]
    assert c.artifacts.count() == 0
    c.delete()
    assert a.artifacts.to_list() == [c], "what lies in the trash stays related"
    a.delete(permanent=True)
    assert c.linked_by_artifacts.count() == 0


@pytest.mark.req("R208")
def test_users(artifacts: list[ln.Artifact]) -> None:
    a, b, _ = artifacts
    user = ln.User(handle="reviewer", name="A Reviewer").save()
    a.users.add(user)
    user.artifacts.add(a, b)
    assert a.users.to_list() == [user]
    assert set(user.artifacts) == {a, b}
    assert ln.Artifact.filter(users__handle="reviewer").count() == 2
    assert ln.User.filter(artifacts=b).one() == user
    with pytest.raises(ln.errors.ProtectedError, match=r"Artifact 'a\.txt'"):
        user.delete()
    a.delete(permanent=True)
    user.artifacts.clear()
    user.delete()
    assert b.users.count() == 0


@pytest.mark.req("R208", "R209")
def test_runs_that_annotate_and_are_annotated(artifacts: list[ln.Artifact], run: ln.Run) -> None:
    a, b, _ = artifacts
    a.runs.add(run)
    a.runs.add(run)
    assert a.runs.to_list() == [run]
    assert run.artifacts.to_list() == [a]
    run.linked_artifacts.add(b)
    assert run.linked_by_artifacts.to_list() == run.linked_artifacts.to_list() == [b]
    run.linked_by_artifacts.add(b)
    assert b.linked_by_runs.to_list() == [run]
    assert a.linked_by_runs.count() == 0
    assert ln.Artifact.filter(runs=run).one() == a
    assert ln.Artifact.filter(runs__transform__key="code").one() == a
    assert ln.Artifact.filter(linked_by_runs=run).one() == b
    for name in ("linked_artifacts", "linked_by_artifacts"):
        assert ln.Run.filter(**{f"{name}__key": "b.txt"}).one() == run
    assert ln.Run.filter(artifacts__key="a.txt").one() == run
    # Neither is an input or output.
    assert run.output_artifacts.count() == run.input_artifacts.count() == 0
    with pytest.raises(ln.errors.ProtectedError, match=r"Artifact 'a\.txt'"):
        run.delete(permanent=True)
    with pytest.raises(ln.errors.ProtectedError, match=run.uid):
        b.delete(permanent=True)
    a.delete(permanent=True)
    run.delete(permanent=True)
    b.delete(permanent=True)


@pytest.mark.req("R103", "R207", "R211")
def test_what_follows_from_an_artifact_is_not_related_by_hand(
    artifacts: list[ln.Artifact], run: ln.Run, tmp_path: Path
) -> None:
    a, b, _ = artifacts
    other = ln.Storage(root=tmp_path / "other").save()
    assert {item.key for item in a.storage.artifacts} == {"a.txt", "b.txt", "c.txt"}
    assert ln.Storage.filter(artifacts=a).one() == a.storage
    assert ln.Artifact.filter(storage__root=a.storage.root).count() == 3
    for manager, record in (
        (other.artifacts, a),
        (StoredObject.get(b.object_id).artifacts, a),
        (ln.User(handle="other").save().created_artifacts, a),
        (ln.Collection([a], key="c").save().artifacts, b),
    ):
        for change in (manager.add, manager.remove, lambda record, manager=manager: manager.set([record])):
            with pytest.raises(ln.errors.InvalidArgument, match="by hand"):
                change(record)
    assert a.refresh().storage != other
    # What a run made can be told later.
    run.output_artifacts.add(a)
    assert a.refresh().run == run
    assert a.created_on.name == a.branch.name == "main"
    assert not a.is_locked


@pytest.mark.req("R212")
def test_what_goes_with_an_artifact(artifacts: list[ln.Artifact], run: ln.Run) -> None:
    a, b, _ = artifacts
    reader = ln.track("reader")
    a.load()
    ln.finish()
    again = ln.track("again")
    ln.Artifact(a.path, key="a.txt").save()
    ln.finish()
    a.artifacts.add(b)
    a.users.add(a.created_by)
    a.runs.add(run)
    ArtifactBlock(artifact=a, content="text").save()
    a.delete(permanent=True)
    assert reader.input_artifacts.count() == again.recreated_artifacts.count() == run.artifacts.count() == 0
    assert ArtifactBlock.filter(branch=None).count() == 0
    assert b.linked_by_artifacts.count() == 0
    assert {item.uid for item in (reader, again, run)} <= {item.uid for item in ln.Run.filter()}
