"""Where else the content of a damaged object may lie; nobody has looked at those bytes yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, or_, select

from lamart_core.db import Registry
from lamart_core.objects.histories import FILE, HISTORY, OBJECT, of_folder
from lamart_core.objects.record import may_be_shared
from lamart_core.objects.verify import digest_of
from lamart_core.records import Storage, artifact_table, storage_locations
from lamart_core.storage import Cache

_MOST = 20


@dataclass(frozen=True)
class Candidate:
    """Stored bytes that should have the content of an object.

    Attributes:
        storage_id: Their storage location.
        path: Path relative to its root.
        is_folder: Whether they are a folder.
    """

    storage_id: int
    path: str
    is_folder: bool


def has_candidate(registry: Registry, storage: Storage, row: Row[Any]) -> bool:
    """Return whether there may be a copy of the content of an object elsewhere.

    Args:
        registry: The registry.
        storage: The location of the object.
        row: Its row.
    """
    if not storage.is_managed or row.hash is None or not row.is_exact:
        return False
    copies = cached_copies(registry, storage, row)
    return next(copies, None) is not None or bool(candidates(registry, row))


def candidates(registry: Registry, row: Row[Any]) -> list[Candidate]:
    """Return other stored bytes that should have the content of an object: whole objects, and files of folders."""
    if row.hash is None or not row.is_exact:
        return []
    columns, artifact = OBJECT.c, artifact_table().c
    same = (columns.hash == row.hash, columns.hash_type == row.hash_type, columns.is_exact, columns.id != row.id)
    is_folder = row.n_files is not None
    kind = columns.n_files.is_not(None) if is_folder else columns.n_files.is_(None)
    query = select(columns.storage_id, columns.path).where(*same, kind, ~columns.is_content_addressed)
    # By the indexes that there are: of contents in each version store, and of the hashes of artifacts.
    stored = query.where(or_(*(may_be_shared(storage.id) for storage in storage_locations(registry))))
    named = query.join(artifact.id.table, artifact.object_id == columns.id)
    elsewhere = named.where(artifact.hash == row.hash, ~columns.is_managed)
    with registry.engine.connect() as connection:
        rows = [item for each in (stored, elsewhere) for item in connection.execute(each.limit(_MOST))]
        found = [Candidate(item.storage_id, item.path, is_folder) for item in dict.fromkeys(rows)]
        if is_folder:
            return found
        # By the index of each history: there is none of all contents.
        histories = select(HISTORY.c.id).where(HISTORY.c.hash_type == row.hash_type)
        files = (
            select(columns.storage_id, columns.path, FILE.c.path.label("name"))
            .join(OBJECT, OBJECT.c.history_id == FILE.c.history_id)
            .where(FILE.c.history_id.in_(histories), FILE.c.hash == row.hash, ~columns.is_content_addressed)
        )
        rows = connection.execute(of_folder(files, columns.position).limit(_MOST)).all()
    return found + [Candidate(item.storage_id, f"{item.path}/{item.name}", is_folder=False) for item in rows]


def cached_copies(registry: Registry, storage: Storage, row: Row[Any]) -> Iterator[Path]:
    """Go through copies of a remote object on this machine: its own, and those in folders that it is a file of."""
    backend = storage.backend
    if not backend.is_cached or row.hash is None:
        return
    cache = Cache(registry.settings.cache_dir)
    own = cache.path(backend, row.path, size=row.size, digest=digest_of(row._asdict()))
    for path in (own, cache.content_path(backend, row.path)):
        if path.exists():
            yield path
    if row.n_files is not None:
        return
    folder = OBJECT.alias("folder")
    query = (
        select(folder, FILE.c.path.label("name"))
        .join(FILE, FILE.c.history_id == folder.c.history_id)
        .where(FILE.c.object_id == row.id)
    )
    with registry.engine.connect() as connection:
        rows = connection.execute(of_folder(query, folder.c.position)).all()
    for item in rows:
        copy = cache.path(backend, item.path, size=item.size, digest=digest_of(item._asdict()))
        if (copy / item.name).is_file():
            yield copy / item.name
