"""Versions that were deleted permanently: nothing else gets their uids, and what they held can still be said.

Each leaves one small row, written by the transaction that deletes it. It refers to nothing, so it stays true whatever
is deleted later, the rest of its family included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, String, Table, func, literal_column, select, union_all

from lamart_core import errors, uids
from lamart_core.db import Base, UtcDateTime, now, uid_type
from lamart_core.families.declare import class_name, stem
from lamart_core.families.family import Family
from lamart_core.query.sql.dialects import insert_once

DELETED = Table(
    "lamart_deletedversion",
    Base.metadata,
    Column("uid", uid_type(uids.UID_LENGTH), primary_key=True),
    Column("class_name", String(40), nullable=False),
    Column("hash", uid_type(64)),
    Column("hash_type", String(30)),
    Column("deleted_at", UtcDateTime, nullable=False),
)
_WHEN = "%Y-%m-%d %H:%M UTC"
# Follows the rest of any uid.
_LAST = uids.ALPHABET[-1] * uids.UID_LENGTH


def note_deleted(connection: Connection, table: Table, rows: Sequence[Row[Any]]) -> None:
    """Write down, in the transaction that deletes them, that versions are gone.

    Args:
        connection: Connection in a write transaction.
        table: Table of a versioned record class.
        rows: All columns of the rows that were deleted.
    """
    values: list[dict[str, Any]] = [
        {
            "uid": row.uid,
            "class_name": class_name(table),
            "hash": row.hash,
            "hash_type": row._asdict().get("_hash_type"),
            "deleted_at": now(),
        }
        for row in rows
    ]
    insert_once(connection, DELETED, values)


def highest_given(table: Table) -> ColumnElement[str]:
    """Return the SQL expression for the highest uid that the family of a row was ever given; the next one is above."""
    own = table.alias("own")
    given = (
        select(func.max(source.c.uid).label("uid")).where(Family(source, stem(table)).members).correlate(table)
        for source in (own, DELETED)
    )
    every = union_all(*given).subquery("given")
    return select(func.max(every.c.uid)).scalar_subquery()


def was_deleted(table: Table) -> ColumnElement[bool]:
    """Return the SQL expression for: the uid of this row was that of a version which was deleted permanently.

    For the `RETURNING` of the statement that inserts a version: between the look at the highest uid and the insert,
    others may have made the version with the next uid and deleted it. What keeps them from doing so unseen is a lock
    on a row of the family, taken by `give_way` before the insert.
    """
    # SQLAlchemy leaves out the names of tables after RETURNING on SQLite, in this sub-query too.
    of_row: ColumnElement[str] = literal_column(f"{table.name}.uid")
    return select(DELETED.c.uid).where(DELETED.c.uid == of_row).exists()


def given_before(uid: str) -> errors.LamartError:
    """Return the error for a uid that turned out, while it was inserted, to be that of a deleted version.

    Where another number of the family will do, it is a `Conflict`, so that the transaction runs again.
    """
    if uids.version_number(uid):
        return errors.Conflict(f"another writer made the version {uid} and deleted it")
    return errors.IntegrityError(f"{uid} was saved from a copy of this record and deleted; construct the record anew")


def explain(connection: Connection, table: Table, idlike: str) -> str | None:
    """Say of a uid, or of the beginning of one, that what it meant was deleted permanently; None if it was not.

    Args:
        connection: Connection to read over.
        table: Table of the versioned record class that was asked for.
        idlike: What was asked for and not found.
    """
    columns = DELETED.c
    of_class = select(DELETED).where(columns.class_name == class_name(table))
    matching = of_class.where(columns.uid >= idlike, columns.uid <= idlike + _LAST)
    last = connection.execute(matching.order_by(columns.uid.desc()).limit(1)).one_or_none()
    first = connection.execute(matching.order_by(columns.uid).limit(1)).one_or_none()
    if last is None or first is None or uids.stem_of(last.uid) != uids.stem_of(first.uid):
        return None
    what = f"the {last.class_name} {last.uid} was" if last.uid == idlike else f"all that starts with {idlike!r} was"
    told = f"{what} deleted permanently"
    if last.uid != idlike:
        told += f", {last.uid} last in the order of versions,"
    told += f" on {last.deleted_at.strftime(_WHEN)}"
    if last.hash is not None:
        told += f"; its content had the {last.hash_type or 'content'} hash {last.hash}"
    left = connection.execute(select(table.c.uid).where(Family.of(table, last.uid).members).limit(1)).first()
    if left is not None:
        told += f"; of its family there are others, get({uids.stem_of(last.uid)!r}) gives the latest"
    return told
