"""Real keys in the database: what is registered at a key, which version should lie there, what may go."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from lamart_core.objects import leases
from lamart_core.objects.plan import Row
from lamart_core.objects.rows import OBJECT
from lamart_core.records import artifact_table
from lamart_core.records.stored_object import OBSOLETE


def is_real(row: Row) -> bool:
    """Return whether the bytes of the latest version of an artifact's family lie at its key."""
    return not row["_key_is_virtual"] and row["_real_key"] is None and row["key"] is not None


def live_object(connection: Connection, storage_id: int, key: str, *, lock: bool = False) -> Row | None:
    """Return the object that is registered at a path and whose bytes are there, as far as anybody knows."""
    columns = OBJECT.c
    here = and_(columns.storage_id == storage_id, columns.path == key, ~columns.is_managed, columns.state.is_(None))
    query = select(OBJECT).where(here).order_by(columns.id.desc()).limit(1)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return row._asdict() if row is not None else None


@dataclass(frozen=True)
class Owner:
    """The version that the bytes at a real key should be those of, and its object in the version store."""

    artifact_id: int
    uid: str
    object: Row


def unpublished(connection: Connection, storage_id: int, key: str) -> Owner | None:
    """Return the latest version of a real key if its bytes are in the version store and no other's at the key."""
    columns = artifact_table().c
    latest = and_(
        columns.key == key,
        columns.storage_id == storage_id,
        ~columns._key_is_virtual,
        columns._real_key.is_(None),
        columns.is_latest,
    )
    query = (
        select(columns.id.label("artifact_id"), columns.uid.label("artifact_uid"), OBJECT)
        .join(OBJECT, columns.object_id == OBJECT.c.id)
        .where(latest)
    )
    row = connection.execute(query.order_by(columns.uid.desc()).limit(1)).first()
    if row is None or not row.is_managed or live_object(connection, storage_id, key) is not None:
        return None
    return Owner(row.artifact_id, row.artifact_uid, row._asdict())


def obsolete_objects(connection: Connection, storage_id: int, key: str | None = None) -> list[Row]:
    """Return the objects whose bytes are going to be removed or replaced: at a key, or in a whole location."""
    columns = OBJECT.c
    query = select(OBJECT).where(columns.storage_id == storage_id, ~columns.is_managed, columns.state == OBSOLETE)
    if key is not None:
        query = query.where(columns.path == key)
    return [row._asdict() for row in connection.execute(query)]


@dataclass(frozen=True)
class KeyState:
    """What the database says of a real key.

    Attributes:
        live: The object that is registered there.
        known: Objects whose bytes may lie there although none is registered: those of all versions, and old ones.
        is_held: Whether a living process publishes there.
    """

    live: Row | None
    possible: tuple[Row, ...]
    is_held: bool

    @property
    def state(self) -> tuple[int | None, frozenset[int], bool]:
        """What changes when a version is saved or published."""
        live = self.live["id"] if self.live is not None else None
        return live, frozenset(row["id"] for row in self.possible), self.is_held


def read_state(connection: Connection, storage_id: int, key: str) -> KeyState:
    """Return what the database says of a real key."""
    columns = artifact_table().c
    versions = and_(columns.key == key, columns.storage_id == storage_id, ~columns._key_is_virtual)
    query = select(OBJECT).where(OBJECT.c.id.in_(select(columns.object_id).where(versions)))
    possible = [row._asdict() for row in connection.execute(query)] + obsolete_objects(connection, storage_id, key)
    is_held = key in leases.held_paths(connection, storage_id)
    return KeyState(live_object(connection, storage_id, key), tuple(possible), is_held)
