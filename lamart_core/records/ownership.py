"""Whether a storage location still is the one that a registry means: the one place that asks.

Asked before anything is written or removed, and before anything is called missing or altered. A place that is not ours
is refused as a whole: what lies there says nothing about what we have stored.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.storage import Backend, Marker, backend_at, ownership

if TYPE_CHECKING:
    from lamart_core.records.storage import Storage

_SEEN = "markers that were read"
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
            WrongStorage: Another store lies there, or none.
            StorageError: The storage failed.
        """
        backend = self._backend
        stamp = _stamp(backend)
        before = self._all_seen.get(self.storage_id)
        is_same = before is not None and (before.root, before.stamp) == (self.root, stamp)
        if before is not None and is_same and (stamp is not None or time.monotonic() - before.at < _FRESH):
            return
        self.look().check()

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
        WrongStorage: Another store lies there, or none.
        StorageError: The storage failed.
    """
    found = look(storage)
    if found is not None:
        found.check()
