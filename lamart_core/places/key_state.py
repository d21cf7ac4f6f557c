"""Real keys in the database: what is registered at a key, which version should lie there, what may go."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from lamart_core.objects import leases
from lamart_core.objects.plan import Row
from lamart_core.objects.rows import OBJECT
from lamart_core.records import ArtifactRecord, artifact_table
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


def real_key_of(record: ArtifactRecord) -> str | None:
    """Return the key that the bytes of the latest version of an artifact's family lie at, as the record says."""
    return record.key if not record._key_is_virtual and record._real_key is None else None


@dataclass(frozen=True)
class Owner:
    """The version that the bytes at a real key should be those of, and its object in the version store."""

    artifact_id: int
    uid: str
    object: Row


@dataclass(frozen=True)
class Work:
    """What is registered at a real key, and what is to be done there.

    Attributes:
        live: The object whose bytes are there, as far as anybody knows.
        owner: The version that should lie there, if its bytes are in the version store and no other's at the key.
        left: Objects that are registered there and have no bytes there, or none that anybody needs.
    """

    live: Row | None
    owner: Owner | None
    left: tuple[Row, ...]

    @property
    def obsolete(self) -> list[Row]:
        """Objects whose bytes may lie at the key, and may go."""
        return [row for row in self.left if row["state"] == OBSOLETE]

    @property
    def lost(self) -> list[Row]:
        """Objects whose bytes were not at the key when somebody looked."""
        return [row for row in self.left if row["state"] != OBSOLETE]

    @property
    def is_pending(self) -> bool:
        """Whether anything is to be done."""
        return self.owner is not None or bool(self.obsolete)


def read_work(connection: Connection, storage_id: int, key: str) -> Work:
    """Return what is registered at a real key, and what is to be done there."""
    columns = OBJECT.c
    here = and_(columns.storage_id == storage_id, columns.path == key, ~columns.is_managed)
    rows = [row._asdict() for row in connection.execute(select(OBJECT).where(here).order_by(columns.id.desc()))]
    live = next((row for row in rows if row["state"] is None), None)
    owner = _owner(connection, storage_id, key) if live is None else None
    return Work(live, owner, tuple(row for row in rows if row["state"] is not None))


def _owner(connection: Connection, storage_id: int, key: str) -> Owner | None:
    """Return the latest version of a real key if its bytes are in the version store."""
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
    if row is None or not row.is_managed:
        return None
    return Owner(row.artifact_id, row.artifact_uid, row._asdict())


def obsolete_keys(connection: Connection, storage_id: int) -> set[str]:
    """Return the keys of a location at which there are objects whose bytes may go."""
    columns = OBJECT.c
    query = select(columns.path).where(columns.storage_id == storage_id, ~columns.is_managed, columns.state == OBSOLETE)
    return set(connection.execute(query).scalars())


@dataclass(frozen=True)
class KeyState:
    """What the database says of a real key.

    Attributes:
        work: What is registered there, and what is to be done.
        possible: Objects whose bytes may lie there although none is registered: those of all versions, and old ones.
        is_held: Whether a living process publishes there.
    """

    work: Work
    possible: tuple[Row, ...]
    is_held: bool

    @property
    def live(self) -> Row | None:
        """The object that is registered there."""
        return self.work.live

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
    work = read_work(connection, storage_id, key)
    possible = [row._asdict() for row in connection.execute(query)] + work.obsolete
    is_held = key in leases.held_paths(connection, storage_id)
    return KeyState(work, tuple(possible), is_held)
