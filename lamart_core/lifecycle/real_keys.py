"""Real keys: the bytes of the latest version lie at `<root>/<key>`, those of all others in the version store.

New bytes go to the version store first, under a name that no other save can choose, and the transaction of the save
refers to them there. Only then are they published: the object at the key is replaced, and a second transaction records
the new place. So whatever happens in between, every record refers to bytes that are its own. What was at the key was
copied before, and is `doomed` from the first transaction on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from lamart_core import errors, uids
from lamart_core import storage as bytes_room
from lamart_core.db import Registry, model_class, now
from lamart_core.lifecycle import leases
from lamart_core.lifecycle.copies import DOOMED, LOST, Copy, copy_object, holds, record_copy
from lamart_core.lifecycle.objects import OBJECT, delete_unreferenced
from lamart_core.lifecycle.plan import Row
from lamart_core.lifecycle.put import remove_bytes
from lamart_core.logging import logger
from lamart_core.records import Storage

_LEASE = timedelta(days=1)


class PlaceChanged(errors.LamartError):
    """What lies at a real key changed between looking and recording: look again."""


class _Superseded(errors.LamartError):
    """A newer version was saved while this one was published."""


@dataclass(frozen=True)
class Place:
    """What lies at a real key before something else does.

    Attributes:
        row: The stored object that is registered there, if one is.
        copy: Its bytes in the version store, where a record still needs them.
        is_lost: Whether the bytes are others than those that were registered, so that there was nothing to copy.
    """

    storage: Storage
    key: str
    row: Row | None = None
    copy: Copy | None = None
    is_lost: bool = False

    def withdraw(self) -> None:
        """Remove the copy, which no record came to refer to."""
        if self.copy is not None:
            self.copy.discard()


@dataclass(frozen=True)
class Publication:
    """A real key that a process died at: its latest version is still in the version store, or old bytes remain.

    Attributes:
        storage_id: Id of the location.
        key: The key.
        uid: Uid of the artifact that waits to be published; None where old bytes wait to be removed.
    """

    storage_id: int
    key: str
    uid: str | None


def _artifacts() -> Table:
    return model_class("Artifact").__table__  # pyright: ignore[reportReturnType]


# ---------------------------------------------------------------------- before the commit


def occupy(registry: Registry, storage: Storage, key: str, content: Row, *, overwrites: str | None = None) -> Place:
    """See what lies at a real key, and copy it to the version store where a record needs it.

    Args:
        registry: The registry.
        storage: The location.
        key: The key.
        content: What is going to lie there, as the row of a stored object.
        overwrites: Stem of the family whose overwritten versions need no bytes.

    Raises:
        ObjectExists: Something lies there that is no version of this key, and not the content itself.
        StorageError: The storage failed; nothing is changed.
    """
    table = _artifacts()
    with registry.engine.connect() as connection:
        row = _live(connection, storage.id, key)
        own = row is not None and connection.execute(_versions_at(table, row["id"], key)).first() is not None
        needed = row is not None and connection.execute(_needing(table, row["id"], overwrites)).first() is not None
    if row is None or not own:
        # A file that is the content already, but for a record, comes from a copy by hand or from a save by others.
        if bytes_room.exists(storage.location, key) and (
            needed or not (holds(storage, key, content) or (row is None and _is_ours(registry, storage, key)))
        ):
            raise errors.ObjectExists(
                f"there is something at {storage.root}/{key} that is no version of this key; register it with "
                "Artifact(path), move it away, or choose another key"
            )
        return Place(storage, key, row)
    if not needed:
        return Place(storage, key, row)
    try:
        return Place(storage, key, row, copy_object(registry, row, storage, storage, _stem(registry, row["id"])))
    except errors.ContentMismatch as error:
        logger.warning(
            "%s. The version that lay there is no longer available; what is there now is replaced by the new one", error
        )
        return Place(storage, key, row, is_lost=True)


def _live(connection: Connection, storage_id: int, key: str, *, lock: bool = False) -> Row | None:
    """Return the object that is registered at a path and whose bytes are there, as far as anybody knows."""
    columns = OBJECT.c
    here = and_(columns.storage_id == storage_id, columns.path == key, ~columns.is_managed, columns.fate.is_(None))
    query = select(OBJECT).where(here).order_by(columns.id.desc()).limit(1)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return row._asdict() if row is not None else None


def _versions_at(table: Table, object_id: int, key: str) -> Select[Any]:
    columns = table.c
    return select(columns.id).where(columns.object_id == object_id, columns.key == key, ~columns._key_is_virtual)


def _needing(table: Table, object_id: int, overwrites: str | None) -> Select[Any]:
    columns = table.c
    query = select(columns.id).where(columns.object_id == object_id)
    if overwrites is not None:
        stem = func.substr(columns.uid, 1, uids.STEM_LENGTH)
        query = query.where(~and_(stem == overwrites, columns._overwrite_versions))
    return query.limit(1)


def _stem(registry: Registry, object_id: int) -> str:
    table = _artifacts()
    with registry.engine.connect() as connection:
        uid = connection.execute(select(table.c.uid).where(table.c.object_id == object_id).limit(1)).scalar()
    return uids.stem_of(uid) if uid is not None else uids.new_stem()


def hand_over(connection: Connection, table: Table, place: Place) -> str | None:
    """Record, in the transaction of a save, that what lies at the key is going to be replaced.

    To be called when the artifact refers to its new object already.

    Returns:
        Where the bytes are kept: the copy of the place, or an object of equal content; None if they are not.

    Raises:
        PlaceChanged: It is not what `occupy` saw.
        BytesCollected: Garbage collection has taken the copy.
    """
    row = _live(connection, place.storage.id, place.key, lock=True)
    if (row["id"] if row is not None else None) != (place.row["id"] if place.row is not None else None):
        raise PlaceChanged(f"{place.key} was published or registered by another writer")
    if row is None:
        return None
    kept = record_copy(connection, table, place.copy) if place.copy is not None else None
    referred = connection.execute(_needing(table, row["id"], None)).first() is not None
    if referred and not place.is_lost:
        raise PlaceChanged(f"another artifact began to refer to what lies at {place.key}")
    connection.execute(update(OBJECT).where(OBJECT.c.id == row["id"]).values(fate=LOST if referred else DOOMED))
    return kept


# ---------------------------------------------------------------------- after the commit


@dataclass(frozen=True)
class _Owner:
    """The version that the bytes at a real key should be those of, and its object in the version store."""

    artifact_id: int
    uid: str
    object: Row


def settle(registry: Registry, storage: Storage, key: str, *, force: bool = False) -> None:
    """Publish the latest version of a real key if it is not, and remove old bytes that are not needed there.

    One process at a time does this for a key; it looks again when it is done, for what others saved meanwhile. What
    fails is repeated by the next save of the key, or by `finish_publication`: the records are right already.

    Args:
        registry: The registry.
        storage: The location.
        key: The key.
        force: Whether bytes that no record knows are replaced; else they are left, and so is the new version.
    """
    try:
        while _is_pending(registry, storage, key):
            if not leases.take(registry, storage, key, duration=_LEASE):
                return
            try:
                done = _settle_once(registry, storage, key, force=force)
            finally:
                registry.unit_of_work(lambda connection: leases.release(connection, storage.id, key))
            if not done:
                return
    except (errors.LamartError, OSError, DBAPIError) as error:
        logger.warning("%s/%s is not up to date yet, its record is; the next save completes it: %s",
                       storage.root, key, error)  # fmt: skip


def _is_pending(registry: Registry, storage: Storage, key: str) -> bool:
    with registry.engine.connect() as connection:
        return _owner(connection, storage.id, key) is not None or bool(_doomed(connection, storage.id, key))


def _owner(connection: Connection, storage_id: int, key: str) -> _Owner | None:
    """Return the latest version of a real key if its bytes are in the version store and no other's at the key."""
    columns = _artifacts().c
    latest = and_(
        columns.key == key,
        columns.storage_id == storage_id,
        ~columns._key_is_virtual,
        columns._real_key.is_(None),
        columns.is_latest,
    )
    query = (
        select(columns.id.label("artifact_id"), columns.uid.label("artifact_uid"), OBJECT)
        .join(OBJECT, columns.object_id == OBJECT.c.id)
        .where(latest)
    )
    row = connection.execute(query.order_by(columns.uid.desc()).limit(1)).first()
    if row is None or not row.is_managed or row.is_scattered or _live(connection, storage_id, key) is not None:
        return None
    return _Owner(row.artifact_id, row.artifact_uid, row._asdict())


def _doomed(connection: Connection, storage_id: int, key: str | None = None) -> list[Row]:
    columns = OBJECT.c
    query = select(OBJECT).where(columns.storage_id == storage_id, ~columns.is_managed, columns.fate == DOOMED)
    if key is not None:
        query = query.where(columns.path == key)
    return [row._asdict() for row in connection.execute(query)]


def _is_ours(registry: Registry, storage: Storage, key: str) -> bool:
    """Return whether the bytes at a key are those of its latest version, or old ones that may go."""
    with registry.engine.connect() as connection:
        owner = _owner(connection, storage.id, key)
        known = _doomed(connection, storage.id, key) + ([owner.object] if owner is not None else [])
    return any(holds(storage, key, row) for row in known)


def _settle_once(registry: Registry, storage: Storage, key: str, *, force: bool) -> bool:
    """Do what is to be done at a key; return whether to look again."""
    with registry.engine.connect() as connection:
        owner = _owner(connection, storage.id, key)
        doomed = _doomed(connection, storage.id, key)
        is_taken = _live(connection, storage.id, key) is not None
    if owner is not None:
        return _publish(registry, storage, key, owner, force=force)
    for row in doomed:
        if not is_taken and holds(storage, key, row):
            bytes_room.delete(storage.location, key, is_folder=row["n_files"] is not None)
        gone = OBJECT.delete().where(OBJECT.c.id == row["id"], OBJECT.c.fate == DOOMED)
        registry.unit_of_work(lambda connection, gone=gone: connection.execute(gone).rowcount)
    return True


def _publish(registry: Registry, storage: Storage, key: str, owner: _Owner, *, force: bool) -> bool:
    location, path = storage.location, owner.object["path"]
    is_folder = owner.object["n_files"] is not None
    is_free = not bytes_room.exists(location, key)
    if not is_free and not force and not _is_ours(registry, storage, key):
        logger.warning("%s/%s holds bytes that no record knows; %s stays in the version store until they are moved "
                       "away or registered with Artifact(path)", storage.root, key, owner.uid)  # fmt: skip
        return False
    try:
        bytes_room.place(location, path, key, is_folder=is_folder, by_link=True, replace=not is_free)
        gone = registry.unit_of_work(lambda connection: _record_publication(connection, storage, key, owner))
    except _Superseded:
        return True
    if path in gone:
        for relpath in gone:
            remove_bytes(storage, relpath, is_folder=is_folder)
    elif location.is_local:
        # Others share the object: what people do at the key must not reach it.
        bytes_room.place(location, path, key, is_folder=is_folder, by_link=False)
    return True


def _record_publication(connection: Connection, storage: Storage, key: str, owner: _Owner) -> list[str]:
    table, columns = _artifacts(), OBJECT.c
    old = owner.object
    if _live(connection, storage.id, key, lock=True) is not None:
        raise _Superseded(f"{key} was registered in place meanwhile")
    values = {
        name: old[name] for name in ("storage_id", "suffix", "hash", "hash_type", "is_exact", "size", "n_files")
    } | {"path": key, "is_managed": False, "created_at": now(), "fate": None}
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(OBJECT).values(values)
    revived = insert.on_conflict_do_update(
        index_elements=["storage_id", "path", "hash"], set_={"fate": None, "is_managed": False}
    )
    object_id = connection.execute(revived.returning(columns.id)).scalar_one()
    here = and_(table.c.id == owner.artifact_id, table.c.is_latest, table.c.key == key)
    moved = update(table).where(here, table.c.object_id == old["id"]).values(object_id=object_id)
    if connection.execute(moved).rowcount != 1:
        raise _Superseded(f"{owner.uid} is not the latest version of {key} any more")
    # Overwritten versions refer to the object of the latest one, and versions of equal content may.
    family = func.substr(table.c.uid, 1, uids.STEM_LENGTH) == uids.stem_of(owner.uid)
    connection.execute(update(table).where(family, table.c.object_id == old["id"]).values(object_id=object_id))
    at_key = and_(columns.storage_id == storage.id, columns.path == key, ~columns.is_managed, columns.id != object_id)
    connection.execute(OBJECT.delete().where(at_key, columns.fate == DOOMED))
    return delete_unreferenced(connection, table, {old["id"]})


# ---------------------------------------------------------------------- what a process left that died


def publish_pending(registry: Registry) -> list[Publication]:
    """Return the real keys at which a process died, or failed, between its save and the publication.

    A latest version in the version store is only listed where the place at its key is free or holds bytes of ours:
    what others put there stays.

    Raises:
        StorageError: A storage failed or refused.
    """
    found: list[Publication] = []
    columns = _artifacts().c
    for storage in _managed(registry):
        query = (
            select(columns.key)
            .join(OBJECT, columns.object_id == OBJECT.c.id)
            .where(columns.storage_id == storage.id, ~columns._key_is_virtual, columns._real_key.is_(None))
            .where(columns.is_latest, OBJECT.c.is_managed, ~OBJECT.c.is_scattered)
        )
        with registry.engine.connect() as connection:
            keys: list[str] = sorted(set(connection.execute(query).scalars()))
            owners = {key: owner for key in keys if (owner := _owner(connection, storage.id, key)) is not None}
            doomed = {row["path"] for row in _doomed(connection, storage.id)} - set(owners)
        for key, owner in owners.items():
            if not bytes_room.exists(storage.location, key) or _is_ours(registry, storage, key):
                found.append(Publication(storage.id, key, owner.uid))
        found += [Publication(storage.id, key, None) for key in sorted(doomed)]
    return found


def finish_publication(registry: Registry, publication: Publication) -> None:
    """Do what a process that died had left to do at a real key; nothing when it was done meanwhile.

    What a living process is doing is left to it.
    """
    settle(registry, registry.Storage.get(publication.storage_id), publication.key)


def _managed(registry: Registry) -> list[Storage]:
    with registry.read() as session:
        found = list(session.scalars(select(Storage).where(Storage.instance_uid == registry.uid).order_by(Storage.id)))
    for storage in found:
        storage._registry = registry
    return found
