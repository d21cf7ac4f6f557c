"""What is killed, of the verbs of records: branches, collections, labels, runs, storages and care.

Each verb is one of `scenarios.SCENARIOS` too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec

import lamart_core as ln
from lamart_core.care import check_registry, collect_garbage
from lamart_core.models import Artifact, ArtifactBlock
from tests.faults.scenarios import SCENARIOS, Lab, scenario

__all__ = ["SCENARIOS"]


def _save(lab: Lab, name: str, **fields: Any) -> ln.Artifact:
    return ln.Artifact(lab.file(name, name), key=name, **fields).save()


# ---------------------------------------------------------------------- branches, trash, archive


def _on_a_branch(lab: Lab) -> None:
    _save(lab, "a.txt")
    branch = ln.Branch(name="dev").save()
    ln.Artifact(lab.file("b.txt", "newer"), key="a.txt", branch=branch).save()
    new = _save(lab, "new.txt", branch=branch)
    ln.Collection([new], key="both", branch=branch).save()


@scenario("merge a branch", _on_a_branch)
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Branch.get(name="dev").merge


@scenario("save a branch")
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Branch(name="dev").save


@scenario("archive the latest version", lambda lab: _save(lab, "a.txt"))
def _(lab: Lab) -> Callable[[], Any]:
    return Artifact.get(key="a.txt").archive


def _trashed_label(lab: Lab) -> None:
    artifact, label = _save(lab, "a.txt"), ln.ULabel(name="x").save()
    artifact.ulabels.add(label)
    label.delete()


@scenario("restore a label", _trashed_label)
def _(lab: Lab) -> Callable[[], Any]:
    return ln.ULabel.filter(name="x", branch_id=-1).one().restore


# ---------------------------------------------------------------------- collections, blocks


def _two(lab: Lab) -> list[ln.Artifact]:
    return [_save(lab, "a.txt"), _save(lab, "b.txt")]


@scenario("save a collection", _two)
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Collection(Artifact.filter().order_by("key").to_list(), key="both").save


@scenario("append to a collection", lambda lab: ln.Collection(_two(lab)[:1], key="both").save())
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Collection.get(key="both").append(Artifact.get(key="b.txt")).save


@scenario("delete a collection for good", lambda lab: ln.Collection(_two(lab), key="both").save())
def _(lab: Lab) -> Callable[[], Any]:
    collection = ln.Collection.get(key="both")
    return lambda: collection.delete(permanent=True)


@scenario("save a block", lambda lab: ArtifactBlock(artifact=_save(lab, "a.txt"), content="first").save())
def _(lab: Lab) -> Callable[[], Any]:
    return ArtifactBlock(artifact=Artifact.get(key="a.txt"), content="second").save


# ---------------------------------------------------------------------- labels


def _labelled(lab: Lab) -> None:
    labels = [ln.ULabel(name=name).save() for name in "xyz"]
    _save(lab, "a.txt").ulabels.add(*labels[:2])


def _labels(*names: str) -> list[ln.ULabel]:
    return [ln.ULabel.get(name=name) for name in names]


@scenario("save a label")
def _(lab: Lab) -> Callable[[], Any]:
    return ln.ULabel(name="x").save


@scenario("save many labels")
def _(lab: Lab) -> Callable[[], Any]:
    labels = [ln.ULabel(name=name) for name in "xyz"]
    return lambda: ln.save(labels)


@scenario("delete a label for good", _labelled)
def _(lab: Lab) -> Callable[[], Any]:
    label = ln.ULabel.get(name="z")
    return lambda: label.delete(permanent=True)


@scenario("add labels", _labelled)
def _(lab: Lab) -> Callable[[], Any]:
    labels, found = _labels("x", "z"), Artifact.get(key="a.txt").ulabels
    return lambda: found.add(*labels)


@scenario("remove labels", _labelled)
def _(lab: Lab) -> Callable[[], Any]:
    labels, found = _labels("x", "y"), Artifact.get(key="a.txt").ulabels
    return lambda: found.remove(*labels)


@scenario("set labels", _labelled)
def _(lab: Lab) -> Callable[[], Any]:
    labels, found = _labels("y", "z"), Artifact.get(key="a.txt").ulabels
    return lambda: found.set(labels)


@scenario("clear labels", _labelled)
def _(lab: Lab) -> Callable[[], Any]:
    return Artifact.get(key="a.txt").ulabels.clear


@scenario("update what a query finds", _two)
def _(lab: Lab) -> Callable[[], Any]:
    return lambda: Artifact.filter().update(description="described")


# ---------------------------------------------------------------------- runs


def _one_run(lab: Lab) -> None:
    ln.track("script.py", name="first", path=lab.file("script.py", "pass"))
    ln.finish()


@scenario("track a run")
def _(lab: Lab) -> Callable[[], Any]:
    path = lab.file("script.py", "pass")
    return lambda: ln.track("script.py", path=path)


@scenario("finish a run", _one_run)
def _(lab: Lab) -> Callable[[], Any]:
    ln.track("script.py", name="second", path=lab.file("script.py", "pass"), new_run=True)
    return ln.finish


@ln.flow("flow")
def _flow(name: str) -> str:
    return name


@scenario("call a flow", lambda lab: _flow("first"))
def _(lab: Lab) -> Callable[[], Any]:
    return lambda: _flow("second")


# ---------------------------------------------------------------------- storages


@scenario("save a storage")
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Storage(root=lab.second).save


def _moved_root(lab: Lab) -> str:
    return lab.second.replace("/lab?", "/moved?") if "://" in lab.second else f"{lab.second}-moved"


def _copied_storage(lab: Lab) -> None:
    storage = ln.Storage(root=lab.second).save()
    _save(lab, "a.txt", storage=storage)
    if "://" not in lab.second:
        shutil.copytree(lab.second, _moved_root(lab))
        return
    location = storage.backend
    fs: fsspec.AbstractFileSystem = location.fs
    fs.copy(location.stored_name(), f"{location.stored_name().rpartition('/')[0]}/moved", recursive=True)


@scenario("change the root of a storage", _copied_storage)
def _(lab: Lab) -> Callable[[], Any]:
    storage = Artifact.get(key="a.txt").storage
    storage.root = _moved_root(lab)
    return storage.save


def _hybrid(lab: Lab) -> Any:
    url = lab.registry.url.render_as_string(hide_password=False)
    local = Path(lab.sources.parent, "local")
    return ln.connect(url, **{**lab.registry.options, "local_storage": str(local)})


@scenario("upload what was saved locally", lambda lab: _hybrid(lab) and _save(lab, "a.txt"))
def _(lab: Lab) -> Callable[[], Any]:
    _hybrid(lab)
    artifact = Artifact.get(key="a.txt")
    return lambda: artifact.save(upload=True)


# ---------------------------------------------------------------------- care


def _with_garbage(lab: Lab) -> None:
    """Leave bytes in the version store that no record refers to, as a process does that is killed."""
    lost = _save(lab, "a.txt")
    _save(lab, "b.txt")
    table, objects = Artifact.__table__, ln.models.StoredObject.__table__
    with lab.registry.engine.begin() as connection:
        connection.execute(table.delete().where(table.c.id == lost.id))
        connection.execute(objects.delete().where(objects.c.id == lost.object_id))


@scenario("collect garbage", _with_garbage, is_seen=False)
def _(lab: Lab) -> Callable[[], Any]:
    return lambda: collect_garbage(lab.registry, grace=timedelta(0), dry_run=False)


def _no_latest(lab: Lab) -> None:
    """Leave a family without a latest version."""
    for content in ("one", "two"):
        ln.Artifact(lab.file("a.txt", content), key="a.txt").save()
    with lab.registry.engine.begin() as connection:
        connection.execute(Artifact.__table__.update().values(is_latest=False))


@scenario("check and repair", _no_latest)
def _(lab: Lab) -> Callable[[], Any]:
    return lambda: check_registry(lab.registry, repair=True, grace=timedelta(0))
