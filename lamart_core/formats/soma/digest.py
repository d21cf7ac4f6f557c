"""What a TileDB-SOMA store means, as one digest: equal content has equal digests, however and whenever it was written.

The canonical form, version 1, of which `ALGORITHM` is the name. A node is hashed from framed parts (a tag, then a text
that its length precedes) in this order:

- its SOMA type, and its metadata sorted by name, with the type of each value;
- a collection: its members sorted by name, each with its digest;
- a table: names, types and nullability of its columns in their order, index columns, domain, and the categories of
  each categorical column in their order (their order has a meaning to plots and to ordered categories); then rows in
  the order of the index columns;
- a sparse array: type and shape, then coordinates and values in row-major order; a stored zero is content;
- a dense array: type and shape, then values in row-major order.

Rows are hashed column by column: validity as one byte a value, lengths (of text and binary) as int64, and values as
little-endian bits, where what lies under a null counts as zero or empty; categorical values as their codes. Each of
the three is one continuous stream, so how a read is cut into chunks does not matter. Fragments, timestamps, names of
files, compression, tile sizes and history do not count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from lamart_core.formats.guards import UnreadableContent
from lamart_core.formats.libraries import ArrowArray
from lamart_core.hashing import Digest, Hasher

ALGORITHM = "blake3-soma1"
_COLUMNS_AT_ONCE = 16
_DENSE_VALUES_AT_ONCE = 4_000_000


def digest_of(root: Any) -> Digest:
    """Return the digest of an open SOMA object and everything below it, in bounded memory.

    Raises:
        UnreadableContent: A member lies outside of the store, or is of a kind that has no canonical form.
    """
    return Digest(ALGORITHM, _node(root))


class _Parts:
    """Framed parts, so that no two sequences of parts give the same bytes."""

    def __init__(self) -> None:
        self._hasher = Hasher()

    def add(self, tag: str, value: str) -> None:
        for text in (tag, value):
            raw = text.encode("utf-8", "surrogatepass")
            self._hasher.update(len(raw).to_bytes(8, "little"))
            self._hasher.update(raw)

    def value(self) -> str:
        return self._hasher.digest().value


def _node(obj: Any) -> str:
    parts = _Parts()
    parts.add("type", str(obj.soma_type))
    metadata = dict(obj.metadata)
    for name in sorted(metadata):
        parts.add("metadata", name)
        parts.add("value", _tagged(metadata[name]))
    if hasattr(obj, "members"):
        _add_members(parts, obj)
    elif obj.soma_type == "SOMADenseNDArray":
        _add_dense(parts, obj)
    elif obj.soma_type == "SOMASparseNDArray":
        parts.add("shape", _tagged(obj.shape))
        _add_columns(parts, obj, list(obj.schema), {})
    elif hasattr(obj, "index_column_names"):
        _add_table(parts, obj)
    else:
        raise UnreadableContent(f"{obj.uri} is a {obj.soma_type}, which has no canonical form")
    return parts.value()


def _add_members(parts: _Parts, group: Any) -> None:
    for name, (uri, _) in sorted(group.members().items()):
        check_member(group, name, uri)
        parts.add("member", name)
        parts.add("content", _node(group[name]))


def check_member(group: Any, name: str, uri: str) -> None:
    """Raise UnreadableContent for a member that a copy of the store would not hold, or that leads out of it."""
    inside = _bare(uri).startswith(f"{_bare(group.uri)}/") and "/../" not in uri
    if not inside or not group._handle.is_relative(name):
        raise UnreadableContent(
            f"the member {name!r} of {group.uri} is stored as a reference to {uri}, and a copy of the store would not "
            "hold it: add members with use_relative_uri=True"
        )


def _bare(uri: str) -> str:
    return uri.removeprefix("file://").rstrip("/")


def _add_table(parts: _Parts, table: Any) -> None:
    fields = list(table.schema)
    parts.add("index", _tagged(tuple(table.index_column_names)))
    parts.add("domain", _tagged(table.domain))
    categorical = [field.name for field in fields if _is_dictionary(field.type)]
    categories = table.get_enumeration_values(categorical) if categorical else {}
    _add_columns(parts, table, fields, categories)


def _add_columns(parts: _Parts, array: Any, fields: list[Any], categories: Mapping[str, ArrowArray]) -> None:
    for field in fields:
        parts.add("column", field.name)
        parts.add("nullable" if field.nullable else "required", _type_name(field.type))
        if field.name in categories:
            stream = _Stream()
            stream.update(categories[field.name])
            parts.add("categories", stream.value())
    for start in range(0, len(fields), _COLUMNS_AT_ONCE):
        names = [field.name for field in fields[start : start + _COLUMNS_AT_ONCE]]
        streams = {name: _Stream() for name in names}
        for chunk in _tables(array, names):
            for name in names:
                for piece in chunk.column(name).chunks:
                    streams[name].update(piece)
        for name in names:
            parts.add("values", streams[name].value())


def _tables(array: Any, names: list[str]) -> Iterator[Any]:
    if hasattr(array, "index_column_names"):
        return iter(array.read(column_names=names, result_order="row-major"))
    return iter(array.read(result_order="row-major").tables())


class _Stream:
    """One column: validity, lengths and values, each as one continuous stream of bytes."""

    def __init__(self) -> None:
        self._count = 0
        self._validity, self._lengths, self._values = Hasher(), Hasher(), Hasher()

    def update(self, array: ArrowArray) -> None:
        """Take the next values of the column, however they are chunked."""
        import numpy as np

        if _is_dictionary(array.type):
            array = array.indices
        self._count += len(array)
        self._validity.update(_bytes(array.is_valid().to_numpy(zero_copy_only=False)))
        if _has_lengths(array.type):
            self._lengths.update(_bytes(_lengths(array)))
            self._values.update(_text_bytes(array))
            return
        values = _fixed_width(array)
        self._values.update(_bytes(values.astype(np.dtype(values.dtype).newbyteorder("<"), copy=False)))

    def value(self) -> str:
        """Return the digest of all values so far."""
        streams = (self._validity, self._lengths, self._values)
        return ":".join([str(self._count), *(stream.digest().value for stream in streams)])


def _fixed_width(array: ArrowArray) -> Any:
    """The values as a numpy array, zero where they are null."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_temporal(kind):
        array = array.view(pa.int64() if kind.bit_width == 64 else pa.int32())
    elif pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise UnreadableContent(f"columns of {kind} have no canonical form")
    return array.fill_null(0).to_numpy(zero_copy_only=False)


def _lengths(array: ArrowArray) -> Any:
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are made at import: no type checker sees them
    return compute.binary_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype("<i8")


def _text_bytes(array: ArrowArray) -> memoryview:
    """The bytes of all texts, one after another."""
    import numpy as np

    if array.null_count:
        array = array.drop_null()  # what lies under a null is not content
    if len(array) == 0:
        return memoryview(b"")
    _, offsets, data = array.buffers()
    wide = str(array.type).startswith("large_")
    bounds = np.frombuffer(offsets, dtype="<i8" if wide else "<i4")
    start, end = int(bounds[array.offset]), int(bounds[array.offset + len(array)])
    return memoryview(data)[start:end] if data is not None else memoryview(b"")


def _bytes(values: Any) -> memoryview:
    import numpy as np

    contiguous: Any = np.ascontiguousarray(values)
    return memoryview(contiguous).cast("B") if values.size else memoryview(b"")


def _add_dense(parts: _Parts, array: Any) -> None:
    shape = tuple(int(n) for n in array.shape)
    parts.add("shape", _tagged(shape))
    parts.add("values-of", _type_name(array.schema.field("soma_data").type))
    hasher = Hasher()
    for block in _blocks(shape):
        values = array.read(block, result_order="row-major").to_numpy()
        hasher.update(_bytes(values.astype(values.dtype.newbyteorder("<"), copy=False)))
    parts.add("values", hasher.digest().value)


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Consecutive parts of an array in row-major order, none of too many values; bounds are inclusive."""
    if not shape:
        yield ()
        return
    length, inner = shape[0], math.prod(shape[1:])
    if inner > _DENSE_VALUES_AT_ONCE:
        for i in range(length):
            for block in _blocks(shape[1:]):
                yield (slice(i, i), *block)
        return
    step = max(1, _DENSE_VALUES_AT_ONCE // max(1, inner))
    for start in range(0, length, step):
        yield (slice(start, min(start + step, length) - 1), *(slice(0, n - 1) for n in shape[1:]))


def _is_dictionary(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_dictionary(kind)


def _has_lengths(kind: Any) -> bool:
    return _type_name(kind) in ("string", "binary")


def _type_name(kind: Any) -> str:
    """The name of a type, the same for all versions of the libraries, which differ in the width of offsets."""
    if _is_dictionary(kind):
        order = "ordered" if kind.ordered else "unordered"
        return f"{order} categories of {_type_name(kind.value_type)} by {_type_name(kind.index_type)}"
    return str(kind).removeprefix("large_")


def _tagged(value: Any) -> str:
    """A metadata value, or a tuple of bounds, as text that tells types apart."""
    if isinstance(value, tuple | list):
        items = cast("tuple[Any, ...]", value)
        return f"({','.join(_tagged(item) for item in items)})"
    plain = value.item() if hasattr(value, "item") else value
    return f"{type(plain).__name__}:{plain!r}"
