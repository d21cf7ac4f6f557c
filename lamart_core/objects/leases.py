"""Leases: paths that a process writes to before any record refers to them, and whether it still does."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from lamart_core.db import Registry, now
from lamart_core.records import Lease, Storage

LEASE = Lease.__table__
DURATION = timedelta(days=7)
_SEPARATOR = "|"


@lru_cache
def _host() -> str:
    """Return what tells one start of one machine from all others."""
    try:
        # The name space too: in two containers of one machine the same number is two processes.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}{_SEPARATOR}{boot}{_SEPARATOR}{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return f"{socket.gethostname()}{_SEPARATOR}{_SEPARATOR}"


def _started(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; "" where that cannot be seen, None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    else:
        # The name of the program may hold spaces and brackets; the state comes after the last one.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return ""


def holder() -> str:
    """Return who this process is: host, boot, name space, number and time of its start."""
    pid = os.getpid()
    return _SEPARATOR.join((_host(), str(pid), _started(pid) or ""))


def is_held(holder: str, expires_at: datetime) -> bool:
    """Return whether a lease still is: on this machine while that very process lives, elsewhere until it expires.

    Args:
        holder: Who took it.
        expires_at: When it ends where nobody can see the process.
    """
    host, _, process = holder.rpartition(_SEPARATOR)
    host, _, pid = host.rpartition(_SEPARATOR)
    if host != _host() or not pid.isdigit():
        return expires_at > now()
    started = _started(int(pid))
    return started is not None and process in (started, "")


def take(registry: Registry, storage: Storage, path: str, *, duration: timedelta = DURATION) -> bool:
    """Take the lease of a path, also from a process that ended without giving it back.

    Args:
        registry: The registry.
        storage: Location that the path belongs to.
        path: Path relative to the root of the location.
        duration: How long it lasts at most for those who cannot see this process.

    Returns:
        Whether it was taken; False while another one, or another thread of this process, holds it.
    """
    values = {"holder": holder(), "expires_at": now() + duration, "created_at": now()}
    at_path = (LEASE.c.storage_id == storage.id, LEASE.c.path == path)

    def work(connection: Connection) -> bool:
        row = connection.execute(select(LEASE).where(*at_path)).first()
        if row is None:
            # Another one that inserts in this moment violates the index: this runs again, and sees its row.
            connection.execute(insert(LEASE).values(storage_id=storage.id, path=path, **values))
            return True
        if is_held(row.holder, row.expires_at):
            return False
        stolen = update(LEASE).where(LEASE.c.id == row.id, LEASE.c.holder == row.holder).values(**values)
        return connection.execute(stolen).rowcount == 1

    return registry.unit_of_work(work)


def release(connection: Connection, storage_id: int, path: str) -> None:
    """Give a lease back, in the transaction that makes it needless."""
    connection.execute(LEASE.delete().where(LEASE.c.storage_id == storage_id, LEASE.c.path == path))


def held_paths(connection: Connection, storage_id: int) -> set[str]:
    """Return the paths of a location that living processes hold, for garbage collection to leave alone."""
    query = select(LEASE.c.path, LEASE.c.holder, LEASE.c.expires_at).where(LEASE.c.storage_id == storage_id)
    return {row.path for row in connection.execute(query) if is_held(row.holder, row.expires_at)}
