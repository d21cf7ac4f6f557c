"""One transaction that writes the rows of many records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, insert

from lamart_core import errors
from lamart_core.families.declare import is_versioned
from lamart_core.families.following import give_way, insert_versions
from lamart_core.lineage.edges import add_recreations, claim_all
from lamart_core.objects.bulk_objects import Stored, ToStore, insert_objects
from lamart_core.objects.plan import Outcome, Plan, Put, Resolution, Staged
from lamart_core.objects.tombstones import check_not_collected
from lamart_core.records import ArtifactRecord, SQLRecord, artifact_table
from lamart_core.saving import known, resolve
from lamart_core.saving.known import Known, MutableRow

# Rows that are not written yet come after all that are.
_PROVISIONAL = 2**62


@dataclass(frozen=True)
class New:
    """A new artifact: what it holds, what was wanted of it, its values so far, and its bytes in the storage.

    Attributes:
        put: Bytes that were put for it or for another record of equal content; None where equal bytes were there.
    """

    record: ArtifactRecord
    staged: Staged
    plan: Plan
    values: dict[str, Any]
    put: Put | None


@dataclass(frozen=True)
class MadeAgain:
    """A saved artifact that a run made again; where it had no run, this one may become its maker."""

    artifact_id: int
    run_id: int
    has_maker: bool


@dataclass(frozen=True)
class Work:
    """What one transaction is to write.

    Attributes:
        new: New artifacts, in the order in which they are saved.
        again: Saved artifacts that were made again.
        inserted: New records of other classes.
        updated: Saved records with changed fields.
        seen: Ids of stored objects that are known to be whole.
    """

    new: Sequence[New]
    again: Sequence[MadeAgain]
    inserted: Sequence[SQLRecord]
    updated: Sequence[SQLRecord]
    seen: Collection[int] = frozenset()


@dataclass(frozen=True)
class Written:
    """What a transaction has written.

    Attributes:
        rows: The row of each new artifact; None where one in the trash is to be restored, which is left to do.
        paths: Paths of the objects that these rows refer to, by storage id.
        ids: Ids of the new records of other classes.
        makers: The runs that made the artifacts which had none, by the ids of the artifacts.
    """

    rows: Sequence[MutableRow | None]
    paths: frozenset[tuple[int, str]]
    ids: Sequence[int]
    makers: Mapping[int, int | None]


def write(connection: Connection, work: Work) -> Written:
    """Write the rows of many records; to be called in a transaction that is run again on conflict."""
    ids = _insert_others(connection, work.inserted)
    for record in work.updated:
        record._update(connection)
    table = artifact_table()
    rows: list[MutableRow | None] = []
    paths: set[tuple[int, str]] = set()
    if work.new:
        rows = _write_artifacts(connection, table, work, paths)
    makers = _make_again(connection, table, [*work.again, *_made_again(work.new, rows)])
    for row in rows:
        if row is not None and row["id"] in makers:
            row["run_id"] = makers[row["id"]]
    return Written(rows, frozenset(paths), ids, makers)


# ---------------------------------------------------------------------- artifacts


def _write_artifacts(
    connection: Connection, table: Table, work: Work, paths: set[tuple[int, str]]
) -> list[MutableRow | None]:
    wanted = [(item.staged, item.plan) for item in work.new]
    rows_known = known.read(connection, table, wanted)
    decided = _decide(table, rows_known, work.new)
    to_store = [ToStore(item.staged, item.plan, item.put) for item, _ in decided.fresh]
    stored = insert_objects(connection, to_store, work.seen)
    if any(not item.is_new for item in stored) and known.read(connection, table, wanted).snapshot != (
        rows_known.snapshot
    ):
        # Whoever stored these bytes may have named them after this transaction looked: look again.
        raise errors.Conflict("another writer saved artifacts of the same keys or contents")
    give_way(connection, table, decided.demoted, decided.followed)
    _insert_artifacts(connection, table, decided.fresh, stored)
    _check_collected(connection, decided.fresh, stored)
    paths.update((item.plan.storage.id, found.path) for (item, _), found in zip(decided.fresh, stored, strict=True))
    return decided.rows


@dataclass(frozen=True)
class _Decided:
    """What a batch means.

    Attributes:
        rows: The row of each artifact.
        fresh: Those that are new.
        demoted: Who stops being the latest version.
        followed: Ids of versions that others follow on a branch without a latest version.
    """

    rows: list[MutableRow | None]
    fresh: list[tuple[New, MutableRow]]
    demoted: list[MutableRow]
    followed: list[int]


def _decide(table: Table, rows_known: Known, new: Sequence[New]) -> _Decided:
    """Decide for one artifact after the other, each as if those before it had been saved."""
    decided = _Decided([], [], [], [])
    names = [column.name for column in table.columns]
    for item in new:
        found = rows_known.find(item.staged, item.plan)
        resolution = resolve.decide(found, item.plan, stem=resolve.own_stem(item.record.uid))
        if resolution.existing is not None:
            row = resolution.existing if resolution.outcome is not Outcome.RESTORED else None
            decided.rows.append(row)  # pyright: ignore[reportArgumentType]  # the very rows that are known here
            continue
        if resolution.demote is not None:
            head = rows_known.demote(resolution.demote)
            if resolution.demote < _PROVISIONAL:
                decided.demoted.append(head)
        elif resolution.follows is not None and resolution.follows < _PROVISIONAL:
            decided.followed.append(resolution.follows)
        row = dict.fromkeys(names) | item.values | _named(item.plan, resolution)
        row["id"] = _PROVISIONAL + len(decided.fresh)
        rows_known.add(row)
        decided.fresh.append((item, row))
        decided.rows.append(row)
    return decided


def _named(plan: Plan, resolution: Resolution) -> MutableRow:
    return {
        "uid": resolution.uid,
        "key": resolution.key,
        "description": resolution.description,
        "storage_id": plan.storage.id,
        "is_latest": True,
    }


def _insert_artifacts(
    connection: Connection, table: Table, fresh: Sequence[tuple[New, MutableRow]], stored: Sequence[Stored]
) -> None:
    if not fresh:
        return
    for (_, row), found in zip(fresh, stored, strict=True):
        row["object_id"] = found.id
    values = [{name: value for name, value in row.items() if name != "id"} for _, row in fresh]
    ids = {row.uid: row.id for row in insert_versions(connection, table, values)}
    for _, row in fresh:
        row["id"] = ids[row["uid"]]


def _check_collected(connection: Connection, fresh: Sequence[tuple[New, MutableRow]], stored: Sequence[Stored]) -> None:
    paths: defaultdict[int, set[str]] = defaultdict(set)
    for (item, _), found in zip(fresh, stored, strict=True):
        if item.staged.in_place is None:
            paths[item.plan.storage.id].add(found.path)
    for storage_id, names in paths.items():
        check_not_collected(connection, storage_id, sorted(names))


# ---------------------------------------------------------------------- made again


def _made_again(new: Sequence[New], rows: Sequence[MutableRow | None]) -> list[MadeAgain]:
    """Say which of the artifacts that turned out to exist were made again."""
    return [
        MadeAgain(row["id"], item.plan.run.id, row["run_id"] is not None)
        for item, row in zip(new, rows, strict=True)
        if row is not None and item.plan.run is not None and row["run_id"] != item.plan.run.id
    ]


def _make_again(connection: Connection, table: Table, again: Sequence[MadeAgain]) -> dict[int, int | None]:
    makers: dict[int, int | None] = {}
    recreated: defaultdict[int, set[int]] = defaultdict(set)
    free: defaultdict[int, set[int]] = defaultdict(set)
    for item in again:
        (recreated if item.has_maker else free)[item.run_id].add(item.artifact_id)
    for run_id, ids in free.items():
        for artifact_id, maker in claim_all(connection, table, run_id, sorted(ids)).items():
            makers[artifact_id] = maker
            if maker not in (None, run_id):
                recreated[run_id].add(artifact_id)
    for run_id, ids in recreated.items():
        add_recreations(connection, run_id, sorted(ids))
    return makers


# ---------------------------------------------------------------------- other records


def _insert_others(connection: Connection, records: Sequence[SQLRecord]) -> list[int]:
    """Insert new records of any class: one statement for each class and set of fields, where nothing is to be asked."""
    ids = [0] * len(records)
    groups: defaultdict[tuple[type[SQLRecord], frozenset[str]], list[int]] = defaultdict(list)
    values = [record._values() for record in records]
    for index, record in enumerate(records):
        if type(record)._insert is not SQLRecord._insert or is_versioned(record.__table__):
            ids[index] = record._insert(connection)
        else:
            groups[type(record), frozenset(values[index])].append(index)
    for (model, _), indices in groups.items():
        table = model.__table__
        statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
        inserted = connection.execute(statement, [values[index] for index in indices]).scalars()
        for index, row_id in zip(indices, inserted, strict=True):
            ids[index] = row_id
    return ids
