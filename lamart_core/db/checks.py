"""What every database takes, checked before one is asked: the same values are refused on each, with one message."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, partial
from typing import Any, cast

from sqlalchemy import JSON, BigInteger, Boolean, Date, Integer, SmallInteger, String
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.types import TypeDecorator, TypeEngine

from lamart_core import errors
from lamart_core.db.base import UtcDateTime

# A zero byte is no text for Postgres, and half a character for no database.
_UNFIT = re.compile("[\x00\ud800-\udfff]")
_DEPTH = 100


def check_values(model: type[Any], values: Mapping[str, Any]) -> None:
    """Check the values of columns.

    Args:
        model: The record class.
        values: Values by the name of the column.

    Raises:
        InvalidArgument: A value has the wrong type, is too long or too large, cannot be stored as text or JSON, or is
            None where there must be one.
    """
    columns = _columns(model)
    for name, value in values.items():
        if name not in columns:
            continue
        if value is not None:
            columns[name].check(value)
        elif not columns[name].nullable:
            raise errors.InvalidArgument(f"{model.__name__}.{name} cannot be None")


def check_new(model: type[Any], values: Mapping[str, Any]) -> None:
    """Check the values of a new row; see `check_values`.

    Raises:
        InvalidArgument: A value is wrong, or missing.
    """
    check_values(model, {name: value for name, value in values.items() if value is not None})
    missing = [
        name.removesuffix("_id")
        for name, column in _columns(model).items()
        if column.is_required and values.get(name) is None
    ]
    if missing:
        raise errors.InvalidArgument(f"a {model.__name__} needs a value for {', '.join(missing)}")


@dataclass(frozen=True)
class _Column:
    """What a column takes: found out once, as records come in thousands."""

    check: Callable[[Any], None]
    nullable: bool
    is_required: bool


@cache
def _columns(model: type[Any]) -> dict[str, _Column]:
    return {
        column.name: _Column(
            _check_of(f"{model.__name__}.{column.name}", column.type),
            column.nullable,
            is_required=not column.nullable and not column.primary_key,
        )
        for column in sa_inspect(model).columns
    }


def copied(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Return JSON that shares nothing with what it was made from, as a row gives it back: tuples are lists.

    What is refused when it is checked, because it is nested too deeply or contains itself, is not copied to its end.
    """
    if not isinstance(value, dict | list | tuple) or len(inside) > _DEPTH or id(value) in inside:
        return value
    inside = (*inside, id(value))
    if isinstance(value, dict):
        members = cast("dict[Any, Any]", value)
        return {key: copied(item, inside) for key, item in members.items()}
    return [copied(item, inside) for item in cast("Sequence[Any]", value)]


def _check_of(name: str, kind: TypeEngine[Any]) -> Callable[[Any], None]:
    if isinstance(kind, UtcDateTime):
        return partial(_check_moment, name)
    if isinstance(kind, Date):
        return partial(_check_date, name)
    base = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(base, JSON):
        return partial(_check_dictionary, name)
    if isinstance(base, String):
        return partial(check_text, name, length=base.length)
    if isinstance(base, Boolean):
        return partial(_check_type, name, kind=bool, wanted="True or False")
    if isinstance(base, Integer):
        bits = 63 if isinstance(base, BigInteger) else 15 if isinstance(base, SmallInteger) else 31
        return partial(check_integer, name, bits=bits)
    return lambda value: None


def _check_date(name: str, value: Any) -> None:
    _check_type(name, value, date, "a date")
    if isinstance(value, datetime):
        raise errors.InvalidArgument(f"{name} has to be a date, got the time {_shown(value)}; pass its .date()")


def _check_dictionary(name: str, value: Any) -> None:
    _check_type(name, value, dict, "a dictionary")
    check_json(name, value)


def _check_type(name: str, value: Any, kind: type[Any], wanted: str) -> None:
    if not isinstance(value, kind):
        raise errors.InvalidArgument(f"{name} has to be {wanted}, got {_shown(value)}")


def _check_moment(name: str, value: Any) -> None:
    _check_type(name, value, datetime, "a datetime")
    if value != value or getattr(value, "nanosecond", 0):
        raise errors.InvalidArgument(f"{name} has to be a time in microseconds, got {_shown(value)}")
    try:
        value.astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise errors.InvalidArgument(f"{name} has no time in UTC: {_shown(value)}") from error


def check_text(name: str, value: Any, length: int | None = None) -> None:
    """Check text.

    Raises:
        InvalidArgument: It is no text, too long, or has characters that no database takes.
    """
    _check_type(name, value, str, "text")
    if length is not None and len(value) > length:
        raise errors.InvalidArgument(f"{name} has {len(value):,} characters, more than {length:,}: {value[:40]!r}…")
    found = _UNFIT.search(value)
    if found is not None:
        raise errors.InvalidArgument(
            f"{name} has {found.group()!r} at position {found.start()}, which cannot be stored as text"
        )


def check_integer(name: str, value: Any, bits: int = 63) -> None:
    """Check an integer.

    Raises:
        InvalidArgument: It is no integer, or too large for its column.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise errors.InvalidArgument(f"{name} has to be an integer, got {_shown(value)}")
    if not -(2**bits) <= value < 2**bits:
        raise errors.InvalidArgument(f"{name} does not fit into {bits + 1} bits: {value:,}")


def check_json(name: str, value: Any) -> None:
    """Check that a value is JSON that comes back as it was, a tuple as a list: no sets, no dates, only keys of text.

    Raises:
        InvalidArgument: It is not; the message says where.
    """
    _check_json(name, value, 0)
    size = len(json.dumps(value))
    if size > 2**27:
        raise errors.InvalidArgument(f"{name} has {size:,} characters as JSON; store it as an artifact")


def _check_json(name: str, value: Any, depth: int) -> None:
    if depth > _DEPTH:
        raise errors.InvalidArgument(f"{name[:60]}… is nested more than {_DEPTH} levels deep, or contains itself")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(name, value)
    elif isinstance(value, int):
        check_integer(name, value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise errors.InvalidArgument(f"{name} is {value}, which JSON cannot say")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownArgumentType]
            _check_json(f"{name}[{index}]", item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(f"the key {key!r} of {name}", key)
            _check_json(f"{name}[{key!r}]", item, depth + 1)
    else:
        raise errors.InvalidArgument(f"{name} has to be JSON, got {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__}: {text if len(text) <= 60 else text[:59] + '…'}"
