"""Tables for formats that know columns only: what becomes of the index, and which names they can have."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import PANDAS, ArrowTable
from lamart_core.formats.tables.frames import arrow_columns
from lamart_core.formats.tables.names import UNNAMED_LEVEL, check_made_up, listed

if TYPE_CHECKING:
    import pandas as pd


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
    check_made_up([*df.columns, *df.index.names])
    names = Counter([*map(str, df.columns), *(str(name) for name in df.index.names if name is not None)])
    repeated = [name for name, times in names.items() if times > 1]
    if repeated:
        raise UnsupportedObject(f"The index has the name of a column: {listed(repeated)}; rename one of them")
    table = arrow_columns(df.set_axis([str(name) for name in df.columns], axis=1))
    if only_counts_rows(df):
        return table
    levels = [name if name is not None else f"__index_level_{n}__" for n, name in enumerate(df.index.names)]
    frame: Any = df.index.set_names(range(df.index.nlevels)).to_frame(index=False)
    index = arrow_columns(frame.set_axis([str(name) for name in levels], axis=1))
    return pa.table([*index.columns, *table.columns], names=[*index.column_names, *table.column_names])


def with_unnamed_index(df: pd.DataFrame) -> pd.DataFrame:
    """The inverse of ``flat_table``: levels without a name are the index again; named ones stay columns."""
    levels = [name for name in df.columns if isinstance(name, str) and UNNAMED_LEVEL.fullmatch(name)]
    return df.set_index(levels).rename_axis([None] * len(levels)) if levels else df
