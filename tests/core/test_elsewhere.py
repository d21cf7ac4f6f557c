"""Records of another registry, and what else is taken by its number: refused wherever it is passed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.models import RunInput
from tests.registries import write


@pytest.fixture
def theirs(sqlite_registry: Registry, tmp_path: Path) -> Generator[Registry, None, None]:
    """Another registry, whose records have the numbers of others here."""
    registry = ln.connect(tmp_path / "other.db", storage=tmp_path / "theirs", make_default=False)
    with registry:
        ln.ULabel(name="kind", is_type=True).save()
        ln.track("code.py")
        ln.Artifact(write(tmp_path / "t.txt", "theirs"), key="t.txt").save()
    yield registry
    registry.close()


WAYS: dict[str, Callable[[Registry, ln.Artifact], Any]] = {
    "filter by a label": lambda other, _: ln.Artifact.filter(ulabels=other.ULabel.get(1)),
    "filter by some": lambda other, _: ln.Artifact.filter(ulabels__in=[other.ULabel.get(1)]),
    "filter by a query": lambda other, _: ln.Artifact.filter(run__in=other.Run.filter()),
    "filter by id": lambda other, _: ln.Artifact.filter(run_id=other.Run.get(1)),
    "exclude": lambda other, _: ln.Artifact.filter().exclude(branch=other.Branch.get(name="main")),
    "type of a label": lambda other, _: ln.ULabel(name="x", type=other.ULabel.get(1)),
    "space of a label": lambda other, _: ln.ULabel(name="x", space=other.Space.get(1)),
    "transform of a run": lambda other, _: ln.Run(transform=other.Transform.get(1)),
    "branch, assigned": lambda other, a: setattr(a, "branch", other.Branch.get(1)),
    "run, assigned": lambda other, a: setattr(a, "run", other.Run.get(1)),
    "storage, assigned": lambda other, a: setattr(a, "storage", other.Storage.get(1)),
    "run of an artifact": lambda other, a: ln.Artifact(a.path, key="b.txt", run=other.Run.get(1)),
    "update": lambda other, _: ln.Artifact.filter().update(run=other.Run.get(1)),
    "add": lambda other, a: a.ulabels.add(other.ULabel.get(1)),
    "set": lambda other, a: a.ulabels.set([other.ULabel.get(1)]),
    "combine": lambda other, _: ln.Artifact.filter() & other.Artifact.filter(),
    "collect": lambda other, _: ln.Collection([other.Artifact.get(1)], key="c"),
    "revise": lambda other, a: ln.Artifact(a.path, revises=other.Artifact.get(1)),
}


@pytest.mark.req("R186", "R306")
@pytest.mark.parametrize("way", WAYS)
def test_a_record_of_another_registry_is_refused(theirs: Registry, tmp_path: Path, way: str) -> None:
    ours = ln.Artifact(write(tmp_path / "a.txt", "ours"), key="a.txt", run=False).save()
    before = ours.updated_at
    with pytest.raises(errors.InvalidArgument, match=r"(another|one) registry"):
        WAYS[way](theirs, ours)
    assert ln.Artifact.get(ours.uid).updated_at == before
    assert ln.Run.filter().count() == 0


@pytest.mark.req("R187")
def test_what_is_no_list_is_no_set_of_records(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save()
    label = ln.ULabel(name="x").save()
    artifact.ulabels.add(label)
    for wrong in (None, label, "x", 5):
        with pytest.raises(errors.InvalidArgument, match=r"ulabels.set\(\) takes a list of records.*clear"):
            artifact.ulabels.set(wrong)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgument, match="takes records of ULabel"):
        artifact.ulabels.set(["x"])  # type: ignore[list-item]
    assert artifact.ulabels.to_list() == [label]


@pytest.mark.req("R295", "R296")
def test_the_ends_of_a_link_stay(sqlite_registry: Registry, tmp_path: Path) -> None:
    a, b, c = (ln.ULabel(name=name).save() for name in "abc")
    a.parents.add(b)
    b.parents.add(c)
    row = type(a).__parents__.model.filter(child_id=b.id).one()
    row.parent_id = a.id
    with pytest.raises(errors.InvalidArgument, match=r"parent_id of .* a link stays"):
        row.save()
    with pytest.raises(errors.InvalidArgument):
        ln.save([row])
    assert a.ancestors().to_list("name") == ["b", "c"]
    run = ln.track("x.py")
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save()
    with pytest.raises(errors.InvalidArgument):
        RunInput(run_id="x", artifact_id=artifact.id)
    assert RunInput(run_id=run.id, artifact_id=artifact.id).save().is_saved
    ln.finish()


@pytest.mark.req("R189")
def test_who_is_linked_and_who_refers_is_told_apart(sqlite_registry: Registry, tmp_path: Path) -> None:
    kind = ln.ULabel(name="kind", is_type=True).save()
    ln.ULabel(name="x", type=kind).save()
    with pytest.raises(errors.ProtectedError, match="delete those first"):
        kind.delete(permanent=True)
    ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save().ulabels.add(kind)
    with pytest.raises(errors.ProtectedError, match=r"delete those, or unlink it from them with remove\(\), first"):
        kind.delete(permanent=True)
