"""Existing, revision or new: what content means under a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, Table, and_, bindparam, or_, select

from lamart_core import errors, uids
from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.families.family import Family
from lamart_core.families.following import deciding, tip_of, with_highest
from lamart_core.objects.plan import Dedup, Found, Outcome, Plan, Resolution, Row, Staged
from lamart_core.storage import normal_form


@dataclass(frozen=True)
class _Shape:
    """What is looked for; saves of one shape share one statement, which is built and compiled once.

    Attributes:
        content: Whether visible artifacts of equal content are.
        trash: Whether one in the trash under the same key is.
        family: How the family is found: by the `stem` of a uid, by `key` and storage, or not at all.
    """

    content: bool
    trash: bool
    family: str | None


def find(connection: Connection, table: Table, staged: Staged, plan: Plan) -> Found:
    """Read the rows that decide, in one statement.

    Args:
        connection: Connection to read over; within a write transaction when the decision is going to be written.
        table: The artifact table.
        staged: The content.
        plan: What the caller wants.
    """
    by_content = staged.is_comparable and plan.lookup and plan.dedup is Dedup.REGISTRY
    family = "stem" if plan.revises_uid is not None else None
    if family is None and plan.key is not None and plan.storage.is_saved:
        family = "key"
    shape = _Shape(by_content, by_content and plan.key is not None, family)
    query = _statement(table, shape)
    if query is None:
        return Found()
    digest = staged.digest
    values = {
        "hash": digest.value if digest is not None else None,
        "hash_type": digest.algorithm if digest is not None else None,
        "key": plan.key,
        "storage_id": plan.storage.id if family == "key" else None,
        "stem": uids.stem_of(plan.revises_uid) if plan.revises_uid is not None else None,
        "branch_id": plan.branch_id,
    }
    rows: list[Row] = [row._asdict() for row in connection.execute(query, values)]
    return roles(rows, staged, plan)


@lru_cache(maxsize=64)
def _statement(table: Table, shape: _Shape) -> Select[Any] | None:
    columns = table.c
    wanted: list[Any] = []
    # The files of an older version of an overwritten folder are gone: its content is known, but not there.
    equal = and_(
        columns.hash == bindparam("hash"),
        columns._hash_type == bindparam("hash_type"),
        or_(columns.is_latest, ~columns._overwrite_versions),
    )
    if shape.content:
        wanted.append(_first(columns, and_(equal, columns.branch_id != TRASH_BRANCH_ID), columns.id.desc()))
    if shape.trash:
        trashed = and_(equal, columns.branch_id == TRASH_BRANCH_ID, columns.key == bindparam("key"))
        wanted.append(_first(columns, trashed, columns.id.desc()))
    if shape.family is not None:
        family = (
            Family(table, bindparam("stem", type_=String()))
            if shape.family == "stem"
            else Family.called(table, key=bindparam("key"), storage_id=bindparam("storage_id"))
        )
        wanted += deciding(family, bindparam("branch_id"))
    if not wanted:
        return None
    return with_highest(table).where(columns.id.in_(wanted)).order_by(columns.id.desc())


def _first(columns: Any, condition: ColumnElement[bool], order: Any) -> Any:
    return select(columns.id).where(condition).order_by(order).limit(1).scalar_subquery()


def roles(rows: Sequence[Row], staged: Staged, plan: Plan) -> Found:
    """Say what each row is, highest id first; rows that decide nothing may be among them."""

    def equal(row: Row, *, even_if_empty: bool = False) -> bool:
        digest = staged.digest
        return (
            digest is not None
            and (staged.is_comparable or (even_if_empty and digest.is_exact))
            and (row["hash"], row["_hash_type"]) == (digest.value, digest.algorithm)
            and (row["is_latest"] or not row["_overwrite_versions"])
        )

    def member(row: Row) -> bool:
        if plan.revises_uid is not None:
            return uids.stem_of(row["uid"]) == uids.stem_of(plan.revises_uid)
        return plan.key is not None and row["key"] == plan.key and row["storage_id"] == plan.storage.id

    by_content = plan.lookup and plan.dedup is Dedup.REGISTRY
    tip = tip_of((row for row in rows if member(row)), plan.branch_id)
    head = tip.head
    same = next((row for row in rows if by_content and equal(row) and row["branch_id"] != TRASH_BRANCH_ID), None)
    # Empty contents have nothing in common, unless they are two states of one key.
    if same is None and head is not None and equal(head, even_if_empty=plan.dedup is Dedup.HEAD):
        same = head
    if same is None and head is not None and plan.dedup is Dedup.HEAD and _lies_unchanged(head, staged):
        same = head
    trashed = next(
        (
            row
            for row in rows
            if by_content and equal(row) and row["branch_id"] == TRASH_BRANCH_ID and row["key"] == plan.key
        ),
        None,
    )
    return Found(equal=same, trashed=trashed, tip=tip)


def _lies_unchanged(row: Row, staged: Staged) -> bool:
    """Whether a row is what lies at the same place, and the server says of it what it said then.

    An inexact digest does not tell that two objects are equal, but it tells that one object was not written again.
    """
    if staged.in_place is None or staged.digest is None:
        return False
    place = row["_real_key"] if row["_key_is_virtual"] else row["key"]
    return place in (staged.in_place, normal_form(staged.in_place)) and (
        row["hash"],
        row["_hash_type"],
        row["size"],
    ) == (staged.digest.value, staged.digest.algorithm, staged.size)


def own_stem(uid: str) -> str:
    """Return the stem that a new family gets, from the uid that an unsaved record has so far.

    One that was to be a further version of a family which is gone by now gets another stem: the old one was given.
    """
    return uids.stem_of(uid) if uids.version_number(uid) == 0 else uids.new_stem()


def decide(found: Found, plan: Plan, *, stem: str) -> Resolution:
    """Decide what saving means, from what was found.

    Args:
        found: Rows read by `find`.
        plan: What the caller wants.
        stem: Stem of the uid for the case that a new family begins.

    Raises:
        IntegrityError: The version that was revised explicitly is not the latest any more.
    """
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
