"""ORDER BY: the same order on every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, select

from lamart_core import errors
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import Kind, ModelInfo
from lamart_core.query.sql.compile import Compiler


def order_clauses(
    compiler: Compiler, info: ModelInfo, fields: Sequence[str | ColumnElement[Any]], is_reversed: bool = False
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
        clauses.extend(_directed(compiler, info, name, descending=each.startswith("-") != is_reversed))
    if not has_id:
        clauses.append(info.id.desc() if is_reversed else info.id.asc())
    return clauses


def _directed(compiler: Compiler, info: ModelInfo, name: str, *, descending: bool) -> list[ColumnElement[Any]]:
    element, is_nullable = _element(compiler, info, split_path(name))
    directed = element.desc() if descending else element.asc()
    # SQLite takes null as the least value and Postgres as the greatest.
    return [directed.nulls_last() if is_nullable else directed]


def _element(compiler: Compiler, info: ModelInfo, path: tuple[str, ...]) -> tuple[ColumnElement[Any], bool]:
    relation = info.relations.get(path[0])
    if relation is None:
        field = info.field(path[0])
        if len(path) > 1 or field.kind is Kind.JSON:
            raise errors.FieldError(f"{info.name} cannot be sorted by {'__'.join(path)!r}: only columns have an order")
        column: ColumnElement[Any] = field.column
        if field.kind is Kind.TEXT:
            column = compiler.dialect.by_code_point(column)
        return column, field.nullable
    if relation.many:
        raise errors.FieldError(f"{info.name} cannot be sorted by {path[0]!r}, which has many values per record")
    foreign_key = info.field(str(relation.column)).column
    target = info.target(relation)
    if len(path) == 1:
        return foreign_key, info.field(str(relation.column)).nullable
    # The alias keeps a relation to the same table apart from the table itself.
    alias = target.aliased()
    element, _ = _element(compiler, alias, path[1:])
    return select(element).where(alias.id == foreign_key).correlate(info.source).scalar_subquery(), True
