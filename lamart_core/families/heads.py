"""Families of versions: who belongs to one, and which is the latest on a branch after one went away or came back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Table, and_, func, select, update

from lamart_core import errors, uids
from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.query.sql.dialects import dialect_of

_LOWEST = uids.ALPHABET[0] * uids.VERSION_LENGTH
_HIGHEST = uids.ALPHABET[-1] * uids.VERSION_LENGTH


def in_family(table: Table, uid: str) -> ColumnElement[bool]:
    """Return the condition that a row is a version of the same thing as `uid`; the index of the uids answers it."""
    stem = uids.stem_of(uid)
    return table.c.uid.between(stem + _LOWEST, stem + _HIGHEST)


def stem(source: FromClause) -> ColumnElement[str]:
    """Return the stem of a uid as the indexes of the latest versions write it."""
    length: Any = source.c.uid.type
    return func.substr(source.c.uid, 1, length.length - uids.VERSION_LENGTH)


def end_of_family(source: FromClause) -> ColumnElement[str]:
    """Return the SQL expression for the highest uid that the family of a row can have."""
    return stem(source).concat(_HIGHEST)


def lock_family(connection: Connection, table: Table, uid: str) -> None:
    """Make others who move or remove versions of a family wait until this transaction ends.

    SQLite has one writer at a time anyway. Savers wait too: they demote the latest version on their branch, or lock the
    version that they follow where there is none.
    """
    if connection.dialect.name == "postgresql":
        rows = select(table.c.id).where(in_family(table, uid)).order_by(table.c.id)
        # Not the strongest lock: links to these rows may be written meanwhile.
        connection.execute(rows.with_for_update(key_share=True)).all()


def lock_versions(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Keep others from moving or removing versions until this transaction ends, for a save that demotes none of them.

    Raises:
        Conflict: One was removed meanwhile.
    """
    if connection.dialect.name == "postgresql" and ids:
        rows = select(table.c.id).where(dialect_of("postgresql").among(table.c.id, sorted(ids))).order_by(table.c.id)
        if len(connection.execute(rows.with_for_update(key_share=True)).all()) != len(ids):
            raise errors.Conflict("another writer removed versions of these families")


def promote_newest(connection: Connection, table: Table, uid: str, branch_id: int) -> int | None:
    """Make the newest version of a family on a branch its only latest one. The trash has no latest versions.

    Args:
        connection: Connection in a write transaction.
        table: Table of a versioned record class.
        uid: Uid of any member of the family.
        branch_id: The branch.

    Returns:
        Id of the latest version, or None when the branch has none.
    """
    if branch_id == TRASH_BRANCH_ID:
        return None
    columns = table.c
    family = and_(in_family(table, uid), columns.branch_id == branch_id)
    newest = connection.execute(
        select(columns.id, columns.is_latest).where(family).order_by(columns.uid.desc()).limit(1)
    ).first()
    if newest is None:
        return None
    connection.execute(update(table).where(family, columns.id != newest.id, columns.is_latest).values(is_latest=False))
    if not newest.is_latest:
        connection.execute(update(table).where(columns.id == newest.id).values(is_latest=True))
    return newest.id
