"""Rows of stored objects: which bytes lie in a storage, and who refers to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Table, and_, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core import errors, uids
from lamart_core import storage as bytes_room
from lamart_core.db import now
from lamart_core.objects import folders
from lamart_core.objects.folders import FILE, OBJECT
from lamart_core.objects.plan import Outcome, Plan, Put, Resolution, Row, Staged
from lamart_core.objects.scatter import ObjectVanished, PutFile, Recorded, record_contents
from lamart_core.records import Storage, artifact_table


@dataclass(frozen=True)
class Recording:
    """The stored object that an artifact is going to refer to.

    Attributes:
        object_id: Id of its row.
        path: Path relative to the root of its storage location.
        spare: Paths of files that were put for it and are not needed, because equal ones are there.
        sizes: Size and number of files of an object of equal content that was there: in some formats its bytes differ.
    """

    object_id: int
    path: str
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


@dataclass(frozen=True)
class Share:
    """A stored object that content is going to share.

    Attributes:
        storage: Its location.
        object: Its row.
        staged: The equal content.
    """

    storage: Storage
    object: Row
    staged: Staged


class Unseen(errors.Overtaken):
    """Equal bytes are stored, and nobody has looked whether they are whole: do that, and try again.

    Attributes:
        shares: What is to be looked at.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        super().__init__(f"{len(shares):,} stored objects were not looked at")
        self.shares = shares


def shared_object(connection: Connection, staged: Staged, plan: Plan) -> Row | None:
    """Return the row of an object of the version store that holds the content, locked where rows can be."""
    columns = OBJECT.c
    assert staged.digest is not None
    query = select(OBJECT).where(
        columns.hash == staged.digest.value,
        columns.hash_type == staged.digest.algorithm,
        columns.suffix == staged.suffix,
        may_be_shared(plan.storage.id),
    )
    # Locked (where rows can be), so that nobody deletes it, or names it under another key, before this commit.
    row = connection.execute(query.with_for_update()).first()
    return row._asdict() if row is not None else None


def may_be_shared(storage_id: int) -> ColumnElement[bool]:
    """Return the condition that an object of a storage may be what several artifacts name."""
    columns = OBJECT.c
    return and_(columns.storage_id == storage_id, columns.is_managed, columns.is_exact, columns.size > 0)


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


def put_values(staged: Staged, plan: Plan, put: Put) -> dict[str, Any]:
    """Return the row of an object that was put."""
    return object_values(staged) | {
        "storage_id": plan.storage.id,
        "path": put.relpath,
        "is_managed": put.is_managed,
        "created_at": now(),
    }


def insert_object(
    connection: Connection,
    staged: Staged,
    plan: Plan,
    put: Put | None,
    base_id: int | None = None,
    *,
    seen: Collection[int],
) -> Recording:
    """Return the stored object of a content: the one that was put, or one of equal bytes that is there.

    Args:
        connection: Connection in a write transaction.
        staged: The content.
        plan: What the caller wants.
        put: What was put.
        base_id: Id of the object of the version before, of which a folder may have kept files.
        seen: Ids of objects that are known to be whole.

    Raises:
        ObjectVanished: Equal bytes that were found before are not there any more.
        Unseen: Equal bytes are there that nobody has looked at.
        BytesCollected: Garbage collection has taken files of a folder that were put.
    """
    if put is None:
        shared = shared_object(connection, staged, plan)
        if shared is None:
            raise ObjectVanished
        return _share(shared, staged, plan, seen)
    values = put_values(staged, plan, put)
    object_id = connection.execute(_insert(connection.dialect.name), values).scalar_one_or_none()
    if not put.is_managed:
        return Recording(_at_place(connection, values, object_id), put.relpath)
    if object_id is not None:
        if staged.tree is None or not plan.key_is_virtual:
            # What goes on to a real key leaves the version store again.
            return Recording(object_id, put.relpath)
        folder = folders.NewFolder(object_id, plan.storage.id, staged.tree, put.is_scattered)
        return Recording(object_id, put.relpath, insert_files(connection, folder, put.files, base_id))
    shared = shared_object(connection, staged, plan)
    if shared is None:
        raise errors.Conflict("an object of equal content was deleted in this moment")
    return _share(shared, staged, plan, seen)


def _share(shared: Row, staged: Staged, plan: Plan, seen: Collection[int]) -> Recording:
    if shared["id"] not in seen:
        raise Unseen([Share(plan.storage, shared, staged)])
    return Recording(shared["id"], shared["path"], sizes={"size": shared["size"], "n_files": shared["n_files"]})


def note_sizes(connection: Connection, object_id: int, size: int | None, n_files: int | None) -> None:
    """Write down the sizes of an object after equal content took its place, whose bytes may differ in some formats."""
    values = {"size": size, "n_files": n_files}
    changed = update(OBJECT).where(OBJECT.c.id == object_id, OBJECT.c.size != size).values(values)
    content = connection.execute(changed.returning(OBJECT.c.hash)).scalar_one_or_none()
    if content is not None:
        columns = artifact_table().c
        named = (columns.object_id == object_id, columns.hash == content)
        connection.execute(update(columns.id.table).where(*named).values(values))


@lru_cache
def _insert(dialect_name: str) -> Executable:
    dialect = postgresql if dialect_name == "postgresql" else sqlite
    return dialect.insert(OBJECT).on_conflict_do_nothing().returning(OBJECT.c.id)


def _at_place(connection: Connection, values: dict[str, Any], object_id: int | None) -> int:
    """Return the object that lies in place: all others that were registered at its path are lost.

    When a former content comes back, the versions that had it are there again.
    """
    columns = OBJECT.c
    here = and_(columns.storage_id == values["storage_id"], columns.path == values["path"], ~columns.is_managed)
    found = object_id
    if found is None:
        same = update(OBJECT).where(here, columns.hash == values["hash"]).values(fate=None)
        found = int(connection.execute(same.returning(columns.id)).scalar_one())
        note_sizes(connection, found, values["size"], values["n_files"])
    connection.execute(update(OBJECT).where(here, columns.id != found).values(fate="lost"))
    return found


def insert_files(
    connection: Connection, folder: folders.NewFolder, put: Mapping[str, PutFile], base_id: int | None
) -> tuple[str, ...]:
    """Write down the files of a folder in the version store.

    Args:
        connection: Connection in a write transaction.
        folder: The folder.
        put: Contents that were put for it, by hash; for a scattered one.
        base_id: Id of the row of the folder before it, if there is one.

    Returns:
        Paths of what was put and is not needed.

    Raises:
        ObjectVanished, BytesCollected: As for `insert_object`.
    """
    difference = folders.compare(connection, folder, base_id)
    contents = Recorded({})
    if folder.is_scattered:
        needed = {entry.value for entry in difference.added if entry.size} - difference.objects.keys()
        contents = record_contents(connection, folder.storage_id, folder.tree, needed, put)
    folders.record(connection, folder, difference, {**difference.objects, **contents.objects})
    return contents.spare


def replace_older(
    connection: Connection, table: Table, resolution: Resolution, object_id: int, plan: Plan
) -> tuple[Unclaimed, ...]:
    """Let older versions of an overwritten family point at the new object; return the bytes nobody refers to.

    The latest version on another branch keeps its own.
    """
    if not plan.overwrite_versions or resolution.outcome is not Outcome.NEW_VERSION:
        return ()
    columns = table.c
    older = and_(
        func.substr(columns.uid, 1, uids.STEM_LENGTH) == uids.stem_of(resolution.uid),
        columns._overwrite_versions,
        ~columns.is_latest,
        columns.object_id != object_id,
        columns.storage_id == plan.storage.id,
    )
    old_objects = set(connection.execute(select(columns.object_id).where(older)).scalars())
    connection.execute(update(table).where(older).values(object_id=object_id))
    return tuple(delete_unreferenced(connection, table, old_objects))


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
    in_store = OBJECT.c.path.startswith(f"{bytes_room.RESERVED}/", autoescape=True)
    _delete_rows(connection, table, object_ids, in_store & ~OBJECT.c.is_managed)


def _delete_rows(
    connection: Connection, table: Table, object_ids: Collection[int], wanted: ColumnElement[bool]
) -> list[Unclaimed]:
    """Delete those rows of a kind that nothing refers to, then those of contents that only they had."""
    if not object_ids:
        return []
    has_folders = folders.lock_histories(connection, object_ids)
    named = select(table.c.id).where(table.c.object_id == OBJECT.c.id).exists()
    part = select(FILE.c.id).where(FILE.c.object_id == OBJECT.c.id).exists()
    columns = (OBJECT.c.path, OBJECT.c.n_files, OBJECT.c.is_scattered, OBJECT.c.history_id, OBJECT.c.position)
    gone: list[Unclaimed] = []
    positions: dict[int, list[int]] = {}
    for ids in folders.batches(sorted(object_ids)):
        delete = OBJECT.delete().where(OBJECT.c.id.in_(ids), wanted, ~named, ~part)
        for row in connection.execute(delete.returning(*columns)).all():
            if not row.is_scattered:
                gone.append(Unclaimed(row.path, row.n_files is not None))
            if has_folders and row.history_id is not None:
                positions.setdefault(row.history_id, []).append(row.position)
    contents: set[int] = set()
    for history_id, deleted in positions.items():
        contents |= folders.forget(connection, history_id, deleted)
    return gone + _delete_rows(connection, table, contents, wanted)
