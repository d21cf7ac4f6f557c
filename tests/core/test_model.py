"""Random histories of one registry, held against a model that is simple enough to be believed."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

import lamart_core as ln
from lamart_core.db import MAIN_BRANCH_ID, TRASH_BRANCH_ID
from tests.registries import contents, fresh_registry
from tests.tools import FULL

KEYS = st.sampled_from(["a.txt", "b.txt", "c.txt"])


@dataclass(frozen=True)
class Row:
    """What the model knows of a version."""

    stem: str
    version: int
    key: str
    branch: int
    content: str


class History(RuleBasedStateMachine):
    """Saves, replaces, renames, trashes, restores, deletes and merges; the model says what must be there."""

    backend = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="lamart-model-"))
        self.stack.callback(shutil.rmtree, self.folder)
        self.registry = self.stack.enter_context(fresh_registry(self.backend, self.folder / "lab"))
        self.branches = {"main": MAIN_BRANCH_ID, "dev": self.registry.Branch(name="dev").save().id}
        self.rows: dict[int, Row] = {}
        self.given: dict[str, int] = {}  # the highest version of each family, whether it is still there or not
        self.number = 0

    def teardown(self) -> None:
        self.stack.close()

    artifacts = Bundle("artifacts")

    # ------------------------------------------------------------------ what happens

    @rule(target=artifacts, key=KEYS)
    def save_new_content(self, key: str) -> int:
        self.number += 1
        return self._save(key, f"content {self.number}")

    @precondition(lambda self: self.rows)
    @rule(key=KEYS, data=st.data())
    def save_known_content(self, key: str, data: st.DataObject) -> None:
        content = data.draw(st.sampled_from(sorted({row.content for row in self.rows.values()})))
        self._save(key, content)

    def _save(self, key: str, content: str) -> int:
        artifact = ln.Artifact(self._source(content), key=key).save()
        visible = [i for i, row in self.rows.items() if row.content == content and row.branch != TRASH_BRANCH_ID]
        trashed = [i for i, row in self.rows.items() if row.content == content and row.key == key]
        if visible:
            assert artifact.id == max(visible)
        elif trashed:
            assert artifact.id == max(trashed)
            self._change(artifact.id, branch=self.registry.branch_id)
        else:
            family = [row for row in self.rows.values() if row.key == key]
            assert artifact.id not in self.rows
            if family:
                assert artifact.stem_uid == family[0].stem
            version = self.given[artifact.stem_uid] = self.given.get(artifact.stem_uid, -1) + 1
            self.rows[artifact.id] = Row(artifact.stem_uid, version, key, self.registry.branch_id, content)
        return artifact.id

    @rule(artifact_id=artifacts)
    def replace_content(self, artifact_id: int) -> None:
        if (artifact := self._get(artifact_id)) is None:
            return
        self.number += 1
        content = f"content {self.number}"
        if self.rows[artifact_id].branch == TRASH_BRANCH_ID:
            with pytest.raises(ln.errors.InvalidArgument):
                artifact.replace(self._source(content))
            return
        artifact.replace(self._source(content))
        artifact.save()
        self._change(artifact_id, content=content)

    @rule(artifact_id=artifacts, key=KEYS)
    def rename(self, artifact_id: int, key: str) -> None:
        if (artifact := self._get(artifact_id)) is None:
            return
        stem = self.rows[artifact_id].stem
        artifact.key = key
        if any(row.key == key and row.stem != stem for row in self.rows.values()):
            with pytest.raises(ln.errors.InvalidArgument):
                artifact.save()
            return
        artifact.save()
        for i, row in self.rows.items():
            if row.stem == stem:
                self._change(i, key=key)

    @rule(artifact_id=artifacts)
    def trash(self, artifact_id: int) -> None:
        if (artifact := self._get(artifact_id)) is not None:
            artifact.delete(permanent=False)
            self._change(artifact_id, branch=TRASH_BRANCH_ID)

    @rule(artifact_id=artifacts)
    def restore(self, artifact_id: int) -> None:
        if (artifact := self._get(artifact_id)) is not None and self.rows[artifact_id].branch == TRASH_BRANCH_ID:
            artifact.restore()
            self._change(artifact_id, branch=self.registry.branch_id)

    @rule(artifact_id=consumes(artifacts))
    def delete_for_good(self, artifact_id: int) -> None:
        if (artifact := self._get(artifact_id)) is not None:
            artifact.delete(permanent=True)
            del self.rows[artifact_id]

    @rule(name=st.sampled_from(["main", "dev"]))
    def switch_branch(self, name: str) -> None:
        self.registry.branch_id = self.branches[name]

    @rule()
    def merge(self) -> None:
        ln.Branch.get(name="dev").merge()
        for i, row in self.rows.items():
            if row.branch == self.branches["dev"]:
                self._change(i, branch=MAIN_BRANCH_ID)

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        newest: dict[tuple[str, int], int] = {}
        for row in self.rows.values():
            newest[row.stem, row.branch] = max(newest.get((row.stem, row.branch), -1), row.version)
        expected = {
            i: (row, row.branch != TRASH_BRANCH_ID and newest[row.stem, row.branch] == row.version)
            for i, row in self.rows.items()
        }
        found = {
            item.id: (
                Row(item.stem_uid, int(item.uid[-4:], 36), str(item.key), item.branch_id, item.load()),
                item.is_latest,
            )
            for item in ln.Artifact.filter(branch=None)
        }
        assert found == expected

    @invariant()
    def nothing_else_is_stored(self) -> None:
        objects = {item.object.path for item in ln.Artifact.filter(branch=None)}
        assert set(contents(self.registry).files) == objects
        assert len(objects) == len({row.content for row in self.rows.values()})

    # ------------------------------------------------------------------ inside

    def _source(self, content: str) -> Path:
        path = self.folder / f"{content}.txt"
        path.write_text(content)
        return path

    def _get(self, artifact_id: int) -> ln.Artifact | None:
        return ln.Artifact.get(artifact_id) if artifact_id in self.rows else None

    def _change(self, artifact_id: int, **values: Any) -> None:
        self.rows[artifact_id] = replace(self.rows[artifact_id], **values)


class HistoryOnPostgres(History):
    """The same on Postgres."""

    backend = "postgres"


_SETTINGS = settings(
    max_examples=25 if FULL else 10,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


TestHistory = pytest.mark.req("R41", "R43", "R47", "R79", "R92", "R230", "R251", "R253", "R259")(History.TestCase)
TestHistory.settings = _SETTINGS
TestHistoryOnPostgres = pytest.mark.req("R41", "R43", "R47", "R79", "R92", "R230", "R251", "R253", "R259")(
    HistoryOnPostgres.TestCase
)
TestHistoryOnPostgres.settings = _SETTINGS
