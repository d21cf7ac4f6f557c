"""Select fields of records, through relations too, without making records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, overload

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import FromClause

from lamart_core import errors
from lamart_core.query.language.model import ModelInfo, Relation
from lamart_core.query.language.paths import FieldPath, resolve_value
from lamart_core.query.sql.joins import many_values, single_value
from lamart_core.query.sql.statement import Statement


def fetch(session: Session, statement: Statement, selected: Sequence[FieldPath], distinct: bool = False) -> list[Any]:
    """Return one row per record, with one value per selected field.

    One statement for all fields of records and of what they are related to once, and one more per field with many
    values, which come as a set.
    """
    single = [each for each in selected if not each.has_many]
    if len(single) == len(selected):
        return _fetch_single(session, statement, single, distinct)
    if distinct:
        raise errors.InvalidArgument("distinct() needs fields with one value per record")
    with_id = [resolve_value(statement.info, "id"), *single]
    rows = _fetch_single(session, statement, with_id, False)
    ids = [row[0] for row in rows]
    sets = {each.text: _fetch_sets(session, statement, each, ids) for each in selected if each.has_many}
    places = {each.text: position for position, each in enumerate(with_id) if position}
    columns = list(zip(*rows, strict=True)) or [()] * len(with_id)
    merged = (
        [sets[each.text].get(id_, set[Any]()) for id_ in ids] if each.has_many else columns[places[each.text]]
        for each in selected
    )
    return list(zip(*merged, strict=True))


def _fetch_single(session: Session, statement: Statement, selected: Sequence[FieldPath], distinct: bool) -> list[Any]:
    source: FromClause = statement.info.table
    joined: dict[tuple[Relation, ...], ModelInfo] = {(): statement.info}
    columns: list[ColumnElement[Any]] = []
    for each in selected:
        if not all(step.is_plain for step in each.steps):
            columns.append(single_value(statement.compiler, statement.info, each).label(f"c{len(columns)}"))
            continue
        way: tuple[Relation, ...] = ()
        for step in each.steps:
            owner, way = joined[way], (*way, step.relation)
            if way not in joined:
                target = joined[way] = step.target.aliased()
                source = source.outerjoin(target.source, target.id == owner.field(str(step.relation.column)).column)
        columns.append(joined[way].own(each.field).column.label(f"c{len(columns)}"))
    rows: Sequence[Any] = session.execute(statement.select(*columns, source=source, distinct=distinct)).all()
    if any(each.keys for each in selected):
        rows = [tuple(_dig(value, each.keys) for value, each in zip(row, selected, strict=True)) for row in rows]
        if distinct:
            rows = list({tuple(map(_hashable, row)): row for row in rows}.values())
    return list(rows)


def _fetch_sets(session: Session, statement: Statement, each: FieldPath, ids: list[int]) -> dict[int, set[Any]]:
    values, owner = many_values(statement.compiler, statement.info, each)
    found: dict[int, set[Any]] = {}
    for row in session.execute(values.where(statement.compiler.dialect.among(owner, ids))).all():
        owner_id, value = row[0], _dig(row[1], each.keys)
        if value is not None:
            found.setdefault(owner_id, set()).add(_hashable(value))
    return found


def _dig(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _hashable(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


class Rows:
    """Fields of records, as `values` and `values_list` give them; runs when it is first needed.

    Args:
        statement: Which records.
        fields: Names of fields, through relations too.
        shape: `dict`, `tuple`, or `flat` for the bare values of one field.
        distinct: Whether to drop equal rows.
    """

    def __init__(self, statement: Statement, fields: tuple[str, ...], *, shape: str, distinct: bool) -> None:
        self._statement = statement
        self._fields = fields or tuple(statement.info.fields)
        self._shape = shape
        self._distinct = distinct
        self._rows: list[Any] | None = None
        if shape == "flat" and len(self._fields) != 1:
            raise errors.InvalidArgument(f"flat=True takes exactly one field, got {self._fields}")
        self._selected = [resolve_value(statement.info, name, statement.registry) for name in self._fields]

    def distinct(self) -> Rows:
        """Drop equal rows."""
        return Rows(self._statement, self._fields, shape=self._shape, distinct=True)

    def count(self) -> int:
        """Count the rows."""
        return len(self)

    def first(self) -> Any:
        """Return the first row, or None."""
        return next(iter(self[:1]), None)

    def to_list(self) -> list[Any]:
        """Return the rows as a list."""
        return list(self._fetched())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._fetched())

    def __len__(self) -> int:
        return len(self._fetched())

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        return self._fetched()[index]

    def __repr__(self) -> str:
        return repr(self._fetched())

    def _fetched(self) -> list[Any]:
        if self._rows is None:
            with self._statement.registry.read() as session:
                rows = fetch(session, self._statement, self._selected, self._distinct)
            if self._shape == "dict":
                self._rows = [dict(zip(self._fields, row, strict=True)) for row in rows]
            elif self._shape == "flat":
                self._rows = [row[0] for row in rows]
            else:
                self._rows = [tuple(row) for row in rows]
        return self._rows
