"""Frames of polars as Arrow tables and back, with the types that Arrow does not have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import ArrowSchema, ArrowTable

if TYPE_CHECKING:
    import polars as pl

# Where the names of polars' types stand that are stored as others.
POLARS_TYPES = b"lamart:polars"
_DIGITS = 38  # of the largest decimals that all readers know


def table_from_polars(df: pl.DataFrame) -> ArrowTable:
    """A frame as an Arrow table; whole numbers of 128 bits are decimals there.

    Raises:
        UnsupportedObject: A column holds Python objects, whose addresses polars would write, or has no type in Arrow.
    """
    import polars as pl

    stored: dict[str, str] = {}
    for name, dtype in df.schema.items():
        if dtype in _large_integers():
            try:
                df = df.with_columns(pl.col(name).cast(pl.Decimal(_DIGITS, 0)))
            except pl.exceptions.PolarsError as error:
                raise UnsupportedObject(
                    f"column {name!r} of {dtype} has numbers of more than {_DIGITS} digits: cast it to text"
                ) from error
            stored[name] = str(dtype)
        elif _holds(dtype, lambda kind: kind == pl.Object):
            raise UnsupportedObject(f"column {name!r} holds Python objects: convert it to text or to a type of polars")
        elif _holds(dtype, lambda kind: kind in _large_integers()):
            raise UnsupportedObject(f"column {name!r} of {dtype} has no type in Arrow: cast it to Int64 or text")
    try:
        table = df.to_arrow()
    except Exception as error:  # Arrow says which type, but not which column
        raise UnsupportedObject(f"the column types of {df.schema} do not fit into Arrow: {error}") from error
    if not stored:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), POLARS_TYPES: json.dumps(stored)})


def with_polars_types(frame: pl.LazyFrame, read_schema: Callable[[], ArrowSchema]) -> pl.LazyFrame:
    """What polars reads of a file, with the types that ``table_from_polars`` replaced.

    Args:
        frame: What polars reads.
        read_schema: Gives the Arrow schema of the file.
    """
    import polars as pl
    import pyarrow as pa

    try:
        metadata = read_schema().metadata or {}
    except pa.ArrowException:  # polars knows more types than Arrow
        return frame
    stored: dict[str, str] = json.loads(metadata.get(POLARS_TYPES, b"{}"))
    known: dict[str, Any] = {str(kind): kind for kind in _large_integers()}
    return frame.with_columns(pl.col(name).cast(known[kind]) for name, kind in stored.items() if kind in known)


def _large_integers() -> tuple[Any, ...]:
    import polars as pl

    return tuple(kind for kind in (pl.Int128, getattr(pl, "UInt128", None)) if kind is not None)


def _holds(dtype: Any, is_it: Callable[[Any], bool]) -> bool:
    """Whether a type is one, or holds it within lists and structs."""
    members = [member.dtype for member in getattr(dtype, "fields", ())]
    inner = getattr(dtype, "inner", None)
    return is_it(dtype) or any(_holds(kind, is_it) for kind in (*members, *([inner] if inner is not None else [])))
