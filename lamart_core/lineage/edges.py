"""Edges of the lineage graph: what a run read, and what it made again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, select, update

from lamart_core.db import Registry, now
from lamart_core.lineage.context import run_for
from lamart_core.query.sql.dialects import dialect_of, insert_once
from lamart_core.records import CollectionInput, CollectionRecreation, Recreation, Run, RunInput

if TYPE_CHECKING:
    from lamart_core.records import ArtifactRecord, CollectionRecord

_INPUT, _RECREATION = RunInput.table, Recreation.table
_COLLECTION_INPUT, _COLLECTION_RECREATION = CollectionInput.table, CollectionRecreation.table


def add_inputs(registry: Registry, run: Run, artifacts: Iterable[ArtifactRecord], *, kind: str | None = None) -> None:
    """Record artifacts as inputs of a run. Idempotent.

    An artifact is never an input of the run that created or recreated it.

    Args:
        registry: Registry of the run.
        run: The run that read them.
        artifacts: What it read.
        kind: Why, where that is not the making of an output, for example `check`.
    """
    wanted = {artifact.id for artifact in artifacts if artifact.run_id != run.id}
    if not wanted:
        return

    def work(connection: Connection) -> None:
        made = select(_RECREATION.c.artifact_id).where(
            _RECREATION.c.run_id == run.id, _RECREATION.c.artifact_id.in_(wanted)
        )
        again = set(connection.execute(made).scalars())
        at = now()
        rows = [
            {"run_id": run.id, "artifact_id": artifact_id, "kind": kind, "created_at": at}
            for artifact_id in sorted(wanted - again)
        ]
        insert_once(connection, _INPUT, rows)

    registry.unit_of_work(work)


@dataclass(frozen=True)
class Made:
    """Content that a run made and that exists already.

    Attributes:
        artifact_id: The artifact.
        run_id: The run.
        maker: Id of the run that the artifact says to be made by, if there is one.
    """

    artifact_id: int
    run_id: int
    maker: int | None


def record_makers(connection: Connection, table: Table, made: Sequence[Made]) -> dict[int, int | None]:
    """Record, in the caller's transaction, that runs made existing artifacts again.

    A run becomes the maker of an artifact that has none. What it has read already it has neither made nor made again.

    Args:
        connection: The caller's transaction.
        table: The table of artifacts.
        made: What was made.

    Returns:
        Ids of the makers of the artifacts that had none, by the ids of these: the run, one that came first, or None.
    """
    makers: dict[int, int | None] = {}
    recreated: defaultdict[int, set[int]] = defaultdict(set)
    free: defaultdict[int, set[int]] = defaultdict(set)
    for item in made:
        if item.maker != item.run_id:
            (free if item.maker is None else recreated)[item.run_id].add(item.artifact_id)
    for run_id, ids in free.items():
        for artifact_id, maker in _claim(connection, table, run_id, sorted(ids)).items():
            makers[artifact_id] = maker
            if maker not in (None, run_id):
                recreated[run_id].add(artifact_id)
    for run_id, ids in recreated.items():
        _add_recreations(connection, run_id, sorted(ids))
    return makers


def _claim(connection: Connection, table: Table, run_id: int, artifact_ids: Sequence[int]) -> dict[int, int | None]:
    among = dialect_of(connection.dialect.name).among(table.c.id, artifact_ids)
    read = select(_INPUT.c.id).where(_INPUT.c.run_id == run_id, _INPUT.c.artifact_id == table.c.id)
    free = among & table.c.run_id.is_(None) & ~read.exists()
    connection.execute(update(table).where(free).values(run_id=run_id))
    return {row.id: row.run_id for row in connection.execute(select(table.c.id, table.c.run_id).where(among))}


def _add_recreations(connection: Connection, run_id: int, artifact_ids: Sequence[int]) -> None:
    among = dialect_of(connection.dialect.name).among(_INPUT.c.artifact_id, artifact_ids)
    read = set(connection.execute(select(_INPUT.c.artifact_id).where(_INPUT.c.run_id == run_id, among)).scalars())
    at = now()
    rows = [
        {"run_id": run_id, "artifact_id": artifact_id, "created_at": at}
        for artifact_id in artifact_ids
        if artifact_id not in read
    ]
    insert_once(connection, _RECREATION, rows)


def track_input(artifact: ArtifactRecord, is_run_input: bool | Run | None) -> None:
    """Record a read as an input of the current or given run.

    Args:
        artifact: The artifact that was read.
        is_run_input: None records it when tracking is on and a run is current; True does whatever the setting;
            False never; a run names the run.
    """
    track_inputs([artifact], is_run_input)


def track_inputs(artifacts: Sequence[ArtifactRecord], is_run_input: bool | Run | None) -> None:
    """Record reads of artifacts of one registry, at least one, at once; see `track_input`."""
    registry = artifacts[0].registry
    if is_run_input is False or (is_run_input is None and not registry.settings.track_run_inputs):
        return
    run = run_for(registry, is_run_input if isinstance(is_run_input, Run) else None)
    if run is not None:
        add_inputs(registry, run, artifacts)


def add_collection_recreation(connection: Connection, run_id: int, collection_id: int) -> None:
    """Record, in the caller's transaction, that a run made an existing collection again, unless it read it."""
    read = select(_COLLECTION_INPUT.c.id).where(
        _COLLECTION_INPUT.c.run_id == run_id, _COLLECTION_INPUT.c.collection_id == collection_id
    )
    if connection.execute(read).first() is None:
        row = {"run_id": run_id, "collection_id": collection_id, "created_at": now()}
        insert_once(connection, _COLLECTION_RECREATION, [row])


def track_collection_input(collection: CollectionRecord, is_run_input: bool | Run | None) -> None:
    """Record the read of a collection as an input of the current or given run; see `track_input`.

    A collection is never an input of the run that created or recreated it.
    """
    registry = collection.registry
    if is_run_input is False or (is_run_input is None and not registry.settings.track_run_inputs):
        return
    run = run_for(registry, is_run_input if isinstance(is_run_input, Run) else None)
    if run is None or collection.run_id == run.id:
        return
    row = {"run_id": run.id, "collection_id": collection.id, "created_at": now()}
    again = select(_COLLECTION_RECREATION.c.id).where(
        _COLLECTION_RECREATION.c.run_id == run.id, _COLLECTION_RECREATION.c.collection_id == collection.id
    )

    def work(connection: Connection) -> None:
        if connection.execute(again).first() is None:
            insert_once(connection, _COLLECTION_INPUT, [row])

    registry.unit_of_work(work)
