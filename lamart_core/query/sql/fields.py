"""Conditions on the fields of one model: columns, parts of dates, and values inside JSON."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, literal, or_

from lamart_core import errors
from lamart_core.query.language.expressions import Bound
from lamart_core.query.language.lookups import DATE_PARTS, LOOKUPS, ORDER_LOOKUPS, TEXT_LOOKUPS
from lamart_core.query.language.model import Field, FieldKind, suggestion
from lamart_core.query.sql import parameters
from lamart_core.query.sql.dialect import Dialect

Condition = ColumnElement[bool]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "exact": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_SYMBOLS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TEMPORAL = (FieldKind.DATETIME, FieldKind.DATE)


def condition(dialect: Dialect, bound: Bound) -> Condition:
    """Return the condition on a column that is not JSON.

    Raises:
        FieldError: The lookup does not exist or is not one for this kind of field.
        InvalidArgument: The value cannot be compared with the field.
    """
    field, lookup, value, names = bound.field, bound.lookup, bound.value, bound.keys
    if lookup in DATE_PARTS and not names:
        names, lookup = (lookup,), "exact"
    if len(names) > 0:
        if len(names) > 1 or names[0] not in DATE_PARTS or field.kind not in _TEMPORAL:
            raise _unknown_lookup(field, names[0])
        return _date_part(dialect, field, names[0], lookup, value)
    if lookup == "isnull":
        return field.column.is_(None) if parameters.flag(value, field.name) else field.column.is_not(None)
    if lookup in TEXT_LOOKUPS:
        if field.kind is not FieldKind.TEXT:
            raise _unknown_lookup(field, lookup)
        return _text(dialect, field.column, lookup, value, field.name)
    if lookup in ORDER_LOOKUPS and field.kind in (FieldKind.BOOLEAN, FieldKind.OTHER):
        raise _unknown_lookup(field, lookup)
    if lookup == "range":
        first, last = parameters.bounds(value, field.name)
        return and_(_compared(dialect, field, "gte", first), _compared(dialect, field, "lte", last))
    return _compared(dialect, field, lookup, value)


def one_of(field: Field, members: Sequence[Any]) -> Condition:
    """Return whether a column is one of some values, which are not None."""
    return field.column.in_([parameters.bind(field, member) for member in members])


def _compared(dialect: Dialect, field: Field, lookup: str, value: Any) -> Condition:
    column: ColumnElement[Any] = field.column
    if value is None:
        raise errors.InvalidArgument(f"{field.name}__{lookup} needs a value; use {field.name}__isnull for missing ones")
    if field.kind is FieldKind.TEXT and lookup != "exact":
        column = dialect.by_code_point(column)
    return _COMPARE[lookup](column, parameters.bind(field, value))


def _text(dialect: Dialect, text: ColumnElement[str], lookup: str, value: Any, name: str) -> Condition:
    match lookup:
        case "regex" | "iregex":
            return dialect.matches(text, parameters.pattern(value, name), ignore_case=lookup == "iregex")
        case "contains":
            return dialect.contains(text, parameters.text(value, name))
        case "startswith":
            return dialect.startswith(text, parameters.text(value, name))
        case "endswith":
            return dialect.endswith(text, parameters.text(value, name))
        case _:
            return dialect.folded(lookup, text, parameters.text(value, name))


# ---------------------------------------------------------------------- parts of dates


def _date_part(dialect: Dialect, field: Field, part: str, lookup: str, value: Any) -> Condition:
    keyword = f"{field.name}__{part}"
    if lookup == "isnull":
        return field.column.is_(None) if parameters.flag(value, keyword) else field.column.is_not(None)
    if lookup == "in":
        members = parameters.members(value, keyword)
        return or_(false(), *(_date_part(dialect, field, part, "exact", member) for member in members))
    if lookup == "range":
        first, last = parameters.bounds(value, keyword)
        return and_(_date_part(dialect, field, part, "gte", first), _date_part(dialect, field, part, "lte", last))
    if lookup not in _COMPARE:
        raise _unknown_lookup(field, lookup)
    if part == "date":
        return _in_days(field, lookup, parameters.day(value, keyword), timedelta(days=1))
    number = parameters.plain(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise errors.InvalidArgument(f"{keyword} is compared with an integer, got {value!r}")
    if part == "year":
        return _in_year(field, lookup, number)
    return _COMPARE[lookup](dialect.date_part(field.column, part), literal(number))


def _in_year(field: Field, lookup: str, year: int) -> Condition:
    """Compare the year by comparing the time with the year's ends, which an index serves."""
    if not 1 <= year < 9999:
        always = (year < 1 and lookup in ("gt", "gte")) or (year >= 9999 and lookup in ("lt", "lte"))
        return field.column.is_not(None) if always else and_(field.column.is_not(None), false())
    first = date(year, 1, 1)
    return _in_days(field, lookup, first, date(year + 1, 1, 1) - first)


def _in_days(field: Field, lookup: str, first: date, length: timedelta) -> Condition:
    start, end = _bound_day(field, first), _bound_day(field, first + length)
    match lookup:
        case "exact":
            return and_(field.column >= start, field.column < end)
        case "gt":
            return field.column >= end
        case "gte":
            return field.column >= start
        case "lt":
            return field.column < start
        case _:
            return field.column < end


def _bound_day(field: Field, day: date) -> ColumnElement[Any]:
    value = day if field.kind is FieldKind.DATE else datetime.combine(day, time(), UTC)
    return literal(value, field.column.type)


# ---------------------------------------------------------------------- JSON


def json_condition(dialect: Dialect, bound: Bound) -> Condition:
    """Return the condition on a JSON column, or on a value inside.

    Values are compared with their types: True, 1 and "1" are three different ones; 1 and 1.0 are the same number.
    `isnull` asks whether the key is absent, `=None` whether its value is a JSON null.

    Raises:
        FieldError: The lookup does not exist for JSON.
        InvalidArgument: The value is not one of JSON.
    """
    field, keys, lookup = bound.field, bound.keys, bound.lookup
    column, keyword = field.column, "__".join((field.name, *keys))
    value = parameters.plain(bound.value)
    for key in keys:
        if '"' in key or "\\" in key or "\x00" in key:
            raise errors.FieldError(f"the JSON key {key!r} holds a quote, backslash or NUL and cannot be queried")
    match lookup:
        case "isnull":
            exists = dialect.json_exists(column, keys)
            if not keys:
                exists = and_(exists, dialect.json_is(column, keys, "null").is_not(True))
            return exists if parameters.flag(value, keyword) is False else _absent(exists)
        case "exact":
            return dialect.json_equals(column, keys, _json_value(value, keyword))
        case "in":
            wanted = [_json_value(parameters.plain(member), keyword) for member in parameters.members(value, keyword)]
            return or_(false(), *(dialect.json_equals(column, keys, member) for member in wanted))
        case "range":
            first, last = parameters.bounds(value, keyword)
            return and_(
                _json_ordered(dialect, field, keys, "gte", first), _json_ordered(dialect, field, keys, "lte", last)
            )
        case "gt" | "gte" | "lt" | "lte":
            return _json_ordered(dialect, field, keys, lookup, value)
        case "contains" if not isinstance(value, str):
            return dialect.json_has_member(column, keys, _json_scalar(value, keyword))
        case _ if lookup in TEXT_LOOKUPS:
            is_text = dialect.json_is(column, keys, "string")
            matches = _guarded(is_text, _text(dialect, dialect.json_text(column, keys), lookup, value, keyword))
            return or_(matches, dialect.json_has_member(column, keys, value)) if lookup == "contains" else matches
        case _:
            raise _unknown_lookup(field, lookup)


def _json_ordered(dialect: Dialect, field: Field, keys: tuple[str, ...], lookup: str, value: Any) -> Condition:
    keyword = "__".join((field.name, *keys))
    value = _json_scalar(parameters.plain(value), keyword)
    if isinstance(value, str):
        text = dialect.by_code_point(dialect.json_text(field.column, keys))
        is_text = dialect.json_is(field.column, keys, "string")
        return _guarded(is_text, _COMPARE[lookup](text, literal(value)))
    if isinstance(value, bool) or value is None:
        raise errors.InvalidArgument(f"{keyword}__{lookup} takes a number or text, got {value!r}")
    is_number = dialect.json_is(field.column, keys, "number")
    return _guarded(is_number, dialect.json_number(field.column, keys, _SYMBOLS[lookup], value))


def _guarded(guard: Condition, matches: Condition) -> Condition:
    # CASE, because databases evaluate the sides of AND in any order.
    return case((guard, matches), else_=false())


def _absent(exists: Condition) -> Condition:
    return exists.self_group().is_not(True)


def _json_value(value: Any, keyword: str) -> Any:
    """Return a JSON value with plain members; large integers as numbers that databases can hold."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise errors.InvalidArgument(f"{keyword}: the keys of JSON objects are text, got {value!r}")
        return {key: _json_value(parameters.plain(member), keyword) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(parameters.plain(member), keyword) for member in value]
    return _json_scalar(value, keyword)


def _json_scalar(value: Any, keyword: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return parameters.text(value, keyword)
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, int | float) and math.isfinite(float(value)):
        return float(value)
    raise errors.InvalidArgument(f"{keyword} is JSON; it cannot be compared with {value!r} ({type(value).__name__})")


def _unknown_lookup(field: Field, name: str) -> errors.FieldError:
    if name in LOOKUPS:
        return errors.FieldError(f"the lookup {name!r} is not one for the {field.kind.value} field {field.name!r}")
    return errors.FieldError(
        f"the {field.kind.value} field {field.name!r} has no member or lookup {name!r}{suggestion(name, LOOKUPS)}; "
        f"lookups: {', '.join(sorted(LOOKUPS))}"
    )
