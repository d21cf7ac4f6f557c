"""Query results as data frames, straight from the columns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lamart_core import errors
from lamart_core.query.language.model import Field, FieldKind, ModelInfo, QueryRegistry
from lamart_core.query.language.paths import FieldPath, resolve_value
from lamart_core.query.results.select_fields import fetch
from lamart_core.query.sql.statement import Statement

if TYPE_CHECKING:
    import pandas as pd

# With missing values these stay what they are: integers do not turn into floats, nor booleans into objects.
_NULLABLE = {FieldKind.INTEGER: "Int64", FieldKind.BOOLEAN: "boolean", FieldKind.FLOAT: "Float64"}
_PLAIN = {FieldKind.INTEGER: "int64", FieldKind.BOOLEAN: "bool", FieldKind.FLOAT: "float64"}


def to_dataframe(
    statement: Statement, *, include: str | Sequence[str] | None, limit: int | None, order_by: str | None
) -> pd.DataFrame:
    """Return the records of a query as a data frame with the id as its index.

    Args:
        statement: Which records.
        include: Further columns: paths through relations; `"privates"` for the fields with a leading underscore.
        limit: Maximal number of rows; a warning says when there are more.
        order_by: Field to sort by, where the statement has no order of its own.

    Raises:
        FieldError: A column does not exist.
        InvalidArgument: The limit is negative.
    """
    if limit is not None and limit < 0:
        raise errors.InvalidArgument(f"limit is a number of rows or None, got {limit}")
    selected = _columns(statement.info, include, statement.registry)
    if order_by and not statement.order and not statement.is_slice:
        statement = replace(statement, order=(order_by,))
    # One row more than asked for tells whether some are missing.
    asked = statement if limit is None else statement.sliced(0, limit + 1)
    with statement.registry.read() as session:
        rows = fetch(session, asked, [resolve_value(statement.info, "id"), *selected])
    if limit is not None and len(rows) > limit:
        rows = rows[:limit]
        warnings.warn(
            f"only the first {limit} records are shown; pass limit=None to get all of them", UserWarning, stacklevel=3
        )
    return _frame(rows, selected)


def records_to_dataframe(info: ModelInfo, records: Sequence[Any]) -> pd.DataFrame:
    """Return records in memory as `to_dataframe` returns those of a query; without ids unless all are saved."""
    selected = _columns(info, None, None)
    names = [each.text for each in selected]
    frame = _frame([(record.id, *(getattr(record, name) for name in names)) for record in records], selected)
    return frame if all(record.is_saved for record in records) else frame.reset_index(drop=True)


def _columns(info: ModelInfo, include: str | Sequence[str] | None, registry: QueryRegistry | None) -> list[FieldPath]:
    wanted = [include] if isinstance(include, str) else list(include or ())
    private = "privates" in wanted
    foreign = [name for name in info.fields if info.foreign_key(name) is not None]
    own = [name for name in info.fields if name not in foreign and name != "id"]
    names = [name for name in (*own, *foreign) if not name.startswith("_")]
    if private:
        names += [name for name in (*own, *foreign) if name.startswith("_")]
    names += [name for name in wanted if name != "privates" and name not in names]
    return [resolve_value(info, name, registry) for name in names]


def _frame(rows: Sequence[Sequence[Any]], selected: Sequence[FieldPath]) -> pd.DataFrame:
    import pandas as pd

    ids, *columns = zip(*rows, strict=True) if rows else [()] * (len(selected) + 1)
    data = {each.text: _series(pd, each, list(column)) for each, column in zip(selected, columns, strict=True)}
    return pd.DataFrame(data, index=pd.Index(ids, name="id", dtype=None if None in ids else "int64"))


def _series(pd: Any, each: FieldPath, column: list[Any]) -> Any:
    field: Field = each.field
    if each.has_many or each.keys:
        return pd.Series(column, dtype=object).to_numpy()
    if field.kind is FieldKind.DATETIME:
        return pd.to_datetime(column, utc=True)
    if field.kind in _PLAIN:
        is_required = not field.nullable and not each.steps and None not in column  # as in records that are not saved
        return pd.array(column, dtype=(_PLAIN if is_required else _NULLABLE)[field.kind])
    return pd.Series(column, dtype=object).to_numpy()
