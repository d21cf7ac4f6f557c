"""Saving many records: in batches, each with its bytes first, then one transaction, then cleaning up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, insert

from lamart_core import errors
from lamart_core.db import Registry, now
from lamart_core.families.declare import is_versioned
from lamart_core.objects.plan import Outcome, Pending
from lamart_core.records import ArtifactRecord, SQLRecord
from lamart_core.saving.assigned import pending_of
from lamart_core.saving.lists import SQLRecordList
from lamart_core.saving.replace import Replacement
from lamart_core.saving.save import bytes_to_move, save_contents
from lamart_core.storage import Bar, progress

T = TypeVar("T", bound=SQLRecord)

BATCH_SIZE = 1000
_BATCH_BYTES = 2**30


def save(records: Iterable[T], *, batch_size: int = BATCH_SIZE, print_progress: bool | None = None) -> SQLRecordList[T]:
    """Save many records of any classes, much faster than one by one.

    New records are written in batches: the bytes of a batch several files at a time, then all its rows in one
    transaction. A batch is saved as a whole or not at all, and a later one begins when it is. Artifacts that were
    changed since they were saved, and records whose class says how they are saved, are saved by themselves.

    Args:
        records: Records, saved or not, in the order in which they are to be saved: the second one of a key is its next
            version.
        batch_size: Largest number of records in a batch; a batch ends earlier where its files exceed 1 GiB.
        print_progress: Whether a bar is drawn on stderr; None is `settings.progress`.

    Returns:
        The records.

    Raises:
        InvalidArgument: A single record was passed, something that is no record, or a value that no database takes;
            nothing is written.
        BulkSaveError: A batch failed. The error holds the records that are saved and those that are not, which can be
            saved again, and `__cause__` says why.

    Examples:
        >>> from pathlib import Path
        >>> import lamart_core as ln
        >>> _ = Path("a.txt").write_text("a")
        >>> _ = Path("b.txt").write_text("b")
        >>> _ = ln.save([ln.Artifact(f"{name}.txt", key=f"many/{name}.txt") for name in "ab"])
        >>> ln.Artifact.filter(key__startswith="many/").count()
        2
    """
    listed: list[T] = _checked(records, batch_size)
    waiting = list({id(record): record for record in listed}.values())
    total = sum(_size(record) for record in waiting)
    saved: list[T] = []
    shown = waiting[0].registry.settings.progress if print_progress is None and waiting else print_progress
    with progress(f"saving {len(waiting):,} records", total=total, enabled=shown) as bar:
        for batch in _batches(waiting, batch_size):
            try:
                _save_batch(batch, bar)
            except Exception as error:
                raise _failed(error, waiting, saved, batch) from error
            saved += batch.records
    return SQLRecordList(listed)


def _checked(records: Any, batch_size: int) -> list[Any]:
    if isinstance(records, SQLRecord):
        raise errors.InvalidArgument(f"ln.save() takes a list of records; for a single one call {records!r}.save()")
    if isinstance(records, str | bytes) or not isinstance(records, Iterable):
        raise errors.InvalidArgument(f"ln.save() takes a list of records, got {type(records).__name__}")
    if batch_size < 1:
        raise errors.InvalidArgument(f"batch_size is a positive number of records, got {batch_size}")
    listed: list[Any] = list(records)
    for record in listed:
        if not isinstance(record, SQLRecord):
            raise errors.InvalidArgument(f"ln.save() takes records, and one of the list is {record!r}")
        record._check()
    return listed


def _failed(error: Exception, waiting: Sequence[T], saved: Sequence[T], batch: _Batch[T]) -> errors.BulkSaveError:
    done = [*saved, *(record for record in batch.records if _is_done(record))]
    finished = {id(record) for record in done}
    left = [record for record in waiting if id(record) not in finished]
    return errors.BulkSaveError(
        f"{len(done):,} of {len(waiting):,} records are saved, {len(left):,} are not and can be saved again; they are "
        f"in `.unsaved`. The cause is {type(error).__name__}: {error}",
        saved=done,
        unsaved=left,
    )


def _is_done(record: SQLRecord) -> bool:
    return record.is_saved and not record._changes() and getattr(record, "_pending", None) is None


# ---------------------------------------------------------------------- batches


@dataclass(frozen=True)
class _Batch(Generic[T]):
    """Records that are saved together; a record that cannot be is alone."""

    registry: Registry
    records: list[T]
    is_alone: bool


def _batches(records: Sequence[T], size: int) -> Iterator[_Batch[T]]:
    batch: list[T] = []
    names = set[Hashable]()
    bytes_left = _BATCH_BYTES
    for record in records:
        alone, moved, own = _is_alone(record), _size(record), _family(record)
        is_full = len(batch) == size or bytes_left < moved or (batch and record.registry != batch[0].registry)
        if batch and (alone or is_full or (_follows(record) and names & own)):
            yield _Batch(batch[0].registry, batch, False)
            batch, names, bytes_left = [], set(), _BATCH_BYTES
        if alone:
            yield _Batch(record.registry, [record], True)
            continue
        batch.append(record)
        names |= own
        bytes_left -= moved
    if batch:
        yield _Batch(batch[0].registry, batch, False)


def _is_alone(record: SQLRecord) -> bool:
    """Whether saving a record writes to other rows and files than its own, or its class says how that is done."""
    changes = record._changes() if record.is_saved else {}
    if not isinstance(record, ArtifactRecord):
        return type(record).save is not SQLRecord.save or "branch_id" in changes
    if isinstance(record._pending, Replacement):
        return False
    return bool(changes) or (record._pending is None and bool(record._riders))


def _follows(record: SQLRecord) -> bool:
    """Whether what an artifact puts depends on what its family has: a folder shares files, a real key is taken."""
    pending: Pending | Replacement | None = getattr(record, "_pending", None)
    if not isinstance(record, ArtifactRecord) or pending is None:
        return False
    if isinstance(pending, Replacement):
        return True
    return not record.is_saved and (pending.staged.is_folder or not pending_of(record).plan.key_is_virtual)


def _family(record: SQLRecord) -> set[Hashable]:
    """Return what the family of an artifact with new content is found by: its key in a storage location, its stem."""
    pending: Pending | Replacement | None = getattr(record, "_pending", None)
    if not isinstance(record, ArtifactRecord) or pending is None:
        return set()
    if isinstance(pending, Replacement):
        return {record.stem_uid, (record.storage.root, record.key)}
    plan = pending.plan if record.is_saved else pending_of(record).plan
    return {record.stem_uid, (plan.storage.root, plan.key)}


def _size(record: SQLRecord) -> int:
    return bytes_to_move(record) if isinstance(record, ArtifactRecord) else 0


# ---------------------------------------------------------------------- one batch


def _save_batch(batch: _Batch[Any], bar: Bar) -> None:
    registry = batch.registry
    if batch.is_alone:
        batch.records[0].save()
        return
    artifacts = [
        record for record in batch.records if isinstance(record, ArtifactRecord) and record._pending is not None
    ]
    others = [record for record in batch.records if not isinstance(record, ArtifactRecord)]
    inserted = [record for record in others if not record.is_saved]
    updated = [record for record in others if record.is_saved and (record._changes() or record._riders)]
    for record in inserted:
        record._defaults(registry)
    for record in updated:
        if record._changes() and "updated_at" in record.__table__.columns:
            record.updated_at = now()
    ids: list[int] = []

    def write_others(connection: Connection) -> None:
        ids[:] = _insert(connection, inserted)
        for record in updated:
            record._update(connection)

    def mark_others() -> None:
        for record, row_id in zip(inserted, ids, strict=True):
            record._inserted(row_id)
        for record in updated:
            record._mark_unchanged()

    if artifacts and (inserted or updated):
        save_contents(registry, artifacts, bar, also=write_others, then=mark_others)
    elif artifacts:
        save_contents(registry, artifacts, bar)
    elif inserted or updated:
        registry.unit_of_work(write_others)
        mark_others()


def _insert(connection: Connection, records: Sequence[SQLRecord]) -> list[int]:
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
        rows = connection.execute(statement, [values[index] for index in indices]).scalars()
        for index, row_id in zip(indices, rows, strict=True):
            ids[index] = row_id
            records[index]._ride(connection, values[index] | {"id": row_id}, Outcome.CREATED)
    return ids
