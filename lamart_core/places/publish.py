"""Publishing: what lies at a real key becomes the latest version, after the transaction that made it that.

One process at a time works at a key, under a lease. What fails, or dies, is completed by the next save of the key or by
`finish_publication`; the records refer to bytes of their own all the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, and_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from lamart_core import errors
from lamart_core.db import Registry, now
from lamart_core.families.family import Family
from lamart_core.logging import logger
from lamart_core.objects import leases
from lamart_core.objects.histories import files_of
from lamart_core.objects.rows import OBJECT
from lamart_core.objects.unreferenced import Unclaimed, delete_unreferenced, remove_bytes
from lamart_core.objects.verify import is_any_of
from lamart_core.places.key_state import Owner, live_object, obsolete_objects, read_state, unpublished
from lamart_core.records import Storage, artifact_table, storage_locations
from lamart_core.records.stored_object import OBSOLETE

_LEASE = timedelta(days=1)


class _Superseded(errors.LamartError):
    """A newer version was saved while this one was published."""


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


def publish(registry: Registry, storage: Storage, key: str, *, force: bool = False) -> None:
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
                done = _publish_once(registry, storage, key, force=force)
            finally:
                registry.unit_of_work(lambda connection: leases.release(connection, storage.id, key))
            if not done:
                return
    except (errors.LamartError, OSError, DBAPIError) as error:
        logger.warning("%s/%s is not up to date yet, its record is; the next save completes it: %s",
                       storage.root, key, error)  # fmt: skip


def _is_pending(registry: Registry, storage: Storage, key: str) -> bool:
    with registry.engine.connect() as connection:
        return unpublished(connection, storage.id, key) is not None or bool(
            obsolete_objects(connection, storage.id, key)
        )


def _is_ours(registry: Registry, storage: Storage, key: str) -> bool:
    """Return whether the bytes at a key are those of one of its versions, or old ones that may go."""
    with registry.engine.connect() as connection:
        possible = read_state(connection, storage.id, key).possible
    return is_any_of(storage, key, possible)


def _publish_once(registry: Registry, storage: Storage, key: str, *, force: bool) -> bool:
    """Do what is to be done at a key; return whether to look again."""
    with registry.engine.connect() as connection:
        owner = unpublished(connection, storage.id, key)
        obsolete = obsolete_objects(connection, storage.id, key)
        is_taken = live_object(connection, storage.id, key) is not None
    if owner is not None:
        return _publish_latest(registry, storage, key, owner, force=force)
    for row in obsolete:
        if not is_taken and is_any_of(storage, key, [row]):
            storage.backend.delete(key, is_folder=row["n_files"] is not None)
        gone = OBJECT.delete().where(OBJECT.c.id == row["id"], OBJECT.c.state == OBSOLETE)
        registry.unit_of_work(lambda connection, gone=gone: connection.execute(gone).rowcount)
    return True


def _publish_latest(registry: Registry, storage: Storage, key: str, owner: Owner, *, force: bool) -> bool:
    backend, path = storage.backend, owner.object["path"]
    is_folder = owner.object["n_files"] is not None
    is_free = not backend.exists(key)
    if not is_free and not force and not _is_ours(registry, storage, key):
        logger.warning("%s/%s holds bytes that no record knows; %s stays in the version store until they are moved "
                       "away or registered with Artifact(path)", storage.root, key, owner.uid)  # fmt: skip
        return False
    try:
        if owner.object["is_content_addressed"]:
            with registry.engine.connect() as connection:
                files = files_of(connection, owner.object["id"])
            backend.publish_files(files, key, replace=not is_free)
        else:
            backend.publish(path, key, is_folder=is_folder, by_link=True, replace=not is_free)
        stamp = backend.stamp(key)
        gone = registry.unit_of_work(lambda connection: _record_publication(connection, storage, key, owner, stamp))
    except _Superseded:
        return True
    if gone:
        for item in gone:
            remove_bytes(storage, item.path, is_folder=item.is_folder)
    elif backend.keeps_links:
        # Others share the object: what people do at the key must not reach it.
        backend.publish(path, key, is_folder=is_folder, by_link=False)
    return True


def _record_publication(
    connection: Connection, storage: Storage, key: str, owner: Owner, stamp: str | None
) -> list[Unclaimed]:
    table, columns = artifact_table(), OBJECT.c
    old = owner.object
    if live_object(connection, storage.id, key, lock=True) is not None:
        raise _Superseded(f"{key} was registered in place meanwhile")
    values = {
        name: old[name] for name in ("storage_id", "suffix", "hash", "hash_type", "is_exact", "size", "n_files")
    } | {"path": key, "is_managed": False, "created_at": now(), "state": None, "stamp": stamp}
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(OBJECT).values(values)
    revived = insert.on_conflict_do_update(
        index_elements=["storage_id", "path", "hash"], set_={"state": None, "is_managed": False, "stamp": stamp}
    )
    object_id = connection.execute(revived.returning(columns.id)).scalar_one()
    here = and_(table.c.id == owner.artifact_id, table.c.is_latest, table.c.key == key)
    moved = update(table).where(here, table.c.object_id == old["id"]).values(object_id=object_id)
    if connection.execute(moved).rowcount != 1:
        raise _Superseded(f"{owner.uid} is not the latest version of {key} any more")
    # Overwritten versions refer to the object of the latest one. Others of equal content keep the one that they have.
    overwritten = and_(table.c._overwrite_versions, ~table.c.is_latest, table.c.object_id == old["id"])
    connection.execute(
        update(table).where(Family.of(table, owner.uid).members, overwritten).values(object_id=object_id)
    )
    at_key = and_(columns.storage_id == storage.id, columns.path == key, ~columns.is_managed, columns.id != object_id)
    connection.execute(OBJECT.delete().where(at_key, columns.state == OBSOLETE))
    return delete_unreferenced(connection, {old["id"]})


# ---------------------------------------------------------------------- what a process left that died


def publish_pending(registry: Registry, storage: Storage | None = None) -> list[Publication]:
    """Return the real keys at which a process died, or failed, between its save and the publication.

    A latest version in the version store is only listed where the place at its key is free or holds bytes of ours:
    what others put there stays.

    Args:
        registry: The registry.
        storage: The location to look at; default: all that the registry manages.

    Raises:
        StorageError: A storage failed or refused.
    """
    found: list[Publication] = []
    columns = artifact_table().c
    for place in storage_locations(registry, managed=True) if storage is None else [storage]:
        query = (
            select(columns.key)
            .join(OBJECT, columns.object_id == OBJECT.c.id)
            .where(columns.storage_id == place.id, ~columns._key_is_virtual, columns._real_key.is_(None))
            .where(columns.is_latest, OBJECT.c.is_managed)
        )
        with registry.engine.connect() as connection:
            keys: list[str] = sorted(set(connection.execute(query).scalars()))
            owners = {key: owner for key in keys if (owner := unpublished(connection, place.id, key)) is not None}
            obsolete = {row["path"] for row in obsolete_objects(connection, place.id)} - set(owners)
        for key, owner in owners.items():
            if not place.backend.exists(key) or _is_ours(registry, place, key):
                found.append(Publication(place.id, key, owner.uid))
        found += [Publication(place.id, key, None) for key in sorted(obsolete)]
    return found


def finish_publication(registry: Registry, publication: Publication) -> None:
    """Do what a process that died had left to do at a real key; nothing when it was done meanwhile.

    What a living process is doing is left to it.
    """
    publish(registry, registry.Storage.get(publication.storage_id), publication.key)
