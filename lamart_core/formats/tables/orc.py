"""ORC. Its types are fewer than Arrow's, and it keeps no metadata of ours.

Values come back equal, in a wider type where ORC does not have theirs: categories as their values, unsigned numbers as
signed ones, moments in nanoseconds, those of a time zone as the same moments in UTC. A *named* index comes back as a
column, an unnamed one that does not only count the rows as the index. Durations, times of day and other types are
refused.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from io import BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import ArrowSchema, ArrowTable
from lamart_core.formats.tables.base import TableFormat, check_wanted, require_polars, scan_dataset
from lamart_core.formats.tables.canonical import in_one_piece, without_hidden_values
from lamart_core.formats.tables.flat import check_columns, flat_table, with_unnamed_index
from lamart_core.formats.tables.frames import frame_of
from lamart_core.formats.tables.names import check_made_up
from lamart_core.formats.tables.pyarrow_datasets import open_for_jumps

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class OrcFormat(TableFormat):
    """Tables as ORC with Zstandard compression, written and read by pyarrow."""

    name = "orc"
    suffixes: ClassVar[tuple[str, ...]] = (".orc",)

    def _write_pandas(self, df: pd.DataFrame, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._write_flat(flat_table(df, self.name), path, suffix)

    def _write_arrow(self, table: ArrowTable, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        if not table.schema.pandas_metadata:
            check_made_up(table.column_names)
        self._write_flat(table, path, suffix)

    def _write_flat(self, table: ArrowTable, path: Path, suffix: str) -> None:
        from pyarrow import orc

        check_columns(table, self.name)
        with path.open("xb") as file:
            sink = _Sink(file)
            # It writes wrong values for structs that are slices of others.
            table = without_hidden_values(in_one_piece(_with_types_of_orc(table)))
            orc.write_table(table, sink, compression="zstd")
            sink.raise_failure()

    def _read_pandas(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pd.DataFrame:
        return with_unnamed_index(frame_of(self._read_arrow(path, suffix, options)))

    def _read_arrow(self, path: Path, suffix: str, options: Mapping[str, Any]) -> ArrowTable:
        from pyarrow import orc

        if "columns" in options:
            options = check_wanted(options, orc.ORCFile(path).schema.names)
        return orc.read_table(str(path), **options)

    def dataset_format(self, suffix: str) -> Any:
        """ORC."""
        return "orc"

    def _scan_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.LazyFrame:
        require_polars("Reading an ORC file with polars")
        return scan_dataset(self.dataset(path, suffix, options))  # polars itself does not read ORC

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Rows as the footer tells them."""
        from pyarrow import orc

        with reading(path, self.name), open_for_jumps(path) as file:
            return orc.ORCFile(file).nrows


class _Sink(io.RawIOBase):
    """A file whose failures are kept until the writer is done: an error during its last write ends the process."""

    def __init__(self, file: BufferedWriter) -> None:
        self._file = file
        self._failure: OSError | None = None

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Write, unless an earlier write failed."""
        view = memoryview(data)
        if self._failure is None:
            try:
                self._file.write(view)
            except OSError as error:
                self._failure = error
        return view.nbytes

    def raise_failure(self) -> None:
        """Raise what the first failed write raised."""
        if self._failure is None:
            self._file.flush()
        else:
            raise self._failure


def _with_types_of_orc(table: ArrowTable) -> ArrowTable:
    import pyarrow as pa

    columns: list[Any] = []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = _type_of_orc(field.type)
        if kind is None:
            raise UnsupportedObject(f"orc has no type for column {field.name!r} of {field.type}: use .parquet")
        try:
            columns.append(column if kind == field.type else column.cast(kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UnsupportedObject(f"orc cannot hold column {field.name!r} of {field.type}: {error}") from error
    return pa.table(columns, names=table.column_names)


def _type_of_orc(kind: ArrowSchema) -> ArrowSchema | None:
    """The type that ORC has for values of an Arrow type; None where it has none."""
    import pyarrow as pa

    is_a = pa.types
    if is_a.is_dictionary(kind):
        return _type_of_orc(kind.value_type)
    if is_a.is_timestamp(kind):
        return pa.timestamp("ns", kind.tz)
    if is_a.is_map(kind):
        key, item = _type_of_orc(kind.key_type), _type_of_orc(kind.item_type)
        return pa.map_(key, item) if key is not None and item is not None else None
    if is_a.is_struct(kind):
        members = [(member.name, _type_of_orc(member.type)) for member in kind]
        return pa.struct(members) if members and all(member is not None for _, member in members) else None
    if is_a.is_list(kind) or is_a.is_large_list(kind) or is_a.is_fixed_size_list(kind):
        value = _type_of_orc(kind.value_type)
        return pa.list_(value) if value is not None else None
    if is_a.is_decimal128(kind) or is_a.is_signed_integer(kind):
        return kind
    return kind if kind in (pa.bool_(), pa.float32(), pa.float64(), pa.date32()) else _wider(kind)


def _wider(kind: ArrowSchema) -> ArrowSchema | None:
    import pyarrow as pa

    is_a = pa.types
    wider = {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.int64(),
        pa.float16(): pa.float32(),
        pa.date64(): pa.date32(),
        pa.null(): pa.string(),
    }
    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        return pa.string()
    if kind in (pa.binary(), pa.large_binary(), pa.binary_view()) or is_a.is_fixed_size_binary(kind):
        return pa.binary()
    return wider.get(kind)
