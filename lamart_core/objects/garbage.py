"""What garbage collection must leave alone, and how it takes what it may: under a lock, with a tombstone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, text
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core.db import Registry, now
from lamart_core.objects.leases import held_paths, is_held
from lamart_core.objects.rows import OBJECT
from lamart_core.objects.tombstones import TOMBSTONE
from lamart_core.records import Lease

LEASE = Lease.__table__
_KEPT = timedelta(days=30)


def recorded_paths(connection: Connection, storage_id: int, paths: Collection[str]) -> set[str]:
    """Return which of the paths are those of stored objects; of at most some thousand."""
    columns = OBJECT.c
    query = select(columns.path).where(columns.storage_id == storage_id, columns.path.in_(list(paths)))
    return set(connection.execute(query).scalars())


def give_up(registry: Registry, storage_id: int, paths: Collection[str]) -> set[str]:
    """Give up paths that no record refers to, so that none ever will; return those whose bytes may be removed.

    On Postgres inserts of stored objects are kept out until the tombstones are there; on SQLite any write does that.
    A save that has put its bytes and not recorded them yet meets the tombstone, and puts them again.
    """

    def work(connection: Connection) -> set[str]:
        if not registry.is_sqlite:
            connection.execute(text(f"LOCK TABLE {OBJECT.name} IN SHARE ROW EXCLUSIVE MODE"))
        free = set(paths) - recorded_paths(connection, storage_id, paths) - held_paths(connection, storage_id)
        if free:
            dialect = sqlite if registry.is_sqlite else postgresql
            rows = [{"storage_id": storage_id, "path": path, "created_at": now()} for path in sorted(free)]
            connection.execute(dialect.insert(TOMBSTONE).on_conflict_do_nothing(), rows)
            connection.execute(LEASE.delete().where(LEASE.c.storage_id == storage_id, LEASE.c.path.in_(list(free))))
        return free

    return registry.unit_of_work(work) if paths else set()


def abandoned_paths(connection: Connection, storage_id: int) -> set[str]:
    """Return the paths that somebody held, and gave up without saving."""
    return {row.path for row in _ended_leases(connection, storage_id)}


def _ended_leases(connection: Connection, storage_id: int) -> list[Row[Any]]:
    rows = connection.execute(select(LEASE).where(LEASE.c.storage_id == storage_id))
    return [row for row in rows if not is_held(row.holder, row.expires_at)]


def purge(registry: Registry, storage_id: int) -> None:
    """Remove leases that have ended, and tombstones that no save can meet any more: names are never used again."""
    lease, tombstone = LEASE.c, TOMBSTONE.c

    def work(connection: Connection) -> None:
        for row in _ended_leases(connection, storage_id):
            # Somebody else may take it in this moment: then it says another holder, and stays.
            same = (lease.id == row.id, lease.holder == row.holder, lease.expires_at == row.expires_at)
            connection.execute(LEASE.delete().where(*same))
        old: datetime = now() - _KEPT
        connection.execute(TOMBSTONE.delete().where(tombstone.storage_id == storage_id, tombstone.created_at < old))

    registry.unit_of_work(work)
