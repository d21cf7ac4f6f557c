"""Sums, means and the like over the records of a query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, func, select

from lamart_core import errors
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import FieldKind
from lamart_core.query.language.paths import FieldPath, resolve
from lamart_core.query.sql.joins import single_value
from lamart_core.query.sql.statement import Statement

_NUMBERS = frozenset({FieldKind.INTEGER, FieldKind.FLOAT})
_ORDERED = _NUMBERS | {FieldKind.TEXT, FieldKind.DATE, FieldKind.DATETIME}
# What can be computed, and of which kinds of fields.
_FUNCTIONS: dict[str, tuple[Callable[[Any], ColumnElement[Any]], frozenset[FieldKind]]] = {
    "count": (func.count, frozenset(FieldKind)),
    "sum": (func.sum, _NUMBERS),
    "mean": (lambda column: func.avg(cast(column, Float(53))), _NUMBERS),
    "min": (func.min, _ORDERED),
    "max": (func.max, _ORDERED),
}


def aggregate(statement: Statement, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results by their names; see `QuerySet.aggregate`."""
    if not results:
        raise errors.InvalidArgument(
            "aggregate needs something to compute, for example aggregate(total=('size', 'sum'))"
        )
    columns = [
        _column(statement, name, asked).label(f"c{place}") for place, (name, asked) in enumerate(results.items())
    ]
    info = statement.info
    where = info.id.in_(statement.ids().correlate(None)) if statement.is_slice else statement.where()
    with statement.registry.read() as session:
        row = session.execute(select(*columns).select_from(info.table).where(where)).one()
    return {name: _plain(value) for name, value in zip(results, row, strict=True)}


def _column(statement: Statement, name: str, asked: Any) -> ColumnElement[Any]:
    if not isinstance(asked, tuple) or len(asked) != 2 or asked[1] not in _FUNCTIONS:  # pyright: ignore
        raise errors.InvalidArgument(
            f"{name}= takes a field and one of {', '.join(_FUNCTIONS)}, as in {name}=('size', 'sum'), got {asked!r}"
        )
    field_name, function_name = asked  # pyright: ignore[reportUnknownVariableType]
    path: FieldPath = resolve(statement.info, split_path(str(field_name)), statement.registry).shortened()
    function, kinds = _FUNCTIONS[str(function_name)]
    if path.keys or path.has_many or path.field.kind not in kinds:
        raise errors.FieldError(f"{statement.info.name} has no {function_name} of {field_name!r}")
    value = single_value(statement.compiler, statement.info, path)
    if path.field.kind is FieldKind.TEXT:
        value = statement.compiler.dialect.by_code_point(value)
    return function(value)


def _plain(value: Any) -> Any:
    # Postgres sums large integers as decimals.
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value
