"""What expressions mean, in plain Python: the reference that the databases are compared with."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from lamart_core.query import And, Comparison, Expression, Not, Or

Row = Mapping[str, Any]
MANY = "tags"
ONE = "author"
ABSENT = object()

_ORDER = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def holds(expression: Expression, row: Row) -> bool:
    """Return whether an expression holds for a row, whose relations are rows or lists of rows."""
    if isinstance(expression, Not):
        return not holds(expression.operand, row)
    if isinstance(expression, Or):
        return any(holds(operand, row) for operand in expression.operands)
    operands = expression.operands if isinstance(expression, And) else (expression,)
    about_tags = [each for each in operands if not isinstance(each, And) and _is_about_tags(each)]
    others = [each for each in operands if each not in about_tags]
    return _any_tag(about_tags, row) and all(_leaf_or_more(each, row) for each in others)


def _leaf_or_more(expression: Any, row: Row) -> bool:
    return _leaf(expression, row) if isinstance(expression, Comparison) else holds(expression, row)


def _is_about_tags(expression: Any) -> bool:
    if isinstance(expression, Comparison):
        return expression.path[0] == MANY
    return (
        isinstance(expression, And | Or)
        and bool(expression.operands)
        and all(_is_about_tags(each) for each in expression.operands)
    )


def _any_tag(expressions: list[Any], row: Row) -> bool:
    if not expressions:
        return True
    nothing = dict.fromkeys(("id", "name", "color", "date"))
    candidates = row[MANY] or [nothing]
    if not row[MANY] and not all(_for_tag(each, nothing) for each in expressions):
        return False
    return any(all(_for_tag(each, tag) for each in expressions) for tag in candidates)


def _for_tag(expression: Any, tag: Row) -> bool:
    if isinstance(expression, Or):
        return any(_for_tag(each, tag) for each in expression.operands)
    if isinstance(expression, And):
        return all(_for_tag(each, tag) for each in expression.operands)
    path = expression.path[1:] or ("id",)
    return _leaf(Comparison(path, expression.lookup, expression.value), tag)


def _leaf(comparison: Comparison, row: Row) -> bool:
    path, lookup, value = comparison.path, comparison.lookup, comparison.value
    if path[0] == ONE:
        inner = row[ONE] or {}
        name = path[1] if len(path) > 1 else "id"
        return compared(inner.get(name), lookup, value)
    if path[0] == "params":
        return compared_json(row["params"], path[1:], lookup, value)
    found = row[path[0]]
    if len(path) > 1:
        found = _part(found, path[1])
    elif lookup in ("year", "month", "day", "date"):
        found, lookup = _part(found, lookup), "exact"
    return compared(found, lookup, value)


def _part(moment: datetime | None, part: str) -> int | date | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).date() if part == "date" else getattr(moment.astimezone(UTC), part)


def compared(found: Any, lookup: str, value: Any) -> bool:
    """Return whether a lookup holds for the value of a column."""
    if lookup == "isnull" or (lookup == "exact" and value is None):
        return (found is None) is (value is None or value)
    if lookup == "in":
        return found in value
    if found is None:
        return False
    if lookup in _ORDER:
        return _ORDER[lookup](found, value)
    if lookup == "range":
        return value[0] <= found <= value[1]
    if lookup == "exact":
        return found == value
    return text_compared(found, lookup, value)


def text_compared(found: str, lookup: str, value: str) -> bool:
    """Return whether a lookup of text holds."""
    if lookup == "regex":
        return re.search(value, found) is not None
    if lookup == "iregex":
        return re.search(value, found, re.IGNORECASE) is not None
    if lookup.startswith("i"):
        return text_compared(found.lower(), lookup[1:], value.lower())
    return {
        "exact": found == value,
        "contains": value in found,
        "startswith": found.startswith(value),
        "endswith": found.endswith(value),
    }[lookup]


def compared_json(document: Any, keys: tuple[str, ...], lookup: str, value: Any) -> bool:
    """Return whether a lookup holds for what lies under some keys."""
    found = dig(document, keys)
    if lookup == "isnull":
        return (found is ABSENT) is value
    if found is ABSENT:
        return False
    if lookup == "exact":
        return same_json(found, value)
    if lookup == "in":
        return any(same_json(found, each) for each in value)
    if lookup == "contains" and isinstance(found, list):
        return any(same_json(each, value) for each in found)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if lookup in _ORDER:
        comparable = is_number if not isinstance(value, str) else isinstance(found, str)
        return comparable and _ORDER[lookup](found, value)
    return isinstance(found, str) and isinstance(value, str) and text_compared(found, lookup, value)


def dig(document: Any, keys: tuple[str, ...]) -> Any:
    """Return what lies under some keys, or `ABSENT`."""
    if document is None:
        return ABSENT
    for key in keys:
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdigit() and int(key) < len(document):
            document = document[int(key)]
        else:
            return ABSENT
    return document


def same_json(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal, with their types."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same_json(a, b) for a, b in zip(one, other, strict=True))
    return one == other
