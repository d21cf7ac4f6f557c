"""Checking a registry: whether rows and bytes are what they say of each other, and repairing what can be repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from lamart_core import errors
from lamart_core.care.adopt import adopt
from lamart_core.care.check_bytes import BytesCheck, check_marker
from lamart_core.care.check_rows import check_rows
from lamart_core.care.findings import Finding, Kind, Report
from lamart_core.care.gc import GRACE, Reason, iter_garbage
from lamart_core.care.repair import repair_finding
from lamart_core.db import Registry
from lamart_core.objects.garbage import LEASE, abandoned_paths
from lamart_core.places.publish import publish_pending
from lamart_core.records import Storage, storage_locations
from lamart_core.storage import normalise_root

_KINDS = {
    Reason.UNCLAIMED: Kind.ORPHANED,
    Reason.ABANDONED: Kind.ORPHANED,
    Reason.UNNAMED: Kind.UNNAMED,
    Reason.STAGING: Kind.STAGING,
    Reason.UPLOAD: Kind.UPLOAD,
}


def check_registry(
    registry: Registry,
    *,
    storage: str | None = None,
    verify: bool = False,
    repair: bool = False,
    gc: bool = False,
    adopts: bool = False,
    grace: timedelta = GRACE,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Check whether the records and the bytes of a registry are what they say of each other.

    Args:
        registry: The registry.
        storage: Root of the one storage location whose bytes are checked; default: all of them.
        verify: Whether all bytes are read and hashed; without it, only that they are there and have the right size.
        repair: Whether to repair what can be repaired without losing anything: no record is deleted, and no bytes that
            a record claims.
        gc: Whether to remove what no record refers to.
        adopts: Whether to register whole objects that no row names as the artifacts that they were put for, when the
            database was put back from a backup; see `care.adopt`.
        grace: Age that something must have to count as left over; younger things may belong to a save that is running.
        progress: Called with the number of objects that were looked at since the last call.

    Returns:
        What was found, and what of it was repaired.

    Raises:
        UnknownStorageLocation: No storage location has this root.

    Examples:
        >>> import lamart_core as ln
        >>> from lamart_core.care import check_registry
        >>> check_registry(ln.connect(), verify=True).is_clean
        True
    """
    return Report(
        tuple(
            iter_findings(
                registry,
                storage=storage,
                verify=verify,
                repair=repair,
                gc=gc,
                adopts=adopts,
                grace=grace,
                progress=progress,
            )
        )
    )


def iter_findings(
    registry: Registry,
    *,
    storage: str | None = None,
    verify: bool = False,
    repair: bool = False,
    gc: bool = False,
    adopts: bool = False,
    grace: timedelta = GRACE,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Finding]:
    """Check and repair as `check_registry` does, one finding after the other, and in bounded memory.

    Args:
        registry: The registry.
        storage: Root of the one storage location whose bytes are checked; default: all of them.
        verify: Whether all bytes are read and hashed.
        repair: Whether to repair what can be repaired without losing anything.
        gc: Whether to remove what no record refers to.
        adopts: Whether to register whole objects that no row names as the artifacts that they were put for, when the
            database was put back from a backup; see `care.adopt`.
        grace: Age that something must have to count as left over.
        progress: Called with the number of objects that were looked at since the last call.

    Raises:
        UnknownStorageLocation: No storage location has this root.
    """
    chosen = _storages(registry, storage)
    found = _check(
        registry, chosen, verify=verify, gc=gc, adopts=adopts, grace=grace, progress=progress or (lambda count: None)
    )
    return (repair_finding(registry, finding) if repair else finding for finding in found)


def _storages(registry: Registry, root: str | None) -> list[Storage]:
    found = storage_locations(registry)
    if root is None:
        return found
    normalised = normalise_root(root)
    chosen = [storage for storage in found if storage.root == normalised]
    if not chosen:
        roots = ", ".join(storage.root for storage in found)
        raise errors.UnknownStorageLocation(f"no storage location has the root {normalised!r}; there are: {roots}")
    return chosen


def _check(
    registry: Registry,
    storages: list[Storage],
    *,
    verify: bool,
    gc: bool,
    adopts: bool,
    grace: timedelta,
    progress: Callable[[int], None],
) -> Iterator[Finding]:
    yield from check_rows(registry)
    for storage in storages:
        yield from check_marker(registry, storage)
        if any(check_marker(registry, storage)):
            continue  # what lies there says nothing about what this registry has stored
        if adopts and storage.is_managed:
            yield from adopt(registry, storage)
        yield from _unpublished(registry, storage)
        yield from BytesCheck(registry, storage, verify, progress).run()
        if storage.is_managed:
            yield from _left_over(registry, storage, gc=gc, grace=grace)
            yield from _leases(registry, storage)


def _left_over(registry: Registry, storage: Storage, *, gc: bool, grace: timedelta) -> Iterator[Finding]:
    try:
        for item in iter_garbage(registry, grace=grace, dry_run=not gc, storages=[storage]):
            yield Finding(
                _KINDS[item.reason],
                f"{item.root}/{item.path} ({item.reason}, last modified {item.modified:%Y-%m-%d %H:%M} UTC) is claimed "
                "by nothing",
                storage=item.root,
                path=item.path,
                is_repaired=item.is_removed,
            )
    except (errors.DatabaseOutdated, errors.DatabaseCopied) as error:
        yield Finding(Kind.DATABASE, str(error), storage=storage.root, storage_id=storage.id)
    except errors.StorageError as error:
        yield Finding(Kind.UNREACHABLE, f"{storage.root} cannot be listed: {error}", storage=storage.root)


def _leases(registry: Registry, storage: Storage) -> Iterator[Finding]:
    with registry.engine.connect() as connection:
        ended = abandoned_paths(connection, storage.id)
    for path in sorted(ended):
        yield Finding(
            Kind.LEASE,
            f"{storage.root}/{path} was held by somebody who is gone, and never saved",
            storage=storage.root,
            path=path,
            is_repairable=True,
            table=LEASE.name,
            storage_id=storage.id,
        )


def _unpublished(registry: Registry, storage: Storage) -> Iterator[Finding]:
    """Find real keys at which a process died before it was done; the records are right, and say where the bytes are."""
    if not storage.is_managed:
        return
    for pending in publish_pending(registry, storage):
        what = (
            f"should hold the artifact {pending.uid}, whose bytes are still in the version store"
            if pending.uid is not None
            else "holds bytes that are not needed any more"
        )
        yield Finding(
            Kind.UNPUBLISHED,
            f"{storage.root}/{pending.key} {what}",
            storage=storage.root,
            path=pending.key,
            artifact=pending.uid,
            is_repairable=True,
            storage_id=storage.id,
        )
