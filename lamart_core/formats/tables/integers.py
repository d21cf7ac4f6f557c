"""Whole numbers beside missing ones: pandas makes floats of them, which hold them up to 2**53 only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamart_core.formats.libraries import ArrowArray, ArrowTable

if TYPE_CHECKING:
    import pandas as pd

EXACT_IN_FLOAT = 2**53


def exact_frame(table: ArrowTable) -> pd.DataFrame:
    """A table as Arrow makes a frame of it, but with ``Int64`` where floats would lose digits."""
    import pandas as pd
    import pyarrow as pa

    df = table.to_pandas()
    for position, name in enumerate(df.columns):
        # An integer column with missing values that metadata do not call by a nullable dtype.
        if df.dtypes.iloc[position] not in (float, object):
            continue
        where = table.schema.get_field_index(str(name))
        if where < 0 or not loses_digits(table.column(where)):
            continue
        column = table.column(where)
        if pa.types.is_integer(column.type):
            kind: Any = pd.UInt64Dtype() if pa.types.is_unsigned_integer(column.type) else pd.Int64Dtype()
            df.isetitem(position, pd.Series(kind.__from_arrow__(column), index=df.index))
        else:
            df.isetitem(position, column.to_pandas(integer_object_nulls=True).set_axis(df.index))
    return df


def loses_digits(column: ArrowArray) -> bool:
    """Whether a column has a missing whole number, also within lists and structs, beside one beyond 2**53."""
    import pyarrow as pa
    import pyarrow.compute

    compute: Any = pyarrow.compute
    kind = column.type
    if pa.types.is_integer(kind):
        if kind.bit_width < 64 or column.null_count == 0:
            return False
        found = compute.min_max(column)
        least, most = found["min"].as_py(), found["max"].as_py()
        return most is not None and max(-least, most) > EXACT_IN_FLOAT
    if pa.types.is_struct(kind):
        return any(loses_digits(compute.struct_field(column, [i])) for i in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _has_wide(kind) and loses_digits(compute.list_flatten(column))
    return False


def _has_wide(kind: Any) -> bool:
    """Whether a type holds integers of 64 bits, so that their values must be looked at."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(_has_wide(member.type) for member in kind)
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return _has_wide(kind.value_type) if nested else kind in (pa.int64(), pa.uint64())
