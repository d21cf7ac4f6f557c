"""What every database takes, checked before one is asked: the same values are refused on each, with one message."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache, partial
from typing import Any

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
        values: Values by the name of the column; None is not checked.

    Raises:
        InvalidArgument: A value has the wrong type, is too long or too large, or cannot be stored as text or JSON.
    """
    checks = _checks(model)
    for name, value in values.items():
        if value is not None and name in checks:
            checks[name](value)


Check = Callable[[Any], None]


@cache
def _checks(model: type[Any]) -> dict[str, Check]:
    """Return what is asked of the values of each column: found once, for records come in thousands."""
    found = {
        column.name: _check_of(f"{model.__name__}.{column.name}", column.type) for column in sa_inspect(model).columns
    }
    return {name: check for name, check in found.items() if check is not None}


def _check_of(name: str, kind: TypeEngine[Any]) -> Check | None:
    if isinstance(kind, UtcDateTime):
        return partial(_check_type, name, kind=datetime, wanted="a datetime")
    if isinstance(kind, Date):
        return partial(_check_type, name, kind=date, wanted="a date")
    base = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(base, JSON):
        return partial(check_json, name)
    if isinstance(base, String):
        return partial(check_text, name, length=base.length)
    if isinstance(base, Boolean):
        return partial(_check_type, name, kind=bool, wanted="True or False")
    if isinstance(base, Integer):
        bits = 63 if isinstance(base, BigInteger) else 15 if isinstance(base, SmallInteger) else 31
        return partial(check_integer, name, bits=bits)
    return None


def _check_type(name: str, value: Any, kind: type[Any], wanted: str) -> None:
    if not isinstance(value, kind):
        raise errors.InvalidArgument(f"{name} has to be {wanted}, got {_shown(value)}")


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
