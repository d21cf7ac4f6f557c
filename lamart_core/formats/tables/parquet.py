"""Parquet: the default format of tables. Keeps the index and all dtypes."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import ArrowArray, ArrowSchema, ArrowTable
from lamart_core.formats.tables.base import TableFormat, check_keywords, parameters_of, require_polars
from lamart_core.formats.tables.pyarrow_datasets import open_for_jumps

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

# Parquet returns some column types changed: categories that are no strings, the categories of an empty table,
# seconds. The file's key-value metadata say what they were, as an empty Arrow stream (base64, since values are text).
# Other readers ignore it.
ORIGINAL_TYPES = b"lamart:original_types"
# Where pandas keeps DataFrame.attrs.
PANDAS_ATTRS = b"PANDAS_ATTRS"

_RESERVED = {
    "path": "the place is chosen by the registry",
    "where": "the place is chosen by the registry",
    "filesystem": "the place is chosen by the registry",
    "storage_options": "the place is chosen by the registry",
    "partition_cols": "it writes a folder; write the folder yourself and pass its path",
}


class ParquetFormat(TableFormat):
    """Tables as Parquet, written by pyarrow with the defaults of ``DataFrame.to_parquet``."""

    name = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    options_name = "parquet_kwargs"

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        accepted = _writer_keywords() if options else frozenset[str]()
        check_keywords("parquet_kwargs", options, accepted, reserved=_RESERVED)
        if options.get("engine", "pyarrow") not in ("auto", "pyarrow"):
            check_keywords("parquet_kwargs", options, accepted, reserved={"engine": "only pyarrow is used"})

    def _write_pandas(self, df: pd.DataFrame, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        index = options.get("index")
        table = table_from_pandas(df, index=index, schema=options.get("schema"))
        self._write_arrow(table, path, suffix, options)

    def _write_arrow(self, table: ArrowTable, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        import pyarrow.parquet as pq

        originals = _types_that_change(table)
        if originals is not None:
            table = table.replace_schema_metadata({**(table.schema.metadata or {}), ORIGINAL_TYPES: originals})
        passed: dict[str, Any] = {k: v for k, v in options.items() if k not in ("index", "schema", "engine")}
        passed.setdefault("compression", "snappy")
        pq.write_table(table, str(path), **passed)

    def _read_pandas(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pd.DataFrame:
        import pandas as pd
        import pyarrow.parquet as pq

        if "dtype_backend" in options or ORIGINAL_TYPES not in (pq.read_schema(path).metadata or {}):
            passed: dict[str, Any] = {"engine": "pyarrow", **options}
            return pd.read_parquet(path, **passed)
        return table_to_pandas(self._read_arrow(path, suffix, {k: v for k, v in options.items() if k != "engine"}))

    def _read_arrow(self, path: Path, suffix: str, options: Mapping[str, Any]) -> ArrowTable:
        import pyarrow.parquet as pq

        # No partitions are read out of the names of the folders above a single file.
        passed: dict[str, Any] = {"partitioning": None, **options}
        return _restore_types(pq.read_table(str(path), **passed))

    def dataset_format(self, suffix: str) -> Any:
        """Parquet."""
        return "parquet"

    def _scan_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.LazyFrame:
        require_polars("Reading a parquet file with polars")
        import polars as pl

        passed: dict[str, Any] = {"glob": False, **options}
        return pl.scan_parquet(path, **passed)

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Rows as the footer tells them."""
        import pyarrow.parquet as pq

        with reading(path, self.name), open_for_jumps(path) as file:
            return pq.read_metadata(file).num_rows


def table_from_pandas(df: pd.DataFrame, *, index: bool | None = None, schema: ArrowSchema | None = None) -> ArrowTable:
    """A frame as an Arrow table whose metadata bring back index, dtypes and ``attrs``."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(df.columns, pd.CategoricalIndex):
        # Their type cannot be read back: pandas' metadata name it, but not its categories.
        df = df.set_axis(pd.Index(df.columns.astype(df.columns.categories.dtype), name=df.columns.name), axis=1)
    if df.shape[1] == 0 and index is None:
        index = True  # without columns only a stored index tells the number of rows
    try:
        attrs = json.dumps(df.attrs).encode()
    except (TypeError, ValueError) as error:
        raise UnsupportedObject(f"DataFrame.attrs must hold JSON values: {error}") from error
    table = pa.Table.from_pandas(df, schema=schema, preserve_index=index)
    if not df.attrs:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), PANDAS_ATTRS: attrs})


def table_to_pandas(table: ArrowTable) -> pd.DataFrame:
    """The inverse of ``table_from_pandas``."""
    df = table.to_pandas()
    attrs = (table.schema.metadata or {}).get(PANDAS_ATTRS)
    if attrs:
        df.attrs = json.loads(attrs)
    return df


def _types_that_change(table: ArrowTable) -> bytes | None:
    """The columns whose type Parquet would return changed, as an empty, encoded Arrow stream; None if there is none."""
    import pyarrow as pa

    def changes(field: ArrowSchema) -> bool:
        kind = field.type
        if pa.types.is_dictionary(kind):
            text = pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
            return not text or table.num_rows == 0
        return pa.types.is_timestamp(kind) and kind.unit == "s"

    fields = [field for field in table.schema if changes(field)]
    if not fields:
        return None
    names = [field.name for field in fields]
    empty = [_empty_like(table.column(name)) for name in names]
    sink = pa.BufferOutputStream()
    batch = pa.record_batch(empty, schema=pa.schema(fields))
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return base64.b64encode(sink.getvalue().to_pybytes())


def _empty_like(column: ArrowArray) -> ArrowArray:
    """No values, but the dictionary of the column."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return pa.array([], type=column.type)
    unified = column.unify_dictionaries()
    if unified.num_chunks:
        return unified.chunk(0).slice(0, 0)
    return pa.array([], type=column.type)


def _restore_types(table: ArrowTable) -> ArrowTable:
    """Give columns the types that they had when they were written."""
    import pyarrow as pa

    encoded = (table.schema.metadata or {}).get(ORIGINAL_TYPES)
    if encoded is None:
        return table
    with pa.ipc.open_stream(base64.b64decode(encoded)) as stream:
        originals = stream.read_next_batch()
    for name in originals.schema.names:
        position = table.schema.get_field_index(name)
        if position >= 0:
            field = originals.schema.field(name)
            restored = _restore_column(table.column(position), originals.column(name))
            table = table.set_column(position, field, restored)
    metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != ORIGINAL_TYPES}
    return table.replace_schema_metadata(metadata)


def _restore_column(column: ArrowArray, original: ArrowArray) -> ArrowArray:
    import pyarrow as pa
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are made at import: no type checker sees them
    kind = original.type
    if not pa.types.is_dictionary(kind):
        return column.cast(kind)
    plain = column.cast(kind.value_type) if column.type != kind.value_type else column
    codes = compute.index_in(plain, value_set=original.dictionary, skip_nulls=True)
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.cast(kind.index_type), original.dictionary, ordered=kind.ordered)
        for chunk in codes.chunks
    ]
    return pa.chunked_array(chunks or [original], type=kind)


@functools.cache
def _writer_keywords() -> frozenset[str]:
    import pandas as pd
    import pyarrow.parquet as pq

    keywords = parameters_of(pd.DataFrame.to_parquet, pq.write_table, pq.ParquetWriter.__init__)
    return (keywords | {"schema"}) - {"table", *_RESERVED}
