"""The lineage graph around an artifact, read level by level."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, select

from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.records import ArtifactRecord, Recreation, Run, RunInput, Transform

# SQLite takes at most 32,766 values in one statement.
_BATCH = 10_000


@dataclass(frozen=True)
class ArtifactNode:
    """An artifact in the graph."""

    id: int
    uid: str
    key: str | None
    description: str | None
    run_id: int | None

    @property
    def name(self) -> str:
        """Name in drawings and sets, unique in the graph."""
        return f"artifact_{self.uid}"

    @property
    def label(self) -> str:
        """What people read."""
        return self.key or self.description or self.uid


@dataclass(frozen=True)
class RunNode:
    """A run in the graph."""

    id: int
    uid: str
    transform: str
    started_at: Any

    @property
    def name(self) -> str:
        """Name in drawings and sets, unique in the graph."""
        return f"run_{self.uid}"

    @property
    def label(self) -> str:
        """What people read."""
        return self.transform


@dataclass
class Graph:
    """Runs and artifacts that lead to and follow from a focal artifact.

    Attributes:
        focal: The artifact that was asked for.
        artifacts: All artifacts by id, the focal one included.
        runs: All runs by id.
        inputs: Pairs (artifact id, run id): the run read the artifact.
        outputs: Pairs (run id, artifact id): the run made the artifact.
        recreations: Pairs (run id, artifact id): the run made the artifact again.
    """

    focal: int
    artifacts: dict[int, ArtifactNode] = field(default_factory=dict[int, ArtifactNode])
    runs: dict[int, RunNode] = field(default_factory=dict[int, RunNode])
    inputs: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    outputs: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    recreations: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])


def lineage_graph(artifact: ArtifactRecord, *, with_children: bool = True) -> Graph:
    """Return the graph of what leads to an artifact and, with children, of what follows from it.

    A fixed number of statements for each level of the graph; it ends on cycles too. What is in the trash is left out.

    Args:
        artifact: A saved artifact.
        with_children: Whether runs that read the artifact, and what they made, are included.
    """
    table: Table = type(artifact).__table__  # pyright: ignore[reportAssignmentType]
    graph = Graph(focal=artifact.id)
    with artifact.registry.engine.connect() as connection:
        _add_artifacts(connection, table, graph, [artifact.id], keep_trash=True)
        _climb(connection, table, graph)
        if with_children:
            _descend(connection, table, graph)
        _add_recreations(connection, graph)
    # Read and made by the same run: shown as made.
    graph.inputs -= {(artifact_id, run_id) for run_id, artifact_id in graph.outputs}
    return graph


def _climb(connection: Connection, table: Table, graph: Graph) -> None:
    level = set(graph.artifacts)
    while level:
        makers = {node.run_id for i in level if (node := graph.artifacts[i]).run_id is not None}
        graph.outputs |= {(node.run_id, i) for i in level if (node := graph.artifacts[i]).run_id is not None}
        new_runs = makers - set(graph.runs)
        _add_runs(connection, graph, new_runs)
        pairs = _select(
            connection,
            lambda ids: select(RunInput.artifact_id, RunInput.run_id).where(RunInput.run_id.in_(ids)),
            new_runs,
        )
        level = _add_artifacts(
            connection, table, graph, {artifact_id for artifact_id, _ in pairs} - set(graph.artifacts)
        )
        graph.inputs |= {(a, r) for a, r in pairs if a in graph.artifacts}


def _descend(connection: Connection, table: Table, graph: Graph) -> None:
    columns = table.c
    level = {graph.focal}
    seen: set[int] = set()
    while level:
        seen |= level
        pairs = _select(
            connection,
            lambda ids: select(RunInput.artifact_id, RunInput.run_id).where(RunInput.artifact_id.in_(ids)),
            level,
        )
        readers = {run_id for _, run_id in pairs}
        _add_runs(connection, graph, readers - set(graph.runs))
        graph.inputs |= {(a, r) for a, r in pairs}
        made = _select(
            connection,
            lambda ids: select(columns.id, columns.run_id).where(
                columns.run_id.in_(ids), columns.branch_id != TRASH_BRANCH_ID
            ),
            readers,
        )
        _add_artifacts(connection, table, graph, {artifact_id for artifact_id, _ in made} - set(graph.artifacts))
        graph.outputs |= {(run_id, artifact_id) for artifact_id, run_id in made}
        level = {artifact_id for artifact_id, _ in made} - seen


def _add_recreations(connection: Connection, graph: Graph) -> None:
    pairs = _select(
        connection,
        lambda ids: select(Recreation.run_id, Recreation.artifact_id).where(Recreation.artifact_id.in_(ids)),
        set(graph.artifacts),
    )
    _add_runs(connection, graph, {run_id for run_id, _ in pairs} - set(graph.runs))
    graph.recreations |= set(pairs)


def _add_artifacts(
    connection: Connection, table: Table, graph: Graph, ids: Iterable[int], *, keep_trash: bool = False
) -> set[int]:
    columns = table.c
    rows = _select(
        connection,
        lambda batch: select(
            columns.id, columns.uid, columns.key, columns.description, columns.run_id, columns.branch_id
        ).where(columns.id.in_(batch)),
        ids,
    )
    added = {row[0]: ArtifactNode(*row[:5]) for row in rows if keep_trash or row[5] != TRASH_BRANCH_ID}
    graph.artifacts.update(added)
    return set(added)


def _add_runs(connection: Connection, graph: Graph, ids: Iterable[int]) -> None:
    rows = _select(
        connection,
        lambda batch: (
            select(Run.id, Run.uid, Transform.key, Run.started_at)
            .join(Transform, Run.transform_id == Transform.id)
            .where(Run.id.in_(batch))
        ),
        ids,
    )
    graph.runs.update({row[0]: RunNode(*row) for row in rows})


def _select(connection: Connection, query: Callable[[list[int]], Any], ids: Iterable[int]) -> list[Any]:
    wanted = sorted(ids)
    rows: list[Any] = []
    for start in range(0, len(wanted), _BATCH):
        rows.extend(tuple(row) for row in connection.execute(query(wanted[start : start + _BATCH])))
    return rows
