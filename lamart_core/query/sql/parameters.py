"""Turn Python values into bound parameters that mean the same on every database."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Float, String, literal

from lamart_core import errors
from lamart_core.query.language.model import Field, FieldKind

_MAX_INTEGER = 2**63 - 1


def bind(field: Field, value: Any) -> ColumnElement[Any]:
    """Return `value` as a parameter to compare `field` with.

    Raises:
        InvalidArgument: A value of this type can never equal one of the field.
    """
    value = plain(value)
    match field.kind:
        case FieldKind.TEXT:
            return literal(text(value, field.name), String)
        case FieldKind.INTEGER | FieldKind.FLOAT:
            return _number(field, value)
        case FieldKind.BOOLEAN:
            if isinstance(value, int) and value in (0, 1):
                return literal(bool(value), field.column.type)
            raise _mismatch(field, value, "True or False")
        case FieldKind.DATETIME:
            return literal(moment(value, field.name), field.column.type)
        case FieldKind.DATE:
            return literal(day(value, field.name), field.column.type)
        case FieldKind.JSON | FieldKind.OTHER:
            return literal(value, field.column.type)


def plain(value: Any) -> Any:
    """Return the Python value of a NumPy scalar, and anything else as it is."""
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    return value


def text(value: Any, name: str) -> str:
    """Return `value` if it is text that a database can hold.

    Raises:
        InvalidArgument: It is not.
    """
    if not isinstance(value, str):
        raise errors.InvalidArgument(f"{name} is text; it cannot be compared with {value!r} ({type(value).__name__})")
    if "\x00" in value or re.search("[\ud800-\udfff]", value):
        raise errors.InvalidArgument(f"{name} is compared with {value!r}, which no database can store as text")
    return str.__str__(value)


def moment(value: Any, name: str) -> datetime:
    """Return a point in time; ISO text is parsed, a date is its first moment, a naive one is UTC.

    Raises:
        InvalidArgument: The value is no point in time.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise errors.InvalidArgument(f"{name} is a time; {value!r} is not ISO 8601") from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise errors.InvalidArgument(f"{name} is a time; it cannot be compared with {value!r}")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def day(value: Any, name: str) -> date:
    """Return a date; ISO text is parsed.

    Raises:
        InvalidArgument: The value is no date.
    """
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise errors.InvalidArgument(f"{name} is a date; {value!r} is not ISO 8601") from error
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    if isinstance(value, date):
        return value
    raise errors.InvalidArgument(f"{name} is a date; it cannot be compared with {value!r}")


def members(value: Any, keyword: str) -> list[Any]:
    """Return the values of an `in` lookup.

    Raises:
        InvalidArgument: The value is one text or no iterable.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise errors.InvalidArgument(f"{keyword}__in takes a list of values, got {value!r}")
    return list(value)


def bounds(value: Any, keyword: str) -> tuple[Any, Any]:
    """Return the two ends of a `range` lookup.

    Raises:
        InvalidArgument: There are not two of them.
    """
    ends = members(value, keyword) if not isinstance(value, str) else []
    if len(ends) != 2 or None in ends:
        raise errors.InvalidArgument(f"{keyword}__range takes the first and the last value, got {value!r}")
    return ends[0], ends[1]


def flag(value: Any, keyword: str) -> bool:
    """Return the value of an `isnull` lookup.

    Raises:
        InvalidArgument: It is neither True nor False.
    """
    value = plain(value)
    if not isinstance(value, bool):
        raise errors.InvalidArgument(f"{keyword}__isnull takes True or False, got {value!r}")
    return value


def pattern(value: Any, name: str) -> str:
    """Return a regular expression.

    Raises:
        InvalidArgument: It cannot be compiled.
    """
    expression = text(value, name)
    try:
        re.compile(f"(?i:{expression})")  # in a group, as lookups that ignore letter case use it
    except re.error as error:
        raise errors.InvalidArgument(f"{expression!r} is no regular expression: {error}") from error
    return expression


def _number(field: Field, value: Any) -> ColumnElement[Any]:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise _mismatch(field, value, "a number")
    if isinstance(value, Integral):
        return _integer(int(value))
    number = float(value)
    if math.isnan(number):
        raise _mismatch(field, value, "a number")
    if field.kind is FieldKind.INTEGER and number.is_integer():
        return _integer(int(number))
    if isinstance(value, Decimal) and field.kind is FieldKind.FLOAT:
        return literal(value, field.column.type)
    return literal(number, Float(53))


def _integer(number: int) -> ColumnElement[Any]:
    if abs(number) <= _MAX_INTEGER:
        return literal(number, BigInteger)
    # Larger than any stored integer: only its order matters, and every database knows infinity.
    return literal(math.inf if number > 0 else -math.inf, Float(53))


def _mismatch(field: Field, value: Any, expected: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"{field.name} is compared with {expected}, got {value!r} ({type(value).__name__}); "
        f"use {field.name}__isnull for missing values"
    )
