"""What pandas' metadata of Arrow tables bring back of a frame, and what they cannot hold at all."""

from __future__ import annotations

import functools
import json
import warnings
from typing import TYPE_CHECKING, Any, cast

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import ArrowArray, ArrowSchema
from lamart_core.formats.tables.names import check_made_up
from lamart_core.formats.tables.objects import is_of_objects

if TYPE_CHECKING:
    import pandas as pd


def check_frame(df: pd.DataFrame) -> None:
    """Refuse names and attributes that no metadata hold.

    Raises:
        UnsupportedObject: There is one.
    """
    check_made_up([*df.columns, *df.index.names])
    _check_attrs(df.attrs, "DataFrame.attrs")


def _check_attrs(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, member in cast("dict[Any, Any]", value).items():
            if not isinstance(key, str):
                raise UnsupportedObject(f"{where} must hold JSON values: {key!r} is a key that is no text")
            _check_attrs(member, f"{where}[{key!r}]")
    elif isinstance(value, list):
        for position, member in enumerate(cast("list[Any]", value)):
            _check_attrs(member, f"{where}[{position}]")
    elif value is not None and not isinstance(value, str | int | float):
        raise UnsupportedObject(f"{where} must hold JSON values, not a {type(value).__qualname__}")


def are_distinct(names: list[Any]) -> bool:
    """Whether all names that are given are text, and no two are the same."""
    given = [name for name in names if name is not None]
    return all(isinstance(name, str) for name in given) and len(set(given)) == len(given)


def are_kept_names(names: Any, fields: list[Any]) -> bool:
    """Whether the levels of an index have their names in the Arrow table, or none."""
    return all(name == at or (name is None and at != name) for name, at in zip(names, fields, strict=True))


def is_text(name: Any) -> bool:
    """Whether a name is text, or none is given."""
    return name is None or isinstance(name, str)


def are_kept(columns: pd.Index) -> bool:
    """Whether pandas' metadata bring the labels of columns back."""
    import pandas as pd
    import pyarrow as pa

    if are_text(columns):
        return True
    if isinstance(columns, pd.CategoricalIndex):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = pa.Table.from_pandas(pd.DataFrame(columns=columns)).to_pandas().columns
        pd.testing.assert_index_equal(found, columns, exact="equiv")
    except Exception:  # whatever it is: then we write them down ourselves
        return False
    if is_of_objects(columns.dtype) and [type(label) for label in found] != [type(label) for label in columns]:
        return False
    return found.names == columns.names and getattr(columns, "freq", None) is None


def are_text(columns: pd.Index) -> bool:
    """Whether all labels are text, in one level."""
    import pandas as pd

    dtype: Any = columns.dtype
    is_default = is_of_objects(dtype) or (isinstance(dtype, pd.StringDtype) and dtype.na_value is not pd.NA)
    is_simple = columns.nlevels == 1 and is_default and is_text(columns.name)
    return is_simple and all(type(label) is str for label in columns)


def is_kept(values: Any, column: ArrowArray, numpy_type: str) -> bool:
    """Whether pandas' metadata bring the dtype of a column back."""
    import pandas as pd
    import pyarrow as pa

    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if not pa.types.is_dictionary(column.type):
            return False
        if is_of_objects(dtype.categories.dtype) and pa.types.is_string(column.type.value_type):
            return True
        if isinstance(column.type.value_type, pa.BaseExtensionType) or pa.types.is_nested(column.type.value_type):
            return False  # Arrow's files cannot be read
        found: Any = pa.chunked_array([column.chunk(0).slice(0, 0)]).to_pandas().dtype.categories
        same = found.dtype == dtype.categories.dtype and found.equals(dtype.categories)
        return same and [type(v) for v in found] == [type(v) for v in dtype.categories]
    return _loaded_dtype(column.type, numpy_type) == dtype


@functools.lru_cache(maxsize=1024)
def _loaded_dtype(kind: ArrowSchema, numpy_type: str) -> Any:
    """The dtype that Arrow gives to a column without values; None where it fails."""
    import pyarrow as pa

    entry = {"name": "a", "field_name": "a", "pandas_type": "", "numpy_type": numpy_type, "metadata": None}
    metadata = {"index_columns": [], "column_indexes": [], "columns": [entry]}
    table = pa.table({"a": pa.array([], kind)}).replace_schema_metadata({b"pandas": json.dumps(metadata)})
    try:
        return table.to_pandas().dtypes.iloc[0]
    except Exception:  # it knows neither the type nor its name
        return None
