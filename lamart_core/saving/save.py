"""Saving artifacts: new ones with their bytes, existing ones with what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm.attributes import set_committed_value

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.families.branches import check_unlocked
from lamart_core.families.family import rename
from lamart_core.logging import logger
from lamart_core.moving.move import check_rename, move_real_key, move_to_storage
from lamart_core.objects.plan import Outcome, Pending, Plan, Row, SaveResult
from lamart_core.records import ArtifactRecord, Storage
from lamart_core.saving.assigned import pending_of, values_of
from lamart_core.saving.commit import Committed, Item
from lamart_core.saving.construct import begin_anew
from lamart_core.saving.given import take_given
from lamart_core.saving.replace import Replacement, item_of
from lamart_core.saving.write import repair_artifacts, write
from lamart_core.storage import Bar, progress


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
    record._check()
    if pending is None:
        return _save_fields(record)
    shown = record.registry.settings.progress if show_progress is None else show_progress
    total = bytes_to_move(record)
    label = f"saving {record.key or pending.staged.source.name}"
    with progress(label, total=total, enabled=shown if total else False) as bar:
        return save_contents(record.registry, [record], bar)[0]


def bytes_to_move(record: ArtifactRecord) -> int:
    """Return how many bytes saving an artifact moves."""
    pending: Pending | Replacement | None = record._pending
    if pending is None or pending.staged.in_place is not None:
        return 0
    return 0 if record.is_saved and isinstance(pending, Pending) else pending.staged.size or 0


def save_contents(
    registry: Registry,
    records: Sequence[ArtifactRecord],
    bar: Bar,
    *,
    also: Callable[[Connection], None] | None = None,
    then: Callable[[], None] | None = None,
) -> list[SaveResult]:
    """Save artifacts that were constructed or replaced and not saved since: all of them, or none.

    Args:
        registry: Their registry.
        records: The artifacts, in the order in which they are saved.
        bar: Progress that they are part of.
        also: Writes other rows in the same transaction.
        then: Called as soon as that is committed.
    """
    changes = _begin_deleted_anew(registry, records)
    saved: dict[str, Storage] = {}
    items = [_item(registry, record, saved) for record in records]
    committed = write(registry, records, items, bar, also=also, then=then)
    for record, item, found in zip(records, items, committed, strict=True):
        if found.outcome is Outcome.RESTORED:
            logger.warning("%s of equal content and key was restored from the trash", record.uid)
        if found.outcome in (Outcome.EXISTING, Outcome.RECREATED, Outcome.RESTORED):
            if item.has_bytes:
                # Others saved it since the constructor looked, or a record before it in this list did.
                take_given(record, Pending(item.staged, item.plan))
            _take_found(record, found)
        for name, value in changes.get(id(record), {}).items():
            if getattr(record, name) != value:
                setattr(record, name, value)
        if record._changes():
            _save_fields(record)
    return [SaveResult(record, found.outcome) for record, found in zip(records, committed, strict=True)]


def _begin_deleted_anew(registry: Registry, records: Sequence[ArtifactRecord]) -> dict[int, dict[str, Any]]:
    """Look at artifacts that the constructor found to exist; those that were deleted since become new ones.

    Returns:
        What had been changed of these, by the identity of the object.
    """
    present = [record for record in records if record.is_saved and isinstance(record._pending, Pending)]
    changes: dict[int, dict[str, Any]] = {}
    while present:
        gone = repair_artifacts(registry, present)
        for record in gone:
            changed = {name: value for name, value in record._changes().items() if name != "key"}
            changes.setdefault(id(record), changed)
            begin_anew(record, record._pending)
        present = [record for record in gone if record.is_saved]
    return changes


def _item(registry: Registry, record: ArtifactRecord, saved: dict[str, Storage]) -> Item:
    pending: Pending | Replacement = record._pending
    if isinstance(pending, Replacement):
        return item_of(record, pending)
    if record.is_saved:
        return Item(record.uid, pending.staged, pending.plan, record._values(), record.id, riders=record._riders)
    pending = pending_of(record)
    record._defaults(registry)
    values, plan = values_of(record, pending), _with_saved_storage(registry, pending.plan, saved)
    return Item(record.uid, pending.staged, plan, values, riders=record._riders)


def _with_saved_storage(registry: Registry, plan: Plan, saved: dict[str, Storage]) -> Plan:
    """Register the remote location that a path in place was found in, once for all that lie there."""
    if plan.storage.is_saved:
        return plan
    root = plan.storage.root
    if root not in saved:
        found = registry.Storage.reference(root)
        saved[root] = found if found.is_saved else plan.storage.save()
    return plan.with_storage(saved[root])


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
    move_to_storage(record, storage, also=_other_changes(record, "storage_id"))
    record._riders = ()


def _rename(record: ArtifactRecord, key: str | None) -> None:
    key = check_rename(record, key)
    record.key = key
    if record._key_is_virtual:
        return  # in the transaction that writes all other changes
    with record.registry.engine.connect() as connection:
        check_unlocked(connection, record.__table__, [record.id])
    move_real_key(record, key, also=_other_changes(record, "key"))
    record._riders = ()
    set_committed_value(record, "key", key)


def _other_changes(record: ArtifactRecord, done: str) -> Callable[[Connection], None]:
    """Return what writes the other changes of a record and runs its riders, in the transaction that moves it."""

    def write_changes(connection: Connection) -> None:
        record._write(connection, {name: value for name, value in record._changes().items() if name != done})

    return write_changes


def _take_found(record: ArtifactRecord, found: Committed) -> None:
    """Let an artifact that exists have the run that made it, where it had none, and a key."""
    if record.run_id is None:
        set_committed_value(record, "run_id", found.row["run_id"])
        vars(record).pop("_cached_run", None)
    if "key" in record._changes():
        _take_key(record)


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
