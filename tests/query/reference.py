"""What expressions mean, in plain Python: the reference that the databases are compared with."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from lamart_core.query import And, Comparison, Expression, Not, Or

Row = Mapping[str, Any]
ABSENT = object()
# Relations of books, authors and tags, whose values are rows or lists of rows, and the other names of paths.
RELATIONS = frozenset({"author", "mentor", "students", "books", "tags", "height", "width"})
ALIASES = {"writer": ("author",), "writer_name": ("author", "name"), "labels": ("tags",)}
# What a resolver knows leads through a relation of that name to the value.
MEASURED = {"height": ("height", "value"), "width": ("width", "value")}

_ORDER = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


class Nothing(dict[str, Any]):
    """The record that is not there: all its fields are null, and nothing is related to it."""

    def __missing__(self, name: str) -> None:
        return None


def holds(expression: Expression, row: Row) -> bool:
    """Return whether an expression, with paths as people write them, holds for a row."""
    return _holds(_canonical(expression), row)


def _canonical(expression: Any) -> Any:
    if isinstance(expression, Not):
        return Not(_canonical(expression.operand))
    if isinstance(expression, And | Or):
        return type(expression)(tuple(_canonical(each) for each in expression.operands))
    names: tuple[str, ...] = ()
    for name in expression.path:
        names += ALIASES.get(name) or MEASURED.get(name) or (name,)
    if names[-1] in RELATIONS:
        names += ("id",)
    return Comparison(names, expression.lookup, expression.value)


def _holds(expression: Any, row: Row) -> bool:
    if isinstance(expression, Not):
        return not _holds(expression.operand, row)
    if isinstance(expression, Or):
        return any(_holds(operand, row) for operand in expression.operands)
    operands = expression.operands if isinstance(expression, And) else (expression,)
    together: dict[str, list[Any]] = {}
    for each in operands:
        name = None if isinstance(each, And) else _relation(each)
        if name is not None:
            together.setdefault(name, []).append(_behind(each))
        elif not (_leaf(each, row) if isinstance(each, Comparison) else _holds(each, row)):
            return False
    return all(
        any(_holds(And(tuple(inner)), other) for other in _related(row, name) or [Nothing()])
        for name, inner in together.items()
    )


def _related(row: Row, name: str) -> list[Row]:
    found = row[name]
    return [found] if isinstance(found, Mapping) else list(found or ())


def _relation(expression: Any) -> str | None:
    """Return the relation that all of an expression begins with, if there is one and nothing is negated."""
    if isinstance(expression, Comparison):
        return expression.path[0] if expression.path[0] in RELATIONS else None
    if isinstance(expression, Not) or not expression.operands:
        return None
    names = {_relation(each) for each in expression.operands}
    return names.pop() if len(names) == 1 else None


def _behind(expression: Any) -> Any:
    if isinstance(expression, Comparison):
        return Comparison(expression.path[1:], expression.lookup, expression.value)
    return type(expression)(tuple(_behind(each) for each in expression.operands))


def _leaf(comparison: Comparison, row: Row) -> bool:
    path, lookup, value = comparison.path, comparison.lookup, comparison.value
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
