"""Folders of another registry whose files are stored objects of their own: their files known one by one here too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core import errors
from lamart_core.db import Registry, batches, now
from lamart_core.families.family import Family
from lamart_core.hashing import FileEntry, TreeDigest, tree_digest
from lamart_core.objects import histories
from lamart_core.objects.histories import FILE, HISTORY, OBJECT, NewFolder
from lamart_core.objects.unreferenced import forget_foreign
from lamart_core.records import StoredObject
from lamart_core.storage import suffix_of


@dataclass(frozen=True)
class ForeignFolder:
    """What another registry knows of such a folder.

    Attributes:
        tree: Its files.
        paths: Where their contents lie, by hash; relative to the root of the storage location.
    """

    tree: TreeDigest
    paths: Mapping[str, str]


def read_folder(registry: Registry, stored: StoredObject) -> ForeignFolder:
    """Read the files of a folder in its own registry.

    Raises:
        IntegrityError: They are not the files that the folder should have.
    """
    with registry.engine.connect() as connection:
        query = select(HISTORY.c.hash_type).join(OBJECT, OBJECT.c.history_id == HISTORY.c.id)
        algorithm = connection.execute(query.where(OBJECT.c.id == stored.id)).scalar_one_or_none()
        files = histories.files_of(connection, stored.id) if algorithm is not None else []
    entries = tuple(FileEntry(file.path, file.size, file.value) for file in files)
    size = sum(entry.size for entry in entries)
    digest = tree_digest(entries, algorithm) if algorithm is not None else None
    is_known = len(entries) == stored.n_files and size == stored.size
    if digest is None or not is_known or (stored.hash_type == digest.algorithm and stored.hash != digest.value):
        raise errors.IntegrityError(
            f"of the {stored.n_files:,} files of {stored.path} its registry knows {len(entries):,}: the folder was "
            "replaced or deleted in this moment, or rows are lost, which `lamart fsck` tells there"
        )
    paths = {file.value: file.relpath for file in files if file.relpath is not None}
    return ForeignFolder(TreeDigest(digest, size, len(entries), entries), paths)


def record_folder(
    connection: Connection, table: Table, uid: str, storage_id: int, object_id: int, folder: ForeignFolder
) -> None:
    """Write down the files of a folder, or where they are by now.

    Versions of a family that are here share what did not change between them, whichever came first.

    Args:
        connection: Connection in a write transaction.
        table: The artifact table.
        uid: Uid of the artifact.
        storage_id: The storage location, which another registry manages.
        object_id: Id of the row that stands for the folder here.
        folder: The folder.
    """
    contents = _record_contents(connection, storage_id, folder)
    histories.lock_histories(connection, [object_id])
    query = select(OBJECT.c.history_id, OBJECT.c.position).where(OBJECT.c.id == object_id)
    place = connection.execute(query).one()
    is_new = place.history_id is None
    if is_new or not _has_files(connection, object_id, folder):
        new = NewFolder(object_id, storage_id, folder.tree, is_content_addressed=True)
        base_id = _base(connection, table, uid, storage_id) if is_new else object_id
        difference = histories.compare(connection, new, base_id)
        histories.record(connection, new, difference, contents)
        if not is_new:
            forget_foreign(connection, histories.forget(connection, place.history_id, [place.position]))
    _follow(connection, table, object_id, contents)


def _has_files(connection: Connection, object_id: int, folder: ForeignFolder) -> bool:
    """Return whether the files that are known here are those of the folder: equal contents of some formats differ."""
    recorded = {(file.path, file.value) for file in histories.files_of(connection, object_id)}
    return recorded == {(entry.path, entry.value) for entry in folder.tree.entries}


def _base(connection: Connection, table: Table, uid: str, storage_id: int) -> int | None:
    """Return the object of another version whose history the folder joins."""
    columns = OBJECT.c
    query = (
        select(columns.id)
        .join(table, table.c.object_id == columns.id)
        .where(
            Family.of(table, uid).members,
            columns.storage_id == storage_id,
            columns.is_content_addressed,
            ~columns.is_managed,
        )
        .where(columns.history_id.is_not(None))
    )
    return connection.execute(query.order_by(columns.id.desc()).limit(1)).scalar_one_or_none()


def _record_contents(connection: Connection, storage_id: int, folder: ForeignFolder) -> dict[str, int]:
    """Return the ids of the objects with the contents of a folder, by hash; those that are not known are inserted."""
    digest = folder.tree.digest
    rows: dict[str, dict[str, Any]] = {}
    for entry in folder.tree.entries:
        path = folder.paths.get(entry.value)
        if path is not None:
            rows[path] = {
                "storage_id": storage_id,
                "path": path,
                "suffix": suffix_of(entry.path),
                "hash": entry.value,
                "hash_type": digest.file_algorithm,
                "is_exact": True,
                "size": entry.size,
                "is_managed": False,
                "created_at": now(),
            }
    if not rows:
        return {}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # In one order for all, so that two who transfer the same never wait for each other in a circle.
    connection.execute(dialect.insert(OBJECT).on_conflict_do_nothing(), [rows[path] for path in sorted(rows)])
    found: dict[str, int] = {}
    columns = OBJECT.c
    for paths in batches(sorted(rows)):
        query = select(columns.id, columns.path, columns.hash).where(
            columns.storage_id == storage_id, columns.path.in_(paths)
        )
        found |= {row.hash: row.id for row in connection.execute(query) if row.hash == rows[row.path]["hash"]}
    return found


def _follow(connection: Connection, table: Table, object_id: int, contents: Mapping[str, int]) -> None:
    """Let the files of a folder be where the other registry has their contents now; it may have put some again."""
    folder = OBJECT.alias("folder")
    query = (
        select(FILE.c.id, FILE.c.hash, FILE.c.object_id)
        .join(folder, FILE.c.history_id == folder.c.history_id)
        .where(folder.c.id == object_id, FILE.c.object_id.is_not(None))
    )
    left: set[int] = set()
    moved: list[dict[str, int]] = []
    for part in histories.covers(folder.c.position):
        for row in connection.execute(query.where(part)):
            if contents[row.hash] != row.object_id:
                left.add(row.object_id)
                moved.append({"row_id": row.id, "content": contents[row.hash]})
    if moved:
        change = update(FILE).where(FILE.c.id == bindparam("row_id")).values(object_id=bindparam("content"))
        connection.execute(change, moved)
        forget_foreign(connection, left)
