"""Saving: bytes first, then one transaction, then cleaning up. Nothing is lost at any point in between."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy.orm.attributes import set_committed_value

from lamart_core import errors, uids
from lamart_core.db import Registry
from lamart_core.db.checks import check_values
from lamart_core.families.branches import check_unlocked, place
from lamart_core.families.family import rename
from lamart_core.families.following import give_way, insert_versions
from lamart_core.lineage.edges import add_recreation, claim
from lamart_core.logging import logger
from lamart_core.moving.move import check_rename, move_real_key, move_to_storage
from lamart_core.objects import leases
from lamart_core.objects.mend import mend
from lamart_core.objects.plan import Dedup, Outcome, Pending, Plan, Put, Resolution, Row, SaveResult, Staged
from lamart_core.objects.rows import (
    Unclaimed,
    insert_object,
    object_values,
    replace_older,
    shared_object,
)
from lamart_core.objects.tombstones import BytesCollected, is_collected
from lamart_core.places.publish import settle
from lamart_core.places.real_keys import Overwritten, Place, hand_over, occupy
from lamart_core.records import ArtifactRecord
from lamart_core.saving import resolve
from lamart_core.saving.construct import begin_anew
from lamart_core.saving.replace import Replacement, save_replacement
from lamart_core.saving.stage import discard
from lamart_core.saving.write import Committed, write

# Whether garbage collection took the object of an artifact before the statement that inserts it.
_COLLECTED = is_collected(bindparam("object_storage"), bindparam("object_path")).label("collected")


@dataclass(frozen=True, kw_only=True)
class _Saved(Committed):
    resolution: Resolution


def save(record: ArtifactRecord, *, show_progress: bool | None = None) -> SaveResult:
    """Save an artifact: a new one with its bytes, an existing one with its changed fields.

    Args:
        record: The artifact.
        show_progress: Whether the upload draws a bar; None is the setting of the registry.

    Returns:
        The artifact and what was done.

    Raises:
        PathNotFound: The source vanished since the artifact was constructed.
        SourceChanged: The source was modified since the artifact was constructed.
        StorageError: The storage refused the bytes; nothing is registered, nothing is left behind.
        IntegrityError: The version that was revised explicitly is not the latest any more.
    """
    pending: Pending | Replacement | None = record._pending
    if pending is None:
        return _save_fields(record)
    if isinstance(pending, Replacement):
        save_replacement(record, pending, show_progress=show_progress)
        return SaveResult(record, Outcome.EXISTING)
    if record.is_saved:
        return _save_again(record, pending)
    return _save_new(record, pending, show_progress)


def _save_fields(record: ArtifactRecord) -> SaveResult:
    changes = record._changes()
    if changes and not record.is_latest:
        logger.warning("%s is not the latest version of its family", record.uid)
    if "storage_id" in changes:
        _move(record, changes)
    elif "key" in changes:
        _rename(record, changes["key"])
    super(ArtifactRecord, record).save()
    return SaveResult(record, Outcome.EXISTING)


def _move(record: ArtifactRecord, changes: Row) -> None:
    if "key" in changes:
        raise errors.InvalidArgument("an artifact cannot get another key and another storage at once; save one first")
    storage = record.storage
    assert storage is not None
    move_to_storage(record, storage)


def _rename(record: ArtifactRecord, key: str | None) -> None:
    table = record.__table__
    key = check_rename(record, key)
    record.key = key
    with record.registry.engine.connect() as connection:
        check_unlocked(connection, table, [record.id])
    if record._key_is_virtual:
        record.registry.unit_of_work(lambda connection: rename(connection, table, record.uid, key))
    else:
        move_real_key(record, key)


def _save_again(record: ArtifactRecord, pending: Pending) -> SaveResult:
    """Save a record that the constructor found to exist: its changed fields, and that this run made it again."""
    run = pending.plan.run
    outcome = Outcome.EXISTING
    if not mend(record, pending):
        return save_anew(record, pending)
    discard(pending.staged)
    if run is not None:
        if record.run_id is None:
            table = record.__table__
            maker = record.registry.unit_of_work(lambda connection: claim(connection, table, run.id, record.id))
            set_committed_value(record, "run_id", maker)
            vars(record).pop("_cached_run", None)
        if record.run_id not in (None, run.id):
            record.registry.unit_of_work(lambda connection: add_recreation(connection, run.id, record.id))
            outcome = Outcome.RECREATED
    if "key" in record._changes():
        _take_key(record)
    super(ArtifactRecord, record).save()
    record._pending = None
    record._memory = None
    return SaveResult(record, outcome)


def save_anew(record: ArtifactRecord, pending: Pending) -> SaveResult:
    """Save an artifact that was deleted since the constructor found it, with the fields that were changed since."""
    changes = {name: value for name, value in record._changes().items() if name != "key"}
    begin_anew(record, pending)
    result = save(record)
    for name, value in changes.items():
        if getattr(record, name) != value:
            setattr(record, name, value)
    _save_fields(record)
    return result


def _take_key(record: ArtifactRecord) -> None:
    """Give known content without a key the one that was passed, unless another family has it."""
    table = record.__table__
    key = str(record.key)
    try:
        record.registry.unit_of_work(lambda connection: rename(connection, table, record.uid, key))
    except errors.InvalidArgument:
        logger.warning("the content is known as %s; its key stays None, %r is that of another family", record.uid, key)
        set_committed_value(record, "key", None)
    else:
        set_committed_value(record, "key", key)


def _save_new(record: ArtifactRecord, pending: Pending, show_progress: bool | None) -> SaveResult:
    registry = record.registry
    check_values(type(record), record._values())
    plan = _with_saved_storage(pending.plan)
    staged = pending.staged
    written = write(
        record,
        staged,
        plan,
        occupy=lambda: _occupy(record, registry, staged, plan),
        commit=lambda put, site, seen: _commit(record, registry, staged, plan, put, site, seen),
        shared=_may_share(registry, staged, plan),
        show_progress=show_progress,
    )
    committed = written.committed
    if written.site is not None:
        _settle(record, written.site, committed)
    _warn_restored(record, committed.resolution)
    outcome = committed.resolution.outcome
    if outcome is Outcome.EXISTING and plan.run is not None and record.run_id != plan.run.id:
        outcome = Outcome.RECREATED
    return SaveResult(record, outcome)


def _occupy(record: ArtifactRecord, registry: Registry, staged: Staged, plan: Plan) -> Place | None:
    """See what lies at a real key that is going to get other bytes."""
    if plan.key_is_virtual or staged.in_place is not None:
        return None
    assert record.key is not None
    overwrites = Overwritten(uids.stem_of(record.uid), plan.branch_id) if plan.overwrite_versions else None
    return occupy(registry, plan.storage, record.key, object_values(staged), overwrites=overwrites)


def _settle(record: ArtifactRecord, site: Place, committed: _Saved) -> None:
    """Publish at the real key what the commit made its latest version."""
    if committed.resolution.existing is not None:
        site.withdraw()
        return
    if site.copy is not None and committed.kept != site.copy.path:
        site.withdraw()
    settle(record.registry, site.storage, site.key, force=True)
    record.refresh()


def _with_saved_storage(plan: Plan) -> Plan:
    """Register the remote location that a path in place was found in."""
    if plan.storage.is_saved:
        return plan
    return plan.with_storage(plan.storage.save())


def _may_share(registry: Registry, staged: Staged, plan: Plan) -> Row | None:
    """Return the object of equal bytes that seems to lie in the storage, so that putting them again can be spared."""
    if staged.in_place is not None or staged.stored is not None or not staged.is_comparable:
        return None
    if plan.dedup is Dedup.REGISTRY and plan.lookup:
        # Bytes that an artifact names were found by the constructor; others are rare, and then put in vain.
        return None
    with registry.engine.connect() as connection:
        return shared_object(connection, staged, plan)


def _commit(
    record: ArtifactRecord,
    registry: Registry,
    staged: Staged,
    plan: Plan,
    put: Put | None,
    site: Place | None,
    seen: Collection[int],
) -> _Saved:
    table = record.__table__
    record._defaults(registry)
    values = record._values()

    def work(connection: Connection) -> _Saved:
        found = resolve.find(connection, table, staged, plan)
        resolution = resolve.decide(found, plan, stem=resolve.own_stem(record.uid))
        if resolution.existing is not None:
            row = _existing(connection, table, resolution, plan)
            return _Saved(row, object_path="", resolution=resolution)
        head = found.tip.base
        base_id = head["object_id"] if head is not None else None
        stored = insert_object(connection, staged, plan, put, base_id, seen=seen)
        is_shared = put is None or stored.path != put.relpath
        if is_shared and resolve.find(connection, table, staged, plan).equal is not None:
            # Whoever stored these bytes may have named them after this transaction looked: look again.
            raise errors.Conflict("another writer saved equal content")
        if head is not None and plan.revises_uid is not None and resolution.key not in (None, head["key"]):
            assert resolution.key is not None
            rename(connection, table, head["uid"], resolution.key)
        if resolution.demote is not None:
            assert head is not None
            give_way(connection, table, [head])
        elif resolution.follows is not None:
            give_way(connection, table, [], [resolution.follows])
        new = values | {
            "uid": resolution.uid,
            "key": resolution.key,
            "description": resolution.description,
            "storage_id": plan.storage.id,
            "object_id": stored.object_id,
            **stored.sizes,
            "is_latest": True,
        }
        place_of_object = {"object_storage": plan.storage.id, "object_path": stored.path}
        row = insert_versions(connection, table, [new | place_of_object], _COLLECTED)[0]
        if row.collected:
            raise BytesCollected(f"garbage collection removed {stored.path} before a record referred to it")
        replaced = replace_older(connection, table, resolution, stored.object_id, plan)
        kept = hand_over(connection, table, site) if site is not None else None
        if staged.stored is not None:
            leases.release(connection, plan.storage.id, staged.stored)
        unclaimed = (*replaced, *(Unclaimed(path, is_folder=False) for path in stored.spare))
        return _Saved(_complete(table, new, row.id), stored.path, unclaimed, kept, resolution=resolution)

    return registry.unit_of_work(work)


def _complete(table: Table, values: dict[str, Any], row_id: int) -> dict[str, Any]:
    return {column.name: values.get(column.name) for column in table.columns} | {"id": row_id}


def _existing(connection: Connection, table: Table, resolution: Resolution, plan: Plan) -> Row:
    """Return the row of equal content instead of a new one, restored from the trash where it lies there."""
    assert resolution.existing is not None
    row = dict(resolution.existing)
    if resolution.outcome is Outcome.RESTORED:
        place(connection, table, [row["id"]], plan.branch_id)
        row = dict(connection.execute(select(table).where(table.c.id == row["id"])).mappings().one())
    if plan.run is not None:
        if row["run_id"] is None:
            row["run_id"] = claim(connection, table, plan.run.id, row["id"])
        if row["run_id"] not in (None, plan.run.id):
            add_recreation(connection, plan.run.id, row["id"])
    return row


def _warn_restored(record: ArtifactRecord, resolution: Resolution) -> None:
    if resolution.outcome is Outcome.RESTORED:
        logger.warning("%s of equal content and key was restored from the trash", record.uid)
