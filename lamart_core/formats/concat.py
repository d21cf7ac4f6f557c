"""Several contents as one: tables and annotated matrices, in memory or as one dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from lamart_core.errors import InvalidArgument, UnsupportedObject
from lamart_core.formats.libraries import ANNDATA, ARROW, DATASET, PANDAS, POLARS, ArrowDataset, ArrowSchema
from lamart_core.formats.tables.base import check_engine, require_polars, scan_dataset
from lamart_core.formats.tables.pyarrow_datasets import unified

if TYPE_CHECKING:
    import polars as pl

JOINS = ("outer", "inner")


def check_join(join: str) -> None:
    """Raise InvalidArgument for a way to join columns that does not exist."""
    if join not in JOINS:
        raise InvalidArgument(f"join must be {' or '.join(map(repr, JOINS))}, not {join!r}")


def concatenate(objects: Sequence[Any], *, join: str = "outer", names: Sequence[str]) -> Any:
    """Put objects of one type together, row after row.

    Args:
        objects: pandas frames, Arrow tables, polars frames or AnnData, in the order of the result.
        join: Columns (of AnnData: variables) of the result: ``"outer"`` all of them, ``"inner"`` those of all objects.
        names: A name for each object; AnnData gets them as the column ``artifact_uid`` of ``obs``.

    Returns:
        An object of the same type; made by the library's own function.

    Raises:
        InvalidArgument: The objects do not fit together, or ``join`` is none.
        UnsupportedObject: Objects of these types cannot be put together.

    Example:
        >>> import pandas as pd
        >>> concatenate([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})], names=["x", "y"])["a"].tolist()
        [1, 2]
    """
    check_join(join)
    for kind, together in ((PANDAS, _pandas), (ARROW, _arrow), (POLARS, _polars), (ANNDATA, _anndata)):
        if all(kind.matches(obj) for obj in objects):
            try:
                return together(objects, join, names)
            except (ValueError, TypeError, KeyError) as error:
                raise InvalidArgument(f"the contents do not fit together: {error}") from error
    kinds = ", ".join(sorted({type(obj).__qualname__ for obj in objects}))
    raise UnsupportedObject(f"only tables and AnnData can be put together, each with its like; these are {kinds}")


def union(
    datasets: Sequence[Any], reopen: Callable[[int, ArrowSchema], ArrowDataset], *, engine: str = "pyarrow"
) -> ArrowDataset | AbstractContextManager[pl.LazyFrame]:
    """Several datasets as one, row after row; a column that one of them does not have is null there.

    Args:
        datasets: Datasets, in the order of the result.
        reopen: Opens the dataset at a position again, with a schema; used where types differ.
        engine: ``"pyarrow"``, or ``"polars"`` for a context manager that yields a ``LazyFrame``.

    Raises:
        InvalidArgument: The engine does not exist, or a column has types that no type can hold together.
        UnsupportedObject: Something is no dataset.
    """
    import pyarrow.dataset as ds

    check_engine(engine)
    others = {type(item).__qualname__ for item in datasets if not DATASET.matches(item)}
    if others:
        raise UnsupportedObject(f"only tables can be opened as one dataset, not {', '.join(sorted(others))}")
    formats = {item.format.default_extname for item in datasets}
    if len(formats) > 1:
        raise InvalidArgument(f"tables of several formats cannot be opened as one: {', '.join(sorted(formats))}")
    schema = unified([item.schema for item in datasets])
    children = [
        item if item.schema.equals(schema) else reopen(position, schema) for position, item in enumerate(datasets)
    ]
    whole = ds.dataset(children) if len(children) > 1 else children[0]
    if engine == "pyarrow":
        return whole
    require_polars("engine='polars'")
    return nullcontext(scan_dataset(whole))


def _pandas(objects: Sequence[Any], join: Any, names: Sequence[str]) -> Any:
    import pandas as pd

    return pd.concat(objects, join=join)


def _arrow(objects: Sequence[Any], join: str, names: Sequence[str]) -> Any:
    import pyarrow as pa

    if join == "inner":
        common = [name for name in objects[0].column_names if all(name in other.column_names for other in objects)]
        objects = [table.select(common) for table in objects]
    return pa.concat_tables(objects, promote_options="permissive")


def _polars(objects: Sequence[Any], join: str, names: Sequence[str]) -> Any:
    import polars as pl

    if join == "inner":
        common = [name for name in objects[0].columns if all(name in other.columns for other in objects)]
        objects = [frame.select(common) for frame in objects]
    return pl.concat(objects, how="diagonal_relaxed")


def _anndata(objects: Sequence[Any], join: Any, names: Sequence[str]) -> Any:
    import anndata as ad

    return ad.concat(objects, join=join, label="artifact_uid", keys=names)
