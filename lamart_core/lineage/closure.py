"""What leads to records and what follows from them, each found by one recursive statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    TableClause,
    and_,
    cast,
    column,
    exists,
    func,
    literal,
    select,
    table,
    union_all,
)

from lamart_core.db import TRASH_BRANCH_ID

# Named, and not taken from the classes: those of artifacts and collections live above this room.
ARTIFACT = table("lamart_artifact", *map(column, ("id", "uid", "key", "description", "run_id", "branch_id")))
COLLECTION = table("lamart_collection", *map(column, ("id", "uid", "key", "description", "run_id", "branch_id")))
RUN = table("lamart_run", *map(column, ("id", "uid", "transform_id", "branch_id")))
TRANSFORM = table("lamart_transform", *map(column, ("id", "key")))
RUN_INPUT = table("lamart_runinput", column("run_id"), column("artifact_id"))
RECREATION = table("lamart_recreation", column("run_id"), column("artifact_id"))
COLLECTION_INPUT = table("lamart_collectioninput", column("run_id"), column("collection_id"))
COLLECTION_RECREATION = table("lamart_collectionrecreation", column("run_id"), column("collection_id"))
MEMBER = table("lamart_collectionartifact", column("collection_id"), column("artifact_id"))

KINDS = (ARTIFACT, RUN, COLLECTION)


@dataclass(frozen=True)
class _Hop:
    """One kind of step through the graph: rows of `table` lead from ids in one column to ids in another."""

    table: TableClause
    source: TableClause
    source_column: str
    target: TableClause
    target_column: str

    def back(self) -> _Hop:
        return _Hop(self.table, self.target, self.target_column, self.source, self.source_column)


FOLLOWING = (
    _Hop(RUN_INPUT, ARTIFACT, "artifact_id", RUN, "run_id"),
    _Hop(ARTIFACT, RUN, "run_id", ARTIFACT, "id"),
    _Hop(COLLECTION_INPUT, COLLECTION, "collection_id", RUN, "run_id"),
    _Hop(COLLECTION, RUN, "run_id", COLLECTION, "id"),
    _Hop(MEMBER, ARTIFACT, "artifact_id", COLLECTION, "collection_id"),
)
LEADING = tuple(hop.back() for hop in FOLLOWING)


def reach(
    connection: Connection, start: Select[*tuple[Any, ...]], kind: TableClause, hops: Sequence[_Hop]
) -> dict[str, set[int]]:
    """Return the ids of all that can be reached, by table name, the start included.

    One statement, however deep or wide the graph is. It ends on cycles, because what was reached is not visited
    again, and does not pass through the trash.

    Args:
        connection: Where to read.
        start: Selects the ids to start from.
        kind: The table that they are of.
        hops: The steps to take.
    """
    ids = start.subquery()
    reached = select(literal(KINDS.index(kind), Integer).label("kind"), cast(ids.c.id, BigInteger).label("id")).cte(
        "reached", recursive=True
    )
    # Databases allow one recursive term: all kinds of steps are joined to each row, and at most one of them fits.
    numbered = union_all(
        *(
            select(
                literal(number, Integer).label("number"),
                literal(KINDS.index(hop.source), Integer).label("source"),
                literal(KINDS.index(hop.target), Integer).label("target"),
            )
            for number, hop in enumerate(hops)
        )
    ).subquery("hop")
    joined: FromClause = reached.join(numbered, numbered.c.source == reached.c.kind)
    targets: list[ColumnElement[Any]] = []
    for number, hop in enumerate(hops):
        rows = hop.table.alias(f"hop{number}")
        fits = and_(numbered.c.number == number, rows.c[hop.source_column] == reached.c.id, _is_visible(hop, rows))
        joined = joined.outerjoin(rows, fits)
        targets.append(rows.c[hop.target_column])
    target = cast(func.coalesce(*targets), BigInteger)
    nodes = reached.union(select(numbered.c.target, target).select_from(joined).where(target.is_not(None)))
    found: dict[str, set[int]] = {item.name: set() for item in KINDS}
    for number, record_id in connection.execute(select(nodes.c.kind, nodes.c.id)):
        found[KINDS[number].name].add(record_id)
    return found


def _is_visible(hop: _Hop, rows: FromClause) -> ColumnElement[bool]:
    if hop.table is hop.target:
        return rows.c.branch_id != TRASH_BRANCH_ID
    node = hop.target.alias()
    in_sight = (node.c.id == rows.c[hop.target_column]) & (node.c.branch_id != TRASH_BRANCH_ID)
    return exists(select(literal(1)).select_from(node).where(in_sight))
