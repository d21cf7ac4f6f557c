"""Columns of Python objects as Arrow columns, compared with what they were.

Arrow takes the type of a column of objects from its values, and makes the others fit: moments lose their nanoseconds or
their zone, text beside bytes becomes bytes, sets become lists in no order. So the values that Arrow has are compared
with those that were passed, except where their types prove them equal.
"""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import uuid
from collections.abc import Mapping, Sequence, Set
from typing import Any, cast

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import ArrowArray, ArrowSchema

_ROWS_AT_ONCE = 1 << 16
_SHOWN_CHARACTERS = 60
WAY_OUT = "convert the column to one type, or to text"


def checked_column(values: Any, column: ArrowArray, name: object) -> ArrowArray:
    """The Arrow column of a pandas column of objects, if it means the same.

    Args:
        values: The pandas series or index level.
        column: What Arrow made of it.
        name: Its name, for messages.

    Returns:
        The column; with nanoseconds where the values have them, and with the members of dicts in the order of their
        names, so that equal dicts are equal bytes.

    Raises:
        UnsupportedObject: A value would come back as another one.
    """
    if _is_proven(values, column.type):
        return column
    column = _with_sorted_members(values, column)
    different = _first_difference(values, column)
    if different is not None and (finer := _finer(column.type)) is not None:
        import pyarrow as pa

        try:
            column = pa.chunked_array([pa.array(values, type=finer, from_pandas=True)])
        except (pa.ArrowException, OverflowError, ValueError):
            pass
        else:
            different = _first_difference(values, column)
    if different is not None:
        row, before, after = different
        raise UnsupportedObject(
            f"column {name!r} holds {_shown(before)} in row {row}, which would come back as {_shown(after)}: {WAY_OUT}"
        )
    return column


def is_of_objects(dtype: Any) -> bool:
    """Whether a dtype is NumPy's for any Python objects."""
    return str(dtype) == "object"


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one: None, NaN, NaT or pandas' NA."""
    import pandas as pd

    if value is None or value is pd.NaT or value is pd.NA:
        return True
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    return isinstance(value, float) and value != value


def _is_proven(values: Any, kind: ArrowSchema) -> bool:
    """Whether the types alone say that the values are the same."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return True  # anything beside text and missing values would have made it another type
    found: set[type] = set(map(type, values.to_numpy())) - {type(None)}
    if found <= _proving_types().get(kind.id, frozenset()):
        return True
    if found == {np.ndarray} and pa.types.is_list(kind):
        try:
            return all(pa.from_numpy_dtype(d) == kind.value_type for d in {v.dtype for v in values if v is not None})
        except (pa.ArrowNotImplementedError, AttributeError):
            return False
    return False


@functools.cache
def _proving_types() -> Mapping[int, frozenset[type]]:
    import numpy as np
    import pyarrow as pa

    def of(*kinds: type) -> frozenset[type]:
        return frozenset(kinds)

    integers = of(int, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
    return {
        pa.int64().id: integers,
        pa.uint64().id: integers,
        pa.float64().id: of(float, np.float32, np.float64),
        pa.bool_().id: of(bool, np.bool_),
        pa.binary().id: of(bytes),
        pa.date32().id: of(dt.date),
        pa.time64("us").id: of(dt.time),
        pa.decimal128(1).id: of(decimal.Decimal),
        pa.uuid().id: of(uuid.UUID),
    }


def _first_difference(values: Any, column: ArrowArray) -> tuple[int, Any, Any] | None:
    """Row, value before and value after of the first value that is another one; None if there is none."""
    objects = values.to_numpy()
    for start in range(0, len(objects), _ROWS_AT_ONCE):
        after = column.slice(start, _ROWS_AT_ONCE).to_pylist(maps_as_pydicts="lossy")
        for row, (old, new) in enumerate(zip(objects[start : start + _ROWS_AT_ONCE], after, strict=True), start):
            if not _is_same(old, new):
                return row, old, new
    return None


def _is_same(before: Any, after: Any) -> bool:
    import numpy as np

    if after is None or is_missing(before):
        return is_missing(before) and is_missing(after)
    if isinstance(before, np.ndarray):
        before = before.tolist()
    if isinstance(before, Mapping):
        members = cast("Mapping[Any, Any]", before)
        return (
            isinstance(after, dict)
            and members.keys() <= after.keys()
            and all(_is_same(members.get(name), value) for name, value in after.items())
        )
    if isinstance(before, list | tuple):
        items = cast("Sequence[Any]", before)
        return isinstance(after, list) and len(items) == len(after) and all(map(_is_same, items, after))
    if isinstance(before, dt.datetime | np.datetime64):
        has_zone = getattr(before, "utcoffset", lambda: None)
        return isinstance(after, dt.datetime) and bool(before == after) and has_zone() == after.utcoffset()
    kinds = (str, bool | np.bool_, bytes | bytearray | memoryview, dt.date, Set)
    if any(isinstance(before, kind) != isinstance(after, kind) for kind in kinds):
        return False
    return bool(before == after)


def _finer(kind: ArrowSchema) -> ArrowSchema | None:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("ns", kind.tz)
    return pa.duration("ns") if pa.types.is_duration(kind) else None


def _with_sorted_members(values: Any, column: ArrowArray) -> ArrowArray:
    import pyarrow as pa

    wanted = _sorted_type(column.type)
    if str(wanted) == str(column.type):
        return column
    return pa.chunked_array([pa.array(values, type=wanted, from_pandas=True)])


def _sorted_type(kind: ArrowSchema) -> ArrowSchema:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        members = sorted(kind, key=lambda member: member.name)
        return pa.struct([(member.name, _sorted_type(member.type)) for member in members])
    return pa.list_(_sorted_type(kind.value_type)) if pa.types.is_list(kind) else kind


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
