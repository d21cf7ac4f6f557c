"""Assign fields of many records at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, update
from sqlalchemy.orm import DeclarativeBase

from lamart_core import errors
from lamart_core.db.checks import check_values
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import ModelInfo, check_registry
from lamart_core.query.language.paths import resolve
from lamart_core.query.sql.parameters import plain
from lamart_core.query.sql.statement import Statement


def update_all(statement: Statement, values: Mapping[str, Any]) -> int:
    """Assign fields of all records of a query in one statement.

    Returns:
        The number of records.

    Raises:
        FieldError: A field does not exist.
        InvalidArgument: A field is never assigned, or the value is not one of the field.
    """
    if not values:
        raise errors.InvalidArgument("update needs at least one field, for example update(description=None)")
    info = statement.info
    assigned: dict[str, Any] = {}
    for name, value in values.items():
        column, bound = _assignment(statement, name, value)
        if column in assigned:
            raise errors.InvalidArgument(f"{info.name}.{column} is assigned twice, once as {name!r}")
        assigned[column] = bound
    if "updated_at" in info.fields and "updated_at" not in values:
        assigned["updated_at"] = datetime.now(UTC)
    where = info.id.in_(statement.ids().correlate(None)) if statement.is_slice else statement.where()
    command = update(info.table).where(where).values(assigned)

    def work(connection: Connection) -> int:
        return int(connection.execute(command).rowcount)

    return statement.registry.unit_of_work(work)


def _assignment(statement: Statement, name: str, value: Any) -> tuple[str, Any]:
    info = statement.info
    path = resolve(info, split_path(name), statement.registry)
    field = path.shortened().field
    if path.shortened().steps or path.keys:
        raise errors.InvalidArgument(f"update assigns fields of {info.name} itself, which {name!r} is not")
    if field.virtual is not None:
        raise errors.InvalidArgument(f"{info.name}.{name} follows from other fields; it cannot be assigned")
    names = {name, field.name}
    if field.name == "id" or not names.isdisjoint(getattr(info.model, "__frozen__", ())):
        raise errors.InvalidArgument(
            f"{info.name}.{name} identifies the record or follows from its content; it cannot be assigned"
        )
    if not names.isdisjoint(getattr(info.model, "__one_by_one__", ())):
        raise errors.InvalidArgument(
            f"{info.name}.{name} cannot be assigned to many records at once, other versions may have to follow: "
            "assign it to each record and save that"
        )
    relation = info.foreign_key(field.name)
    if relation is not None and isinstance(value, DeclarativeBase):
        check_registry(value, statement.registry)
        value = _saved_id(info.target(relation), value)
    column = str(getattr(field.column, "name", field.name))
    value = plain(value)
    check_values(info.model, {column: value})
    return column, value


def _saved_id(target: ModelInfo, record: Any) -> int:
    if not isinstance(record, target.model):
        raise errors.InvalidArgument(f"expected a record of {target.name}, got {record!r}")
    if record.id is None:
        raise errors.InvalidArgument(f"{record!r} is not saved yet; save it first")
    return record.id
