"""Moving records between branches, the trash and the archive, with one latest version per family on either side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, select, update

from lamart_core import errors, uids
from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.families.heads import lock_family, promote_newest, stem
from lamart_core.query.sql.dialects import dialect_of


def place(connection: Connection, table: Table, ids: Sequence[int], branch_id: int) -> None:
    """Move rows to a branch.

    Where the class is versioned, the newest version that stays behind becomes the latest there, and the newest one
    on the target the latest of the target. The trash has no latest versions.

    Args:
        connection: Connection in a write transaction.
        table: Table of a record class with branches.
        ids: The rows; those that are on the branch already stay as they are.
        branch_id: The target.

    Raises:
        NameTaken: The key belongs to another family on the target; nothing was changed.
    """
    columns = table.c
    among = dialect_of(connection.dialect.name).among
    if "is_latest" not in columns:
        connection.execute(update(table).where(among(columns.id, ids)).values(branch_id=branch_id))
        return
    for uid in _one_uid_per_family(connection, table, ids):
        lock_family(connection, table, uid)
    wanted = select(columns.id, columns.uid, columns.branch_id).where(among(columns.id, ids))
    rows = connection.execute(wanted.where(columns.branch_id != branch_id)).all()
    if not rows:
        return
    moved = [row.id for row in rows]
    if branch_id != TRASH_BRANCH_ID:
        _check_keys(connection, table, moved, branch_id)
    connection.execute(update(table).where(among(columns.id, moved)).values(branch_id=branch_id, is_latest=False))
    left = {(uids.stem_of(row.uid), row.branch_id): row.uid for row in rows}
    for (_, source), uid in left.items():
        promote_newest(connection, table, uid, source)
    for uid in {uids.stem_of(row.uid): row.uid for row in rows}.values():
        promote_newest(connection, table, uid, branch_id)


def check_unlocked(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Check that no row is locked against changes.

    Raises:
        RecordLocked: One is.
    """
    columns = table.c
    if "is_locked" not in columns:
        return
    locked = select(columns.uid).where(dialect_of(connection.dialect.name).among(columns.id, ids), columns.is_locked)
    uid = connection.execute(locked.limit(1)).scalar_one_or_none()
    if uid is not None:
        raise errors.RecordLocked(f"{uid} is locked; set is_locked = False and save that before any other change")


def _one_uid_per_family(connection: Connection, table: Table, ids: Sequence[int]) -> list[str]:
    among = dialect_of(connection.dialect.name).among
    found = connection.execute(select(table.c.uid).where(among(table.c.id, ids))).scalars()
    # Sorted, so that two who move several families wait for each other and never in a circle.
    return sorted({uids.stem_of(uid): uid for uid in found}.values())


def _check_keys(connection: Connection, table: Table, ids: Sequence[int], branch_id: int) -> None:
    """Check that no other family has the key of a row on the target branch."""
    if "key" not in table.columns:
        return
    moved, there = table.alias("moved"), table.alias("there")
    same: list[Any] = [moved.c.key == there.c.key, there.c.branch_id == branch_id, there.c.is_latest]
    if "storage_id" in table.columns:
        same.append(moved.c.storage_id == there.c.storage_id)
    query = (
        select(moved.c.key, there.c.uid)
        .where(dialect_of(connection.dialect.name).among(moved.c.id, ids), stem(moved) != stem(there), *same)
        .limit(1)
    )
    taken = connection.execute(query).first()
    if taken is not None:
        raise errors.NameTaken(
            f"the key {taken.key!r} belongs to the family of {taken.uid} on that branch; "
            "give one of the two families another key first"
        )
