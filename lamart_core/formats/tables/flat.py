"""Tables for formats that know columns only: what becomes of the index, and which names they can have."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import ARROW, PANDAS, ArrowTable

if TYPE_CHECKING:
    import pandas as pd

# What Arrow calls the levels of an index that have no name.
_UNNAMED_LEVEL = re.compile(r"__index_level_\d+__")
_SHOWN = 3


def check_names(obj: Any) -> None:
    """Refuse two columns of one name: readers rename one of them, drop it, or fail.

    Raises:
        UnsupportedObject: Two columns of a pandas, Arrow or polars table have the same name.
    """
    names = obj.column_names if ARROW.matches(obj) else obj.columns
    repeated = [name for name, times in Counter(map(str, names)).items() if times > 1]
    if repeated:
        kind = type(obj).__name__
        raise UnsupportedObject(f"The columns of a {kind} need different names; repeated: {_listed(repeated)}")


def check_columns(table: Any, what: str) -> None:
    """Refuse a table without columns, whose number of rows nothing would tell.

    Raises:
        UnsupportedObject: There is no column.
    """
    if (table.shape[1] if PANDAS.matches(table) else table.num_columns) == 0:
        raise UnsupportedObject(f"{what} cannot hold a table without columns: use .parquet")


def only_counts_rows(df: pd.DataFrame) -> bool:
    """Whether the index says nothing: 0, 1, 2, … without a name."""
    import pandas as pd

    index = df.index
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None


def flat_table(df: pd.DataFrame, what: str) -> ArrowTable:
    """A frame as Arrow columns: the index is one of them unless it only counts the rows.

    A level without a name gets one that ``with_unnamed_index`` recognises.

    Raises:
        UnsupportedObject: The format cannot hold the names.
    """
    import pandas as pd
    import pyarrow as pa

    if isinstance(df.columns, pd.MultiIndex):
        raise UnsupportedObject(f"{what} has no columns of several levels: use .parquet")
    names = Counter([*map(str, df.columns), *(str(name) for name in df.index.names if name is not None)])
    repeated = [name for name, times in names.items() if times > 1]
    if repeated:
        raise UnsupportedObject(f"The index has the name of a column: {_listed(repeated)}; rename one of them")
    table = pa.Table.from_pandas(df, preserve_index=False).replace_schema_metadata(None)
    if only_counts_rows(df):
        return table
    index = pa.Table.from_pandas(df.iloc[:, :0], preserve_index=True)  # Arrow would put it behind the columns
    return pa.table([*index.columns, *table.columns], names=[*index.column_names, *table.column_names])


def with_unnamed_index(df: pd.DataFrame) -> pd.DataFrame:
    """The inverse of ``flat_table``: levels without a name are the index again; named ones stay columns."""
    levels = [name for name in df.columns if isinstance(name, str) and _UNNAMED_LEVEL.fullmatch(name)]
    return df.set_index(levels).rename_axis([None] * len(levels)) if levels else df


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more
