"""Values that Arrow changes on the way to pandas.

Whole numbers beside missing ones become floats, which hold them up to 2**53 only, and within structs always;
nanoseconds within structs become numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamart_core.formats.libraries import ArrowArray, ArrowTable

if TYPE_CHECKING:
    import pandas as pd

EXACT_IN_FLOAT = 2**53


def exact_frame(table: ArrowTable) -> pd.DataFrame:
    """A table as Arrow makes a frame of it, but with ``Int64`` or Python objects where values would be others."""
    import pandas as pd
    import pyarrow as pa

    df = table.to_pandas()
    for position, name in enumerate(df.columns):
        # An integer column with missing values that metadata do not call by a nullable dtype.
        if df.dtypes.iloc[position] not in (float, object):
            continue
        where = table.schema.get_field_index(str(name))
        column = table.column(where) if where >= 0 else None
        if column is None or not (_has_members(column.type) or loses_digits(column)):
            continue
        if pa.types.is_integer(column.type):
            kind: Any = pd.UInt64Dtype() if pa.types.is_unsigned_integer(column.type) else pd.Int64Dtype()
            df.isetitem(position, pd.Series(kind.__from_arrow__(column), index=df.index))
        elif _is_list(column.type) and not _has_members(column.type):
            df.isetitem(position, column.to_pandas(integer_object_nulls=True).set_axis(df.index))
        else:
            df.isetitem(position, pd.Series(column.to_pylist(), dtype=object, index=df.index))
    return df


def exact_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as pandas makes a frame of them, with the same exception."""
    import pandas as pd

    df = pd.DataFrame(rows)
    for position, name in enumerate(df.columns):
        if df.dtypes.iloc[position] in (float,) and df.iloc[:, position].abs().max() > EXACT_IN_FLOAT:
            values = [row.get(name) for row in rows]
            if all(value is None or type(value) is int for value in values):
                most = max(value for value in values if value is not None)
                df.isetitem(position, pd.array(values, dtype="Int64" if most < 2**63 else "UInt64"))
    return df


def loses_digits(column: ArrowArray) -> bool:
    """Whether a column has a missing whole number, also within lists, beside one beyond 2**53."""
    import pyarrow.compute

    compute: Any = pyarrow.compute
    kind = column.type
    if not _is_wide(kind):
        return False
    if _is_list(kind):
        return loses_digits(compute.list_flatten(column))
    if column.null_count == 0:
        return False
    found = compute.min_max(column)
    least, most = found["min"].as_py(), found["max"].as_py()
    return most is not None and max(-least, most) > EXACT_IN_FLOAT


def _has_members(kind: Any) -> bool:
    """Whether a type is that of dicts, or of lists of them."""
    import pyarrow as pa

    return pa.types.is_struct(kind) or pa.types.is_map(kind) or (_is_list(kind) and _has_members(kind.value_type))


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_wide(kind: Any) -> bool:
    """Whether a type is that of integers of 64 bits, or of lists of them: their values must be looked at."""
    import pyarrow as pa

    return _is_wide(kind.value_type) if _is_list(kind) else kind in (pa.int64(), pa.uint64())
