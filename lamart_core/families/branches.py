"""Moving records between branches, the trash and the archive, with one latest version per family on either side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Table, select, update

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID, Base
from lamart_core.families.declare import identity, versions_of
from lamart_core.families.family import Family, lock, promote_newest
from lamart_core.query.sql.dialects import dialect_of

_SHOWN = 10


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
        OutdatedVersion: A family would have nothing there but versions whose files were overwritten.
    """
    among = dialect_of(connection.dialect.name).among
    rows = _lock(connection, table, among(table.c.id, ids), branch_id)
    if branch_id != TRASH_BRANCH_ID:
        taken = _collisions(connection, table, lambda here: among(here.c.id, [row.id for row in rows]), branch_id, 1)
        for row in taken:
            raise errors.NameTaken(
                f"the key {row.key!r} belongs to the family of {row.other} on that branch; "
                "give one of the two families another key first"
            )
    _move(connection, table, rows, branch_id)


def merge(connection: Connection, source: int, target: int) -> int:
    """Move all records of a branch to another one.

    Args:
        connection: Connection in a write transaction.
        source: The branch whose records move.
        target: Where they move.

    Returns:
        The number of records that moved.

    Raises:
        MergeConflict: Keys would have two families on the target; it names them.
    """
    tables = [table for table in Base.metadata.tables.values() if "created_on_id" in table.columns]
    conflicts: list[Any] = []
    for table in tables:
        conflicts += _collisions(
            connection, table, lambda here: (here.c.branch_id == source) & here.c.is_latest, target, _SHOWN
        )
    if conflicts:
        told = ", ".join(f"{row.key!r} ({row.uid} and {row.other})" for row in conflicts[:_SHOWN])
        raise errors.MergeConflict(
            f"these keys belong to different families there: {told}. "
            "Give one of each pair another key, or delete it; nothing was moved"
        )
    return sum(
        _move(connection, table, _lock(connection, table, table.c.branch_id == source, target), target)
        for table in tables
    )


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


def _lock(connection: Connection, table: Table, which: ColumnElement[bool], branch_id: int) -> Sequence[Row[Any]]:
    """Return the rows that are not on a branch yet; nobody moves or removes versions of their families meanwhile."""
    declared, columns = versions_of(table), table.c
    wanted = [columns.id, columns.branch_id] + ([] if declared is None else [columns[declared.identity]])
    moving = select(*wanted).where(which, columns.branch_id != branch_id)
    rows = connection.execute(moving).all()
    if declared is None or connection.dialect.name != "postgresql":
        return rows
    lock(connection, *_families(table, rows))
    return connection.execute(moving).all()


def _move(connection: Connection, table: Table, rows: Sequence[Row[Any]], branch_id: int) -> int:
    if not rows:
        return 0
    moved = update(table).where(dialect_of(connection.dialect.name).among(table.c.id, [row.id for row in rows]))
    if versions_of(table) is None:
        return connection.execute(moved.values(branch_id=branch_id)).rowcount
    connection.execute(moved.values(branch_id=branch_id, is_latest=False))
    for source in {row.branch_id for row in rows}:
        promote_newest(connection, source, *_families(table, [row for row in rows if row.branch_id == source]))
    families = _families(table, rows)
    if len(promote_newest(connection, branch_id, *families)) < len(families) and branch_id != TRASH_BRANCH_ID:
        names = ", ".join(row.uid for row in rows[:_SHOWN])
        raise errors.OutdatedVersion(
            f"the files of {names} were overwritten by a later version, and a branch has no use for a version without "
            "content: it goes along where that later version goes; move or restore that one"
        )
    return len(rows)


def _families(table: Table, rows: Sequence[Row[Any]]) -> list[Family]:
    return list(dict.fromkeys(Family.of_row(table, row._mapping) for row in rows))


def _collisions(
    connection: Connection, table: Table, moving: Callable[[FromClause], ColumnElement[bool]], branch_id: int, most: int
) -> Sequence[Any]:
    """Return the names of rows that another family has as its name on a branch."""
    declared = versions_of(table)
    if declared is None or declared.is_by_name or "key" not in declared.name:
        return []
    here, there = table.alias("here"), table.alias("there")
    same = [here.c[name] == there.c[name] for name in declared.name]
    query = (
        select(here.c.key, here.c.uid, there.c.uid.label("other"))
        .where(moving(here), there.c.branch_id == branch_id, there.c.is_latest, *same)
        .where(identity(here) != identity(there))
        .order_by(here.c.key)
    )
    return connection.execute(query.limit(most)).all()
