"""Merging a branch: all its records move to another one, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, FromClause, Table, select, update

from lamart_core import errors
from lamart_core.db import ARCHIVE_BRANCH_ID, TRASH_BRANCH_ID, Base
from lamart_core.families.heads import stem

if TYPE_CHECKING:
    from lamart_core.records.branch import Branch

_TRANSFORM = "lamart_transform"
_SHOWN = 10


def merge(branch: Branch, into: Branch, *, status_code: int) -> int:
    """Move all records of a branch to another one; see `Branch.merge`.

    Args:
        branch: The branch whose records move.
        into: Where they move.
        status_code: Status of the branch afterwards.

    Returns:
        The number of records that moved.
    """
    for each in (branch, into):
        if each.id in (TRASH_BRANCH_ID, ARCHIVE_BRANCH_ID):
            raise errors.InvalidArgument(f"the {each.name} is no line of work: it takes no part in merges")
    if branch.id == into.id:
        raise errors.InvalidArgument(f"the branch {branch.name!r} cannot be merged into itself")

    def work(connection: Connection) -> int:
        own = branch.__table__
        # Two who merge one branch take turns; writers on the branch do not wait.
        lock = select(own.c.id).where(own.c.id == branch.id).with_for_update(key_share=True)
        if connection.execute(lock).first() is None:
            raise errors.ObjectDoesNotExist(f"{branch!r} was deleted from {branch.registry!r}")
        tables = [table for table in Base.metadata.tables.values() if "created_on_id" in table.columns]
        _check_keys(connection, tables, branch, into)
        moved = sum(_move(connection, table, branch.id, into.id) for table in tables)
        connection.execute(update(own).where(own.c.id == branch.id).values(_status_code=status_code))
        return moved

    return branch.registry.unit_of_work(work)


def _check_keys(connection: Connection, tables: list[Table], branch: Branch, into: Branch) -> None:
    """Check that no key would have two families on the target."""
    conflicts: list[str] = []
    for table in tables:
        if not {"is_latest", "key"} <= {*table.c.keys()} or table.name == _TRANSFORM:
            continue
        here, there = table.alias("here"), table.alias("there")
        same: list[Any] = [here.c.key == there.c.key, stem(here) != stem(there)]
        if "storage_id" in table.columns:
            same.append(here.c.storage_id == there.c.storage_id)
        on_both = [here.c.branch_id == branch.id, there.c.branch_id == into.id, here.c.is_latest, there.c.is_latest]
        query = select(here.c.key, here.c.uid, there.c.uid.label("other")).where(*on_both, *same).order_by(here.c.key)
        conflicts += [f"{row.key!r} ({row.uid} and {row.other})" for row in connection.execute(query.limit(_SHOWN))]
    if conflicts:
        raise errors.MergeConflict(
            f"{branch.name!r} cannot be merged into {into.name!r}: these keys belong to different families there: "
            f"{', '.join(conflicts[:_SHOWN])}. Give one of each pair another key, or delete it; nothing was moved"
        )


def _move(connection: Connection, table: Table, source: int, target: int) -> int:
    if "is_latest" in table.columns:
        _lock_families(connection, table, source)
        _keep_one_latest(connection, table, source, target)
    moved = update(table).where(table.c.branch_id == source).values(branch_id=target)
    return connection.execute(moved).rowcount


def _lock_families(connection: Connection, table: Table, source: int) -> None:
    """Let nobody trash or move a version of these families while it is decided which one is the latest."""
    if connection.dialect.name != "postgresql":
        return
    mine = table.alias("mine")
    touched = select(_family(table, mine)).where(mine.c.branch_id == source)
    rows = select(table.c.id).where(_family(table, table).in_(touched)).order_by(table.c.id)
    connection.execute(rows.with_for_update(key_share=True)).all()


def _keep_one_latest(connection: Connection, table: Table, source: int, target: int) -> None:
    """Of a family with a latest version on both sides, keep the newer of the two."""
    for own, others in ((source, target), (target, source)):
        other = table.alias("other")
        newer = (
            select(other.c.id)
            .where(other.c.branch_id == others, other.c.is_latest, other.c.uid > table.c.uid)
            .where(_family(table, other) == _family(table, table))
            .exists()
        )
        older = update(table).where(table.c.branch_id == own, table.c.is_latest, newer)
        connection.execute(older.values(is_latest=False))


def _family(table: Table, source: FromClause) -> Any:
    """Return what the versions of one thing share: of code its key, of all else the stem of the uid."""
    return source.c.key if table.name == _TRANSFORM else stem(source)
