"""Processes with threads that save, replace, rename, delete, restore and merge the same families, and a checker.

What must hold at every moment: one latest version per family and branch, one family per key, and the bytes of every
record. What must hold afterwards: every save that succeeded is there, unless it was deleted; who read after a save had
ended saw it.
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import lamart_core as ln
from lamart_core.db import TRASH_BRANCH_ID, Registry
from lamart_core.models import Artifact, StoredObject
from tests.processes import answers, release, start
from tests.races.worker import STEADY
from tests.registries import contents

PROCESSES = 3
THREADS = 2
ROUNDS = 20

CODE = """
from pathlib import Path
from tests.races.worker import work
ready()
tell(work(registry, Path(arguments["folder"]), number, threads=arguments["threads"], rounds=arguments["rounds"]))
"""

_ARTIFACT = Artifact.__table__
_OBJECT = StoredObject.__table__


class Checker(threading.Thread):
    """Looks at rows and bytes again and again while others write."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.registry = registry
        self.stopped = threading.Event()
        self.looks = 0
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.stopped.is_set() and not self.faults:
            self.look()
            self.looks += 1

    def look(self) -> None:
        rows = self._rows()
        heads = Counter((row.uid[:16], row.branch_id) for row in rows if row.is_latest)
        members = {(row.uid[:16], row.branch_id) for row in rows if row.branch_id != TRASH_BRANCH_ID}
        self._expect(all(count == 1 for count in heads.values()), f"several latest versions: {heads}")
        self._expect(members == set(heads), f"families without a latest version: {members ^ set(heads)}")
        families = {(row.key, row.storage_id, row.uid[:16]) for row in rows}
        keys = Counter((key, storage) for key, storage, _ in families)
        self._expect(all(count == 1 for count in keys.values()), f"keys of several families: {keys}")
        for row in rows:
            if not Path(row.root, row.path).exists():
                # Deleted or replaced since the rows were read, or lost.
                now = {other.id: other for other in self._rows()}.get(row.id)
                self._expect(now is None or now.path != row.path, f"the bytes of {row.uid} are gone: {row.path}")

    def _rows(self) -> list[Any]:
        storage = ln.Storage.__table__
        query = (
            select(_ARTIFACT, _OBJECT.c.path, storage.c.root)
            .join(_OBJECT, _OBJECT.c.id == _ARTIFACT.c.object_id)
            .join(storage, storage.c.id == _OBJECT.c.storage_id)
        )
        with self.registry.engine.connect() as connection:
            return list(connection.execute(query))

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(what)


@pytest.mark.req("R43", "R47", "R49", "R50", "R235", "R236", "R257", "R258", "R259", "R287")
def test_all_verbs_at_the_same_time(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    registry.Branch(name="dev").save()
    processes = [
        start(registry, CODE, number=number, folder=folder, threads=THREADS, rounds=ROUNDS)
        for number in range(PROCESSES)
    ]
    checker = Checker(registry)
    try:
        checker.start()
        release(processes)
        log = [entry for told in answers(processes) for entry in told]
    finally:
        checker.stopped.set()
        checker.join()
        for process in processes:
            process.kill()
            process.wait()
    assert checker.faults == []
    assert checker.looks > 3
    assert len(log) == PROCESSES * THREADS * ROUNDS
    done = Counter(entry["verb"] for entry in log if "lost" not in entry)
    # Every verb took part: races that nobody won would show nothing.
    assert set(done) >= {"save", "save_steady", "read_steady", "replace", "trash", "restore", "merge"}
    # A key that belongs to another family is refused, and soon all of them do.
    assert any(entry["verb"] == "rename" for entry in log)
    check_nothing_is_lost(log)
    check_order(log)
    check_whole(registry)


def check_nothing_is_lost(log: list[dict[str, Any]]) -> None:
    """Every content that was saved last under a row is what the row holds."""
    deleted = {entry["id"] for entry in log if entry["verb"] == "delete" and "lost" not in entry}
    last: dict[int, set[str]] = {}
    for entry in sorted((e for e in log if "lost" not in e and "content" in e), key=lambda e: e["end"]):
        if entry["verb"] == "replace":
            # Replaced by several at once: the content of one of them.
            earlier = [e for e in log if e["verb"] == "replace" and e.get("id") == entry["id"] and "lost" not in e]
            last[entry["id"]] = {e["content"] for e in earlier if e["end"] >= max(o["begin"] for o in earlier)}
        elif entry["verb"] != "read_steady":
            last.setdefault(entry["id"], {entry["content"]})
    found = {item.id: item for item in ln.Artifact.filter(branch=None)}
    for artifact_id, contents_ in last.items():
        if artifact_id not in deleted:
            assert found[artifact_id].load() in contents_


def check_order(log: list[dict[str, Any]]) -> None:
    """One key that is only saved and read behaves as one register: what ended before is seen by what begins after."""
    saves = [entry for entry in log if entry["verb"] == "save_steady"]
    reads = [entry for entry in log if entry["verb"] == "read_steady" and "lost" not in entry]
    assert len({entry["uid"] for entry in saves}) == len(saves)
    written = {entry["uid"]: entry["content"] for entry in saves}
    for read in reads:
        assert written[read["uid"]] == read["content"]
    for entry in [*saves, *reads]:
        before = [save["uid"] for save in saves if save["end"] < entry["begin"]]
        assert entry["uid"] >= max(before, default="")
    assert ln.Artifact.filter(key=STEADY).count() == len(saves)


def check_whole(registry: Registry) -> None:
    """Every record has its bytes, and nothing else is stored."""
    artifacts = ln.Artifact.filter(branch=None).to_list()
    for artifact in artifacts:
        assert artifact.verify()
    assert set(contents(registry).files) == {artifact.object.path for artifact in artifacts}
