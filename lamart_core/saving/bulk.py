"""Saving many records: in batches, each with its bytes first, then one transaction, then cleaning up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.orm.attributes import set_committed_value

from lamart_core import errors
from lamart_core.db import Registry, now
from lamart_core.db.checks import check_values
from lamart_core.objects.bulk_objects import Content, content_of, shared_objects
from lamart_core.objects.mend import mend, not_whole, see
from lamart_core.objects.plan import Pending, Plan, Put
from lamart_core.objects.rows import ObjectVanished, Share, Unseen
from lamart_core.objects.tombstones import BytesCollected
from lamart_core.records import ArtifactRecord, SQLRecord, Storage
from lamart_core.saving import bulk_rows, stage
from lamart_core.saving import save as single
from lamart_core.saving.bulk_rows import MadeAgain, New, Work, Written
from lamart_core.saving.lists import SQLRecordList
from lamart_core.saving.put import ToPut, check_source, put_files, take_back_all
from lamart_core.saving.replace import Replacement
from lamart_core.storage import Bar, progress

T = TypeVar("T", bound=SQLRecord)

BATCH_SIZE = 1000
_BATCH_BYTES = 2**30
_ATTEMPTS = 20


def save(records: Iterable[T], *, batch_size: int = BATCH_SIZE, print_progress: bool | None = None) -> SQLRecordList[T]:
    """Save many records of any classes, much faster than one by one.

    New records are written in batches: the bytes of a batch several files at a time, then all its rows in one
    transaction. A batch is saved as a whole or not at all, and a later one begins when it is. Artifacts that are
    folders, and those that revise a version explicitly, are saved by themselves.

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
        if not record.is_saved:
            check_values(type(record), record._values())
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
    together: list[T] = []
    bytes_left = _BATCH_BYTES
    for record in records:
        alone = _needs_own_save(record)
        bytes_left -= _size(record)
        if together and (alone or len(together) == size or bytes_left < 0 or record.registry != together[0].registry):
            yield _Batch(together[0].registry, together, False)
            together, bytes_left = [], _BATCH_BYTES - _size(record)
        if alone:
            yield _Batch(record.registry, [record], True)
        else:
            together.append(record)
    if together:
        yield _Batch(together[0].registry, together, False)


def _needs_own_save(record: SQLRecord) -> bool:
    """Whether saving a record does more than to write one row, and for a new file its bytes."""
    changes = record._changes() if record.is_saved else {}
    if not isinstance(record, ArtifactRecord):
        return type(record).save is not SQLRecord.save or "branch_id" in changes
    pending: Pending | Replacement | None = record._pending
    if record.is_saved or not isinstance(pending, Pending):
        return bool(changes) or isinstance(pending, Replacement)
    staged, plan = pending.staged, pending.plan
    is_plain = staged.in_place is not None or (plan.key_is_virtual and staged.stored is None)
    return staged.is_folder or plan.overwrite_versions or plan.revises_uid is not None or not is_plain


def _size(record: SQLRecord) -> int:
    """Return how many bytes saving a record moves."""
    pending: Pending | None = getattr(record, "_pending", None)
    if pending is None or record.is_saved or pending.staged.in_place is not None:
        return 0
    return pending.staged.size or 0


# ---------------------------------------------------------------------- one batch


def _save_batch(batch: _Batch[Any], bar: Bar) -> None:
    registry = batch.registry
    if batch.is_alone:
        batch.records[0].save()
        return
    new = [record for record in batch.records if isinstance(record, ArtifactRecord) and not record.is_saved]
    others = [record for record in batch.records if not isinstance(record, ArtifactRecord)]
    inserted = [record for record in others if not record.is_saved]
    updated = [record for record in others if record.is_saved and record._changes()]
    again = [record for record in batch.records if isinstance(record, ArtifactRecord) and record.is_saved]
    for record in not_whole(registry, [record for record in again if record._pending is not None]):
        if not mend(record, record._pending):
            single.save_anew(record, record._pending)
            again.remove(record)
    for record in (*new, *inserted):
        record._defaults(registry)
    for record in updated:
        if "updated_at" in record.__table__.columns:
            record.updated_at = now()
    puts = _Puts(registry, _to_put(registry, new), bar)
    written = _commit(registry, puts, [made for record in again if (made := _made_again(record))], inserted, updated)
    puts.take_back_unused(written)
    _adopt(new, written)
    for record in again:
        _take_maker(record, written)
    for record, row_id in zip(inserted, written.ids, strict=True):
        record._inserted(row_id)
    for record in updated:
        record._settle()


def _to_put(registry: Registry, new: Sequence[ArtifactRecord]) -> list[ToPut]:
    saved: dict[str, Storage] = {}
    return [
        ToPut(record, record._pending.staged, _with_saved_storage(registry, record._pending.plan, saved))
        for record in new
    ]


def _with_saved_storage(registry: Registry, plan: Plan, saved: dict[str, Storage]) -> Plan:
    """Register the remote location that a path in place was found in, once for all that lie there."""
    if plan.storage.is_saved:
        return plan
    root = plan.storage.root
    if root not in saved:
        found = registry.Storage.reference(root)
        saved[root] = found if found.is_saved else plan.storage.save()
    return plan.with_storage(saved[root])


def _commit(
    registry: Registry,
    puts: _Puts,
    again: Sequence[MadeAgain],
    inserted: Sequence[SQLRecord],
    updated: Sequence[SQLRecord],
) -> Written:
    for _ in range(_ATTEMPTS):
        try:
            puts.put_missing()
            work = Work(puts.new(), again, inserted, updated, puts.seen)
            return registry.unit_of_work(lambda connection, work=work: bulk_rows.write(connection, work))
        except ObjectVanished:
            puts.expect_nothing()
        except Unseen as error:
            puts.look(error.shares)
        except BytesCollected:
            puts.take_back()
            puts.check_sources()
        except errors.LamartError:
            puts.take_back()
            raise
        # Any other error may have come after the commit: then records refer to the bytes, and they stay.
    raise errors.DatabaseBusy("the records could not be saved: equal content is deleted again and again")


class _Puts:
    """The bytes of a batch in the storage: equal ones once, and none that are there already."""

    def __init__(self, registry: Registry, wanted: Sequence[ToPut], bar: Bar) -> None:
        self._registry = registry
        self._wanted = wanted
        self._bar = bar
        self._contents = [content_of(item.staged, item.plan) for item in wanted]
        self._by_content: dict[Content, Put] = {}
        self._own: dict[int, Put] = {}
        # By index of the artifact that they were put for.
        self._done: dict[int, Put] = {}
        contents = {content: index for index, content in enumerate(self._contents) if content is not None}
        self._shared: set[Content] = set()
        # Ids of stored objects that were looked at.
        self.seen: set[int] = set()
        if contents:
            with registry.engine.connect() as connection:
                found = shared_objects(connection, contents)
            self._shared.update(found)
            shares: list[Share] = []
            for content, stored in found.items():
                # Equal bytes under another suffix are another object.
                if stored.row is not None and content in contents:
                    item = wanted[contents[content]]
                    shares.append(Share(item.plan.storage, stored.row, item.staged))
            self.look(shares)

    def put_missing(self) -> None:
        """Put what is neither there nor put yet."""
        missing: list[int] = []
        begun: set[Content] = set()
        for index, content in enumerate(self._contents):
            if content is None:
                is_missing = index not in self._own
            else:
                is_missing = content not in self._by_content and content not in self._shared and content not in begun
                begun.add(content)
            if is_missing:
                missing.append(index)
        stored = put_files(self._registry, [self._wanted[index] for index in missing], self._bar)
        for index, put in zip(missing, stored, strict=True):
            content = self._contents[index]
            self._done[index] = put
            if content is None:
                self._own[index] = put
            else:
                self._by_content[content] = put

    def new(self) -> list[New]:
        """Return the new artifacts with their bytes."""
        found: list[New] = []
        for index, (item, content) in enumerate(zip(self._wanted, self._contents, strict=True)):
            put = self._own.get(index) if content is None else self._by_content.get(content)
            found.append(New(item.record, item.staged, item.plan, item.record._values(), put))
        return found

    def look(self, shares: Sequence[Share]) -> None:
        """Look whether what others have stored is whole."""
        see(shares, self.seen)

    def expect_nothing(self) -> None:
        """Put also what seemed to be there."""
        self._shared.clear()

    def take_back(self) -> None:
        """Remove everything that was put."""
        self._remove(self._done)
        for puts in (self._done, self._own, self._by_content):
            puts.clear()

    def take_back_unused(self, written: Written) -> None:
        """Remove what no record came to refer to."""
        unused = {
            index: put
            for index, put in self._done.items()
            if (self._wanted[index].plan.storage.id, put.relpath) not in written.paths
        }
        self._remove(unused)

    def _remove(self, puts: dict[int, Put]) -> None:
        take_back_all([self._wanted[index] for index in puts], list(puts.values()))

    def check_sources(self) -> None:
        """Check that all can be put again."""
        for item in self._wanted:
            check_source(item.staged)


# ---------------------------------------------------------------------- records afterwards


def _adopt(new: Sequence[ArtifactRecord], written: Written) -> None:
    for record, row in zip(new, written.rows, strict=True):
        if row is None:  # one in the trash is restored, which may touch other versions
            single.save(record)
            continue
        stage.discard(record._pending.staged)
        record._adopt_row(row)
        record._pending = None
        # From here on the stored bytes are the content: the object in memory may be changed by its owner.
        record._memory = None


def _made_again(record: ArtifactRecord) -> MadeAgain | None:
    pending: Pending | None = record._pending
    run = pending.plan.run if pending is not None else None
    if run is None or record.run_id == run.id:
        return None
    return MadeAgain(record.id, run.id, record.run_id is not None)


def _take_maker(record: ArtifactRecord, written: Written) -> None:
    if record.id in written.makers:
        set_committed_value(record, "run_id", written.makers[record.id])
        vars(record).pop("_cached_run", None)
    if record._pending is not None:
        stage.discard(record._pending.staged)
    record._pending = None
    record._memory = None
