"""Folders file by file: what each stored folder consists of, so that versions cost only what changed.

Stored folders that follow one another are a history. A file that does not change is one row in it, whatever the number
of folders: see `FolderFile`. Every reader and writer of rows locks the history first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, and_, func, insert, select, union_all, update

from lamart_core.db import batches
from lamart_core.hashing import FileEntry, TreeDigest
from lamart_core.records import FolderFile, FolderHistory, StoredObject
from lamart_core.storage import Backend, ContentAddressedFolder, KnownFile, StoredFile

OBJECT = StoredObject.__table__
HISTORY = FolderHistory.__table__
FILE = FolderFile.__table__


@dataclass(frozen=True)
class NewFolder:
    """A folder whose row was inserted in this transaction.

    Attributes:
        object_id: Id of its row.
        storage_id: Id of its storage location.
        tree: Its files.
        is_content_addressed: Whether its files are objects of their own.
    """

    object_id: int
    storage_id: int
    tree: TreeDigest
    is_content_addressed: bool

    @property
    def algorithm(self) -> str:
        """Algorithm of the digests of its files."""
        return self.tree.digest.file_algorithm


@dataclass(frozen=True)
class Difference:
    """What a new folder changes in the rows of its history.

    Attributes:
        history_id: The history.
        position: Position of the new folder in it.
        added: Files that get a row.
        closed: Ids of rows of files that are not in the new folder.
        reopened: Ids of rows of files that are in it, although folders that are deleted now had lost them.
        objects: Objects with the contents of the folder before, by hash.
    """

    history_id: int
    position: int
    added: Sequence[FileEntry]
    closed: Sequence[int] = ()
    reopened: Sequence[int] = ()
    objects: Mapping[str, int] = field(default_factory=dict[str, int])


def covers(position: Any) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of which a row meets one if it belongs to the folder at a position.

    Apart, because each is a range of an index, and a history may have many more rows than a folder has files.
    """
    since = FILE.c.since <= position
    return and_(since, FILE.c.until.is_(None)), and_(since, FILE.c.until > position)


def of_folder(query: Select[*tuple[Any, ...]], position: Any) -> CompoundSelect[Any]:
    """Restrict a query for rows of files to those of the folder at a position; see `covers`."""
    return union_all(*(query.where(part) for part in covers(position)))


def files_of(connection: Connection, object_id: int) -> list[StoredFile]:
    """Return the files of a stored folder; none where they are not known one by one.

    Args:
        connection: Connection to read over.
        object_id: Id of the folder's row.
    """
    folder, content = OBJECT.alias("folder"), OBJECT.alias("content")
    query = (
        select(FILE.c.path, FILE.c.size, FILE.c.hash, content.c.path.label("relpath"))
        .join(folder, and_(folder.c.id == object_id, FILE.c.history_id == folder.c.history_id))
        .outerjoin(content, FILE.c.object_id == content.c.id)
    )
    rows = connection.execute(of_folder(query, folder.c.position))
    found = [StoredFile(row.path, row.size, row.hash, row.relpath) for row in rows]
    return sorted(found, key=lambda file: file.path.encode())


def content_addressed_folder(
    connection: Connection, object_id: int, path: str, backend: Backend
) -> ContentAddressedFolder:
    """Return a folder whose files are objects of their own.

    Args:
        connection: Connection to read over.
        object_id: Id of the folder's row.
        path: Path that stands for it in its location.
        backend: The location.
    """
    return ContentAddressedFolder(backend, path, files_of(connection, object_id))


def known_files(connection: Connection, base_id: int, tree: TreeDigest) -> dict[str, KnownFile]:
    """Return files with contents of a new folder in the history of another one, by hash.

    Args:
        connection: Connection to read over.
        base_id: Id of the other folder's row.
        tree: The new folder.
    """
    base = select(OBJECT.c.history_id).where(OBJECT.c.id == base_id).scalar_subquery()
    query = (
        select(OBJECT.c.position, OBJECT.c.path, HISTORY.c.id)
        .join(HISTORY, OBJECT.c.history_id == HISTORY.c.id)
        .where(HISTORY.c.id == base, HISTORY.c.hash_type == tree.digest.file_algorithm)
        .order_by(OBJECT.c.position)
    )
    folders = connection.execute(query).all()
    if not folders:
        return {}
    positions = [row.position for row in folders]
    known: dict[str, KnownFile] = {}
    for hashes in batches({entry.value for entry in tree.entries if entry.size}):
        rows = (
            select(FILE.c.hash, FILE.c.path, FILE.c.since, FILE.c.until, OBJECT.c.path.label("relpath"))
            .outerjoin(OBJECT, FILE.c.object_id == OBJECT.c.id)
            .where(FILE.c.history_id == folders[0].id, FILE.c.hash.in_(hashes))
        )
        for row in connection.execute(rows):
            newest = (bisect_left(positions, row.until) if row.until is not None else len(positions)) - 1
            if row.relpath is not None:
                known[row.hash] = KnownFile(row.relpath, row.relpath)
            elif newest >= 0 and positions[newest] >= row.since:
                folder = folders[newest].path
                known[row.hash] = KnownFile(f"{folder}/{row.path}", folder)
    return known


def compare(connection: Connection, folder: NewFolder, base_id: int | None) -> Difference:
    """Say what a new folder changes in the history of another one; the history is locked, or begins.

    A new one begins where there is no other, or where more than half of the files differ: then it is the cheaper way.

    Args:
        connection: Connection in a write transaction.
        folder: The folder.
        base_id: Id of the row of the folder before it, if there is one.
    """
    found = _next_position(connection, folder, base_id) if base_id is not None else None
    if found is None:
        return _anew(connection, folder)
    history_id, position = found
    newest = select(func.max(OBJECT.c.position)).where(OBJECT.c.history_id == history_id)
    columns = (FILE.c.id, FILE.c.path, FILE.c.hash, FILE.c.object_id, FILE.c.until)
    query = select(*columns).where(FILE.c.history_id == history_id)
    before = connection.execute(of_folder(query, newest.scalar_subquery())).all()
    objects = {row.hash: row.object_id for row in before if row.object_id is not None}
    entries = {entry.path: entry for entry in folder.tree.entries}
    kept = [row for row in before if row.path in entries and entries[row.path].value == row.hash]
    paths = {row.path for row in kept}
    added = [entry for entry in folder.tree.entries if entry.path not in paths]
    gone = [row.id for row in before if row.path not in paths and row.until is None]
    if len(added) + len(gone) > len(entries):
        return _anew(connection, folder, objects)
    # A row of the newest folder was closed by folders that have been deleted since.
    reopened = [row.id for row in kept if row.until is not None]
    return Difference(history_id, position, added, gone, reopened, objects)


def _next_position(connection: Connection, folder: NewFolder, base_id: int) -> tuple[int, int] | None:
    """Lock the history of a folder, and return its id and the position after its newest one."""
    base = select(OBJECT.c.history_id).where(
        OBJECT.c.id == base_id,
        OBJECT.c.storage_id == folder.storage_id,
        OBJECT.c.is_content_addressed == folder.is_content_addressed,
    )
    locked = (
        update(HISTORY)
        .where(HISTORY.c.id == base.scalar_subquery(), HISTORY.c.hash_type == folder.algorithm)
        .values(last=HISTORY.c.last + 1)
    )
    row = connection.execute(locked.returning(HISTORY.c.id, HISTORY.c.last)).first()
    return (row.id, row.last) if row is not None else None


def _anew(connection: Connection, folder: NewFolder, objects: Mapping[str, int] | None = None) -> Difference:
    new = insert(HISTORY).values(storage_id=folder.storage_id, last=1, hash_type=folder.algorithm)
    history_id = connection.execute(new.returning(HISTORY.c.id)).scalar_one()
    return Difference(history_id, 1, folder.tree.entries, objects=objects or {})


def record(connection: Connection, folder: NewFolder, difference: Difference, objects: Mapping[str, int]) -> None:
    """Write the rows of a new folder.

    Args:
        connection: The connection that the difference was made over, in the same transaction.
        folder: The folder.
        difference: What it changes.
        objects: For a content-addressed folder: the objects with its contents, by hash.
    """
    for ids in batches(difference.closed):
        connection.execute(update(FILE).where(FILE.c.id.in_(ids)).values(until=difference.position))
    for ids in batches(difference.reopened):
        connection.execute(update(FILE).where(FILE.c.id.in_(ids)).values(until=None))
    rows = [
        {
            "history_id": difference.history_id,
            "path": entry.path,
            "size": entry.size,
            "hash": entry.value,
            "object_id": objects[entry.value] if folder.is_content_addressed and entry.size else None,
            "since": difference.position,
        }
        for entry in difference.added
    ]
    if rows:
        connection.execute(insert(FILE), rows)
    place = {
        "history_id": difference.history_id,
        "position": difference.position,
        "is_content_addressed": folder.is_content_addressed,
    }
    connection.execute(update(OBJECT).where(OBJECT.c.id == folder.object_id).values(place))


def lock_histories(connection: Connection, object_ids: Collection[int]) -> bool:
    """Keep folders from being added to the histories of stored folders; return whether there are any histories.

    To be called before rows of folders are deleted: a folder that is added at the same time must see that.
    """
    found = False
    for ids in batches(sorted(object_ids)):
        of_objects = select(OBJECT.c.history_id).where(OBJECT.c.id.in_(ids))
        query = select(HISTORY.c.id).where(HISTORY.c.id.in_(of_objects)).order_by(HISTORY.c.id).with_for_update()
        found = bool(connection.execute(query).all()) or found
    return found


def forget(connection: Connection, history_id: int, positions: Iterable[int]) -> set[int]:
    """Delete the rows of files that only deleted folders had, and their history when no folder is left.

    Args:
        connection: Connection in a write transaction that has locked the history and deleted the rows of the folders.
        history_id: The history.
        positions: Positions of the deleted folders.

    Returns:
        Ids of the objects that the deleted rows referred to; other rows may refer to them too.
    """
    objects: set[int] = set()
    for position in positions:
        before, after = _neighbours(connection, history_id, position)
        # Of the rows that the folder had: those that neither of the remaining ones beside it has.
        only = FILE.c.history_id == history_id
        if before is not None:
            only = and_(only, FILE.c.since > before)
        if after is not None:
            only = and_(only, FILE.c.until <= after)
        for part in covers(position):
            gone = connection.execute(FILE.delete().where(only, part).returning(FILE.c.object_id)).scalars()
            objects |= {object_id for object_id in gone if object_id is not None}
    is_empty = ~select(OBJECT.c.id).where(OBJECT.c.history_id == history_id).exists()
    connection.execute(HISTORY.delete().where(HISTORY.c.id == history_id, is_empty))
    return objects


def _neighbours(connection: Connection, history_id: int, position: int) -> tuple[int | None, int | None]:
    """Return the positions of the folders before and after one that was deleted."""
    here = OBJECT.c.history_id == history_id
    before = select(func.max(OBJECT.c.position)).where(here, OBJECT.c.position < position)
    after = select(func.min(OBJECT.c.position)).where(here, OBJECT.c.position > position)
    row = connection.execute(select(before.scalar_subquery(), after.scalar_subquery())).one()
    return row[0], row[1]
