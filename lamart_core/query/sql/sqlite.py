"""How SQLite says it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    FromClause,
    String,
    and_,
    extract,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy import column as sql_column
from sqlalchemy.types import TypeEngine

from lamart_core.query.sql.dialect import Condition, Dialect, TextElement

# SQLite's names for the kinds of JSON values.
_SQLITE_KINDS = {
    "boolean": ("true", "false"),
    "number": ("integer", "real"),
    "string": ("text",),
    "null": ("null",),
    "object": ("object",),
    "array": ("array",),
}


class SQLite(Dialect):
    """SQLite: its LIKE ignores letter case, its lower() knows ASCII only, its text is ordered by code points."""

    def contains(self, text: TextElement, part: str) -> Condition:
        """Use `instr`."""
        return func.instr(text, literal(part, String)) > 0

    def startswith(self, text: TextElement, prefix: str) -> Condition:
        """Use a range, which any index on the column serves."""
        above = _above(prefix)
        lower = text >= literal(prefix, String)
        return lower if above is None else and_(lower, text < literal(above, String))

    def endswith(self, text: TextElement, suffix: str) -> Condition:
        """Use `substr` from the end."""
        if not suffix:
            return text.is_not(None)
        return func.substr(text, -len(suffix)) == literal(suffix, String)

    def lowered(self, text: TextElement) -> TextElement:
        """Use `lower`, which knows ASCII only."""
        return func.lower(text)

    def matches(self, text: TextElement, pattern: str, *, ignore_case: bool) -> Condition:
        """Use Python's `re`, which SQLAlchemy registers as REGEXP."""
        return text.regexp_match(literal(f"(?i:{pattern})" if ignore_case else pattern, String))

    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the text: SQLite compares bytes."""
        return text

    def one_of_many(
        self, column: ColumnElement[Any], members: Sequence[Any] | BindParameter[Any], type_: TypeEngine[Any]
    ) -> Condition:
        """Use `json_each`."""
        packed = members if isinstance(members, BindParameter) else literal(self.packed(members), String)
        return column.in_(select(func.json_each(packed).table_valued("value").c.value))

    def packed(self, members: Sequence[Any]) -> Any:
        """Return JSON."""
        return json.dumps(list(members))

    def listed(self, members: Sequence[str], name: str, type_: TypeEngine[str]) -> FromClause:
        """Use `json_each`."""
        values = func.json_each(literal(json.dumps(list(members)), String)).table_valued(sql_column("value", type_))
        return select(values.c.value.label(name)).subquery("listed")

    def date_part(self, column: ColumnElement[Any], part: str) -> ColumnElement[int]:
        """Use `strftime`."""
        return extract(part, column)

    def json_exists(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> Condition:
        """Use `json_type`."""
        return self._type(column, keys).is_not(None)

    def json_is(self, column: ColumnElement[Any], keys: tuple[str, ...], kind: str) -> Condition:
        """Use `json_type`."""
        return self._type(column, keys).in_(_SQLITE_KINDS[kind])

    def json_text(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> TextElement:
        """Use `json_extract`."""
        return self._value(column, keys)

    def json_number(self, column: ColumnElement[Any], keys: tuple[str, ...], operator: str, number: float) -> Condition:
        """Use `json_extract`."""
        return self._value(column, keys).op(operator, return_type=Boolean())(literal(number))

    def json_equals(self, column: ColumnElement[Any], keys: tuple[str, ...], value: Any) -> Condition:
        """Compare member by member: the stored text may have another order of keys."""
        match value:
            case bool():
                return self._type(column, keys) == ("true" if value else "false")
            case int() | float():
                return and_(self.json_is(column, keys, "number"), self._value(column, keys) == literal(value))
            case str():
                return and_(self.json_is(column, keys, "string"), self._value(column, keys) == literal(value, String))
            case None:
                return self.json_is(column, keys, "null")
            case dict():
                parts = [self.json_equals(column, (*keys, str(key)), member) for key, member in value.items()]
                return and_(self.json_is(column, keys, "object"), self._size(column, keys) == len(value), *parts)
            case _:
                parts = [self.json_equals(column, (*keys, str(index)), member) for index, member in enumerate(value)]
                return and_(self.json_is(column, keys, "array"), self._size(column, keys) == len(value), *parts)

    def json_has_member(self, column: ColumnElement[Any], keys: tuple[str, ...], value: Any) -> Condition:
        """Use `json_each`."""
        found: list[Condition] = []
        for path in _sqlite_paths(keys):
            each = func.json_each(column, path).table_valued("type", "atom")
            if isinstance(value, bool) or value is None:
                matching = each.c.type == {True: "true", False: "false", None: "null"}[value]
            else:
                kinds = ("text",) if isinstance(value, str) else ("integer", "real")
                matching = and_(each.c.type.in_(kinds), each.c.atom == literal(value))
            found.append(select(literal(1)).select_from(each).where(matching).exists())
        return and_(self.json_is(column, keys, "array"), or_(*found))

    def _type(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> ColumnElement[str]:
        types = [func.json_type(column, path, type_=String) for path in _sqlite_paths(keys)]
        return types[0] if len(types) == 1 else func.coalesce(*types)

    def _value(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> ColumnElement[Any]:
        values = [func.json_extract(column, path) for path in _sqlite_paths(keys)]
        return values[0] if len(values) == 1 else func.coalesce(*values)

    def _size(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> ColumnElement[int]:
        def size(path: str) -> ColumnElement[int]:
            each = func.json_each(column, path).table_valued("key")
            return select(func.count()).select_from(each).scalar_subquery()

        sizes = [size(path) for path in _sqlite_paths(keys)]
        # A path that leads nowhere counts zero members, so that the larger one is that of what exists.
        return sizes[0] if len(sizes) == 1 else func.max(*sizes)


def _above(prefix: str) -> str | None:
    """Return the first text after all that start with `prefix`; None where there is no end."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    code = ord(stem[-1]) + 1
    # Surrogates are no characters; their range is skipped.
    return stem[:-1] + chr(0xE000 if 0xD800 <= code < 0xE000 else code)


def _sqlite_paths(keys: tuple[str, ...]) -> list[str]:
    """Return the JSON paths that `keys` may mean: digits are a position in an array or a key of an object."""
    paths = ["$"]
    for key in keys:
        steps = [f'."{key}"']
        if key.isascii() and key.isdigit():
            steps.append(f"[{int(key)}]")
        paths = [path + step for path in paths for step in steps]
    return paths
