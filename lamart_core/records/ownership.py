"""Whether a storage location still is the one that a registry means: the one place that asks.

Asked before anything is written or removed, and before anything is called missing or altered. A place that is not ours
is refused as a whole: what lies there says nothing about what we have stored.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update
from sqlalchemy.orm.attributes import set_committed_value

from lamart_core import errors
from lamart_core.db import Registry, model_class, now
from lamart_core.logging import logger
from lamart_core.records import epochs
from lamart_core.storage import Backend, Marker, backend_at, epoch_of, ownership

if TYPE_CHECKING:
    from lamart_core.records.storage import Storage

_SEEN = "markers that were read"
# The generation of a marker rises when a location is written to for the first time in so long.
_PERIOD = timedelta(hours=1)
# A marker that only a request can read is read again after this many seconds.
_FRESH = 3600.0


@dataclass(frozen=True)
class _Seen:
    """A marker that was right.

    Attributes:
        root: Where it lies.
        stamp: What changes whenever it does; None where only a request could tell.
        at: When it was read, by a clock that only goes on.
    """

    root: str
    stamp: Hashable | None
    at: float


@dataclass(frozen=True)
class Guard:
    """Raises unless what lies at the root of a location is the store that its row means.

    A look costs one `stat` on a disk of this machine, and elsewhere nothing but one request an hour for each process.

    Attributes:
        registry: The registry that has the row.
        storage_id: Id of the row.
        root: Root of the location.
        expected: The marker that should be there.
    """

    registry: Registry
    storage_id: int
    root: str
    expected: Marker

    def __call__(self) -> None:
        """Look, unless that was done already and nothing has changed.

        Raises:
            DatabaseCopied: The database is a copy of another one, whose store it is too.
            DatabaseOutdated: The database is older than the store.
            WrongStorage: Another store lies there, or none.
            StorageError: The storage failed.
        """
        self.registry.require_original()
        backend = self._backend
        stamp = _stamp(backend)
        before = self._all_seen.get(self.storage_id)
        is_same = before is not None and (before.root, before.stamp) == (self.root, stamp)
        if before is not None and is_same and (stamp is not None or time.monotonic() - before.at < _FRESH):
            self._check_highest(backend)
        else:
            self.check()

    def check(self) -> None:
        """Look, whatever was seen before.

        Raises:
            DatabaseCopied, DatabaseOutdated, WrongStorage, StorageError: As for a call.
        """
        self.registry.require_original()
        found = self.look()
        found.check()
        self._check_highest(self._backend)
        self._check_generation(found.found)

    def _check_highest(self, backend: Backend) -> None:
        """Compare the ids of objects: a statement only where others have recorded some since this process looked."""
        highest = backend.highest()
        if highest > epochs.seen(self.registry) and highest > (newest := epochs.read(self.registry)):
            raise outdated(self.registry, f"{self.root} holds {highest} objects that were recorded, not {newest}")

    def _check_generation(self, found: Marker | None) -> None:
        """Compare with the database, which is read after the marker: it rises first."""
        if found is None or not found.generation:
            return
        table = model_class("Storage").__table__
        with self.registry.engine.connect() as connection:
            query = select(table.c._generation).where(table.c.id == self.storage_id)
            known = connection.execute(query).scalar_one_or_none()
        if known is not None and found.generation > known:
            self._all_seen.pop(self.storage_id, None)
            raise outdated(
                self.registry, f"{self.root} was written to by it since: generation {found.generation}, not {known}"
            )

    def look(self) -> ownership.Ownership:
        """Read the marker, whatever was read before.

        Raises:
            StorageError: The storage failed.
        """
        backend = self._backend
        stamp = _stamp(backend)
        found = ownership.look(backend, self.expected)
        if found.is_ours:
            self._all_seen[self.storage_id] = _Seen(self.root, stamp, time.monotonic())
        else:
            self._all_seen.pop(self.storage_id, None)
        return found

    @property
    def _backend(self) -> Backend:
        return backend_at(self.root, options=self.registry.storage_options.for_root(self.root))

    @property
    def _all_seen(self) -> dict[int, _Seen]:
        return self.registry.memo(_SEEN, dict[int, _Seen])


def _stamp(backend: Backend) -> Hashable | None:
    try:
        return backend.marker_stamp()
    except errors.LamartError:
        return ""  # never that of a marker that was seen


def guard_of(storage: Storage) -> Guard | None:
    """Return what guards a saved location that some registry manages; None for others, which have no marker."""
    if not storage.is_saved or storage.instance_uid is None:
        return None
    return Guard(storage.registry, storage.id, storage.root, Marker(storage.uid, storage.instance_uid))


def look(storage: Storage) -> ownership.Ownership | None:
    """Read the marker of a location, whatever this process has seen before; None for one that nobody manages.

    Raises:
        StorageError: The storage failed.
    """
    guard = guard_of(storage)
    return guard.look() if guard is not None else None


def check(storage: Storage) -> None:
    """Check that a location is ours to write to and to collect in; for caretakers, who read the marker each time.

    Raises:
        DatabaseCopied: The database is a copy of another one, whose store it is too.
        DatabaseOutdated: The database is older than the store.
        WrongStorage: Another store lies there, or none.
        StorageError: The storage failed.
    """
    guard = guard_of(storage)
    if guard is not None:
        guard.check()


def outdated(registry: Registry, why: str) -> errors.DatabaseOutdated:
    """Return the error for a database that is older than its store."""
    return errors.DatabaseOutdated(
        f"{registry!r} is older than what lies in its storage: {why}. Was it put back from a backup, or is another "
        "copy of it in use? Nothing is written or collected. Put the newer database back; or register what this one "
        "does not know with `lamart fsck --adopt`, and go on with it by `lamart take-over`"
    )


def note_recorded(storage: Storage, object_id: int) -> None:
    """Keep beside the marker that an object was recorded, where that costs neither a request nor a flush."""
    if storage.is_managed:
        _backend_of(storage).note_highest(object_id)


def _backend_of(storage: Storage) -> Backend:
    """Return the backend of a location, without its guard."""
    return backend_at(storage.root, options=storage.registry.storage_options.for_root(storage.root))


def renew(storage: Storage, *, at_once: bool = False) -> None:
    """Let the generation of a marker rise, in the database first, where it was not raised for a while.

    So a database that is put back from a backup knows a lower one than the marker says. Costs a transaction and the
    write of the marker once an hour and location, whatever is saved; to be called outside of transactions.

    Args:
        storage: A location that is going to be written to.
        at_once: Whether it rises although it did a short time ago.

    Raises:
        DatabaseCopied, DatabaseOutdated, WrongStorage, StorageError: As for `check`.
    """
    if not storage.is_managed or not (at_once or _is_due(storage)):
        return
    check(storage)
    _raise(storage, 0 if at_once else None)


def _is_due(storage: Storage) -> bool:
    return storage._marked_at is None or abs(now() - storage._marked_at) >= _PERIOD


def _raise(storage: Storage, least: int | None) -> None:
    """Raise the generation above what the database and `least` say; None: unless another process has done so."""
    registry, table = storage.registry, storage.__table__
    moment = now()

    def work(connection: Connection) -> int | None:
        query = select(table.c._generation, table.c._marked_at).where(table.c.id == storage.id)
        row = connection.execute(query.with_for_update()).one()
        if least is None and row._marked_at not in (None, storage._marked_at):
            return None
        generation = max(row._generation, least or 0) + 1
        values = {"_generation": generation, "_marked_at": moment}
        connection.execute(update(table).where(table.c.id == storage.id).values(**values))
        return generation

    generation = registry.unit_of_work(work)
    set_committed_value(storage, "_marked_at", moment)
    if generation is None:
        return
    set_committed_value(storage, "_generation", generation)
    backend = _backend_of(storage)
    try:
        backend.replace_marker(Marker(storage.uid, registry.uid, generation))
    except errors.StorageError as error:
        # It says less than it could; that is no reason not to store anything.
        logger.warning("the marker of %s could not be written again: %s", storage.root, error)


def take_over(storage: Storage, *, claims: bool = False) -> None:
    """Make a location this database's own, whatever generation its marker has.

    Args:
        storage: The location.
        claims: Whether also where another store lies, or none.

    Raises:
        WrongStorage: Another store lies there, or none.
        StorageError: The storage failed.
    """
    found = look(storage)
    if found is not None and not claims:
        found.check()
    marker = found.found if found is not None else None
    if marker is None:
        _backend_of(storage).write_marker(Marker(storage.uid, storage.registry.uid))
    backend = _backend_of(storage)
    highest = max((epoch_of(name.relpath) or 0 for name in backend.list_reserved()), default=0)
    epochs.rise(storage.registry, max(highest + 1, backend.highest()))
    _raise(storage, marker.generation if marker is not None else 0)
