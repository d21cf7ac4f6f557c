"""Select fields of records, through relations too, without making records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import FromClause

from lamart_core import errors
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import Field, Kind, ModelInfo, Relation
from lamart_core.query.sql.statement import Statement


@dataclass(frozen=True, slots=True)
class Selected:
    """A field to select, reached from the queried model.

    Attributes:
        path: As it was asked for.
        hops: Relations on the way.
        field: The field.
        keys: Keys of a value inside a JSON field.
    """

    path: str
    hops: tuple[Relation, ...]
    field: Field
    keys: tuple[str, ...]

    @property
    def is_many(self) -> bool:
        """Whether a record has a set of these values."""
        return any(hop.many for hop in self.hops)


def resolve(info: ModelInfo, path: str) -> Selected:
    """Return the field that a path such as `run__uid`, `ulabels__name` or `extra_data__author` leads to.

    A relation alone stands for the ids of its records.

    Raises:
        FieldError: There is no such field.
    """
    hops: list[Relation] = []
    names = split_path(path)
    for position, name in enumerate(names):
        relation = info.relations.get(name)
        if relation is None:
            field = info.field(name)
            keys = names[position + 1 :]
            if keys and field.kind is not Kind.JSON:
                raise errors.FieldError(
                    f"{path!r}: the {field.kind.value} field {field.name!r} has no member {keys[0]!r}"
                )
            return Selected(path, tuple(hops), field, keys)
        hops.append(relation)
        info = info.target(relation)
    return Selected(path, tuple(hops), info.field("id"), ())


def fetch(session: Session, statement: Statement, selected: Sequence[Selected], distinct: bool = False) -> list[Any]:
    """Return one row per record, with one value per selected field.

    One statement for all fields of records and of what they are related to once, and one more per field with many
    values, which come as a set.
    """
    single = [each for each in selected if not each.is_many]
    if len(single) == len(selected):
        return _fetch_single(session, statement, single, distinct)
    if distinct:
        raise errors.InvalidArgument("distinct() needs fields with one value per record")
    with_id = [resolve(statement.info, "id"), *single]
    rows = _fetch_single(session, statement, with_id, False)
    ids = [row[0] for row in rows]
    sets = {each.path: _fetch_sets(session, statement, each, ids) for each in selected if each.is_many}
    places = {each.path: position for position, each in enumerate(with_id) if position}
    columns = list(zip(*rows, strict=True)) or [()] * len(with_id)
    merged = (
        [sets[each.path].get(id_, set[Any]()) for id_ in ids] if each.is_many else columns[places[each.path]]
        for each in selected
    )
    return list(zip(*merged, strict=True))


def _fetch_single(session: Session, statement: Statement, selected: Sequence[Selected], distinct: bool) -> list[Any]:
    source: FromClause = statement.info.table
    joined: dict[tuple[str, ...], ModelInfo] = {(): statement.info}
    columns: list[ColumnElement[Any]] = []
    for each in selected:
        names: tuple[str, ...] = ()
        for hop in each.hops:
            owner, names = joined[names], (*names, hop.name)
            if names not in joined:
                target = joined[names] = owner.target(hop).aliased()
                source = source.outerjoin(target.source, target.id == owner.field(str(hop.column)).column)
        columns.append(joined[names].field(each.field.name).column.label(f"c{len(columns)}"))
    rows: Sequence[Any] = session.execute(statement.select(*columns, source=source, distinct=distinct)).all()
    if any(each.keys for each in selected):
        rows = [tuple(_dig(value, each.keys) for value, each in zip(row, selected, strict=True)) for row in rows]
        if distinct:
            rows = list({tuple(map(_hashable, row)): row for row in rows}.values())
    return list(rows)


def _fetch_sets(session: Session, statement: Statement, each: Selected, ids: list[int]) -> dict[int, set[Any]]:
    joined, owner = _joined(statement.info, each)
    joined = joined.where(statement.compiler.dialect.among(owner, ids))
    found: dict[int, set[Any]] = {}
    for row in session.execute(joined).all():
        owner_id, value = row[0], _dig(row[1], each.keys)
        if value is not None:
            found.setdefault(owner_id, set()).add(_hashable(value))
    return found


def _joined(info: ModelInfo, each: Selected) -> tuple[Select[Any, Any], ColumnElement[int]]:
    """Return the SELECT of owner ids and values along the relations of a field, and the column of the ids."""
    here = info.aliased()
    owner: ColumnElement[int] = here.id
    source: FromClause = here.source
    for position, hop in enumerate(each.hops):
        target = here.target(hop).aliased()
        if hop.link is not None:
            link = info.table.metadata.tables[hop.link].alias()
            back: ColumnElement[Any] = link.c[str(hop.source)]
            onward = link.c[str(hop.target_column)] == target.id
            if position:
                source = source.join(link, back == here.id).join(target.source, onward)
            else:
                # The link refers to the owner: the owner's own table is not needed.
                owner, source = back, link.join(target.source, onward)
        elif hop.many:
            back = target.field(str(hop.column)).column
            if position:
                source = source.join(target.source, back == here.id)
            else:
                owner, source = back, target.source
        else:
            source = source.join(target.source, target.id == here.field(str(hop.column)).column)
        here = target
    return select(owner, here.field(each.field.name).column).select_from(source), owner


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
        self._selected = [resolve(statement.info, name) for name in self._fields]

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
