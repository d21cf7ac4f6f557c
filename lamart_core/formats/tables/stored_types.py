"""Types of Arrow that Parquet returns changed, and how they come back.

The file's key-value metadata say what they were, as an empty Arrow stream (base64, since values are text). Other
readers ignore it.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from typing import Any

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.guards import UnreadableContent
from lamart_core.formats.libraries import ArrowArray, ArrowSchema, ArrowTable

ORIGINAL_TYPES = b"lamart:original_types"
# Beyond it Parquet stores the values of a dictionary plainly, and its order and unused values are lost.
_DICTIONARY_BYTES = 1 << 20


def with_original_types(table: ArrowTable, options: Mapping[str, Any]) -> ArrowTable:
    """A table whose metadata say which types Parquet will change.

    Args:
        table: What is to be written.
        options: Options of the writer.

    Raises:
        UnsupportedObject: Parquet has no form for a column, or none that can be changed back.
    """
    import pyarrow as pa

    fields = [field for field in table.schema if _changes(field, table, options)]
    if not fields:
        return table
    names = [field.name for field in fields]
    empty = [_empty_like(table.column(name)) for name in names]
    sink = pa.BufferOutputStream()
    batch = pa.record_batch(empty, schema=pa.schema(fields))
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    encoded = base64.b64encode(sink.getvalue().to_pybytes())
    if options.get("column_encoding"):
        # Arrow writes dictionaries in encodings in which it does not read them.
        for position, field in enumerate(table.schema):
            if pa.types.is_dictionary(field.type):
                table = table.set_column(position, field.name, table.column(position).cast(field.type.value_type))
    return table.replace_schema_metadata({**(table.schema.metadata or {}), ORIGINAL_TYPES: encoded})


def restore_types(table: ArrowTable) -> ArrowTable:
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
            restored = _restore_column(table.column(position), originals.column(name), name)
            table = table.set_column(position, field, restored)
    metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != ORIGINAL_TYPES}
    return table.replace_schema_metadata(metadata)


def _changes(field: ArrowSchema, table: ArrowTable, options: Mapping[str, Any]) -> bool:
    import pyarrow as pa

    kind = field.type
    if not pa.types.is_dictionary(kind):
        stored = _stored_type(kind, field.name)
        if stored != kind and not _can_cast(stored, kind):
            raise UnsupportedObject(
                f"parquet would return column {field.name!r} of {kind} as {stored}: cast it, or use .feather"
            )
        return stored != kind
    if not pa.types.is_string(kind.value_type) or table.num_rows == 0:
        return True
    if options.get("use_dictionary", True) is not True or options.get("column_encoding"):
        return True
    limit = min(_DICTIONARY_BYTES, options.get("dictionary_pagesize_limit") or _DICTIONARY_BYTES)
    column = table.column(field.name)
    return any(2 * chunk.dictionary.nbytes > limit for chunk in column.chunks) or _is_mixed(column)


def _is_mixed(column: ArrowArray) -> bool:
    """Whether the chunks of a column have different dictionaries."""
    first, *others = [chunk.dictionary for chunk in column.chunks] or [None]
    return any(not other.equals(first) for other in others)


@functools.lru_cache(maxsize=1024)
def _stored_type(kind: ArrowSchema, name: str) -> ArrowSchema:
    """The type that Parquet returns for values of a type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        pq.write_table(pa.table({name: pa.array([], kind)}), sink)
    except (pa.ArrowException, NotImplementedError) as error:
        raise UnsupportedObject(f"parquet has no form for column {name!r} of {kind}: {error}") from error
    return pq.read_schema(pa.BufferReader(sink.getvalue())).field(0).type


def _can_cast(stored: ArrowSchema, kind: ArrowSchema) -> bool:
    import pyarrow as pa

    try:
        return pa.chunked_array([pa.array([], stored)]).cast(kind).type == kind
    except (pa.ArrowException, NotImplementedError):
        return False


def _empty_like(column: ArrowArray) -> ArrowArray:
    """No values, but the dictionary of the column."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return pa.array([], type=column.type)
    unified = column.unify_dictionaries()
    if unified.num_chunks:
        return unified.chunk(0).slice(0, 0)
    return pa.array([], type=column.type)


def _restore_column(column: ArrowArray, original: ArrowArray, name: str) -> ArrowArray:
    import pyarrow as pa
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are made at import: no type checker sees them
    kind = original.type
    if not pa.types.is_dictionary(kind):
        return column.cast(kind)
    plain = column.cast(kind.value_type) if column.type != kind.value_type else column
    codes = compute.index_in(plain, value_set=original.dictionary, skip_nulls=True)
    if codes.null_count != plain.null_count:
        raise UnreadableContent(f"column {name!r} has values that are none of its categories")
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.cast(kind.index_type), original.dictionary, ordered=kind.ordered)
        for chunk in codes.chunks
    ]
    return pa.chunked_array(chunks or [original], type=kind)
