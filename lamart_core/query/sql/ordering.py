"""ORDER BY: the same order on every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement

from lamart_core import errors
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import FieldKind, ModelInfo, QueryRegistry
from lamart_core.query.language.paths import FieldPath, resolve
from lamart_core.query.sql.compile import Compiler
from lamart_core.query.sql.joins import single_value


def order_clauses(
    compiler: Compiler,
    info: ModelInfo,
    fields: Sequence[str | ColumnElement[Any]],
    is_reversed: bool,
    registry: QueryRegistry,
) -> list[ColumnElement[Any]]:
    """Return the ORDER BY clauses; missing values come last, and the id decides between equal ones.

    Raises:
        FieldError: A field does not exist, or cannot be sorted by.
        InvalidArgument: Column expressions cannot be turned around.
    """
    clauses: list[ColumnElement[Any]] = []
    has_id = False
    for each in fields:
        if not isinstance(each, str):
            if is_reversed:
                raise errors.InvalidArgument("the last record by a column expression: sort the other way, use first()")
            clauses.append(each)
            continue
        name = each.removeprefix("-")
        has_id = has_id or name == "id"
        clauses.extend(_directed(compiler, info, name, registry, descending=each.startswith("-") != is_reversed))
    if not has_id:
        clauses.append(info.id.desc() if is_reversed else info.id.asc())
    return clauses


def _directed(
    compiler: Compiler, info: ModelInfo, name: str, registry: QueryRegistry, *, descending: bool
) -> list[ColumnElement[Any]]:
    path = _sortable(info, name, registry)
    element = single_value(compiler, info, path)
    if path.field.kind is FieldKind.TEXT:
        element = compiler.dialect.by_code_point(element)
    directed = element.desc() if descending else element.asc()
    # SQLite takes null as the least value and Postgres as the greatest.
    return [directed.nulls_last() if path.steps or path.field.nullable else directed]


def _sortable(info: ModelInfo, name: str, registry: QueryRegistry) -> FieldPath:
    """Return where the path of a field leads that has one value per record, and an order.

    Raises:
        FieldError: There is no such field, or it cannot be sorted by.
    """
    path = resolve(info, split_path(name), registry).shortened()
    for step in path.steps:
        if step.has_many:
            raise errors.FieldError(
                f"{step.source.name} cannot be sorted by {step.relation.name!r}, which has many values per record"
            )
    if path.keys or path.field.kind is FieldKind.JSON:
        raise errors.FieldError(f"{info.name} cannot be sorted by {name!r}: only columns have an order")
    return path
