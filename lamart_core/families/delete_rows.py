"""Deleting rows for good: what refers to them is named, and of versions it stays written down that they were there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, select
from sqlalchemy.exc import IntegrityError

from lamart_core import errors
from lamart_core.db import Base
from lamart_core.families.declare import class_name, is_versioned
from lamart_core.families.deleted import note_deleted
from lamart_core.query.sql.dialects import dialect_of

_SHOWN = 5
# What the table of a link is marked with whose rows go by `remove()`.
UNLINKS = "unlinks"


def delete_rows(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Delete rows and what cascades from them; of versions it stays written down that they were there.

    Raises:
        ProtectedError: Other records refer to them; the message names some.
    """
    try:
        with connection.begin_nested():
            delete = table.delete().where(_among(connection, table.c.id, ids))
            if is_versioned(table):
                note_deleted(connection, table, connection.execute(delete.returning(table)).all())
            else:
                connection.execute(delete)
    except IntegrityError as error:
        found = _referrers(connection, table, ids)
        if not found:  # whoever referred is gone by now
            raise errors.Conflict(f"something referred to {table.name} {list(ids)[:_SHOWN]}") from error
        what = title_of(connection, table, ids[0])
        advice = {
            frozenset({False}): "delete those first",
            frozenset({True}): "unlink it from them first, with remove()",
        }.get(frozenset(found.values()), "delete those, or unlink it from them with remove(), first")
        raise errors.ProtectedError(
            f"{what} cannot be deleted, other records refer to it: {', '.join(found)}; {advice}"
        ) from error


def _referrers(connection: Connection, table: Table, ids: Sequence[int]) -> dict[str, bool]:
    """Return the names of some records that keep rows from being deleted, and whether each can be unlinked from them.

    They refer to the rows, or to what goes along with them.
    """
    gone: dict[str, set[int]] = {}
    pending: list[tuple[Table, list[int]]] = [(table, list(ids))]
    while pending:
        target, wanted = pending.pop()
        new = sorted(set(wanted) - gone.setdefault(target.name, set()))
        gone[target.name].update(new)
        if new:
            for other, column, cascades in _references(target):
                if cascades:
                    found = select(other.c.id).where(_among(connection, column, new))
                    pending.append((other, list(connection.execute(found).scalars())))
    names: dict[str, bool] = {}
    for name, rows in gone.items():
        for other, column, cascades in _references(Base.metadata.tables[name]):
            if not cascades and rows:
                held = select(other.c.id).where(_among(connection, column, sorted(rows)))
                for row_id in connection.execute(held.order_by(other.c.id)).scalars():
                    if row_id not in gone.get(other.name, ()) and len(names) < _SHOWN:
                        names[_name(connection, other, column, row_id)] = bool(other.info.get(UNLINKS))
    return names


def _references(target: Table) -> Iterator[tuple[Table, Column[Any], bool]]:
    """Give each foreign key that refers to a table, and whether its rows go along with what they refer to."""
    for other in Base.metadata.tables.values():
        for column in other.columns:
            for key in column.foreign_keys:
                if key.column.table is target:
                    yield other, column, key.ondelete == "CASCADE"


def _name(connection: Connection, table: Table, column: Column[Any], row_id: int) -> str:
    """Say which record a row is; a row of a link stands for the record at its other end."""
    if "uid" in table.columns:
        return f"{title_of(connection, table, row_id)} as its {column.name.removesuffix('_id')}"
    row = connection.execute(select(table).where(table.c.id == row_id)).mappings().one()
    for other in table.columns:
        if other is not column and other.foreign_keys and row[other.name] is not None:
            return title_of(connection, next(iter(other.foreign_keys)).column.table, row[other.name])
    return f"{table.name} {row_id}"


def title_of(connection: Connection, table: Table, row_id: int) -> str:
    """Return what people call the record of a row: its class, its name or key, its uid."""
    row = connection.execute(select(table).where(table.c.id == row_id)).mappings().one_or_none()
    named = {} if row is None else dict(row)
    name = next((named[field] for field in ("key", "name", "handle", "root") if named.get(field)), None)
    shown = " ".join([*([repr(name)] if name is not None else []), f"({named.get('uid', row_id)})"])
    return f"{class_name(table)} {shown}"


def _among(connection: Connection, column: Any, ids: Sequence[int]) -> Any:
    return dialect_of(connection.dialect.name).among(column, ids)
