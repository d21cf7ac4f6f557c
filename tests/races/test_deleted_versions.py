"""Versions that are made and deleted permanently while another save is on its way: its uid is none of theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.lineage import RunSpec, TransformSpec, open_run
from lamart_core.models import IsVersioned, Transform
from tests.processes import run_together
from tests.registries import fresh_registry, write
from tests.seams import at_commit, at_write

PROCESSES = 4

CODE = """
from pathlib import Path
told = []
ready()
for round in range(12):
    source = Path(arguments["folder"]) / f"{number}-{round}.txt"
    source.write_text(f"{number} {round}")
    artifact = ln.Artifact(source, key="a.txt").save()
    told.append(artifact.uid)
    if round % 3:
        latest = ln.Artifact.get(key="a.txt") if round % 2 else artifact
        try:
            if not latest.uid.endswith("0000"):
                latest.delete(permanent=True)
        except ln.errors.ObjectDoesNotExist:  # another process was faster
            pass
tell(told)
"""


@pytest.mark.req("R43", "R50", "R287")
def test_processes_that_save_and_delete_the_newest(registry: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(write(tmp_path / "first.txt", "first"), key="a.txt").save()
    told = [uid for each in run_together(registry, CODE, PROCESSES, folder=tmp_path) for uid in each]
    assert len(told) == len(set(told)) == PROCESSES * 12
    left = ln.Artifact.filter(key="a.txt", branch=None).to_list()
    assert {item.stem_uid for item in left} == {first.stem_uid}
    assert [item.is_latest for item in sorted(left, key=lambda item: item.uid)] == [False] * (len(left) - 1) + [True]
    assert ln.Artifact(write(tmp_path / "last.txt", "last"), key="a.txt").save().uid > max(told)


# What follows is about Postgres, where a transaction sees what others commit while it runs; SQLite has one writer at a
# time.


@pytest.fixture
def postgres(tmp_path: Path) -> Generator[Registry, None, None]:
    with fresh_registry("postgres", tmp_path / "lab") as registry:
        yield registry


@pytest.fixture
def made(postgres: Registry, tmp_path: Path) -> Make:
    return Make(postgres, tmp_path)


class Make:
    """Makes the next version of each class; the families begin on main, where the first version stays."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.registry = registry
        self.folder = folder
        self.branch = registry.Branch(name="dev").save()
        self.members = [ln.Artifact(write(folder / f"m{n}", f"m{n}"), key=f"m{n}").save() for n in range(3)]

    def artifact(self, number: int, branch: ln.Branch | None) -> ln.Artifact:
        return ln.Artifact(write(self.folder / f"{number}.txt", f"{number}"), key="a.txt", branch=branch)

    def collection(self, number: int, branch: ln.Branch | None) -> ln.Collection:
        return ln.Collection(self.members[number], key="inputs", branch=branch)

    def transform(self, number: int, branch: ln.Branch | None) -> Transform:
        registry = ln.connect(self.registry.url, branch="dev", make_default=False) if branch else self.registry
        spec = RunSpec(f"run {number}", TransformSpec("code.py", source_code=str(number)))
        return open_run(registry, spec).transform


def saved(record: Any) -> Any:
    return record if record.is_saved else record.save()


def bulk(record: ln.Artifact) -> ln.Artifact:
    return ln.save([record])[0]


CASES = [
    pytest.param("artifact", saved, False, id="artifact"),
    pytest.param("artifact", saved, True, id="artifact-branch"),
    pytest.param("artifact", bulk, False, id="bulk"),
    pytest.param("artifact", bulk, True, id="bulk-branch"),
    pytest.param("collection", saved, False, id="collection"),
    pytest.param("collection", saved, True, id="collection-branch"),
    pytest.param("transform", saved, False, id="transform"),
    pytest.param("transform", saved, True, id="transform-branch"),
]


@pytest.mark.req("R43", "R50", on="postgres-local")
@pytest.mark.parametrize(("kind", "save", "on_branch"), CASES)
def test_a_version_comes_and_goes_between_look_and_insert(
    made: Make, kind: str, save: Callable[[Any], Any], on_branch: bool
) -> None:
    make = getattr(made, kind)
    first: IsVersioned = saved(make(0, None))
    branch = made.branch if on_branch else None
    waiting = make(1, branch) if kind != "transform" else None
    meanwhile: list[str] = []

    def make_and_delete() -> None:
        other = saved(make(2, None))
        other.delete(permanent=True)
        meanwhile.append(other.uid)

    with at_write(f"lamart_{kind}", before=make_and_delete):
        record = save(waiting if waiting is not None else make(1, branch))
    assert meanwhile == [f"{first.stem_uid}0001"]
    assert record.uid == f"{first.stem_uid}0002"


@pytest.mark.req("R43", "R50", on="postgres-local")
@pytest.mark.parametrize("save", [saved, bulk])
@pytest.mark.parametrize("on_branch", [False, True])
def test_a_deletion_that_is_not_committed_yet_when_the_insert_begins(
    made: Make, save: Callable[[Any], Any], on_branch: bool
) -> None:
    first = made.artifact(0, None).save()
    waiting = made.artifact(1, made.branch if on_branch else None)
    looked, deleted, commit = threading.Event(), threading.Event(), threading.Event()

    def wait_for_the_deletion() -> None:
        looked.set()
        assert deleted.wait(30)

    def wait_before_the_commit() -> None:
        if threading.current_thread() in deleters:
            deleted.set()
            assert commit.wait(30)

    saver = threading.Thread(target=save, args=(waiting,))
    deleters: list[threading.Thread] = []
    with (
        at_write("lamart_artifact", before=wait_for_the_deletion),
        at_commit("lamart_artifact", before=wait_before_the_commit, always=True),
    ):
        saver.start()
        assert looked.wait(30)
        other = made.artifact(2, None).save()
        deleters.append(threading.Thread(target=lambda: other.delete(permanent=True)))
        deleters[0].start()
        wait_for_a_waiter(made.registry)
        commit.set()
        for thread in (saver, *deleters):
            thread.join(30)
    assert (other.uid, waiting.uid) == (f"{first.stem_uid}0001", f"{first.stem_uid}0002")


def wait_for_a_waiter(registry: Registry) -> None:
    """Wait until a transaction waits for a lock that another one holds."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(300):
        with registry.engine.connect() as connection:
            if connection.execute(query).scalar_one():
                return
        time.sleep(0.1)
    raise AssertionError("nobody waits")
