"""Which version of a family is the latest on a branch, after one went away or came back."""

from __future__ import annotations

from sqlalchemy import Connection, Table, and_, func, select, update

from lamart_core import uids


def promote_newest(connection: Connection, table: Table, uid: str, branch_id: int) -> int | None:
    """Make the newest version of a family on a branch its only latest one.

    Args:
        connection: Connection in a write transaction.
        table: The artifact table.
        uid: Uid of any member of the family.
        branch_id: The branch.

    Returns:
        Id of the latest version, or None when the branch has none.
    """
    columns = table.c
    family = and_(
        func.substr(columns.uid, 1, uids.STEM_LENGTH) == uids.stem_of(uid),
        columns.branch_id == branch_id,
    )
    newest = connection.execute(
        select(columns.id, columns.is_latest).where(family).order_by(columns.uid.desc()).limit(1)
    ).first()
    if newest is None:
        return None
    connection.execute(update(table).where(family, columns.id != newest.id, columns.is_latest).values(is_latest=False))
    if not newest.is_latest:
        connection.execute(update(table).where(columns.id == newest.id).values(is_latest=True))
    return newest.id
