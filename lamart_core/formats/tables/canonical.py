"""Equal tables as equal bytes, and a look at what was written."""

from __future__ import annotations

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import ArrowArray, ArrowSchema, ArrowTable


def in_one_piece(table: ArrowTable) -> ArrowTable:
    """A table whose columns have one chunk each: writers begin something new with each chunk.

    Columns that have one already, as all columns of pandas have, are not copied.
    """
    if all(column.num_chunks == 1 for column in table.columns):
        return table
    return table.unify_dictionaries().combine_chunks()


def without_hidden_values(table: ArrowTable) -> ArrowTable:
    """A table without what lies under its missing values, and without bits that say that none is missing.

    Arrow IPC stores memory as it is, so that equal tables would have different bytes.
    """
    import pyarrow as pa

    columns = [_canonical(column) for column in table.columns]
    return pa.table(columns, schema=table.schema) if columns else table


def empty_batch(table: ArrowTable) -> ArrowTable:
    """No rows, but the columns of a table and their dictionaries."""
    import pyarrow as pa

    columns = [c.chunk(0).slice(0, 0) if c.num_chunks else pa.array([], type=c.type) for c in table.columns]
    return pa.record_batch(columns, schema=table.schema)


def check_schema(found: ArrowSchema, written: ArrowSchema, what: str) -> None:
    """Compare the schema that a reader sees with that of what was written.

    Raises:
        UnsupportedObject: A column would come back as another type.
    """
    for field in written:
        position = found.get_field_index(field.name)
        if position < 0 or found.field(position).type != field.type:
            seen = "nothing" if position < 0 else found.field(position).type
            raise UnsupportedObject(
                f"{what} would return column {field.name!r} of {field.type} as {seen}: cast it, or use another format"
            )


def _canonical(column: ArrowArray) -> ArrowArray:
    import pyarrow as pa

    return pa.chunked_array([_canonical_array(chunk) for chunk in column.chunks], type=column.type)


def _canonical_array(array: ArrowArray) -> ArrowArray:
    import numpy as np
    import pyarrow as pa

    kind = array.type
    buffers = array.buffers()
    if array.offset == 0 and (not buffers or buffers[0] is None) and not pa.types.is_nested(kind):
        return array
    if array.null_count and (pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_time(kind)):
        filled = array.fill_null(pa.scalar(0, kind))
        return pa.Array.from_buffers(kind, len(array), [array.is_valid().buffers()[1], filled.buffers()[1]])
    if kind in (pa.string_view(), pa.binary_view()):  # whose views of missing values stay as they were
        return array.cast(pa.large_string() if kind == pa.string_view() else pa.large_binary()).cast(kind)
    try:
        return array.take(pa.array(np.arange(len(array))))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # no kernel for the type, or too much of it
        return array


def _is_time(kind: ArrowSchema) -> bool:
    import pyarrow as pa

    return pa.types.is_temporal(kind) and not pa.types.is_interval(kind)
