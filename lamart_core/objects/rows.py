"""Rows of stored objects: which bytes lie in a storage, and who refers to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, select, update

from lamart_core.db import batches
from lamart_core.families.family import Family
from lamart_core.objects import histories
from lamart_core.objects.folder_contents import PutFile, Recorded, record_contents
from lamart_core.objects.histories import FILE, OBJECT
from lamart_core.objects.plan import Row, Staged
from lamart_core.records import artifact_table
from lamart_core.storage import RESERVED


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


@dataclass(frozen=True)
class Unclaimed:
    """Bytes whose row was deleted: to be removed after the commit.

    Attributes:
        path: Path relative to the root of the storage location.
        is_folder: Whether it is a folder.
    """

    path: str
    is_folder: bool


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


def note_sizes(connection: Connection, object_id: int, size: int | None, n_files: int | None) -> None:
    """Write down the sizes of an object after equal content took its place, whose bytes may differ in some formats."""
    values = {"size": size, "n_files": n_files}
    changed = update(OBJECT).where(OBJECT.c.id == object_id, OBJECT.c.size != size).values(values)
    content = connection.execute(changed.returning(OBJECT.c.hash)).scalar_one_or_none()
    if content is not None:
        columns = artifact_table().c
        named = (columns.object_id == object_id, columns.hash == content)
        connection.execute(update(columns.id.table).where(*named).values(values))


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
    if folder.is_scattered:
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


def delete_unreferenced(connection: Connection, table: Table, object_ids: Collection[int]) -> list[Unclaimed]:
    """Delete the rows of managed objects that no artifact and no folder refers to any more.

    Returns:
        The bytes that nobody needs now, those of files that only the deleted folders had included.
    """
    return _delete_rows(connection, table, object_ids, OBJECT.c.is_managed)


def forget_foreign(connection: Connection, table: Table, object_ids: Collection[int]) -> None:
    """Delete the rows of what lies in version stores of other registries, and that nothing here refers to any more.

    The bytes are theirs. Rows of files in place stay.
    """
    in_store = OBJECT.c.path.startswith(f"{RESERVED}/", autoescape=True)
    _delete_rows(connection, table, object_ids, in_store & ~OBJECT.c.is_managed)


def _delete_rows(
    connection: Connection, table: Table, object_ids: Collection[int], wanted: ColumnElement[bool]
) -> list[Unclaimed]:
    """Delete those rows of a kind that nothing refers to, then those of contents that only they had."""
    if not object_ids:
        return []
    has_folders = histories.lock_histories(connection, object_ids)
    named = select(table.c.id).where(table.c.object_id == OBJECT.c.id).exists()
    part = select(FILE.c.id).where(FILE.c.object_id == OBJECT.c.id).exists()
    columns = (OBJECT.c.path, OBJECT.c.n_files, OBJECT.c.is_scattered, OBJECT.c.history_id, OBJECT.c.position)
    gone: list[Unclaimed] = []
    positions: dict[int, list[int]] = {}
    for ids in batches(sorted(object_ids)):
        delete = OBJECT.delete().where(OBJECT.c.id.in_(ids), wanted, ~named, ~part)
        for row in connection.execute(delete.returning(*columns)).all():
            if not row.is_scattered:
                gone.append(Unclaimed(row.path, row.n_files is not None))
            if has_folders and row.history_id is not None:
                positions.setdefault(row.history_id, []).append(row.position)
    contents: set[int] = set()
    for history_id, deleted in positions.items():
        contents |= histories.forget(connection, history_id, deleted)
    return gone + _delete_rows(connection, table, contents, wanted)
