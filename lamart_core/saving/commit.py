"""The commit: what saving means, decided and written in one transaction, for one record or for many.

Single saves, bulk saves and replacements are this one function. What has to happen with a save beside its row, lineage
first of all, happens in the same transaction: see `records.riders`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select, update

from lamart_core import errors, uids
from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.families.branches import check_unlocked, place
from lamart_core.families.family import rename
from lamart_core.families.following import give_way, insert_versions
from lamart_core.lineage.edges import Made, record_makers
from lamart_core.objects import leases
from lamart_core.objects.plan import Outcome, Plan, Put, Resolution, Row, Staged
from lamart_core.objects.record import ToRecord, record_objects
from lamart_core.objects.rows import Recording, repoint_overwritten
from lamart_core.objects.tombstones import BytesCollected, check_not_collected, was_collected
from lamart_core.objects.unreferenced import Unclaimed, delete_unreferenced, leave_places
from lamart_core.places.key_state import is_real
from lamart_core.places.real_keys import KeyChanged, Reservation, release
from lamart_core.query.sql.dialects import dialect_of
from lamart_core.records import CollectionArtifact, artifact_table
from lamart_core.records.kinds.riders import Rider, Saved
from lamart_core.saving import resolve
from lamart_core.saving.hits import Hits, Unseen
from lamart_core.saving.resolve import MutableRow, SavedRows

# Rows that are not written yet come after all that are.
_PROVISIONAL = 2**62
_MEMBER = CollectionArtifact.table


@dataclass(frozen=True)
class Item:
    """A record that is saved.

    Attributes:
        uid: Its uid; of a new artifact the one that it has so far.
        staged: What it holds.
        plan: What the caller wants of it.
        values: Its values by column name: of one that gets other content those that change, else all.
        artifact_id: Id of an artifact that exists: it has this content already, or it gets it.
        replaces: Whether it gets this content instead of what it has.
        riders: What else is written.
        put: Bytes that were put for it, or for another record of equal content; None where equal ones are there.
        place: The real key that it gets, as it was reserved.
    """

    uid: str
    staged: Staged
    plan: Plan
    values: dict[str, Any]
    artifact_id: int | None = None
    replaces: bool = False
    riders: tuple[Rider, ...] = ()
    put: Put | None = None
    place: Reservation | None = None

    @property
    def has_bytes(self) -> bool:
        """Whether it brings bytes: not where the artifact has this content already."""
        return self.replaces or self.artifact_id is None

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        run = self.plan.run
        return self.has_bytes or bool(self.riders) or (run is not None and run.id != self.values["run_id"])


@dataclass(frozen=True)
class Committed(Saved):
    """What was recorded.

    Attributes:
        path: Where the bytes are that the artifact refers to; None where it is an existing one.
        unclaimed: Bytes that nothing refers to any more.
        kept: Path of the copy of a real key's former bytes that a record refers to now.
    """

    path: str | None = None
    unclaimed: tuple[Unclaimed, ...] = ()
    kept: str | None = None


def commit(
    connection: Connection, items: Sequence[Item], *, verified: Collection[int] = frozenset(), hits: Hits | None = None
) -> list[Committed]:
    """Write the rows of records; to be called in a transaction that is run again on conflict.

    Each is decided as if those before it had been saved. The number of statements does not depend on how many there
    are, but for folders, real keys, replacements and what is restored from the trash.

    Args:
        connection: Connection in a write transaction.
        items: The records.
        verified: Ids of stored objects that are known to be whole.
        hits: What is known of artifacts of equal content.

    Raises:
        Conflict: Another writer won; the transaction is to run again.
        Overtaken: Bytes that were put, or found, are not there any more, a real key changed, or `hits` is to be asked
            again.
        IntegrityError: The version that was revised explicitly is not the latest any more.
        ObjectDoesNotExist: An artifact that was to be replaced was deleted.
    """
    table = artifact_table()
    hits = hits or Hits()
    done: dict[int, Committed] = {}
    waiting = [index for index, item in enumerate(items) if item.artifact_id is None]
    while waiting:
        for index, committed in zip(
            waiting, _commit_new(connection, table, [items[index] for index in waiting], verified, hits), strict=False
        ):
            done[index] = committed
        waiting = [index for index in waiting if index not in done]
    for index, item in enumerate(items):
        if item.artifact_id is not None:
            done[index] = _replace(connection, table, item, verified) if item.replaces else existing(item)
    committed = _with_lineage(connection, table, items, [done[index] for index in range(len(items))])
    for item, saved in zip(items, committed, strict=True):
        for rider in item.riders:
            rider(connection, saved)
    return committed


def existing(item: Item) -> Committed:
    """Return what was recorded of an artifact that the constructor found to exist."""
    return Committed(item.values | {"id": item.artifact_id}, Outcome.EXISTING)


# ---------------------------------------------------------------------- new contents


@dataclass(frozen=True)
class _Decision:
    """What a content means.

    Attributes:
        row: The row of the artifact, new or existing.
        resolution: What is to be done.
        base: The version that the new one follows.
    """

    item: Item
    row: MutableRow
    resolution: Resolution
    base: Row | None = None

    @property
    def is_new(self) -> bool:
        return self.resolution.existing is None

    @property
    def renames(self) -> bool:
        """Whether the family gets the key that was passed with the version to revise."""
        key = self.resolution.key
        return self.is_new and self.base is not None and key not in (None, self.base["key"])


def _commit_new(
    connection: Connection, table: Table, items: Sequence[Item], verified: Collection[int], hits: Hits
) -> list[Committed]:
    """Write the first of some new contents, as many as can be decided together."""
    wanted = [(item.staged, item.plan) for item in items]
    state = resolve.read(connection, table, wanted)
    decisions = _decide(table, state, items, hits)
    if hits.unseen:
        raise Unseen("artifacts of equal content have to be looked at")
    fresh = [decision for decision in decisions if decision.is_new]
    recorded = record_objects(connection, [_to_record(decision) for decision in fresh], verified)
    if any(not item.is_new for item in recorded) and resolve.read(connection, table, wanted).snapshot != state.snapshot:
        # Whoever stored these bytes may have named them after this transaction looked: look again.
        raise errors.Conflict("another writer saved artifacts of the same keys or contents")
    _take_turns(connection, table, fresh)
    for decision, recording in zip(fresh, recorded, strict=True):
        decision.row.update({"object_id": recording.object_id, **recording.sizes})
    _insert_rows(connection, table, [decision.row for decision in fresh])
    _restore(connection, table, decisions)
    by_row = {decision.row["id"]: recording for decision, recording in zip(fresh, recorded, strict=True)}
    return [
        _finish(connection, table, decision, by_row[decision.row["id"]])
        if decision.is_new
        else Committed(decision.row, decision.resolution.outcome)
        for decision in decisions
    ]


def _decide(table: Table, state: SavedRows, items: Sequence[Item], hits: Hits) -> list[_Decision]:
    """Decide for one content after the other, each as if those before it had been saved.

    Ends before one that depends on what only the database can say once the others are written: on the latest version of
    a family of which one was restored, or on a family that gets another key.
    """
    decisions: list[_Decision] = []
    names = [column.name for column in table.columns]
    written, restored = set[str](), set[str]()
    for item in items:
        found = state.matches(item.staged, item.plan, hits)
        resolution = resolve.decide(found, item.plan, stem=resolve.own_stem(item.uid))
        equal = resolution.existing
        if equal is not None:
            stem = uids.stem_of(equal["uid"])
            if resolution.outcome is Outcome.RESTORED:
                if stem in written:
                    break
                restored.add(stem)
                state.restore(equal["id"], item.plan.branch_id)
            decisions.append(_Decision(item, state.row(equal["id"]), resolution))
            continue
        row = dict.fromkeys(names) | item.values | _named(item.plan, resolution)
        row["id"] = _PROVISIONAL + len(decisions)
        decision = _Decision(item, row, resolution, found.tip.base)
        stem = uids.stem_of(resolution.uid)
        if stem in restored or (decision.renames and decisions):
            break
        if resolution.demote is not None:
            state.demote(resolution.demote)
        written.add(stem)
        state.add(row)
        decisions.append(decision)
        if decision.renames:
            break
    return decisions


def _named(plan: Plan, resolution: Resolution) -> MutableRow:
    return {
        "uid": resolution.uid,
        "key": resolution.key,
        "description": resolution.description,
        "storage_id": plan.storage.id,
        "is_latest": True,
    }


def _to_record(decision: _Decision) -> ToRecord:
    item, base = decision.item, decision.base
    base_id = base["object_id"] if base is not None else None  # None of one that is not written yet
    # What goes on to a real key leaves the version store again.
    return ToRecord(item.staged, item.plan.storage, item.put, item.plan.key_is_virtual, base_id)


def _take_turns(connection: Connection, table: Table, fresh: Sequence[_Decision]) -> None:
    """Give families their keys, and let the versions that are followed not be the latest any more."""
    heads: list[Row] = []
    others: list[int] = []
    for decision in fresh:
        base, resolution = decision.base, decision.resolution
        if base is None or base["id"] >= _PROVISIONAL:
            continue
        if decision.renames:
            rename(connection, table, base["uid"], str(resolution.key))
        if resolution.demote is not None:
            heads.append(base)
        elif resolution.follows is not None:
            others.append(resolution.follows)
    give_way(connection, table, heads, others)


def _insert_rows(connection: Connection, table: Table, rows: Sequence[MutableRow]) -> None:
    """Insert artifacts, and give their rows the ids."""
    if not rows:
        return
    values = [{name: value for name, value in row.items() if name != "id"} for row in rows]
    ids: dict[str, int] = {}
    for row in insert_versions(connection, table, values, _is_gone(table)):
        if row.is_gone:
            raise BytesCollected(f"garbage collection removed the bytes of {row.uid} before it referred to them")
        ids[row.uid] = row.id
    for row in rows:
        row["id"] = ids[row["uid"]]


@lru_cache
def _is_gone(table: Table) -> ColumnElement[bool]:
    return was_collected(table).label("is_gone")


def _restore(connection: Connection, table: Table, decisions: Sequence[_Decision]) -> None:
    """Bring artifacts back from the trash; which versions are the latest then, the database says."""
    rows: defaultdict[int, dict[int, MutableRow]] = defaultdict(dict)
    for decision in decisions:
        if decision.resolution.outcome is Outcome.RESTORED:
            rows[decision.item.plan.branch_id][decision.row["id"]] = decision.row
    for branch_id, restored in rows.items():
        place(connection, table, sorted(restored), branch_id)
        there = dialect_of(connection.dialect.name).among(table.c.id, sorted(restored))
        for row in connection.execute(select(table).where(there)).mappings():
            restored[row["id"]].update(row)


def _finish(connection: Connection, table: Table, decision: _Decision, recording: Recording) -> Committed:
    """Write what belongs to the new row of an artifact, and say what was recorded."""
    plan, staged, outcome = decision.item.plan, decision.item.staged, decision.resolution.outcome
    gone: list[Unclaimed] = []
    if plan.overwrite_versions and outcome is Outcome.NEW_VERSION:
        here = table.c.storage_id == plan.storage.id
        before = repoint_overwritten(connection, table, decision.row["uid"], recording.object_id, here)
        gone = delete_unreferenced(connection, before)
    site = decision.item.place
    kept = release(connection, table, site) if site is not None else None
    if staged.stored is not None:
        leases.release(connection, plan.storage.id, staged.stored)
    return Committed(decision.row, outcome, recording.path, (*gone, *_spare(recording)), kept)


def _spare(recording: Recording) -> list[Unclaimed]:
    return [Unclaimed(path, is_folder=False) for path in recording.spare]


# ---------------------------------------------------------------------- replacements


def _replace(connection: Connection, table: Table, item: Item, verified: Collection[int]) -> Committed:
    """Let an artifact refer to other content, whatever it refers to by now: the last one who replaces wins."""
    assert item.artifact_id is not None
    plan, site = item.plan, item.place
    old = lock_replaced(connection, table, item.artifact_id, item.uid)
    if (is_real(old) and old["is_latest"]) != (site is not None) or (site is not None and site.key != old["key"]):
        raise KeyChanged(f"the key of {item.uid} changed, or which version is the latest")
    check_unlocked(connection, table, [item.artifact_id])
    to_record = ToRecord(item.staged, plan.storage, item.put, plan.key_is_virtual, old["object_id"])
    (recording,) = record_objects(connection, [to_record], verified)
    check_not_collected(connection, plan.storage.id, [recording.path])
    if plan.key is not None and plan.key != old["key"]:
        rename(connection, table, item.uid, plan.key)
    values = item.values | {"object_id": recording.object_id, **recording.sizes}
    connection.execute(update(table).where(table.c.id == item.artifact_id).values(values))
    if plan.overwrite_versions:
        same = table.c.object_id == old["object_id"]
        repoint_overwritten(connection, table, item.uid, recording.object_id, same)
    kept = release(connection, table, site) if site is not None else None
    gone = delete_unreferenced(connection, {old["object_id"]})
    if site is None:
        # A file that was registered where it lies is its owner's: only its row goes.
        leave_places(connection, [old["object_id"]], remove=False)
    row = connection.execute(select(table).where(table.c.id == item.artifact_id)).one()._asdict()
    return Committed(row, Outcome.REPLACED, recording.path, (*gone, *_spare(recording)), kept)


def lock_replaced(connection: Connection, table: Table, artifact_id: int, uid: str) -> MutableRow:
    """Return the row of an artifact that may be replaced, locked where rows can be.

    Raises:
        ObjectDoesNotExist: It was deleted.
        InvalidArgument: It is in the trash.
        ProtectedError: It is a member of a collection, which says which bytes it holds: they never change under it.
    """
    row = connection.execute(select(table).where(table.c.id == artifact_id).with_for_update()).first()
    if row is None:
        raise errors.ObjectDoesNotExist(f"{uid} was deleted")
    if row.branch_id == TRASH_BRANCH_ID:
        raise errors.InvalidArgument(f"{uid} is in the trash; restore() it before it is replaced")
    link, collection = _MEMBER.c, _MEMBER.metadata.tables["lamart_collection"].c
    query = select(collection.key, collection.uid).join(_MEMBER, link.collection_id == collection.id)
    member = connection.execute(query.where(link.artifact_id == artifact_id).limit(1)).first()
    if member is not None:
        raise errors.ProtectedError(
            f"{uid} is a member of the collection {member.key!r} ({member.uid}), whose content never changes; "
            "save a new version instead of replacing this one"
        )
    return row._asdict()


# ---------------------------------------------------------------------- lineage


def _with_lineage(
    connection: Connection, table: Table, items: Sequence[Item], committed: Sequence[Committed]
) -> list[Committed]:
    """Write down which runs made artifacts again that exist, and say so."""
    again = (Outcome.EXISTING, Outcome.RESTORED)
    made = [
        Made(saved.row["id"], item.plan.run.id, saved.row["run_id"])
        for item, saved in zip(items, committed, strict=True)
        if item.plan.run is not None and saved.outcome in again
    ]
    makers = record_makers(connection, table, made)
    found: list[Committed] = []
    for item, saved in zip(items, committed, strict=True):
        row, outcome, run = saved.row, saved.outcome, item.plan.run
        if row["id"] in makers:
            row = {**row, "run_id": makers[row["id"]]}
        if outcome is Outcome.EXISTING and run is not None and row["run_id"] not in (None, run.id):
            outcome = Outcome.RECREATED
        is_as_before = row is saved.row and outcome is saved.outcome
        found.append(saved if is_as_before else replace(saved, row=row, outcome=outcome))
    return found
