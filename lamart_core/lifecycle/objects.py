"""Rows of stored objects: which bytes lie in a storage, and who refers to them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core import errors, uids
from lamart_core.db import now
from lamart_core.lifecycle.plan import Outcome, Plan, Resolution, Row, Staged
from lamart_core.lifecycle.put import Put
from lamart_core.records import StoredObject

OBJECT: Table = StoredObject.__table__  # pyright: ignore[reportAssignmentType]


class ObjectVanished(errors.LamartError):
    """Equal bytes that were going to be shared were deleted meanwhile: put our own, and try again."""


def shared_object(connection: Connection, staged: Staged, plan: Plan) -> Row | None:
    """Return id and path of an object of the version store that holds the staged content, locked where rows can be."""
    columns = OBJECT.c
    assert staged.digest is not None
    query = select(columns.id, columns.path).where(
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


def insert_object(connection: Connection, staged: Staged, plan: Plan, put: Put | None) -> tuple[int, str]:
    """Return id and path of the stored object: the one that was put, or one of equal bytes that is there."""
    if put is None:
        shared = shared_object(connection, staged, plan)
        if shared is None:
            raise ObjectVanished
        return shared["id"], shared["path"]
    values = put_values(staged, plan, put)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(OBJECT).values(values).on_conflict_do_nothing().returning(OBJECT.c.id)
    object_id = connection.execute(statement).scalar_one_or_none()
    if not put.is_managed:
        return _at_place(connection, values, object_id), put.relpath
    if object_id is not None:
        return object_id, put.relpath
    shared = shared_object(connection, staged, plan)
    if shared is None:
        raise errors.Conflict("an object of equal content was deleted in this moment")
    return shared["id"], shared["path"]


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
    connection.execute(update(OBJECT).where(here, columns.id != found).values(fate="lost"))
    return found


def replace_older(
    connection: Connection, table: Table, resolution: Resolution, object_id: int, plan: Plan
) -> tuple[str, ...]:
    """Let older versions of an overwritten family point at the new object; return the paths nobody refers to."""
    if not plan.overwrite_versions or resolution.outcome is not Outcome.NEW_VERSION:
        return ()
    columns = table.c
    older = and_(
        func.substr(columns.uid, 1, uids.STEM_LENGTH) == uids.stem_of(resolution.uid),
        columns._overwrite_versions,
        columns.object_id != object_id,
        columns.storage_id == plan.storage.id,
    )
    old_objects = set(connection.execute(select(columns.object_id).where(older)).scalars())
    connection.execute(update(table).where(older).values(object_id=object_id))
    return tuple(delete_unreferenced(connection, table, old_objects))


def delete_unreferenced(connection: Connection, table: Table, object_ids: set[int]) -> list[str]:
    """Delete the rows of managed objects that no artifact refers to any more, and return their paths."""
    if not object_ids:
        return []
    referred = select(table.c.id).where(table.c.object_id == OBJECT.c.id).exists()
    gone = OBJECT.delete().where(OBJECT.c.id.in_(object_ids), OBJECT.c.is_managed, ~referred)
    return list(connection.execute(gone.returning(OBJECT.c.path)).scalars())
