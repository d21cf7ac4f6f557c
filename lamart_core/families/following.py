"""The next version of a family: what it follows, its uid, and the statements that make it the latest one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    ScalarSelect,
    Select,
    Table,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import Row as SqlRow

from lamart_core import errors, uids
from lamart_core.families.declare import is_latest, new_uid, stem
from lamart_core.families.deleted import given_before, highest_given, was_deleted
from lamart_core.families.family import Family, Row
from lamart_core.query.sql.dialects import dialect_of


@dataclass(frozen=True)
class Tip:
    """Where a family ends, seen from a branch.

    Attributes:
        head: The latest version on the branch.
        newest: The version with the highest uid that was read, whatever its branch.
        highest_uid: The highest uid that the family was ever given, those of deleted versions included.
    """

    head: Row | None = None
    newest: Row | None = None
    highest_uid: str | None = None

    @property
    def base(self) -> Row | None:
        """The version that the next one follows."""
        return self.head if self.head is not None else self.newest

    @property
    def next_uid(self) -> str | None:
        """The uid of the next version; None where there is none to follow."""
        return uids.next_uid(self.highest_uid) if self.highest_uid is not None else None


def tip_of(rows: Iterable[Row], branch_id: int) -> Tip:
    """Say where a family ends, from rows that have its name.

    Two families may have begun under one name on two branches: each goes on on its own.

    Args:
        rows: Rows as `with_highest` reads them, those of `deciding` among them; and rows that are going to be written.
        branch_id: The branch.
    """
    named = sorted(rows, key=_uid)
    if not named:
        return Tip()
    head = next((row for row in named if row["is_latest"] and row["branch_id"] == branch_id), None)
    base = head if head is not None else named[-1]
    stem = uids.stem_of(base["uid"])
    family = [row for row in named if uids.stem_of(row["uid"]) == stem]
    return Tip(head, family[-1], max(row.get("highest_uid") or row["uid"] for row in family))


def _uid(row: Row) -> str:
    return row["uid"]


def deciding(family: Family, branch_id: Any) -> list[ScalarSelect[Any]]:
    """Return the ids of the rows that say where a family ends: its newest version and the latest one on the branch."""
    head = select(family.table.c.id).where(family.head(branch_id)).scalar_subquery()
    if family.stem is not None:
        return [family.newest(), head]
    # A long history is sorted by name only row by row. By the stem of any of its versions, a latest one where there is
    # one, its end is found at once.
    named = replace(family, table=family.table.alias("named"))
    columns = named.table.c
    uid = select(columns.uid).where(named.members)
    latest = uid.where(is_latest(named.table)).order_by(columns.branch_id).limit(1).scalar_subquery()
    found = func.coalesce(latest, uid.order_by(columns.uid.desc()).limit(1).scalar_subquery())
    return [Family(family.table, stem(family.table, found)).newest(), head]


def with_highest(table: Table) -> Select[Any]:
    """Return the SELECT of rows that has, as `highest_uid`, the highest uid that the family of each was ever given."""
    return select(table, highest_given(table).label("highest_uid"))


def read_tip(connection: Connection, family: Family, branch_id: int) -> Tip:
    """Read where a family ends, in one statement.

    Args:
        connection: Connection in a write transaction.
        family: The family; its table is no alias.
        branch_id: The branch that the next version is made on.
    """
    table = family.table
    assert isinstance(table, Table)
    rows = connection.execute(with_highest(table).where(table.c.id.in_(deciding(family, branch_id)))).mappings()
    return tip_of([dict(row) for row in rows], branch_id)


def give_way(connection: Connection, table: Table, heads: Sequence[Row], others: Sequence[int] = ()) -> None:
    """Let latest versions be followed by new ones: they are it no more. Versions that are followed too are locked.

    Args:
        connection: Connection in a write transaction.
        table: Table of a versioned record class.
        heads: Rows of the latest versions as they were found.
        others: Ids of versions of families that have no latest version on the branch of the new one.

    Raises:
        Conflict: Another writer made a version after one of them, or moved or removed one.
    """
    places = _places(table)
    by_place: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for head in heads:
        by_place[tuple(head[name] for name in places)].append(head["id"])
    dialect = dialect_of(connection.dialect.name)
    for place, ids in by_place.items():
        parameters = dict(zip(map(_of_head, places), place, strict=True)) | {_IDS: dialect.packed(sorted(ids))}
        if connection.execute(_demoting(table, connection.dialect.name), parameters).rowcount != len(ids):
            raise errors.Conflict(f"another writer made a version after one of {len(ids)} in {table.name}")
    if others and connection.dialect.name == "postgresql":
        rows = select(table.c.id).where(dialect.among(table.c.id, sorted(others))).order_by(table.c.id)
        if len(connection.execute(rows.with_for_update(key_share=True)).all()) != len(others):
            raise errors.Conflict("another writer removed versions of these families")


_IDS = "ids_of_heads"


def _places(table: Table) -> list[str]:
    return [name for name in ("storage_id", "branch_id") if name in table.c]


def _of_head(column: str) -> str:
    # Parameters that are called like columns are those of the values that an UPDATE sets.
    return f"{column}_of_head"


@lru_cache(maxsize=64)
def _demoting(table: Table, dialect_name: str) -> Executable:
    # What moved to another storage or was merged into another branch meanwhile stays the latest version there.
    there = [table.c[name] == bindparam(_of_head(name)) for name in _places(table)]
    heads = dialect_of(dialect_name).one_of_many(table.c.id, bindparam(_IDS), BigInteger())
    return update(table).where(heads, table.c.is_latest, *there).values(is_latest=False)


def follow(connection: Connection, table: Table, tip: Tip, *, first: str | None = None) -> str:
    """Let the latest version give way to a new one, and return the uid of the new one.

    Args:
        connection: Connection in a write transaction.
        table: Table of a versioned record class.
        tip: Where the family ends.
        first: The uid where a new family begins, if it is not to be any.

    Raises:
        Conflict: Another writer was faster.
    """
    if tip.head is not None:
        give_way(connection, table, [tip.head])
    elif tip.newest is not None:
        give_way(connection, table, [], [tip.newest["id"]])
    return tip.next_uid or first or new_uid(table)


def insert_versions(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *told: ColumnElement[Any]
) -> list[SqlRow[Any]]:
    """Insert versions, with uids that were never given to others.

    Args:
        connection: Connection in a write transaction.
        table: Table of a versioned record class.
        rows: The values; where `told` has parameters, theirs too.
        *told: What the statement is to return beside `id` and `uid`; the same objects at each call.

    Returns:
        For each row what the statement returned; of several rows in any order.

    Raises:
        Conflict: A version with this uid was made and deleted meanwhile.
        IntegrityError: The uid of a new family is that of a version which was deleted.
    """
    inserted = connection.execute(_inserting(table, told), rows if len(rows) > 1 else rows[0]).all()
    for row in inserted:
        if row.was_given:
            raise given_before(row.uid)
    return list(inserted)


@lru_cache(maxsize=64)
def _inserting(table: Table, told: tuple[ColumnElement[Any], ...]) -> Executable:
    return insert(table).returning(table.c.id, table.c.uid, was_deleted(table).label("was_given"), *told)
