"""How Postgres says it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    String,
    and_,
    bindparam,
    cast,
    extract,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from lamart_core.query.sql.dialect import Condition, Dialect, TextElement

_POSTGRES = postgresql.dialect()


class Postgres(Dialect):
    """Postgres: its order of text depends on the collation, its JSON values can be compared as `jsonb`."""

    def contains(self, text: TextElement, part: str) -> Condition:
        """Use `strpos`."""
        return func.strpos(text, literal(part, String)) > 0

    def startswith(self, text: TextElement, prefix: str) -> Condition:
        """Use `starts_with`, which an index in the collation "C" serves."""
        return func.starts_with(text, literal(prefix, String), type_=Boolean)

    def endswith(self, text: TextElement, suffix: str) -> Condition:
        """Use `right`."""
        return func.right(text, len(suffix)) == literal(suffix, String)

    def lowered(self, text: TextElement) -> TextElement:
        """Use `lower` in the collation "C", in which it knows ASCII only."""
        return func.lower(text.collate("C"))

    def matches(self, text: TextElement, pattern: str, *, ignore_case: bool) -> Condition:
        """Use `~`; without regard to case in the collation of the database, as "C" knows the letters of ASCII only."""
        if ignore_case:
            return text.collate("default").op("~*", return_type=Boolean())(literal(pattern, String))
        return text.op("~", return_type=Boolean())(literal(pattern, String))

    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Use the collation "C"."""
        return text.collate("C")

    def one_of_many(
        self, column: ColumnElement[Any], members: Sequence[Any] | BindParameter[Any], type_: TypeEngine[Any]
    ) -> Condition:
        """Use an array."""
        packed = ARRAY(type_)
        if isinstance(members, BindParameter):
            values = bindparam(members.key, type_=packed)
        else:
            values = bindparam(None, self.packed(members), type_=packed)
        # Not by `==`: of two functions Python may turn the sides round, and `any` stands on the right only.
        return column.op("=", return_type=Boolean(), is_comparison=True)(func.any(values))

    def packed(self, members: Sequence[Any]) -> Any:
        """Return a list."""
        return list(members)

    def listed(self, members: Sequence[str], name: str, type_: TypeEngine[str]) -> FromClause:
        """Use an array."""
        values = func.unnest(bindparam(None, list(members), type_=ARRAY(String())))
        table = values.table_valued(sql_column("value", type_), name="each").render_derived()
        return select(table.c.value.label(name)).subquery("listed")

    def date_part(self, column: ColumnElement[Any], part: str) -> ColumnElement[int]:
        """Use `extract`; a time with time zone is taken to UTC, not to the time zone of the session."""
        is_aware = getattr(column.type.dialect_impl(_POSTGRES), "timezone", False)
        return cast(extract(part, func.timezone("UTC", column) if is_aware else column), Integer)

    def json_exists(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> Condition:
        """Use `jsonb_extract_path`."""
        return self._node(column, keys).is_not(None)

    def json_is(self, column: ColumnElement[Any], keys: tuple[str, ...], kind: str) -> Condition:
        """Use `jsonb_typeof`."""
        return func.jsonb_typeof(self._node(column, keys), type_=String) == kind

    def json_text(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> TextElement:
        """Use `#>>`."""
        return self._node(column, keys).op("#>>", return_type=String())(literal_column("'{}'"))

    def json_number(self, column: ColumnElement[Any], keys: tuple[str, ...], operator: str, number: float) -> Condition:
        """Compare as `jsonb`, whose numbers are ordered as numbers."""
        return self._node(column, keys).op(operator, return_type=Boolean())(_jsonb(number))

    def json_equals(self, column: ColumnElement[Any], keys: tuple[str, ...], value: Any) -> Condition:
        """Compare as `jsonb`."""
        return self._node(column, keys).op("=", return_type=Boolean())(_jsonb(value))

    def json_has_member(self, column: ColumnElement[Any], keys: tuple[str, ...], value: Any) -> Condition:
        """Use `@>`."""
        matches = self._node(column, keys).op("@>", return_type=Boolean())(_jsonb([value]))
        return and_(self.json_is(column, keys, "array"), matches)

    def _node(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> ColumnElement[Any]:
        document = cast(column, JSONB)
        if not keys:
            return document
        return func.jsonb_extract_path(document, *(literal(key, String) for key in keys), type_=JSONB)


def _jsonb(value: Any) -> ColumnElement[Any]:
    return cast(literal(json.dumps(value), String), JSONB)
