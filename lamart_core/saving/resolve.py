"""Existing, revision or new: what contents mean under their keys, for one content or for many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    and_,
    bindparam,
    func,
    select,
)

from lamart_core import errors, uids
from lamart_core.db import MAIN_BRANCH_ID, TRASH_BRANCH_ID, Registry
from lamart_core.families.declare import is_latest
from lamart_core.families.declare import stem as stem_of_row
from lamart_core.families.family import Family
from lamart_core.families.following import Tip, tip_of, with_highest
from lamart_core.objects.plan import Dedup, Matches, Outcome, Plan, Resolution, Row, Staged
from lamart_core.objects.rows import OBJECT
from lamart_core.query.sql.dialects import dialect_of
from lamart_core.saving.hits import Hits, with_objects
from lamart_core.storage import normal_form

BATCH = 1000
MutableRow = dict[str, Any]
Wanted = tuple[Staged, Plan]


class SavedRows:
    """The families and contents that decide, as the database has them, and as a batch is going to leave them.

    `add`, `demote` and `restore` enter what the batch itself does, so that a later content is decided as if those
    before it had been saved.
    """

    def __init__(self, rows: Iterable[MutableRow] = ()) -> None:
        self._by_id: dict[int, MutableRow] = {}
        self._stems: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
        self._by_stem: defaultdict[str, list[MutableRow]] = defaultdict(list)
        self._by_content: defaultdict[tuple[str, str], list[MutableRow]] = defaultdict(list)
        for row in rows:
            self.add(row)
        self.snapshot = frozenset((row["id"], row["is_latest"], row["branch_id"]) for row in self._by_id.values())

    def add(self, row: MutableRow) -> None:
        """Enter a row; rows of one transaction have ids that rise."""
        if row["id"] in self._by_id:
            return
        self._by_id[row["id"]] = row
        family = uids.stem_of(row["uid"])
        self._by_stem[family].append(row)
        if row["key"] is not None:
            self._stems[row["storage_id"], row["key"]].add(family)
        if row["hash"] is not None:
            self._by_content[row["hash"], row["_hash_type"]].append(row)

    def row(self, row_id: int) -> MutableRow:
        """Return a row by its id."""
        return self._by_id[row_id]

    def demote(self, row_id: int) -> None:
        """Enter that a row is not the latest version any more."""
        self._by_id[row_id]["is_latest"] = False

    def restore(self, row_id: int, branch_id: int) -> None:
        """Enter that a row comes back from the trash."""
        self._by_id[row_id]["branch_id"] = branch_id

    def tip(self, plan: Plan) -> Tip:
        """Return where the family of a plan ends, seen from its branch."""
        if plan.revises_uid is not None:
            stems = {uids.stem_of(plan.revises_uid)}
        elif plan.key is not None and plan.storage.is_saved:
            stems = self._stems.get((plan.storage.id, plan.key), set())
        else:
            stems = set[str]()
        return (
            tip_of([row for each in stems for row in self._by_stem.get(each, ())], plan.branch_id) if stems else Tip()
        )

    def matches(self, staged: Staged, plan: Plan, hits: Hits) -> Matches:
        """Return the rows that decide what one content means; to be asked again if `hits` has not seen all."""
        tip = self.tip(plan)
        equal = self._equal(staged, plan, hits)
        if equal is None and tip.head is not None and _is_state(tip.head, staged, plan, hits):
            equal = tip.head
        return Matches(equal=equal, trashed=self._trashed(staged, plan, hits), tip=tip)

    def _equal(self, staged: Staged, plan: Plan, hits: Hits) -> Row | None:
        """Return the artifact of equal content: one that the branch sees before any other, then the newest."""

        def rank(row: Row) -> tuple[bool, int]:
            return row["branch_id"] in (plan.branch_id, MAIN_BRANCH_ID), _id(row)

        found = self._of_content(staged, plan)
        if not found:
            return None
        found = [row for row in found if row["branch_id"] != TRASH_BRANCH_ID]
        for row in sorted(found, key=rank, reverse=True):
            if hits.is_one(row, staged, plan):
                return row
            if hits.is_unseen(row):
                break
        return None

    def _trashed(self, staged: Staged, plan: Plan, hits: Hits) -> Row | None:
        """Return the newest artifact of equal content in the trash under the same key."""
        found = self._of_content(staged, plan)
        trashed = [row for row in found if row["branch_id"] == TRASH_BRANCH_ID and row["key"] == plan.key]
        newest = max(trashed, key=_id, default=None)
        return newest if newest is not None and hits.is_one(newest, staged, plan) else None

    def _of_content(self, staged: Staged, plan: Plan) -> Sequence[MutableRow]:
        digest = staged.digest
        if digest is None or not _by_content(staged, plan):
            return ()
        return self._by_content.get((digest.value, digest.algorithm), ())


def _id(row: Row) -> int:
    return row["id"]


def _by_content(staged: Staged, plan: Plan) -> bool:
    return staged.is_comparable and plan.lookup and plan.dedup is Dedup.REGISTRY


def _is_state(head: Row, staged: Staged, plan: Plan, hits: Hits) -> bool:
    """Whether a content is what the latest version has already.

    Empty contents have nothing in common, unless they are two states of one key. An inexact digest does not tell that
    two objects are equal, but it tells that one object was not written again.
    """
    digest = staged.digest
    if digest is None or (head["hash"], head["_hash_type"]) != (digest.value, digest.algorithm):
        return False
    if staged.is_comparable or (plan.dedup is Dedup.HEAD and digest.is_exact):
        return hits.is_one(head, staged, plan)
    if plan.dedup is not Dedup.HEAD or staged.in_place is None or head["size"] != staged.size:
        return False
    place = head["_real_key"] if head["_key_is_virtual"] else head["key"]
    return place in (staged.in_place, normal_form(staged.in_place))


# ---------------------------------------------------------------------- statements


@dataclass(frozen=True)
class _Shape:
    """What is looked for; reads of one shape share one statement, which is built and compiled once.

    Attributes:
        dialect: Name of the database.
        many: Whether there are several contents.
        keys: Whether families are found by their keys.
        stems: Whether families are found by the stems of their uids.
        contents: Whether visible artifacts of equal content are looked for.
        trash: Whether those in the trash under the keys are.
    """

    dialect: str
    many: bool
    keys: bool
    stems: bool
    contents: bool
    trash: bool


def read(connection: Connection, table: Table, wanted: Sequence[Wanted]) -> SavedRows:
    """Read the rows that decide: one statement for every thousand contents of a storage location.

    Args:
        connection: Connection to read over; within a write transaction when the decision is going to be written.
        table: The artifact table.
        wanted: The contents, and what the caller wants of each.
    """
    rows: list[MutableRow] = []
    for start in range(0, len(wanted), BATCH):
        by_storage: defaultdict[int | None, list[Wanted]] = defaultdict(list)
        for item in wanted[start : start + BATCH]:
            storage = item[1].storage
            by_storage[storage.id if storage.is_saved else None].append(item)
        for storage_id, contents in by_storage.items():
            rows += _rows(connection, table, storage_id, contents)
    rows.sort(key=_id)
    return SavedRows(rows)


def look_up(registry: Registry, table: Table, wanted: Sequence[Wanted]) -> list[Matches]:
    """Return the rows that decide what contents mean, once those of equal content were looked at."""
    hits = Hits()
    with registry.engine.connect() as connection:
        state = read(connection, table, wanted)
    while True:
        found = [state.matches(staged, plan, hits) for staged, plan in wanted]
        if not hits.unseen:
            return found
        hits.look(registry)


def _rows(connection: Connection, table: Table, storage_id: int | None, wanted: Sequence[Wanted]) -> list[MutableRow]:
    looked_up = [(staged, plan) for staged, plan in wanted if _by_content(staged, plan)]
    revised = [plan.revises_uid for _, plan in wanted if plan.revises_uid is not None]
    values: dict[str, Any] = {
        "keys": [plan.key for _, plan in wanted if plan.key is not None and storage_id is not None],
        "stems": [uids.stem_of(uid) for uid in revised],
        "hashes": [staged.digest.value for staged, _ in looked_up if staged.digest is not None],
        "trashed": [plan.key for _, plan in looked_up if plan.key is not None],
    }
    has = {name: bool(found) for name, found in values.items()}
    name, many = connection.dialect.name, len(wanted) > 1
    shape = _Shape(name, many, has["keys"], has["stems"], has["hashes"], has["trashed"])
    query = _statement(table, shape)
    if query is None:
        return []
    parameters = {
        name: dialect_of(shape.dialect).packed(sorted(set(found))) if many else found[0]
        for name, found in values.items()
        if found
    }
    parameters["storage_id"] = storage_id
    return [row._asdict() for row in connection.execute(query, parameters)]


@lru_cache(maxsize=64)
def _statement(table: Table, shape: _Shape) -> Select[Any] | None:
    columns = table.c
    parts: list[Select[Any]] = []
    if shape.keys:
        in_storage = columns.storage_id == bindparam("storage_id")
        parts += _families(table, "by_key", and_(in_storage, _among(columns.key, "keys", shape)))
    if shape.stems:
        parts += _families(table, "by_stem", _among(stem_of_row(table), "stems", shape))
    # Of all that name one content, the newest of each kind: a thousand empty tables are looked at once.
    equal = and_(_among(columns.hash, "hashes", shape), OBJECT.c.hash == columns.hash, OBJECT.c.state.is_(None))
    kinds = [columns[name] for name in ("hash", "_hash_type", "suffix", "otype", "storage_id", "branch_id")]
    newest = (
        select(func.max(columns.id))
        .join_from(table, OBJECT, columns.object_id == OBJECT.c.id)
        .where(equal)
        .group_by(*kinds, OBJECT.c.is_managed)
    )
    if shape.contents:
        parts.append(newest.where(columns.branch_id != TRASH_BRANCH_ID))
    if shape.trash:
        in_trash = and_(columns.branch_id == TRASH_BRANCH_ID, _among(columns.key, "trashed", shape))
        parts.append(newest.where(in_trash).group_by(columns.key))
    if not parts:
        return None
    wanted = parts[0].union_all(*parts[1:]) if len(parts) > 1 else parts[0]
    return with_objects(with_highest(table), table).where(columns.id.in_(wanted))


def _families(table: Table, name: str, members: ColumnElement[bool]) -> list[Select[Any]]:
    """Return the ids that decide of the families of some rows: the newest of these, the newest version, the latest.

    A family may lie in several storage locations, when parts of it came from another registry.
    """
    columns = table.c
    found = (
        select(func.max(columns.uid).label("uid"), stem_of_row(table).label("stem"))
        .where(members)
        .group_by(stem_of_row(table))
    )
    named = found.cte(name)
    newest = Family(table.alias("other"), named.c.stem).newest()
    return [
        select(columns.id).where(columns.uid.in_(select(named.c.uid))),
        select(newest).select_from(named),
        select(columns.id).where(is_latest(table), stem_of_row(table).in_(select(named.c.stem))),
    ]


def _among(column: ColumnElement[Any], name: str, shape: _Shape) -> ColumnElement[bool]:
    if not shape.many:
        return column == bindparam(name)
    return dialect_of(shape.dialect).one_of_many(column, bindparam(name), String())


# ---------------------------------------------------------------------- decisions


def own_stem(uid: str) -> str:
    """Return the stem that a new family gets, from the uid that an unsaved record has so far.

    One that was to be a further version of a family which is gone by now gets another stem: the old one was given.
    """
    return uids.stem_of(uid) if uids.version_number(uid) == 0 else uids.new_stem()


def decide(found: Matches, plan: Plan, *, stem: str) -> Resolution:
    """Decide what saving means, from what was found.

    Args:
        found: The rows that decide.
        plan: What the caller wants.
        stem: Stem of the uid for the case that a new family begins.

    Raises:
        IntegrityError: The version that was revised explicitly is not the latest any more.
    """
    before = found.equal or found.trashed or found.tip.base
    if plan.may_follow is not None and before is not None:
        plan.may_follow(before)
    if found.equal is not None:
        return Resolution(Outcome.EXISTING, existing=found.equal)
    if found.trashed is not None:
        return Resolution(Outcome.RESTORED, existing=found.trashed)
    tip = found.tip
    base, next_uid = tip.base, tip.next_uid
    if base is None or next_uid is None:
        if plan.revises_uid is not None:
            raise errors.IntegrityError(f"cannot revise {plan.revises_uid}: it was deleted")
        return Resolution(Outcome.CREATED, uid=uids.first_uid(stem), key=plan.key, description=plan.description)
    head = tip.head
    if plan.expected_head is not None and (head is None or head["uid"] != plan.expected_head):
        raise errors.IntegrityError(
            f"cannot revise the non-latest record {plan.expected_head}: "
            f"{head['uid'] if head is not None else 'no version'} is the latest now; get it and revise that one"
        )
    explicit = plan.revises_uid is not None
    return Resolution(
        Outcome.NEW_VERSION,
        uid=next_uid,
        demote=head["id"] if head is not None else None,
        follows=base["id"],
        key=plan.key if plan.key is not None or not explicit else base["key"],
        description=plan.description if plan.description is not None or not explicit else base["description"],
    )
