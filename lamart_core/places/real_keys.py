"""Real keys: the bytes of the latest version lie at `<root>/<key>`, those of all others in the version store.

New bytes go to the version store first, under a name that no other save can choose, and the transaction of the save
refers to them there. Only then are they published: the object at the key is replaced, and a second transaction records
the new place. So whatever happens in between, every record refers to bytes that are its own. What was at the key was
copied before, and is obsolete from the first transaction on. Who leaves a key finishes first what a process that died
had begun there.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, or_, select, update

from lamart_core import errors, uids
from lamart_core.db import Registry
from lamart_core.families.family import Family
from lamart_core.logging import logger
from lamart_core.objects.copies import Copy, copy_object, record_copy
from lamart_core.objects.plan import Row
from lamart_core.objects.rows import OBJECT
from lamart_core.places.key_state import KeyState, live_object, read_state, read_work
from lamart_core.places.publish import finish
from lamart_core.places.torn import holds_any
from lamart_core.records import Storage, artifact_table
from lamart_core.records.locations import check_owner
from lamart_core.records.stored_object import LOST, MISSING, OBSOLETE


class KeyChanged(errors.Overtaken):
    """What lies at a real key changed between looking and recording: look again."""


@dataclass(frozen=True)
class Overwritten:
    """The versions of a family that a new one overwrites: all but the latest ones on other branches.

    Attributes:
        stem: Stem of their uids.
        branch_id: Branch of the new version.
    """

    stem: str
    branch_id: int


@dataclass(frozen=True)
class Reservation:
    """A real key that is going to hold other bytes, or none: what lies there, and where it is kept.

    Attributes:
        row: The stored object that is registered there, if one is.
        copy: Its bytes in the version store, where a record still needs them.
        left: The state of the object where there was nothing to copy: `LOST` where others lie there, as was read, and
            `MISSING` where nothing does.
    """

    storage: Storage
    key: str
    row: Row | None = None
    copy: Copy | None = None
    left: str | None = None

    @property
    def may_replace(self) -> bool:
        """Whether what lies at the key then may be replaced, whatever it is; not what comes back after it was away."""
        return self.left != MISSING

    def discard(self) -> None:
        """Remove the copy, which no record came to refer to."""
        if self.copy is not None:
            self.copy.discard()


def reserve(
    registry: Registry,
    storage: Storage,
    key: str,
    content: Row,
    *,
    overwrites: Overwritten | None = None,
    leaving: int | None = None,
) -> Reservation:
    """See what lies at a real key, and copy it to the version store where a record needs it.

    Args:
        registry: The registry.
        storage: The location.
        key: The key.
        content: What is going to lie there, as the row of a stored object.
        overwrites: Versions that need no bytes, because others overwrite theirs.
        leaving: Id of an artifact that needs no bytes there, because it gets others.

    Raises:
        InvalidKey: The path belongs to another storage location.
        ObjectExists: Something lies there that is no version of this key, and not the content itself.
        KeyChanged: Another process published there.
        StorageError: The storage failed; nothing is changed.
    """
    check_owner(registry, storage, key)
    storage.backend.check_way(key)
    _check_not_below_a_file(storage, key)
    table = artifact_table()
    with registry.engine.connect() as connection:
        before = read_state(connection, storage.id, key)
        row = before.live
        own = row is not None and connection.execute(_versions_at(table, row["id"], key)).first() is not None
        needing = _needing(table, row["id"], overwrites, leaving) if row is not None else None
        needed = needing is not None and connection.execute(needing).first() is not None
    if row is None or not own:
        # A file that is the content already, but for a record, comes from a copy by hand or from a save by others.
        possible = [content] if row is not None else [content, *before.possible]
        with _unless_changed(registry, storage, key, before):
            is_taken = not before.is_held and storage.backend.exists(key)
            if is_taken and (needed or not holds_any(storage, key, possible)):
                raise errors.ObjectExists(
                    f"there is something at {storage.root}/{key} that is no version of this key; register it with "
                    "Artifact(path), move it away, or choose another key"
                )
        return Reservation(storage, key, row)
    if not needed:
        return Reservation(storage, key, row)
    try:
        with _unless_changed(registry, storage, key, before):
            copy = copy_object(registry, row, storage, storage, _stem(registry, row["id"]))
        return Reservation(storage, key, row, copy)
    except errors.ContentMismatch as error:
        left = MISSING if isinstance(error, errors.ContentMissing) else LOST
        logger.warning(
            "%s. The version that lay there is no longer available; %s the new one",
            error,
            "the place is taken by" if left == MISSING else "what is there now is replaced by",
        )
        return Reservation(storage, key, row, left=left)


@contextmanager
def _unless_changed(registry: Registry, storage: Storage, key: str, before: KeyState) -> Generator[None, None, None]:
    """Tell what is wrong at a key from what another process did there while somebody looked.

    Raises:
        KeyChanged: Another process did.
    """
    try:
        yield
    except (errors.ObjectExists, errors.ContentMismatch, errors.StorageError, errors.PathNotFound) as error:
        with registry.engine.connect() as connection:
            now_there = read_state(connection, storage.id, key)
        if now_there.state == before.state:
            raise
        raise KeyChanged(f"another writer publishes at {key}") from error


def leave(registry: Registry, storage: Storage, key: str, stem: str) -> Reservation:
    """See what lies at a real key that is going to be left, and copy it to the version store.

    Raises:
        ContentMismatch: The bytes are not those that were registered.
        KeyChanged: Another process published there.
        StorageError: The storage failed; nothing is changed.
    """
    finish(registry, storage, key)
    table = artifact_table()
    with registry.engine.connect() as connection:
        before = read_state(connection, storage.id, key)
        row = before.live
        needed = row is not None and connection.execute(_versions_at(table, row["id"], key)).first() is not None
    if row is None or not needed:
        return Reservation(storage, key, row)
    with _unless_changed(registry, storage, key, before):
        copy = copy_object(registry, row, storage, storage, stem)
    return Reservation(storage, key, row, copy)


def check_free(registry: Registry, storage: Storage, key: str) -> None:
    """Check that nothing lies at a real key, but for old bytes of ours that are going to be removed.

    Raises:
        InvalidKey: The path belongs to another storage location.
        ObjectExists: Something does.
        StorageError: The storage failed or refused.
    """
    check_owner(registry, storage, key)
    storage.backend.check_way(key)
    _check_not_below_a_file(storage, key)
    if not storage.backend.exists(key):
        return
    with registry.engine.connect() as connection:
        work = read_work(connection, storage.id, key)
    if work.live is not None or not holds_any(storage, key, work.obsolete):
        raise errors.ObjectExists(f"there is something at {storage.root}/{key} already")


def _check_not_below_a_file(storage: Storage, key: str) -> None:
    """Check that no part of a key before its name is a file, which in a file system holds nothing."""
    if storage.type != "local":
        return
    for parent in list(PurePosixPath(key).parents)[:-1]:
        if Path(storage.root, parent).is_file():
            raise errors.ObjectExists(f"nothing can lie at {storage.root}/{key}: {parent} is a file")


def _versions_at(table: Table, object_id: int, key: str) -> Select[Any]:
    columns = table.c
    return select(columns.id).where(columns.object_id == object_id, columns.key == key, ~columns._key_is_virtual)


def _needing(
    table: Table, object_id: int, overwrites: Overwritten | None = None, leaving: int | None = None
) -> Select[Any]:
    columns = table.c
    query = select(columns.id).where(columns.object_id == object_id)
    if leaving is not None:
        query = query.where(columns.id != leaving)
    if overwrites is not None:
        is_own = Family(table, overwrites.stem).members
        is_older = or_(columns.branch_id == overwrites.branch_id, ~columns.is_latest)
        query = query.where(~and_(is_own, columns._overwrite_versions, is_older))
    return query.limit(1)


def _stem(registry: Registry, object_id: int) -> str:
    table = artifact_table()
    with registry.engine.connect() as connection:
        uid = connection.execute(select(table.c.uid).where(table.c.object_id == object_id).limit(1)).scalar()
    return uids.stem_of(uid) if uid is not None else uids.new_stem()


def release(connection: Connection, table: Table, reservation: Reservation) -> str | None:
    """Record, in the transaction of a save, that what lies at the key is going to be replaced.

    To be called when the artifact refers to its new object already.

    Returns:
        Where the bytes are kept: the copy of the reservation, or an object of equal content; None if they are not.

    Raises:
        KeyChanged: It is not what `reserve` saw.
        BytesCollected: Garbage collection has taken the copy.
    """
    row = live_object(connection, reservation.storage.id, reservation.key, lock=True)
    if (row["id"] if row is not None else None) != (reservation.row["id"] if reservation.row is not None else None):
        raise KeyChanged(f"{reservation.key} was published or registered by another writer")
    if row is None:
        return None
    kept = record_copy(connection, table, reservation.copy).path if reservation.copy is not None else None
    referred = connection.execute(_needing(table, row["id"])).first() is not None
    if referred and reservation.left is None:
        raise KeyChanged(f"another artifact began to refer to what lies at {reservation.key}")
    state = reservation.left if referred else OBSOLETE
    connection.execute(update(OBJECT).where(OBJECT.c.id == row["id"]).values(state=state))
    return kept
