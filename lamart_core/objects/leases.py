"""Leases: paths that a process writes to before any record refers to them, and whether it still does."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError

from lamart_core import errors
from lamart_core.db import Registry, now
from lamart_core.logging import logger
from lamart_core.processes import SEPARATOR, namespace, started
from lamart_core.records import Lease, Storage

LEASE = Lease.__table__
DURATION = timedelta(days=7)


def holder() -> str:
    """Return who this process is: host, boot, name space, number and time of its start."""
    pid = os.getpid()
    return SEPARATOR.join((namespace(), str(pid), str(started(pid) or "")))


def is_held(holder: str, expires_at: datetime) -> bool:
    """Return whether a lease still is: on this machine while that very process lives, elsewhere until it expires.

    Args:
        holder: Who took it.
        expires_at: When it ends where nobody can see the process.
    """
    host, _, process = holder.rpartition(SEPARATOR)
    host, _, pid = host.rpartition(SEPARATOR)
    if host != namespace() or not pid.isdigit():
        return expires_at > now()
    begun = started(int(pid))
    return begun is not None and process in (str(begun or ""), "")


def take(registry: Registry, storage: Storage, path: str, *, duration: timedelta = DURATION) -> bool:
    """Take the lease of a path in a transaction of its own; see `take_within`."""
    return registry.unit_of_work(lambda connection: take_within(connection, storage.id, path, duration=duration))


def take_within(connection: Connection, storage_id: int, path: str, *, duration: timedelta = DURATION) -> bool:
    """Take the lease of a path, also from a process that ended without giving it back.

    Args:
        connection: Connection in a write transaction.
        storage_id: Id of the location that the path belongs to.
        path: Path relative to the root of the location.
        duration: How long it lasts at most for those who cannot see this process.

    Returns:
        Whether it was taken; False while another one, or another thread of this process, holds it.
    """
    values = {"holder": holder(), "expires_at": now() + duration, "created_at": now()}
    row = connection.execute(select(LEASE).where(LEASE.c.storage_id == storage_id, LEASE.c.path == path)).first()
    if row is None:
        # Another one that inserts in this moment violates the index: this runs again, and sees its row.
        connection.execute(insert(LEASE).values(storage_id=storage_id, path=path, **values))
        return True
    if is_held(row.holder, row.expires_at):
        return False
    stolen = update(LEASE).where(LEASE.c.id == row.id, LEASE.c.holder == row.holder).values(**values)
    return connection.execute(stolen).rowcount == 1


def release(connection: Connection, storage_id: int, path: str) -> None:
    """Give a lease back, in the transaction that makes it needless."""
    connection.execute(LEASE.delete().where(LEASE.c.storage_id == storage_id, LEASE.c.path == path))


def give_back(registry: Registry, storage_id: int, path: str) -> None:
    """Give back a lease of this process, in a transaction of its own; nothing where another one has it by now.

    Where that fails, the lease ends with this process.
    """
    own = (LEASE.c.storage_id == storage_id, LEASE.c.path == path, LEASE.c.holder == holder())
    try:
        registry.unit_of_work(lambda connection: connection.execute(LEASE.delete().where(*own)).rowcount)
    except (errors.DatabaseError, DBAPIError) as error:
        logger.warning("the lease of %r is kept until this process ends: %s", path, error)


def held_paths(connection: Connection, storage_id: int) -> set[str]:
    """Return the paths of a location that living processes hold, for garbage collection to leave alone."""
    query = select(LEASE.c.path, LEASE.c.holder, LEASE.c.expires_at).where(LEASE.c.storage_id == storage_id)
    return {row.path for row in connection.execute(query) if is_held(row.holder, row.expires_at)}
