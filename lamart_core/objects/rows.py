"""Rows of stored objects: which bytes lie in a storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core.db import now
from lamart_core.families.family import Family
from lamart_core.objects import histories
from lamart_core.objects.folder_contents import PutFile, Recorded, record_contents
from lamart_core.objects.histories import OBJECT
from lamart_core.objects.plan import Row, Staged
from lamart_core.records import artifact_table
from lamart_core.records.stored_object import OBSOLETE


@dataclass(frozen=True)
class Recording:
    """The stored object that an artifact is going to refer to.

    Attributes:
        object_id: Id of its row.
        path: Path relative to the root of its storage location.
        is_new: Whether this transaction has written the row.
        spare: Paths of files that were put for it and are not needed, because equal ones are there.
        sizes: Size and number of files of an object of equal content that was there: in some formats its bytes differ.
    """

    object_id: int
    path: str
    is_new: bool = False
    spare: tuple[str, ...] = ()
    sizes: Row = field(default_factory=dict[str, Any])


def object_values(staged: Staged) -> dict[str, Any]:
    """Return the columns of a stored object that follow from its content."""
    digest = staged.digest
    return {
        "suffix": staged.suffix,
        "hash": digest.value if digest is not None else None,
        "hash_type": digest.algorithm if digest is not None else None,
        "is_exact": digest is not None and digest.is_exact,
        "size": staged.size,
        "n_files": staged.n_files,
    }


def of_version_store(stamp: str | None) -> str | None:
    """Return what of a stamp is compared in a version store: others may see its files under other inodes."""
    return None if stamp is None else stamp.partition(".")[0]


def note_sizes(connection: Connection, object_id: int, size: int | None, n_files: int | None) -> None:
    """Write down the sizes of an object after equal content took its place, whose bytes may differ in some formats."""
    values = {"size": size, "n_files": n_files}
    changed = update(OBJECT).where(OBJECT.c.id == object_id, OBJECT.c.size != size).values(values)
    content = connection.execute(changed.returning(OBJECT.c.hash)).scalar_one_or_none()
    if content is not None:
        columns = artifact_table().c
        named = (columns.object_id == object_id, columns.hash == content)
        connection.execute(update(columns.id.table).where(*named).values(values))


def at_place(stored: Row, path: str) -> dict[str, Any]:
    """Return the columns of an object at a real key, or registered in place, of the same content as another one."""
    names = ("storage_id", "suffix", "hash", "hash_type", "is_exact", "size", "n_files")
    return {name: stored[name] for name in names} | {"path": path, "is_managed": False, "created_at": now()}


def insert_or(connection: Connection) -> postgresql.Insert | sqlite.Insert:
    """Return an insert of stored objects that can say what happens where there is one."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(OBJECT)


def note_obsolete(connection: Connection, stored: Row, path: str) -> None:
    """Write down that bytes of an object lie at a real key, or are going to, and that no artifact refers to them."""
    values = at_place(stored, path) | {"state": OBSOLETE}
    connection.execute(insert_or(connection).values(values).on_conflict_do_nothing())


def insert_files(
    connection: Connection, folder: histories.NewFolder, put: Mapping[str, PutFile], base_id: int | None
) -> tuple[str, ...]:
    """Write down the files of a folder in the version store.

    Args:
        connection: Connection in a write transaction.
        folder: The folder.
        put: Contents that were put for it, by hash; for a content-addressed one.
        base_id: Id of the row of the folder before it, if there is one.

    Returns:
        Paths of what was put and is not needed.

    Raises:
        ObjectVanished, BytesCollected: As for `insert_object`.
    """
    difference = histories.compare(connection, folder, base_id)
    contents = Recorded({})
    if folder.is_content_addressed:
        needed = {entry.value for entry in difference.added if entry.size} - difference.objects.keys()
        contents = record_contents(connection, folder.storage_id, folder.tree, needed, put)
    histories.record(connection, folder, difference, {**difference.objects, **contents.objects})
    return contents.spare


def repoint_overwritten(
    connection: Connection, table: Table, uid: str, object_id: int, only: ColumnElement[bool]
) -> set[int]:
    """Let overwritten versions of a family refer to another object; the latest one on any branch keeps its own.

    Args:
        connection: Connection in a write transaction.
        table: The artifact table.
        uid: Uid of any member of the family.
        object_id: The object.
        only: Which of the versions.

    Returns:
        Ids of the objects that they referred to.
    """
    columns = table.c
    older = and_(
        Family.of(table, uid).members,
        columns._overwrite_versions,
        ~columns.is_latest,
        columns.object_id != object_id,
        only,
    )
    before = set(connection.execute(select(columns.object_id).where(older)).scalars())
    if before:
        connection.execute(update(table).where(older).values(object_id=object_id))
    return before
