"""What a function was called with, or a run is told, as JSON that any database takes."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import math
import os
import types
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from lamart_core.lineage.redact import redacted, redacted_text
from lamart_core.records import SQLRecord

MAX_TEXT = 1_000
MAX_REPR = 200
MAX_ITEMS = 100
MAX_DEPTH = 6


def json_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON without secrets.

    Scalars of NumPy, pandas and others with one value are that value, members of enumerations theirs, data classes and
    models their fields. Records are named by class and uid, paths and times are texts, what is missing is null, and
    what JSON does not know is a short `repr`. Long texts and collections are cut, so that no call writes its data into
    the database.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> json_params({"path": Path("in.csv"), "size": (2, 3), "token": "x", "n_top": np.int64(2000)})
        {'path': 'in.csv', 'size': [2, 3], 'token': '***', 'n_top': 2000}
    """
    return redacted({_clean(str(name)): _json(value, MAX_DEPTH) for name, value in params.items()})


def records_in(value: Any, depth: int = MAX_DEPTH) -> Iterator[SQLRecord]:
    """Give the records among arguments, those inside of lists, sets and dictionaries too."""
    if isinstance(value, SQLRecord):
        yield value
    elif depth and isinstance(value, Mapping):
        for member in cast("Mapping[Any, Any]", value).values():
            yield from records_in(member, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for member in cast("Sequence[Any]", value):
            yield from records_in(member, depth - 1)


def _json(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _json(value.value, depth)
    if isinstance(value, int):
        # Databases have no larger numbers; as text it is the same on all.
        return int(value) if -(2**63) <= value < 2**63 else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    # Remote paths have a protocol.
    if isinstance(value, str | os.PathLike) or isinstance(getattr(value, "protocol", None), str):
        # Secrets go before the text is cut: half of one has no form that tells.
        return _cut(redacted_text(str(value)[: 10 * MAX_TEXT]), MAX_TEXT)
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() and Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat() if value == value else None  # no time is not equal to itself
    if isinstance(value, timedelta):
        return str(value) if value == value else None
    if isinstance(value, UUID):
        return str(value)
    if type(value).__name__ == "NAType":
        return None
    if getattr(value, "shape", None) == () and hasattr(value, "dtype") and hasattr(value, "item"):
        return _scalar(value, depth)
    if isinstance(value, SQLRecord):
        named = vars(value).get("uid") or vars(value).get("id") or "unsaved"
        return f"{type(value).__name__}[{named}]"
    return _collection(value, depth - 1) if depth else _short(value)


def _collection(value: Any, depth: int) -> Any:
    named = _fields(value)
    if named is not None:
        value = named
    if isinstance(value, Mapping):
        members = list(cast("Mapping[Any, Any]", value).items())
        shown = {_clean(str(key)): _json(member, depth) for key, member in members[:MAX_ITEMS]}
        return shown | ({"…": f"{len(members) - MAX_ITEMS} more"} if len(members) > MAX_ITEMS else {})
    if isinstance(value, list | tuple | Set):
        items = list(cast("Sequence[Any]", value))
        shown = [_json(item, depth) for item in items[:MAX_ITEMS]]
        return shown + ([f"… {len(items) - MAX_ITEMS} more"] if len(items) > MAX_ITEMS else [])
    return _short(value)


def _scalar(value: Any, depth: int) -> Any:
    """Return the one value of a scalar or of an array without dimensions, of whatever library."""
    if getattr(value.dtype, "kind", "") in "mM":  # times that Python has no precision for are texts
        text = str(value)
        return None if text == "NaT" else text
    try:
        single = value.item()
    except Exception:  # not computed yet, on another device, …: no value of a parameter
        return _short(value)
    return _short(value) if type(single) is type(value) else _json(single, depth)


def _fields(value: Any) -> dict[str, Any] | None:
    """Return what a data class, a model of pydantic, a class of attrs or a name space consists of."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    elif (attributes := getattr(type(value), "__attrs_attrs__", None)) is not None:
        names = [attribute.name for attribute in attributes]
    elif isinstance(fields := getattr(type(value), "model_fields", None), Mapping):
        names = list(cast("Mapping[str, Any]", fields))
    elif isinstance(value, argparse.Namespace | types.SimpleNamespace):
        names = list(vars(value))
    else:
        return None
    return {name: getattr(value, name, None) for name in names}


def _short(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{type(value).__name__} of {len(value)} bytes>"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):  # tables and arrays: their values are data, not parameters
        return _cut(f"<{type(value).__name__} {shape}>", MAX_REPR)
    if callable(value):
        return _cut(
            f"<{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', type(value).__name__)}>", 200
        )
    try:
        text = repr(value)
    except Exception:  # whatever the class of a stranger does, the call goes on
        text = f"<{type(value).__name__}>"
    return _cut(redacted_text(text[: 10 * MAX_REPR]), MAX_REPR)


def _cut(text: str, length: int) -> str:
    return _clean(text if len(text) <= length else text[: length - 1] + "…")


def _clean(text: str) -> str:
    # Postgres stores neither NUL nor half of a surrogate pair.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "backslashreplace").decode("utf-8")
