"""Which registry a database is: noticed when it was moved, when it is a copy, and what then becomes of it."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import Connection, select, update

from lamart_core import errors, uids
from lamart_core.db import Registry, now
from lamart_core.db.place import Place, Whereabouts, compare, moved_folder, place_of
from lamart_core.db.registration import registration_table
from lamart_core.logging import logger
from lamart_core.records import ownership
from lamart_core.records.storage import Storage, storage_locations
from lamart_core.records.stored_object import StoredObject
from lamart_core.storage import Marker, backend_at

_STORAGE = Storage.__table__
_OBJECT = StoredObject.__table__
_WAYS_OUT = (
    "Both would write to the same storage locations, and each collect what only the other has recorded: nothing is "
    "written to them or collected from here. `lamart fork` makes a registry of its own of this database; if the other "
    "one is not used any more, `lamart take-over` goes on with this one"
)


def settle(registry: Registry, written: str | None) -> None:
    """Compare where the database is with where it was when it was opened last.

    One that was moved is followed, with the storage locations that were moved along; a copy is known as one from here
    on, and is opened for its records.

    Args:
        registry: The registry.
        written: The place that the database remembers; None where it remembers none.
    """
    with registry.engine.connect() as connection:
        here = place_of(registry, connection)
        before = Place.parse(written) if written is not None else here
        found = compare(connection, registry.uid, before, here)
    if found in (Whereabouts.COPY, Whereabouts.UNKNOWN):
        what = "is a copy of" if found is Whereabouts.COPY else "was moved or copied from"
        registry.copy_of = f"{what} the database at {before.name}. {_WAYS_OUT}"
        if not registry.is_read_only:
            logger.warning("%r %s", registry, registry.copy_of)
    elif found is Whereabouts.MOVED and not registry.is_read_only:
        logger.warning("%r was moved here from %s", registry, before.name)
        follow(registry, before, here)
        _write_place(registry, here)
    elif written is None and not registry.is_read_only:
        _write_place(registry, here)


def _write_place(registry: Registry, here: Place) -> None:
    change = update(registration_table).values(place=str(here))
    registry.unit_of_work(lambda connection: connection.execute(change))


def follow(registry: Registry, before: Place, here: Place) -> None:
    """Find the local storage locations again that were moved along with the database file."""
    for storage, root in _taken_along(registry, before, here):
        if not os.path.lexists(storage.root):
            change = update(_STORAGE).where(_STORAGE.c.id == storage.id).values(root=root, updated_at=now())
            registry.unit_of_work(lambda connection, change=change: connection.execute(change))
            logger.warning("the storage location %s was moved to %s", storage.root, root)


def _taken_along(registry: Registry, before: Place, here: Place) -> list[tuple[Storage, str]]:
    """Return the local locations whose store lies where it would be if it was moved or copied with the database."""
    folders = moved_folder(before, here)
    found: list[tuple[Storage, str]] = []
    for storage in storage_locations(registry, managed=True) if folders is not None else ():
        assert folders is not None
        if storage.type != "local" or not Path(storage.root).is_relative_to(folders[0]):
            continue
        root = str(folders[1] / Path(storage.root).relative_to(folders[0]))
        marker = backend_at(root).read_marker()
        if root != storage.root and marker is not None and marker.names_same(Marker(storage.uid, registry.uid)):
            found.append((storage, root))
    return found


def take_over(registry: Registry) -> list[str]:
    """Go on with this database, whatever others know of it: it is the registry from now on.

    For a database that was moved to another machine or server, or put back from a backup. The markers of its storage
    locations are written again; a process that has another copy open is refused from then on.

    Args:
        registry: The registry.

    Returns:
        What was done, in sentences.

    Raises:
        WrongStorage: At the root of a location lies another store, or none. The others were taken over.
        StorageError: A storage failed.
    """
    with registry.engine.connect() as connection:
        here = place_of(registry, connection)
        written = connection.execute(select(registration_table.c.place)).scalar_one()
    if written is not None:
        follow(registry, Place.parse(written), here)
    _write_place(registry, here)
    registry.copy_of = None
    done = [f"{registry!r} is the registry {registry.uid}"]
    failed: errors.LamartError | None = None
    for storage in storage_locations(registry, managed=True):
        try:
            ownership.take_over(storage)
        except errors.StorageError as error:
            failed = error
            continue
        done.append(f"{storage.root} belongs to it")
    if failed is not None:
        raise failed
    return done


def fork(registry: Registry) -> list[str]:
    """Make a registry of its own of a copied database: it gets a uid of its own, the original keeps its storage.

    Storage locations that were copied along with the database become its own. All others are references from then on:
    what lies there can be read as long as the original keeps it, and nothing is written or removed there.

    Args:
        registry: The registry.

    Returns:
        What was done, in sentences.

    Raises:
        InvalidArgument: The database is no copy.
        StorageError: The marker of a location could not be written; `claim` writes it.
    """
    if registry.copy_of is None:
        raise errors.InvalidArgument(f"{registry!r} is no copy of another database; there is nothing to fork")
    uid = uids.base62(12)
    with registry.engine.connect() as connection:
        here = place_of(registry, connection)
        before = Place.parse(connection.execute(select(registration_table.c.place)).scalar_one())
    own = {storage.id: (root, uids.base62(12)) for storage, root in _taken_along(registry, before, here)}
    others = [storage for storage in storage_locations(registry, managed=True) if storage.id not in own]

    def work(connection: Connection) -> None:
        connection.execute(update(registration_table).values(uid=uid, place=str(here)))
        for storage_id, (root, storage_uid) in own.items():
            values = {"root": root, "uid": storage_uid, "instance_uid": uid, "_generation": 0, "_marked_at": now()}
            connection.execute(update(_STORAGE).where(_STORAGE.c.id == storage_id).values(**values))
        theirs = _OBJECT.c.storage_id.in_([storage.id for storage in others])
        connection.execute(update(_OBJECT).where(theirs).values(is_managed=False))

    registry.unit_of_work(work)
    registry.uid, registry.copy_of = uid, None
    done = [f"{registry!r} is the registry {uid} now"]
    for root, storage_uid in own.values():
        backend_at(root).replace_marker(Marker(storage_uid, uid))
        done.append(f"{root} belongs to it")
    return done + [f"{storage.root} is only read from now on" for storage in others]


def claim(registry: Registry, root: str) -> str:
    """Mark what lies at the root of a location as its store, whatever the marker there says.

    For a place whose files are lost for good, and for the store of a registry that does not exist any more.

    Args:
        registry: The registry.
        root: Root of the location, as it is registered.

    Returns:
        What was done, in a sentence.

    Raises:
        InvalidArgument: No location has this root, or another location of this registry lies there.
        DatabaseCopied: The database is a copy.
        StorageError: The storage failed.
    """
    registry.require_original()
    with registry:
        storage = Storage(root)
    if not storage.is_saved:
        raise errors.InvalidArgument(f"no storage location has the root {storage.root}; Storage(root=…).save() adds it")
    found = storage.backend.read_marker()
    known = {other.uid for other in storage_locations(registry, managed=True) if other.id != storage.id}
    if found is not None and found.registry_uid == registry.uid and found.storage_uid in known:
        raise errors.InvalidArgument(
            f"the storage location {found.storage_uid} of this registry lies at {storage.root}; say where it is: "
            "storage.root = …; storage.save()"
        )
    change = update(_STORAGE).where(_STORAGE.c.id == storage.id).values(instance_uid=registry.uid)
    registry.unit_of_work(lambda connection: connection.execute(change))
    storage.refresh()
    ownership.take_over(storage, claims=True)
    return f"{storage.root} is the storage location {storage.uid} of the registry {registry.uid}"
