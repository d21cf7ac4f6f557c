"""Frames of pandas as Arrow tables and back, without a loss.

Arrow's metadata of pandas (the key ``pandas``, which all readers know) bring back most frames. What they would not
bring back is found by asking Arrow what it would make of columns of these types, and written down next to them, under
``lamart:frame``: the dtypes of some columns, the names of columns that are no text, the index. Readers that do not know
it see plain columns. A frame that neither can bring back is refused. Ordinary frames have no such entry.
"""

from __future__ import annotations

import datetime as dt
import json
import warnings
import zoneinfo
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lamart_core.errors import LamartError, UnsupportedObject
from lamart_core.formats.libraries import ArrowArray, ArrowSchema, ArrowTable
from lamart_core.formats.tables.canonical import empty_batch
from lamart_core.formats.tables.exact import exact_frame
from lamart_core.formats.tables.geometry import GEO, with_geometry, without_geometry
from lamart_core.formats.tables.kept import (
    are_distinct,
    are_kept,
    are_kept_names,
    are_text,
    check_frame,
    is_kept,
    is_text,
)
from lamart_core.formats.tables.labels import Labels, with_frequency
from lamart_core.formats.tables.names import levels_of
from lamart_core.formats.tables.objects import WAY_OUT, checked_column, is_of_objects

if TYPE_CHECKING:
    import pandas as pd

# Where pandas keeps DataFrame.attrs, and where we keep what its other metadata do not bring back.
PANDAS_ATTRS = b"PANDAS_ATTRS"
FRAME = b"lamart:frame"

_USE_ANOTHER = "use another dtype"


@dataclass
class _Notes:
    """What pandas' metadata do not bring back.

    Attributes:
        fields: Names of the data columns in the Arrow table.
        columns: Their labels; None where they are those names.
        dtypes: Dtypes of some columns and index levels, by their names in the Arrow table.
        index: The index; None where nothing needs to be said of it.
        unique: Whether the frame does not allow duplicate labels.
    """

    fields: list[str]
    columns: dict[str, Any] | None = None
    dtypes: dict[str, Any] = field(default_factory=lambda: dict[str, Any]())
    index: dict[str, Any] | None = None
    unique: bool = False


def table_from_pandas(df: pd.DataFrame, *, index: bool | None = None, schema: ArrowSchema | None = None) -> ArrowTable:
    """A frame as an Arrow table that ``table_to_pandas`` makes an equal frame of.

    Args:
        df: The frame.
        index: Whether to write the index, as for ``DataFrame.to_parquet``.
        schema: Arrow types that the caller chose; what comes back follows from them.

    Raises:
        UnsupportedObject: A column or name cannot be kept; the message says which.
    """
    df, geo = without_geometry(df)
    check_frame(df)
    if df.shape[1] == 0 and index is None:
        index = True  # without columns only a stored index tells the number of rows
    columns = None if are_kept(df.columns) else LABELS.write_index(df.columns)
    named = df if columns is None else df.set_axis([str(label) for label in df.columns], axis=1)
    if schema is None and not are_distinct([*map(str, named.columns), *df.index.names]):
        named = named.rename_axis([None] * df.index.nlevels)
    table = _converted(named, schema=schema, preserve_index=index)
    if schema is None:
        table = _with_notes(table, named, columns, df.index, index)
    added = {GEO: geo, PANDAS_ATTRS: json.dumps(df.attrs).encode() if df.attrs else None}
    added = {key: value for key, value in added.items() if value is not None}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **added}) if added else table


def table_to_pandas(table: ArrowTable) -> pd.DataFrame:
    """The inverse of ``table_from_pandas``, also for some of its columns or rows."""
    metadata = table.schema.metadata or {}
    df = _from_notes(table, _Notes(**json.loads(metadata[FRAME]))) if FRAME in metadata else exact_frame(table)
    attrs = metadata.get(PANDAS_ATTRS)
    if attrs:
        df.attrs = json.loads(attrs)
    return df


def frame_of(table: ArrowTable) -> pd.DataFrame:
    """What ``load`` returns of an Arrow table that was read.

    Raises:
        UnsupportedObject: The table is whole, but pandas cannot make a frame of it.
    """
    try:
        return with_geometry(table_to_pandas(table), table.schema)
    except (LamartError, MemoryError, ImportError):
        raise
    except Exception as error:
        raise UnsupportedObject(
            f"the file is whole, but pandas makes no frame of it: {type(error).__name__}: {error}. "
            "Load it with as_type=pyarrow.Table"
        ) from error


def arrow_columns(df: pd.DataFrame) -> ArrowTable:
    """The columns of a frame, without its index, for formats that keep neither.

    Raises:
        UnsupportedObject: A column has no Arrow type, or values that would become others.
    """
    table = _converted(df, preserve_index=False)
    return _with_checked_objects(table, df, []).replace_schema_metadata(None)


LABELS = Labels(table_from_pandas, table_to_pandas)


# What is written


def _converted(df: pd.DataFrame, **options: Any) -> ArrowTable:
    import pyarrow as pa

    try:
        with warnings.catch_warnings():
            # Of names and attributes that it does not keep: we do, or say that there are none.
            warnings.simplefilter("ignore", UserWarning)
            return pa.Table.from_pandas(df, **options)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        what, *where = (str(argument) for argument in error.args)
        column = f" ({where[-1].removeprefix('Conversion failed for ')})" if where else ""
        raise UnsupportedObject(f"this DataFrame does not fit{column}: {what}; {WAY_OUT}") from error


def _with_checked_objects(table: ArrowTable, df: pd.DataFrame, levels: list[tuple[str, Any]]) -> ArrowTable:
    """The table, with object columns compared with what they were."""
    for position, (name, values) in enumerate((*_named_columns(table, df), *levels)):
        if values.dtype.kind == "O" and is_of_objects(values.dtype):
            checked = checked_column(values, table.column(position), name)
            if checked is not table.column(position):
                table = table.set_column(position, name, checked)
    return table


def _named_columns(table: ArrowTable, df: pd.DataFrame) -> list[tuple[str, Any]]:
    """The columns of a frame by their names in the Arrow table."""
    return [(name, values) for name, (_, values) in zip(table.column_names, df.items(), strict=False)]


def _with_notes(
    table: ArrowTable, df: pd.DataFrame, columns: dict[str, Any] | None, rows: pd.Index, index: bool | None
) -> ArrowTable:
    metadata = table.schema.pandas_metadata
    descriptors = metadata["index_columns"] if index is not False else []
    levels = [(name, level) for name, level in zip(descriptors, levels_of(rows), strict=False) if isinstance(name, str)]
    table = _with_checked_objects(table, df, levels)
    notes = _Notes(table.column_names[: df.shape[1]], columns, unique=not df.flags.allows_duplicate_labels)
    by_field = {entry["field_name"]: entry for entry in metadata["columns"]}
    data = _named_columns(table, df)
    for position, (name, values) in enumerate((*data, *levels)):
        entry = by_field[name] if position < len(data) else {"numpy_type": "object"}
        column = table.column(position)
        if is_kept(values, column, entry["numpy_type"]):
            continue
        column, notes.dtypes[name] = _described(values, column, name)
        table = table.set_column(position, name, column)
        by_field[name]["numpy_type"] = "object"  # pandas may not know how to read the name of this dtype
    if index is not False:
        notes.index = _index_notes(rows, descriptors, is_noted=any(name in notes.dtypes for name, _ in levels))
    if notes.columns is None and not notes.dtypes and notes.index is None and not notes.unique:
        return table
    # Who has notes does not ask pandas' metadata for anything but dtypes.
    notes.index = notes.index or (_index_notes(rows, descriptors, is_noted=True) if descriptors else None)
    if notes.columns is None and not (are_text(df.columns) and df.columns.name is None):
        notes.columns = LABELS.write_index(df.columns)
    added = {b"pandas": json.dumps(metadata), FRAME: json.dumps(notes.__dict__)}
    table = table.replace_schema_metadata({**table.schema.metadata, **added})
    _check_notes(table, df, notes)
    return table


def _index_notes(index: Any, descriptors: list[Any], *, is_noted: bool) -> dict[str, Any] | None:
    """The index, unless pandas' metadata bring it back."""
    import pandas as pd

    is_multi = isinstance(index, pd.MultiIndex)
    freq = index.freqstr if getattr(index, "freq", None) is not None else None
    is_range = bool(descriptors) and not isinstance(descriptors[0], str)
    is_plain = all(map(is_text, index.names)) and (is_range or are_kept_names(index.names, descriptors))
    if is_plain and freq is None and not is_noted and not (is_multi and index.nlevels == 1):
        return None
    names = [LABELS.write(name) for name in index.names]
    return {
        "range": _range_of(index) if is_range else None,
        "fields": [name for name in descriptors if isinstance(name, str)],
        "names": names,
        "is_multi": is_multi,
        "freq": freq,
    }


def _range_of(index: Any) -> list[int]:
    return [index.start, index.stop, index.step]


def _described(values: Any, column: ArrowArray, name: str) -> tuple[ArrowArray, Any]:
    """A column in a form that can be read by all, and what must be known to get its dtype back."""
    import pandas as pd
    import pyarrow as pa

    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = dtype.categories
        if not pa.types.is_dictionary(column.type) or not pa.types.is_primitive(column.type.value_type):
            codes = pa.array(values.cat.codes if isinstance(values, pd.Series) else values.codes, mask=values.isna())
            texts = pa.array([str(category) for category in categories], pa.string())
            column = pa.chunked_array([pa.DictionaryArray.from_arrays(codes, texts, ordered=bool(dtype.ordered))])
        return column, {"categories": LABELS.write_index(categories)}
    if is_of_objects(dtype):
        return column, "object"
    if isinstance(dtype, pd.ArrowDtype):
        return column, "arrow"
    if isinstance(dtype, pd.StringDtype):
        return column, {"text": [dtype.storage, dtype.na_value is pd.NA]}
    if isinstance(dtype, pd.DatetimeTZDtype):
        zone: Any = dtype.tz
        if isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
            return column, {"zone": zone.key}
        if isinstance(zone, dt.timezone):
            return column, {"offset": zone.utcoffset(None).total_seconds()}
        raise UnsupportedObject(f"column {name!r} has a time zone of {type(zone)}: use zoneinfo.ZoneInfo")
    try:
        if pd.api.types.pandas_dtype(str(dtype)) == dtype:
            return column, {"dtype": str(dtype)}
    except TypeError:
        pass
    raise UnsupportedObject(f"column {name!r} of {dtype} would come back as another type: {_USE_ANOTHER}")


def _check_notes(table: ArrowTable, df: pd.DataFrame, notes: _Notes) -> None:
    """Read what was written, without the rows."""
    import pyarrow as pa

    try:
        found = _from_notes(pa.Table.from_batches([empty_batch(table)]), notes)
        for position, dtype in enumerate(df.dtypes):
            if found.dtypes.iloc[position] != dtype:
                name = df.columns[position]
                raise UnsupportedObject(f"column {name!r} of {dtype} would come back as {found.dtypes.iloc[position]}")
    except UnsupportedObject:
        raise
    except Exception as error:
        raise UnsupportedObject(f"the frame could not be read again: {error}") from error


# What is read


def _from_notes(table: ArrowTable, notes: _Notes) -> pd.DataFrame:
    import pandas as pd

    index_fields = set(notes.index["fields"]) if notes.index else set[str]()
    metadata = table.schema.pandas_metadata or {"columns": []}
    data = [name for name in table.column_names if name not in index_fields]
    plain = [name for name in data if name not in notes.dtypes]
    entries = [entry for entry in metadata["columns"] if entry.get("field_name", entry["name"]) in plain]
    own = {b"pandas": json.dumps({"index_columns": [], "column_indexes": [], "columns": entries})}
    frame = exact_frame(table.select(plain).replace_schema_metadata(own))
    frame.columns = pd.Index(plain, dtype=object)
    for position, name in enumerate(data):
        if name in notes.dtypes:
            frame.insert(position, name, _series(table.column(name), notes.dtypes[name]))
    frame.index = _index(table, notes)
    if notes.columns is not None:
        labels = LABELS.read_index(notes.columns)
        known = {name: position for position, name in enumerate(notes.fields)}
        is_whole = data == notes.fields
        frame.columns = labels if is_whole else labels.take([known[name] for name in data])
    return frame.set_flags(allows_duplicate_labels=False) if notes.unique else frame


def _index(table: ArrowTable, notes: _Notes) -> Any:
    import pandas as pd

    written = notes.index
    rows = pd.RangeIndex(table.num_rows)
    if written is None:
        return rows
    names = [LABELS.read(name) for name in written["names"]]
    if written["range"] is not None:
        kept = pd.RangeIndex(*written["range"])
        return (kept if len(kept) == table.num_rows else rows).rename(names[0])
    levels: list[Any] = []
    for name in written["fields"]:
        if name in table.column_names:
            values = table.column(name)
            how = notes.dtypes.get(name)
            level: Any = values.to_pandas() if how is None else _series(values, how)
            levels.append(pd.Index(level, dtype=level.dtype, name=None))
    if len(levels) != len(names):
        return rows  # it was left out by who asked for some columns
    if written["is_multi"]:
        return pd.MultiIndex.from_arrays(levels, names=names)
    return with_frequency(levels[0].rename(names[0]), written["freq"])


def _series(column: ArrowArray, how: Any) -> Any:
    """A column with the dtype that was written down."""
    import pandas as pd
    import pyarrow as pa

    if how == "object":
        return pd.Series(column.to_pylist(), dtype=object)
    if how == "arrow":
        return pd.Series(pd.array(column, dtype=pd.ArrowDtype(column.type)))
    if "categories" in how:
        coded = column.combine_chunks()
        coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        dtype: Any = pd.CategoricalDtype(LABELS.read_index(how["categories"]), ordered=column.type.ordered)
        return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype))
    if "text" in how:
        storage, is_nullable = how["text"]
        kind: Any = pd.StringDtype(storage) if is_nullable else pd.StringDtype(storage, na_value=float("nan"))
        return pd.Series(kind.__from_arrow__(column))
    if "zone" in how:
        return column.to_pandas().dt.tz_convert(zoneinfo.ZoneInfo(how["zone"]))
    if "offset" in how:
        return column.to_pandas().dt.tz_convert(dt.timezone(dt.timedelta(seconds=how["offset"])))
    dtype = pd.api.types.pandas_dtype(how["dtype"])
    if hasattr(dtype, "__from_arrow__"):
        return pd.Series(dtype.__from_arrow__(column))
    return column.to_pandas().astype(dtype)
