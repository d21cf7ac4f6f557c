"""The rows that decide what saving many artifacts means: read together, and kept up with what the save does itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, func, or_, select

from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.families.family import Family
from lamart_core.families.following import with_highest
from lamart_core.objects.plan import Dedup, Found, Plan, Staged
from lamart_core.query.sql.dialects import among
from lamart_core.saving import resolve

BATCH = 1000
MutableRow = dict[str, Any]


class Known:
    """What `resolve.find` says of one content, for many at once and without a statement for each.

    `add` and `demote` enter what the batch itself is going to do, so that a later content of the batch is decided as if
    the earlier ones had been saved before it.
    """

    def __init__(self, rows: Iterable[MutableRow] = ()) -> None:
        self._by_id: dict[int, MutableRow] = {}
        self._by_key: defaultdict[tuple[int, str], list[MutableRow]] = defaultdict(list)
        self._by_content: defaultdict[tuple[str, str], list[MutableRow]] = defaultdict(list)
        for row in rows:
            self.add(row)
        self.snapshot = frozenset((row["id"], row["is_latest"], row["branch_id"]) for row in self._by_id.values())

    def add(self, row: MutableRow) -> None:
        """Enter a row; rows of one transaction have ids that rise."""
        if row["id"] in self._by_id:
            return
        self._by_id[row["id"]] = row
        if row["key"] is not None:
            self._by_key[row["storage_id"], row["key"]].append(row)
        if row["hash"] is not None:
            self._by_content[row["hash"], row["_hash_type"]].append(row)

    def demote(self, row_id: int) -> MutableRow:
        """Enter that a row is not the latest version any more, and return it."""
        row = self._by_id[row_id]
        row["is_latest"] = False
        return row

    def find(self, staged: Staged, plan: Plan) -> Found:
        """Return what was found for one content."""
        rows = list(self._by_key.get((plan.storage.id, plan.key), ())) if plan.key is not None else []
        if _by_content(staged, plan) and staged.digest is not None:
            rows += self._by_content.get((staged.digest.value, staged.digest.algorithm), ())
        if not rows:
            return Found()
        unique = {row["id"]: row for row in rows}
        return resolve.roles([unique[row_id] for row_id in sorted(unique, reverse=True)], staged, plan)


def read(connection: Connection, table: Table, wanted: Sequence[tuple[Staged, Plan]]) -> Known:
    """Read the rows that decide: at most three statements for every thousand contents, storage and branch.

    Args:
        connection: Connection to read over; within a write transaction when the decision is going to be written.
        table: The artifact table.
        wanted: The contents, and what the caller wants of each; none that revises a version explicitly.
    """
    rows: list[MutableRow] = []
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        for query in (*_families(connection, table, batch), *_contents(connection, table, batch)):
            rows += [dict(row) for row in connection.execute(query).mappings()]
    return Known(sorted(rows, key=lambda row: row["id"]))


def _families(
    connection: Connection, table: Table, wanted: Sequence[tuple[Staged, Plan]]
) -> list[Select[tuple[Any, ...]]]:
    """Latest and newest versions under the keys, one statement for each storage."""
    keys: defaultdict[int, set[str]] = defaultdict(set)
    for _, plan in wanted:
        if plan.key is not None and plan.storage.is_saved:
            keys[plan.storage.id].add(plan.key)
    columns, other = table.c, table.alias()
    decides = or_(columns.is_latest, columns.id == Family.like(other, table).newest())
    return [
        with_highest(table).where(columns.storage_id == storage_id, among(connection, columns.key, names), decides)
        for storage_id, names in keys.items()
    ]


def _contents(
    connection: Connection, table: Table, wanted: Sequence[tuple[Staged, Plan]]
) -> list[Select[tuple[Any, ...]]]:
    """Newest visible artifact of each content, and those in the trash under the keys."""
    looked_up = [(staged, plan) for staged, plan in wanted if _by_content(staged, plan)]
    if not looked_up:
        return []
    columns = table.c
    hashes = {staged.digest.value for staged, _ in looked_up if staged.digest is not None}
    equal = among(connection, columns.hash, hashes)
    readable = or_(columns.is_latest, ~columns._overwrite_versions)
    newest = (
        select(func.max(columns.id))
        .where(equal, columns.branch_id != TRASH_BRANCH_ID, readable)
        .group_by(columns.hash, columns._hash_type)
    )
    found = [with_highest(table).where(columns.id.in_(newest))]
    keys = {plan.key for _, plan in looked_up if plan.key is not None}
    if keys:
        trashed = with_highest(table).where(equal, columns.branch_id == TRASH_BRANCH_ID, readable)
        found.append(trashed.where(among(connection, columns.key, keys)))
    return found


def _by_content(staged: Staged, plan: Plan) -> bool:
    return staged.is_comparable and plan.lookup and plan.dedup is Dedup.REGISTRY
