"""Bytes first, then one transaction, then cleaning up; again where another process came in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from lamart_core import errors, uids
from lamart_core.db import Registry, attempting
from lamart_core.objects.mend import mend, not_whole, see
from lamart_core.objects.plan import Dedup, Pending, Plan, Put, Staged
from lamart_core.objects.record import ContentKey, Share, Unverified, content_key, shared_objects
from lamart_core.objects.remove import remove_bytes
from lamart_core.objects.rows import object_values
from lamart_core.objects.scatter import ObjectVanished
from lamart_core.objects.tombstones import BytesCollected
from lamart_core.places.publish import settle
from lamart_core.places.real_keys import Overwritten, Place, PlaceChanged, check_free, occupy
from lamart_core.places.rows import is_real
from lamart_core.records import ArtifactRecord, artifact_table
from lamart_core.saving.commit import Committed, Item, commit, existing, lock_replaced
from lamart_core.saving.put import ToPut, check_source, put_bytes, take_back
from lamart_core.saving.stage import discard
from lamart_core.storage import Bar


@dataclass(frozen=True)
class Work:
    """An artifact that is saved.

    Attributes:
        record: The artifact; it gets the row that was committed.
        staged: Its content.
        plan: What the caller wants of it.
        values: Its values by column name: of one that gets other content those that change, else all.
        replaces: Whether it is saved already and gets this content instead of what it has.
    """

    record: ArtifactRecord
    staged: Staged
    plan: Plan
    values: dict[str, Any]
    replaces: bool = False

    @property
    def has_bytes(self) -> bool:
        """Whether it brings bytes: not where the artifact has this content already."""
        return self.replaces or not self.record.is_saved

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        run = self.plan.run
        return self.has_bytes or bool(self.record._riders) or (run is not None and run.id != self.record.run_id)


def write(
    registry: Registry,
    works: Sequence[Work],
    bar: Bar,
    *,
    also: Callable[[Connection], None] | None = None,
) -> list[Committed]:
    """Put bytes, record them, and clean up.

    Args:
        registry: The registry.
        works: Artifacts in the order in which they are saved: all of them are, or none.
        bar: Progress that the transfer is part of.
        also: Writes other rows in the same transaction.

    Raises:
        PathNotFound, SourceChanged: A source is not what it was.
        StorageError: The storage refused the bytes; nothing is registered, nothing is left behind.
        DatabaseBusy: Others changed the same things again and again.
    """
    writer = _Writer(registry, works, bar, also)
    names = ", ".join(repr(work.record) for work in works[:3])
    busy = f"{names} could not be saved: others delete equal content, or change keys, again and again"
    try:
        committed = attempting(writer.step, writer.undo, busy=busy)
    except BaseException:
        # Whatever failed before the end of the transaction, for example a rider: nothing refers to the bytes.
        if not writer.may_be_committed:
            writer.take_back()
        raise
    writer.clean_up(committed)
    return committed


class _Writer:
    """What has been put and reserved for some artifacts that are saved together, until their commit."""

    def __init__(
        self, registry: Registry, works: Sequence[Work], bar: Bar, also: Callable[[Connection], None] | None
    ) -> None:
        self.may_be_committed = False
        self._registry = registry
        self._works = works
        self._bar = bar
        self._also = also
        self._to_put = [ToPut(work.record.uid, work.staged, work.plan) for work in works]
        # Equal contents are put once: what was put belongs to the first artifact that has it.
        self._keys = [_shareable(work) for work in works]
        first: dict[ContentKey, int] = {}
        self._first = [first.setdefault(key, index) if key else index for index, key in enumerate(self._keys)]
        self._puts: dict[int, Put] = {}
        self._kept: dict[int, Put] = {}
        self._places: dict[int, Place] = {}
        # Contents that are there already, as far as anybody knows; and ids of the objects that were looked at.
        self._stored: set[ContentKey] = set()
        self._verified: set[int] = set()
        self._to_verify = self._find_shared()

    def _find_shared(self) -> list[Share]:
        """Find the objects of equal bytes that seem to lie in the storage, so that putting them again can be spared."""
        works = {
            key: work
            for key, work in zip(self._keys, self._works, strict=True)
            # Bytes that an artifact names were found by the constructor; others are rare, and then put in vain.
            if key is not None and (work.plan.dedup is not Dedup.REGISTRY or not work.plan.lookup)
        }
        if not works:
            return []
        with self._registry.engine.connect() as connection:
            found = shared_objects(connection, works)
        shares = {key: row for key, row in found.items() if key in works}
        self._stored.update(shares)
        return [Share(works[key].plan.storage, row, works[key].staged) for key, row in shares.items()]

    def step(self) -> list[Committed]:
        """Look at what is shared, reserve real keys, put what is missing, and commit."""
        see(self._to_verify, self._verified)
        self._to_verify = []
        # Before the bytes are put: a key that is taken by others is refused before anything is written.
        self._reserve()
        self._put_missing()
        items = [self._item(index) for index in range(len(self._works))]
        if self._also is None and not any(work.writes for work in self._works):
            return [existing(item) for item in items]

        def work(connection: Connection) -> list[Committed]:
            self.may_be_committed = False
            if self._also is not None:
                self._also(connection)
            committed = commit(connection, items, verified=self._verified)
            self.may_be_committed = True
            return committed

        return self._registry.unit_of_work(work)

    def _reserve(self) -> None:
        for index, work in enumerate(self._works):
            if index not in self._places and work.has_bytes:
                place = _reserve(self._registry, work)
                if place is not None:
                    self._places[index] = place

    def _put_missing(self) -> None:
        missing = [
            index
            for index, work in enumerate(self._works)
            if work.has_bytes
            and self._first[index] == index
            and index not in self._puts
            and self._keys[index] not in self._stored
        ]
        wanted = [replace(self._to_put[index], before=self._kept.pop(index, None)) for index in missing]
        self._puts.update(zip(missing, put_bytes(self._registry, wanted, self._bar), strict=True))

    def _item(self, index: int) -> Item:
        work = self._works[index]
        return Item(
            staged=work.staged,
            plan=work.plan,
            values=work.values,
            uid=work.record.uid,
            put=self._puts.get(self._first[index]),
            place=self._places.get(index),
            artifact_id=work.record.id if work.record.is_saved else None,
            replaces=work.replaces,
            riders=work.record._riders,
        )

    # ------------------------------------------------------------------ others came in between

    def undo(self, error: errors.LamartError) -> None:
        """Take back what is of no use for the next attempt."""
        if isinstance(error, ObjectVanished):
            self._stored.clear()
            # Parts of a folder that were put are still needed.
            self._kept = {index: put for index, put in self._puts.items() if put.is_scattered}
            self._puts = {index: put for index, put in self._puts.items() if not put.is_scattered}
        elif isinstance(error, Unverified):
            self._to_verify = list(error.shares)
            shared = {content_key(share.staged, share.storage) for share in error.shares}
            # What was put goes back to where it came from: what is not whole is stored again from there.
            self._remove([index for index, key in enumerate(self._keys) if key in shared])
            self._stored |= {key for key in shared if key is not None}
        elif isinstance(error, PlaceChanged):
            self._withdraw()
        else:
            self.take_back()
            if isinstance(error, BytesCollected):
                for work in self._works:
                    if work.has_bytes:
                        check_source(work.staged)

    def take_back(self) -> None:
        """Remove everything that was put."""
        self._puts |= self._kept
        self._kept = {}
        self._remove(list(self._puts))
        self._withdraw()

    def _remove(self, indices: Sequence[int]) -> None:
        gone = {index: self._puts.pop(index) for index in indices if index in self._puts}
        take_back(self._to_put, gone)

    def _withdraw(self) -> None:
        for place in self._places.values():
            place.withdraw()
        self._places.clear()

    # ------------------------------------------------------------------ after the commit

    def clean_up(self, committed: Sequence[Committed]) -> None:
        """Let the records be what was committed, remove what nothing refers to, and publish at real keys."""
        used = {(work.plan.storage.id, saved.path) for work, saved in zip(self._works, committed, strict=True)}
        self._remove(
            [
                index
                for index, put in self._puts.items()
                if (self._works[index].plan.storage.id, put.relpath) not in used
            ]
        )
        known: list[Work] = []
        for work, saved in zip(self._works, committed, strict=True):
            if work.has_bytes and saved.path is None and work.staged.in_place is None:
                known.append(work)
            if work.has_bytes:
                work.record._adopt_row(saved.row)
        make_whole(self._registry, known)
        for index, (work, saved) in enumerate(zip(self._works, committed, strict=True)):
            discard(work.staged)
            for item in saved.unclaimed:
                remove_bytes(work.plan.storage, item.path, is_folder=item.is_folder)
            work.record._pending = None
            work.record._riders = ()
            # From here on the stored bytes are the content: the object in memory may be changed by its owner.
            work.record._memory = None
            if index in self._places:
                self._publish(work, self._places[index], saved)

    def _publish(self, work: Work, site: Place, saved: Committed) -> None:
        """Publish at the real key what the commit made its latest version."""
        if site.copy is not None and site.copy.path != saved.kept:
            site.withdraw()
        if saved.path is None:
            return
        key = str(saved.row["key"])
        settle(self._registry, site.storage, key, force=key == site.key)
        if key != site.key:
            settle(self._registry, site.storage, site.key)
        work.record.refresh()


def _shareable(work: Work) -> ContentKey | None:
    """Return what others of equal content can share; None where the content is nothing new, or lies where it stays."""
    if not work.has_bytes or work.staged.stored is not None:
        return None
    return content_key(work.staged, work.plan.storage)


def make_whole(registry: Registry, works: Sequence[Work]) -> list[Work]:
    """Look at the bytes of artifacts that exist already, and store those again that are gone or cut off.

    Returns:
        Those whose artifact was deleted meanwhile.
    """
    records = [work.record for work in works]
    damaged = records if len(records) == 1 else not_whole(registry, records)
    ids = {record.id for record in damaged}
    return [work for work in works if work.record.id in ids and not mend(work.record, Pending(work.staged, work.plan))]


def _reserve(registry: Registry, work: Work) -> Place | None:
    """See what lies at the real key that gets the content; None where the key is a name only."""
    record, plan = work.record, work.plan
    overwrites = Overwritten(uids.stem_of(record.uid), plan.branch_id) if plan.overwrite_versions else None
    content = object_values(work.staged)
    if not work.replaces:
        if plan.key_is_virtual or work.staged.in_place is not None:
            return None
        assert record.key is not None
        return occupy(registry, plan.storage, record.key, content, overwrites=overwrites)
    with registry.engine.connect() as connection:
        row = lock_replaced(connection, artifact_table(), record.id, record.uid)
    if not is_real(row) or not row["is_latest"]:
        return None
    if plan.key is not None and plan.key != row["key"]:
        check_free(registry, plan.storage, plan.key)
    return occupy(registry, plan.storage, row["key"], content, overwrites=overwrites, leaving=record.id)
