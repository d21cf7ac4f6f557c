"""Families of versions: one rule for artifacts, collections, code and texts."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, Table, select

import lamart_core as ln
from lamart_core.db import ARCHIVE_BRANCH_ID, MAIN_BRANCH_ID, TRASH_BRANCH_ID, Base, Registry
from lamart_core.families.branches import merge, place
from lamart_core.families.declare import versions_of
from lamart_core.families.delete_rows import delete_rows
from lamart_core.families.family import Family, lock, promote_newest, rename
from lamart_core.families.following import follow, insert_versions, read_tip
from lamart_core.lineage import RunSpec, TransformSpec, open_run
from lamart_core.models import ArtifactBlock, Transform
from tests.registries import fresh_registry, write


def code(registry: Registry, source: str, key: str = "code.py") -> Transform:
    return open_run(registry, RunSpec(f"run {key} {source}", TransformSpec(key, source_code=source))).transform


@pytest.mark.req("R43")
def test_the_uid_of_deleted_code_is_refused(sqlite_registry: Registry) -> None:
    gone = code(sqlite_registry, "1")
    for run in ln.Run.filter(transform=gone):
        run.delete(permanent=True)
    gone.delete(permanent=True)
    with pytest.raises(ln.errors.IntegrityError, match="deleted"):
        Transform(key="other.py", uid=gone.uid).save()
    with pytest.raises(ln.errors.BulkSaveError, match="deleted"):
        ln.save([Transform(key="other.py", uid=gone.uid)])
    assert Transform.filter(branch=None).count() == 0


def test_code_with_another_name_takes_all_versions_along(sqlite_registry: Registry) -> None:
    first, second = code(sqlite_registry, "1"), code(sqlite_registry, "2")
    other = code(sqlite_registry, "1", "other.py")
    second.key = "other.py"
    with pytest.raises(ln.errors.NameTaken, match=other.uid):
        second.save()
    second.key = "new.py"
    second.save()
    assert first.refresh().key == "new.py"
    begun = code(sqlite_registry, "3")
    assert begun.stem_uid != first.stem_uid
    assert code(sqlite_registry, "3", "new.py").uid == f"{first.stem_uid}0002"


def test_code_that_runs_again(sqlite_registry: Registry) -> None:
    first, second = code(sqlite_registry, "1"), code(sqlite_registry, "2")
    spec = TransformSpec("code.py", source_code="1")
    # Of the versions on a branch the one that ran last is the latest.
    assert open_run(sqlite_registry, RunSpec("again", spec)).transform == first
    assert (first.refresh().is_latest, second.refresh().is_latest) == (True, False)
    # On another branch it is used, and nothing changes on its own.
    code(sqlite_registry, "3")
    sqlite_registry.branch_id = ln.Branch(name="dev").save().id
    assert open_run(sqlite_registry, RunSpec("elsewhere", spec)).transform == first
    assert [item.is_latest for item in Transform.filter(branch=None).order_by("uid")] == [False, False, True]
    # From the trash it comes back.
    first.delete()
    assert open_run(sqlite_registry, RunSpec("back", spec)).transform == first
    assert first.refresh().branch_id == sqlite_registry.branch_id
    assert first.is_latest


NAMES = ("a", "b")
DEV = 2  # the first branch that is made
BRANCHES = st.sampled_from([MAIN_BRANCH_ID, DEV])


class Families(RuleBasedStateMachine):
    """The same operations on the rows of one table, whatever its versions are of."""

    table_name = "lamart_artifact"

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="lamart-families-")))
        self.registry = self.stack.enter_context(fresh_registry("sqlite", folder / "lab"))
        assert self.registry.Branch(name="dev").save().id == DEV
        self.table: Table = Base.metadata.tables[self.table_name]
        members = [ln.Artifact(write(folder / name, name), key=f"of {name}", run=False).save() for name in NAMES]
        self.readme_of = {name: member.id for name, member in zip(NAMES, members, strict=True)}
        self.template = self._template(members[0])
        self.given: dict[str, str] = {}  # uid -> name when it was given
        self.number = 0
        self.rows: list[dict[str, Any]] = []

    def teardown(self) -> None:
        self.stack.close()

    def _template(self, member: ln.Artifact) -> dict[str, Any]:
        """Return the values of a row of the table, whose first row is deleted for good."""
        makers = {
            "lamart_artifact": lambda: member,
            "lamart_collection": lambda: ln.Collection(member, key="first", run=False).save(),
            "lamart_transform": lambda: Transform(key="first").save(),
            "lamart_artifactblock": lambda: ArtifactBlock(artifact=member, content="first").save(),
        }
        record = makers[self.table_name]()
        with self.registry.engine.connect() as connection:
            row = connection.execute(select(self.table).where(self.table.c.id == record.id)).mappings().one()
        if record is not member:
            record.delete(permanent=True)
        return {name: value for name, value in row.items() if name != "id"}

    def _name(self, name: str) -> dict[str, Any]:
        declared = versions_of(self.table)
        assert declared is not None
        own = {"key": name} if "key" in declared.name else {"artifact_id": self.readme_of[name]}
        return {column: own.get(column, self.template[column]) for column in declared.name}

    def _rows(self) -> list[dict[str, Any]]:
        query = select(self.table).order_by(self.table.c.uid)
        if self.table_name == "lamart_artifact":
            query = query.where(self.table.c.id.not_in(list(self.readme_of.values())))
        with self.registry.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    @initialize()
    def begin(self) -> None:
        """Give away the newest uid before the history begins; few of them would do so by themselves."""
        for is_deleted in (False, True, False):
            self.save_next("a", MAIN_BRANCH_ID, is_deleted)
            self.rows = self._rows()

    @rule(name=st.sampled_from(NAMES), branch_id=BRANCHES, is_deleted=st.booleans())
    def save_next(self, name: str, branch_id: int, is_deleted: bool) -> None:
        self.number += 1
        named, hash_ = self._name(name), f"content {self.number}"

        def work(connection: Connection) -> str:
            tip = read_tip(connection, Family.called(self.table, **named), branch_id)
            uid = follow(connection, self.table, tip)
            values = self.template | named | {"uid": uid, "hash": hash_, "branch_id": branch_id, "is_latest": True}
            return insert_versions(connection, self.table, [values])[0].uid

        uid = self.registry.unit_of_work(work)
        before = [row for row in self.rows if all(row[key] == named[key] for key in named)]
        assert uid not in self.given
        assert all(row["uid"] < uid and row["uid"][:-4] == uid[:-4] for row in before)
        assert not any(uid[:-4] == other[:-4] and uid <= other for other in self.given)
        self.given[uid] = name
        if is_deleted:
            self._delete(next(row for row in self._rows() if row["uid"] == uid))

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), branch_id=st.sampled_from([MAIN_BRANCH_ID, DEV, TRASH_BRANCH_ID, ARCHIVE_BRANCH_ID]))
    def move(self, data: st.DataObject, branch_id: int) -> None:
        row = data.draw(st.sampled_from(self.rows))
        self.registry.unit_of_work(lambda connection: place(connection, self.table, [row["id"]], branch_id))

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self._delete(data.draw(st.sampled_from(self.rows)))

    def _delete(self, row: dict[str, Any]) -> None:
        def work(connection: Connection) -> None:
            family = Family.of_row(self.table, row)
            lock(connection, family)
            delete_rows(connection, self.table, [row["id"]])
            promote_newest(connection, row["branch_id"], family)

        self.registry.unit_of_work(work)

    @precondition(lambda self: self.rows and "key" in self.table.c)
    @rule(data=st.data(), key=st.sampled_from([*NAMES, "c"]))
    def rename(self, data: st.DataObject, key: str) -> None:
        rows = self.rows
        row = data.draw(st.sampled_from(rows))
        family = [item["uid"] for item in rows if item["key"] == row["key"]]
        try:
            self.registry.unit_of_work(lambda connection: rename(connection, self.table, row["uid"], key))
        except ln.errors.NameTaken:
            assert any(item["key"] == key for item in rows if item["uid"] not in family)
        else:
            assert {item["uid"] for item in self._rows() if item["key"] == key} >= set(family)

    @rule()
    def merge(self) -> None:
        self.registry.unit_of_work(lambda connection: merge(connection, DEV, MAIN_BRANCH_ID))
        assert not any(row["branch_id"] == DEV for row in self._rows())

    @invariant()
    def the_newest_on_each_branch_is_its_only_latest(self) -> None:
        self.rows = self._rows()
        newest = {(row["uid"][:-4], row["branch_id"]): row["uid"] for row in self.rows}
        expected = sorted(uid for (_, branch_id), uid in newest.items() if branch_id != TRASH_BRANCH_ID)
        assert [row["uid"] for row in self.rows if row["is_latest"]] == expected


class OfCollections(Families):
    """The same of collections."""

    table_name = "lamart_collection"


class OfCode(Families):
    """The same of code."""

    table_name = "lamart_transform"


class OfTexts(Families):
    """The same of read-mes."""

    table_name = "lamart_artifactblock"


@pytest.mark.req("R43", "R47", "R259")
@pytest.mark.parametrize("machine", [Families, OfCollections, OfCode, OfTexts])
def test_histories_of_families(machine: type[Families]) -> None:
    case = machine.TestCase
    case.settings = settings(
        max_examples=2, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    case("runTest").runTest()
