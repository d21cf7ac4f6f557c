"""Garbage collection: bytes that no record refers to, and rows that nothing names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from lamart_core import errors
from lamart_core.db import Registry, batches
from lamart_core.logging import logger
from lamart_core.objects.garbage import abandoned_paths, give_up, held_paths, purge, recorded_paths
from lamart_core.objects.rows import OBJECT
from lamart_core.objects.unreferenced import Unclaimed, delete_unreferenced, is_referred
from lamart_core.records import Storage, epochs, ownership, storage_locations
from lamart_core.records.stored_object import OBSOLETE
from lamart_core.storage import RESERVED, ReservedName, Staging, StoredName, epoch_of, is_reserved, is_stored_name

GRACE = timedelta(hours=24)
_BATCH = 1000  # names that are asked for at once


class Reason(StrEnum):
    """Why something is garbage."""

    UNCLAIMED = "unclaimed"
    """Bytes that no record refers to: of a save that was killed, or of a deletion whose second half failed."""
    ABANDONED = "abandoned"
    """Bytes at a lazy path that was never saved, and whose holder is gone."""
    UNNAMED = "unnamed"
    """A stored object that no artifact refers to: of a record that was deleted with `storage=False`."""
    STAGING = "staging"
    """A staging file of a process that ended."""
    UPLOAD = "upload"
    """A multi-part upload that was never finished."""


@dataclass(frozen=True)
class Garbage:
    """Something that no record refers to.

    Attributes:
        root: Root of its storage location; the cache folder for a staging file of a remote one.
        path: Path relative to the root.
        is_folder: Whether it is a folder.
        modified: When it was last modified.
        size: Size in bytes; None where that is not known, as of an unfinished upload.
        reason: Why it is garbage.
        is_removed: Whether it was removed.
    """

    root: str
    path: str
    is_folder: bool
    modified: datetime
    size: int | None = None
    reason: Reason = Reason.UNCLAIMED
    is_removed: bool = False


def collect_garbage(
    registry: Registry,
    *,
    grace: timedelta = GRACE,
    dry_run: bool = True,
    progress: Callable[[int], None] | None = None,
) -> list[Garbage]:
    """Find, and unless `dry_run` remove, what interrupted saves and deletions left in the storage locations.

    Args:
        registry: The registry; only storage locations that it manages are looked at.
        grace: Age that something must have. A save that is running loses nothing even when it is younger, but may
            have to put its bytes again.
        dry_run: Only list.
        progress: Called with the number of names that were looked at since the last call.

    Returns:
        What was found, oldest first.

    Raises:
        WrongStorage: Another store lies at the root of a location, or none; the others were looked at.
        StorageError: A storage failed or refused; the others were looked at.

    Examples:
        >>> import lamart_core as ln
        >>> from lamart_core.care import collect_garbage
        >>> collect_garbage(ln.connect())
        []
    """
    return sorted(
        iter_garbage(registry, grace=grace, dry_run=dry_run, progress=progress), key=lambda found: found.modified
    )


def iter_garbage(
    registry: Registry,
    *,
    grace: timedelta = GRACE,
    dry_run: bool = True,
    storages: Iterable[Storage] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Garbage]:
    """Find and remove as `collect_garbage` does, one by one in no order, and in bounded memory.

    Args:
        registry: The registry.
        grace: Age that something must have.
        dry_run: Only list.
        storages: The storage locations to look at; default: all that the registry manages.
        progress: Called with the number of names that were looked at since the last call.

    Raises:
        WrongStorage, StorageError: As for `collect_garbage`.
    """
    failed: list[errors.StorageError] = []
    seen: set[Path] = set()  # remote locations share one folder for staging files
    for storage in storage_locations(registry, managed=True) if storages is None else storages:
        staging = storage.backend.staging(registry.settings.cache_dir)
        todo = staging if staging.folder not in seen else None
        seen.add(staging.folder)
        collector = _Collector(registry, storage, grace, dry_run, progress or (lambda count: None), todo)
        try:
            yield from collector.run()
        except errors.StorageError as error:
            failed.append(error)
    if failed:
        for error in failed[:-1]:
            logger.warning("%s", error)
        raise failed[-1]


@dataclass(frozen=True)
class _Collector:
    """One pass over one storage location."""

    registry: Registry
    storage: Storage
    grace: timedelta
    dry_run: bool
    progress: Callable[[int], None]
    staging: Staging | None

    def run(self) -> Iterator[Garbage]:
        ownership.check(self.storage)
        newest = self._check_not_older()
        if not self.dry_run:
            ownership.renew(self.storage, at_once=True)
        # Rows first: while they are there, their bytes are claimed.
        yield from self._unnamed()
        yield from self._unclaimed(newest)
        yield from self._uploads()
        yield from self._staging()
        if not self.dry_run:
            purge(self.registry, self.storage.id)
            self.registry.unit_of_work(self._forget_unmanaged)

    def _forget_unmanaged(self, connection: Connection) -> None:
        """Delete the rows of files in place that no artifact names any more; the files are not ours to remove."""
        columns = OBJECT.c
        unnamed = [columns.storage_id == self.storage.id, ~columns.is_managed, ~is_referred()]
        # What is obsolete at a real key still has to be removed by whoever completes the work there.
        unnamed.append(columns.state.is_(None) | (columns.state != OBSOLETE))
        connection.execute(OBJECT.delete().where(*unnamed, columns.created_at <= self._limit))

    @property
    def _limit(self) -> datetime:
        return datetime.now(UTC) - self.grace

    def _check_not_older(self) -> int:
        """Check by all names, before any is removed, that the database is not older than what lies here.

        Returns:
            The largest id of a stored object: names of this epoch may be known to a newer database, and stay.

        Raises:
            DatabaseOutdated: A name tells of an object that this database has never recorded.
        """
        highest = max((epoch_of(name.relpath) or 0 for name in self.storage.backend.list_reserved()), default=0)
        newest = epochs.read(self.registry)  # after the listing: what was saved in between has a larger id by now
        if highest > newest:
            raise ownership.outdated(
                self.registry, f"{self.storage.root} holds what was put after {highest} objects, not {newest}"
            )
        return newest

    def _unnamed(self) -> Iterator[Garbage]:
        columns = OBJECT.c
        last = 0
        while True:
            query = (
                select(
                    columns.id,
                    columns.path,
                    columns.n_files,
                    columns.size,
                    columns.created_at,
                    columns.is_content_addressed,
                )
                .where(columns.storage_id == self.storage.id, columns.is_managed, columns.id > last, ~is_referred())
                .where(columns.created_at <= self._limit)
                .order_by(columns.id)
                .limit(_BATCH)
            )
            with self.registry.engine.connect() as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            last = rows[-1].id
            by_path = {row.path: row for row in rows}
            for item in self._delete_rows(rows):
                row = by_path.get(item.path)  # None: a content of a folder that went along
                created, size = (row.created_at, row.size) if row is not None else (datetime.now(UTC), None)
                yield self._removed(
                    Garbage(self.storage.root, item.path, item.is_folder, created, size, Reason.UNNAMED)
                )

    def _delete_rows(self, rows: Sequence[Any]) -> list[Unclaimed]:
        """Delete rows that nothing refers to; return what was theirs, without those that somebody named meanwhile."""
        if self.dry_run:
            return [Unclaimed(row.path, row.n_files is not None) for row in rows if not row.is_content_addressed]
        ids = {row.id for row in rows}
        return self.registry.unit_of_work(lambda connection: delete_unreferenced(connection, ids))

    def _unclaimed(self, newest: int) -> Iterator[Garbage]:
        backend = self.storage.backend
        stored = (
            name
            for name in backend.list_reserved()
            if is_stored_name(name.relpath) and ((epoch := epoch_of(name.relpath)) is None or epoch < newest)
        )
        for batch in batches(stored, _BATCH):
            self.progress(len(batch))
            paths = [name.relpath for name in batch]
            with self.registry.engine.connect() as connection:
                held = held_paths(connection, self.storage.id)
                abandoned = abandoned_paths(connection, self.storage.id)
                # Read after the listing: what was saved in between has a record by now.
                left_alone = held | recorded_paths(connection, self.storage.id, paths)
            unknown = [name for name in batch if name.relpath not in left_alone]
            yield from self._take(self._old(unknown), abandoned)

    def _old(self, names: list[ReservedName]) -> list[StoredName]:
        measured = (self.storage.backend.measure(name) for name in names)
        return [found for found in measured if found is not None and found.modified <= self._limit]

    def _take(self, names: list[StoredName], abandoned: set[str]) -> Iterator[Garbage]:
        if not self.dry_run:
            free = give_up(self.registry, self.storage.id, [name.relpath for name in names])
            names = [name for name in names if name.relpath in free]
        for name in names:
            reason = Reason.ABANDONED if name.relpath in abandoned else Reason.UNCLAIMED
            found = Garbage(self.storage.root, name.relpath, name.is_folder, name.modified, name.size, reason)
            yield self._removed(found)

    def _removed(self, found: Garbage) -> Garbage:
        if self.dry_run:
            return found
        try:
            self.storage.backend.delete(found.path, is_folder=found.is_folder)
        except errors.StorageError as error:
            logger.warning("%s/%s could not be removed: %s", found.root, found.path, error)
            return found
        return replace(found, is_removed=True)

    def _uploads(self) -> Iterator[Garbage]:
        backend = self.storage.backend
        for batch in batches(backend.list_uploads(), _BATCH):
            self.progress(len(batch))
            with self.registry.engine.connect() as connection:
                held = held_paths(connection, self.storage.id)
            for upload in batch:
                if upload.begun > self._limit or not _is_ours(upload.relpath) or _object_of(upload.relpath) in held:
                    continue
                found = Garbage(
                    self.storage.root, upload.relpath, is_folder=False, modified=upload.begun, reason=Reason.UPLOAD
                )
                if not self.dry_run:
                    if is_stored_name(_object_of(upload.relpath)):
                        # A save that is still at it meets the tombstone, and uploads again.
                        give_up(self.registry, self.storage.id, {_object_of(upload.relpath)})
                    backend.abort_upload(upload)
                    found = replace(found, is_removed=True)
                yield found

    def _staging(self) -> Iterator[Garbage]:
        if self.staging is None:
            return
        for name in self.staging.abandoned(older_than=self.grace):
            path = (self.staging.folder / name.relpath).relative_to(self.staging.root).as_posix()
            gone = not self.dry_run and self.staging.remove(name)
            yield Garbage(self.staging.root, path, name.is_folder, name.modified, name.size, Reason.STAGING, gone)


def _is_ours(relpath: str) -> bool:
    """Whether a path is a real key, or lies in the version store of this location and not of one inside it."""
    return relpath.startswith(f"{RESERVED}/") or not is_reserved(relpath)


def _object_of(relpath: str) -> str:
    """Return the path of the object of a version store that a file belongs to."""
    return "/".join(relpath.split("/")[:2])
