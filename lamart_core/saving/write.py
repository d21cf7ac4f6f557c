"""Bytes first, then one transaction, then cleaning up; again where another process came in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from lamart_core import errors, uids
from lamart_core.db import Registry, attempting
from lamart_core.objects.folder_contents import ObjectVanished
from lamart_core.objects.plan import Dedup, Put
from lamart_core.objects.record import ContentKey, Share, Unverified, content_key, shared_objects
from lamart_core.objects.rows import object_values
from lamart_core.objects.tombstones import BytesCollected
from lamart_core.objects.unreferenced import remove_bytes
from lamart_core.objects.whole import damaged_artifacts, repair_artifact, repair_shares
from lamart_core.places.key_state import is_real
from lamart_core.places.publish import publish
from lamart_core.places.real_keys import KeyChanged, Overwritten, Reservation, check_free, reserve
from lamart_core.records import ArtifactRecord, Storage, artifact_table, ownership
from lamart_core.saving.commit import Committed, Item, commit, existing, lock_replaced
from lamart_core.saving.hits import Hits, Unseen
from lamart_core.saving.put import check_source, put_bytes, take_back
from lamart_core.saving.stage import discard
from lamart_core.storage import Bar


def write(
    registry: Registry,
    records: Sequence[ArtifactRecord],
    items: Sequence[Item],
    bar: Bar,
    *,
    also: Callable[[Connection], None] | None = None,
    then: Callable[[], None] | None = None,
) -> list[Committed]:
    """Put bytes, record them, and clean up.

    Args:
        registry: The registry.
        records: Artifacts in the order in which they are saved: all of them are, or none. They get what is committed.
        items: What is to be saved of each.
        bar: Progress that the transfer is part of.
        also: Writes other rows in the same transaction.
        then: Called as soon as that is committed.

    Raises:
        PathNotFound, SourceChanged: A source is not what it was.
        StorageError: The storage refused the bytes; nothing is registered, nothing is left behind.
        DatabaseBusy: Others changed the same things again and again.
    """
    attempt = _Attempt(registry, items, bar, also)
    names = ", ".join(map(repr, records[:3]))
    busy = f"{names} could not be saved: others delete equal content, or change keys, again and again"
    try:
        committed = attempting(attempt.step, attempt.undo, busy=busy)
    except BaseException:
        # Whatever failed before the end of the transaction, for example a rider: nothing refers to the bytes.
        if not attempt.may_be_committed:
            attempt.take_back()
        raise
    # At once: whatever fails from here on, the records are rows, and their riders have written.
    for record, item, saved in zip(records, items, committed, strict=True):
        if item.has_bytes:
            record._adopt_row(saved.row)
        record._riders = ()
    if then is not None:
        then()
    _note_recorded(items, committed)
    attempt.take_back_unused(committed)
    _clean_up(registry, records, items, committed)
    for index in attempt.publish(committed):
        records[index].refresh()
    return committed


def _note_recorded(items: Sequence[Item], committed: Sequence[Committed]) -> None:
    """Let the stores know which objects were recorded, so that an older database is known by it."""
    newest: dict[int, tuple[Storage, int]] = {}
    for item, saved in zip(items, committed, strict=True):
        storage, object_id = item.plan.storage, saved.row["object_id"]
        if saved.path is not None and object_id > newest.get(storage.id, (storage, 0))[1]:
            newest[storage.id] = (storage, object_id)
    for storage, object_id in newest.values():
        ownership.note_recorded(storage, object_id)


class _Attempt:
    """What has been put and reserved for records that are saved together, until their commit."""

    def __init__(
        self, registry: Registry, items: Sequence[Item], bar: Bar, also: Callable[[Connection], None] | None
    ) -> None:
        self.may_be_committed = False
        self._registry = registry
        self._items = items
        self._bar = bar
        self._also = also
        # Equal contents are put once: what was put belongs to the first record that has it.
        self._keys = [_shareable(item) for item in items]
        first: dict[ContentKey, int] = {}
        self._first = [first.setdefault(key, index) if key else index for index, key in enumerate(self._keys)]
        self._puts: dict[int, Put] = {}
        self._parts: dict[int, Put] = {}
        self._places: dict[int, Reservation] = {}
        # Contents that are there already, as far as anybody knows; and ids of the objects that were looked at.
        self._stored: set[ContentKey] = set()
        self._verified: set[int] = set()
        self._hits = Hits()
        self._to_verify = self._find_shared()

    def _find_shared(self) -> list[Share]:
        """Find the objects of equal bytes that seem to lie in the storage, so that putting them again can be spared."""
        wanted = {
            key: item
            for key, item in zip(self._keys, self._items, strict=True)
            # Bytes that an artifact names were found by the constructor; others are rare, and then put in vain.
            if key is not None and (item.plan.dedup is not Dedup.REGISTRY or not item.plan.lookup)
        }
        if not wanted:
            return []
        with self._registry.engine.connect() as connection:
            found = shared_objects(connection, wanted)
        # Equal bytes under another suffix are another object.
        shares = {key: row for key, row in found.items() if key in wanted}
        self._stored.update(shares)
        return [Share(wanted[key].plan.storage, row, wanted[key].staged) for key, row in shares.items()]

    def step(self) -> list[Committed]:
        """Look at what is shared, reserve real keys, put what is missing, and commit."""
        repair_shares(self._to_verify, self._verified)
        self._to_verify = []
        # Before the bytes are put: a key that is taken by others is refused before anything is written.
        self._reserve()
        self._put_missing()
        items = [
            replace(item, put=self._puts.get(self._first[index]), place=self._places.get(index))
            for index, item in enumerate(self._items)
        ]
        if self._also is None and not any(item.writes for item in items):
            return [existing(item) for item in items]

        def work(connection: Connection) -> list[Committed]:
            self.may_be_committed = False
            if self._also is not None:
                self._also(connection)
            committed = commit(connection, items, verified=self._verified, hits=self._hits)
            self.may_be_committed = True
            return committed

        return self._registry.unit_of_work(work)

    def _reserve(self) -> None:
        for index, item in enumerate(self._items):
            if index not in self._places and (place := _reserve(self._registry, item)) is not None:
                self._places[index] = place

    def _put_missing(self) -> None:
        missing = [
            index
            for index, item in enumerate(self._items)
            if item.has_bytes
            and self._first[index] == index
            and index not in self._puts
            and self._keys[index] not in self._stored
        ]
        wanted = [
            replace(self._items[index], put=self._parts.pop(index)) if index in self._parts else self._items[index]
            for index in missing
        ]
        self._puts.update(zip(missing, put_bytes(self._registry, wanted, self._bar), strict=True))

    # ------------------------------------------------------------------ others came in between

    def undo(self, error: errors.LamartError) -> None:
        """Take back what is of no use for the next attempt."""
        if isinstance(error, ObjectVanished):
            self._stored.clear()
            # Parts of a folder that were put are still needed.
            self._parts = {index: put for index, put in self._puts.items() if put.is_content_addressed}
            self._puts = {index: put for index, put in self._puts.items() if not put.is_content_addressed}
        elif isinstance(error, Unverified):
            self._to_verify = list(error.shares)
            shared = {content_key(share.staged, share.storage) for share in error.shares}
            # What was put goes back to where it came from: what is not whole is stored again from there.
            self._remove([index for index, key in enumerate(self._keys) if key in shared])
            self._stored |= {key for key in shared if key is not None}
        elif isinstance(error, KeyChanged):
            self._withdraw()
        elif isinstance(error, Unseen):
            self._hits.look(self._registry)
        else:
            self.take_back()
            if isinstance(error, BytesCollected):
                for item in self._items:
                    if item.has_bytes:
                        check_source(item.staged)

    def take_back(self) -> None:
        """Remove everything that was put."""
        self._puts |= self._parts
        self._parts = {}
        self._remove(list(self._puts))
        self._withdraw()

    def _remove(self, indices: Sequence[int]) -> None:
        take_back(self._items, {index: self._puts.pop(index) for index in indices if index in self._puts})

    def _withdraw(self) -> None:
        for place in self._places.values():
            place.discard()
        self._places.clear()

    # ------------------------------------------------------------------ after the commit

    def take_back_unused(self, committed: Sequence[Committed]) -> None:
        """Remove what was put and nothing came to refer to."""
        used = {(item.plan.storage.id, saved.path) for item, saved in zip(self._items, committed, strict=True)}
        places = {index: (self._items[index].plan.storage.id, put.relpath) for index, put in self._puts.items()}
        self._remove([index for index, place in places.items() if place not in used])

    def publish(self, committed: Sequence[Committed]) -> list[int]:
        """Publish at real keys what the commit made their latest versions; return which of the records it was."""
        published: list[int] = []
        for index, place in self._places.items():
            saved = committed[index]
            if place.copy is not None and place.copy.path != saved.kept:
                place.discard()
            if saved.path is None:
                continue
            key = str(saved.row["key"])
            publish(self._registry, place.storage, key, force=key == place.key and place.may_replace)
            if key != place.key:
                publish(self._registry, place.storage, place.key)
            published.append(index)
        return published


def _shareable(item: Item) -> ContentKey | None:
    """Return what others of equal content can share; None where the content is nothing new, or lies where it stays."""
    if not item.has_bytes or item.staged.stored is not None:
        return None
    return content_key(item.staged, item.plan.storage)


def _reserve(registry: Registry, item: Item) -> Reservation | None:
    """See what lies at the real key that gets the content; None where the key is a name only."""
    plan, key = item.plan, str(item.values.get("key"))
    if item.replaces:
        assert item.artifact_id is not None
        with registry.engine.connect() as connection:
            row = lock_replaced(connection, artifact_table(), item.artifact_id, item.uid)
        if not is_real(row) or not row["is_latest"]:
            return None
        key = str(row["key"])
        if plan.key not in (None, key):
            check_free(registry, plan.storage, str(plan.key))
    elif not item.has_bytes or plan.key_is_virtual or item.staged.in_place is not None:
        return None
    overwrites = Overwritten(uids.stem_of(item.uid), plan.branch_id) if plan.overwrite_versions else None
    content = object_values(item.staged)
    return reserve(registry, plan.storage, key, content, overwrites=overwrites, leaving=item.artifact_id)


def _clean_up(
    registry: Registry, records: Sequence[ArtifactRecord], items: Sequence[Item], committed: Sequence[Committed]
) -> None:
    """See that what was there already is whole, and remove what nothing refers to any more."""
    unchanged = [
        record
        for record, item, saved in zip(records, items, committed, strict=True)
        if item.has_bytes and saved.path is None and item.staged.in_place is None
    ]
    repair_artifacts(registry, unchanged)
    for record, item, saved in zip(records, items, committed, strict=True):
        discard(item.staged)
        for left in saved.unclaimed:
            remove_bytes(item.plan.storage, left.path, is_folder=left.is_folder)
        if item.staged.is_folder and saved.unclaimed and saved.path is not None:
            item.plan.storage.backend.settle(saved.path)
        record._pending = None
        # From here on the stored bytes are the content: the object in memory may be changed by its owner.
        record._memory = None


def repair_artifacts(registry: Registry, records: Sequence[ArtifactRecord]) -> list[ArtifactRecord]:
    """Look at the bytes of artifacts that exist already, and store those again that are gone or cut off.

    Args:
        registry: The registry.
        records: The artifacts, with what the caller passed.

    Returns:
        Those that were deleted meanwhile.
    """
    damaged = records if len(records) == 1 else damaged_artifacts(registry, records)
    return [record for record in damaged if not repair_artifact(record, record._pending)]
