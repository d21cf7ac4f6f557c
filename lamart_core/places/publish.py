"""Publishing: what lies at a real key becomes the latest version, after the transaction that made it that.

One process at a time works at a key, under a lease. The transaction that takes it writes down what is going to lie
there, as an obsolete object: so whoever finds those bytes later knows whose they are, whatever became of the version in
between. What fails, or dies, is completed by whoever saves, moves or deletes at the key next, or by
`finish_publication`; the records refer to bytes of their own all the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, and_, select, update
from sqlalchemy.exc import DBAPIError

from lamart_core import errors, uids
from lamart_core.db import Registry, attempting
from lamart_core.families.family import Family
from lamart_core.logging import logger
from lamart_core.objects import leases
from lamart_core.objects.copies import Copy, copy_object, record_copy
from lamart_core.objects.histories import files_of
from lamart_core.objects.plan import Row
from lamart_core.objects.rows import OBJECT, at_place, insert_or, note_obsolete
from lamart_core.objects.unreferenced import Unclaimed, delete_unreferenced, remove_bytes
from lamart_core.objects.verify import is_any_of
from lamart_core.places.key_state import Owner, Work, live_object, obsolete_keys, read_state, read_work
from lamart_core.places.torn import holds_any
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
        while _work(registry, storage, key).is_pending:
            work = registry.unit_of_work(lambda connection: _begin(connection, storage.id, key))
            if work is None or not _Turn(registry, storage, key, work, force=force).run():
                return
    except (errors.LamartError, OSError, DBAPIError) as error:
        logger.warning("%s/%s is not up to date yet, its record is; the next save completes it: %s",
                       storage.root, key, error)  # fmt: skip


def finish(registry: Registry, storage: Storage, key: str) -> None:
    """Finish what a process that died had begun at a real key, before its version leaves it with its files."""
    if _work(registry, storage, key).owner is not None:
        publish(registry, storage, key)


def _work(registry: Registry, storage: Storage, key: str) -> Work:
    with registry.engine.connect() as connection:
        return read_work(connection, storage.id, key)


def _begin(connection: Connection, storage_id: int, key: str) -> Work | None:
    """Take the lease of a key, and write down what is going to lie there; None where another process is at it."""
    work = read_work(connection, storage_id, key)
    if not leases.take_within(connection, storage_id, key, duration=_LEASE):
        return None
    if work.owner is not None:
        note_obsolete(connection, work.owner.object, key)
    return work


def _is_ours(registry: Registry, storage: Storage, key: str) -> bool:
    """Return whether the bytes at a key are those of one of its versions, or old ones that may go."""
    with registry.engine.connect() as connection:
        possible = read_state(connection, storage.id, key).possible
    return holds_any(storage, key, possible)


class _Turn:
    """What one process does at a key, under its lease."""

    def __init__(self, registry: Registry, storage: Storage, key: str, work: Work, *, force: bool) -> None:
        self._registry = registry
        self._storage = storage
        self._key = key
        self._work = work
        self._force = force
        self._is_held = True

    def run(self) -> bool:
        """Do what is to be done; return whether to look again."""
        try:
            if self._work.owner is not None:
                return self._publish(self._work.owner)
            self._remove_obsolete()
            return True
        finally:
            if self._is_held:
                leases.give_back(self._registry, self._storage.id, self._key)

    def _remove_obsolete(self) -> None:
        storage, obsolete = self._storage, self._work.obsolete
        if self._work.live is None and storage.backend.exists(self._key):
            self._rescue()
            if holds_any(storage, self._key, obsolete):
                is_folder = any(row["n_files"] is not None for row in obsolete)
                storage.backend.delete(self._key, is_folder=is_folder)
        ids = [row["id"] for row in obsolete]
        gone = OBJECT.delete().where(OBJECT.c.id.in_(ids), OBJECT.c.state == OBSOLETE)
        self._registry.unit_of_work(lambda connection: connection.execute(gone).rowcount)

    def _publish(self, owner: Owner) -> bool:
        registry, storage, key = self._registry, self._storage, self._key
        backend, path = storage.backend, owner.object["path"]
        is_folder = owner.object["n_files"] is not None
        is_free = not backend.exists(key)
        if not is_free:
            self._rescue()
            if not self._force and not _is_ours(registry, storage, key):
                logger.warning(
                    "%s/%s holds bytes that no record knows; %s stays in the version store until they are moved away "
                    "or registered with Artifact(path)", storage.root, key, owner.uid)  # fmt: skip
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
            self._is_held = False
            for item in gone:
                remove_bytes(storage, item.path, is_folder=item.is_folder)
        elif backend.keeps_links:
            # Others share the object: what people do at the key must not reach it.
            backend.publish(path, key, is_folder=is_folder, by_link=False)
        return True

    def _rescue(self) -> None:
        """Keep bytes that a version was thought to have lost, and that lie at the key again."""
        registry, storage = self._registry, self._storage
        for row in self._work.lost:
            if not is_any_of(storage, self._key, [row]):
                continue
            table = artifact_table()
            with registry.engine.connect() as connection:
                uid = connection.execute(select(table.c.uid).where(table.c.object_id == row["id"]).limit(1)).scalar()
            if uid is not None:
                _keep(registry, storage, row, uids.stem_of(uid))


def _keep(registry: Registry, storage: Storage, row: Row, stem: str) -> None:
    """Copy what lies at a real key to the version store, for the versions that refer to it."""
    made: list[Copy] = []

    def step() -> str:
        made.append(copy_object(registry, row, storage, storage, stem))
        return registry.unit_of_work(lambda connection: record_copy(connection, artifact_table(), made[-1]).path)

    def undo(error: errors.LamartError | None = None) -> None:
        while made:
            made.pop().discard()

    kept = attempting(step, undo, busy=f"{storage.root}/{row['path']} is collected again and again")
    if made[-1].path != kept:
        undo()


def _record_publication(
    connection: Connection, storage: Storage, key: str, owner: Owner, stamp: str | None
) -> list[Unclaimed]:
    """Record that a version lies at its key; give the lease back if nothing is left to do there.

    Returns:
        What nothing refers to any more: the object in the version store, unless others share it.
    """
    table, columns = artifact_table(), OBJECT.c
    old = owner.object
    if live_object(connection, storage.id, key, lock=True) is not None:
        raise _Superseded(f"{key} was registered in place meanwhile")
    insert = insert_or(connection).values(at_place(old, key) | {"state": None, "stamp": stamp})
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
    gone = delete_unreferenced(connection, {old["id"]})
    if gone:
        leases.release(connection, storage.id, key)
    return gone


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
            work = {key: read_work(connection, place.id, key) for key in keys}
            owners = {key: found.owner for key, found in work.items() if found.owner is not None}
            obsolete = obsolete_keys(connection, place.id) - set(owners)
        for key, owner in owners.items():
            try:
                if not place.backend.exists(key) or _is_ours(registry, place, key):
                    found.append(Publication(place.id, key, owner.uid))
            except errors.StorageError:
                if _work(registry, place, key).owner == owner:
                    raise  # else it was published while it was looked at
        found += [Publication(place.id, key, None) for key in sorted(obsolete)]
    return found


def finish_publication(registry: Registry, publication: Publication) -> None:
    """Do what a process that died had left to do at a real key; nothing when it was done meanwhile.

    What a living process is doing is left to it.
    """
    publish(registry, registry.Storage.get(publication.storage_id), publication.key)
