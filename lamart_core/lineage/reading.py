"""From the database to the lineage graph around records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, TableClause, select

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.lineage.closure import (
    ARTIFACT,
    COLLECTION,
    COLLECTION_INPUT,
    COLLECTION_RECREATION,
    FOLLOWING,
    LEADING,
    MEMBER,
    RECREATION,
    RUN,
    RUN_INPUT,
    TRANSFORM,
    reach,
)
from lamart_core.lineage.graph import Edge, EdgeKind, Graph, Node, NodeKind
from lamart_core.records import ArtifactRecord, CollectionRecord, Run, SQLRecord, Transform

# SQLite takes at most 32,766 values in one statement.
_BATCH = 10_000


def lineage_graph(record: SQLRecord, *, with_children: bool = True) -> Graph:
    """Return the graph of what leads to a record and, with children, of what follows from it.

    About ten statements, however deep or wide the graph is, and a few more for each 10,000 records. What is in the
    trash is left out, and so is what can be reached through it only; the record itself is always there.

    Args:
        record: A saved artifact, collection, run, or transform (all its runs).
        with_children: Whether runs that used it, and what they made, are included.

    Raises:
        InvalidArgument: The record is not saved, or of another class.

    Examples:
        >>> import lamart_core as ln
        >>> from pathlib import Path
        >>> _ = Path("a.txt").write_text("a")
        >>> run = ln.track("make.py")
        >>> artifact = ln.Artifact("a.txt", key="examples/a.txt").save()
        >>> ln.finish()
        >>> print(ln.lineage_graph(artifact).to_text())
        examples/a.txt (...)  ← make.py
    """
    kind, start = _start(record)
    with record.registry.engine.connect() as connection:
        reader = _Reader(connection)
        reader.add(kind, connection.execute(start).scalars().all(), keep_trash=True)
        focal = tuple(reader.names)
        for hops in (LEADING, FOLLOWING) if with_children else (LEADING,):
            reached = reach(connection, start, kind, hops)
            for table in (ARTIFACT, COLLECTION, RUN):
                reader.add(table, reached[table.name])
        reader.read_edges()
    return Graph(tuple(reader.names[key] for key in focal), reader.nodes, tuple(sorted(reader.edges)))


def _start(record: SQLRecord) -> tuple[TableClause, Select[*tuple[Any, ...]]]:
    if not record.is_saved:
        raise errors.InvalidArgument(f"save {record!r} before asking for its lineage")
    for model, table in ((ArtifactRecord, ARTIFACT), (CollectionRecord, COLLECTION), (Run, RUN)):
        if isinstance(record, model):
            return table, select(table.c.id).where(table.c.id == record.id)
    if isinstance(record, Transform):
        runs = select(RUN.c.id).where(RUN.c.transform_id == record.id, RUN.c.branch_id != TRASH_BRANCH_ID)
        return RUN, runs
    raise errors.InvalidArgument(f"artifacts, collections, runs and transforms have a lineage, got {record!r}")


@dataclass
class _Reader:
    """Nodes and edges that were read so far."""

    connection: Connection
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    # Name by table and id, and the run that made it.
    names: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    makers: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    edges: set[Edge] = field(default_factory=set[Edge])

    def add(self, table: TableClause, ids: Iterable[int], *, keep_trash: bool = False) -> None:
        """Read the nodes of a table that are not known yet."""
        new = {record_id for record_id in ids if (table.name, record_id) not in self.names}
        if table is RUN:
            query = select(RUN.c.id, RUN.c.uid, TRANSFORM.c.key, RUN.c.branch_id).join_from(
                RUN, TRANSFORM, RUN.c.transform_id == TRANSFORM.c.id
            )
        else:
            query = select(*table.c)
        for row in self._rows(query, table.c.id, new):
            if row.branch_id == TRASH_BRANCH_ID and not keep_trash:
                continue
            if table is RUN:
                node = Node(NodeKind.RUN, row.uid, row.key)
            else:
                kind = NodeKind.ARTIFACT if table is ARTIFACT else NodeKind.COLLECTION
                node = Node(kind, row.uid, row.key or row.description or row.uid)
                if row.run_id is not None:
                    self.makers[table.name, row.id] = row.run_id
            self.nodes[node.name] = node
            self.names[table.name, row.id] = node.name

    def read_edges(self) -> None:
        """Read all edges between the nodes, and the runs that made any of them again."""
        for links, table in ((RECREATION, ARTIFACT), (COLLECTION_RECREATION, COLLECTION)):
            pairs = self._pairs(links, "run_id", _target_of(table), by=table)
            self.add(RUN, {run_id for run_id, _ in pairs})
            self._connect(pairs, RUN, table, EdgeKind.RECREATION)
        for table in (ARTIFACT, COLLECTION):
            made = [(run_id, i) for (name, i), run_id in self.makers.items() if name == table.name]
            self._connect(made, RUN, table, EdgeKind.OUTPUT)
        made_by = {(edge.target, edge.source) for edge in self.edges}
        for links, table in ((RUN_INPUT, ARTIFACT), (COLLECTION_INPUT, COLLECTION)):
            self._connect(self._pairs(links, _target_of(table), "run_id", by=RUN), table, RUN, EdgeKind.INPUT)
        # Read and made by the same run: shown as made.
        self.edges -= {Edge(source, target, EdgeKind.INPUT) for source, target in made_by}
        members = self._pairs(MEMBER, "artifact_id", "collection_id", by=COLLECTION)
        self._connect(members, ARTIFACT, COLLECTION, EdgeKind.MEMBER)

    def _pairs(self, links: TableClause, source: str, target: str, *, by: TableClause) -> list[Any]:
        ids = [record_id for name, record_id in self.names if name == by.name]
        key = links.c["run_id" if by is RUN else _target_of(by)]
        return [tuple(row) for row in self._rows(select(links.c[source], links.c[target]), key, ids)]

    def _connect(
        self, pairs: Iterable[tuple[int, int]], source: TableClause, target: TableClause, kind: EdgeKind
    ) -> None:
        for source_id, target_id in pairs:
            ends = self.names.get((source.name, source_id)), self.names.get((target.name, target_id))
            if ends[0] is not None and ends[1] is not None:
                self.edges.add(Edge(ends[0], ends[1], kind))

    def _rows(self, query: Select[*tuple[Any, ...]], key: Any, ids: Iterable[int]) -> list[Any]:
        wanted = sorted(ids)
        rows: list[Any] = []
        for start in range(0, len(wanted), _BATCH):
            rows.extend(self.connection.execute(query.where(key.in_(wanted[start : start + _BATCH]))))
        return rows


def _target_of(table: TableClause) -> str:
    return "artifact_id" if table is ARTIFACT else "collection_id"
