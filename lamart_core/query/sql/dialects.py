"""What SQLite and Postgres say differently, so that a query means the same on both."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    String,
    Table,
    and_,
    bindparam,
    cast,
    extract,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

Condition = ColumnElement[bool]
TextElement = ColumnElement[str]

# Above this, members travel as one parameter; databases limit how many parameters a statement may have.
MANY = 500


class Dialect(ABC):
    """The operations of one database."""

    # ------------------------------------------------------------------ text

    @abstractmethod
    def contains(self, text: TextElement, part: str) -> Condition:
        """Return whether `part` occurs in `text`, letter case included."""

    @abstractmethod
    def startswith(self, text: TextElement, prefix: str) -> Condition:
        """Return whether `text` starts with `prefix`; can use an index."""

    @abstractmethod
    def endswith(self, text: TextElement, suffix: str) -> Condition:
        """Return whether `text` ends with `suffix`."""

    def folded(self, lookup: str, text: TextElement, value: str) -> Condition:
        """Return `lookup`, one of iexact, icontains, istartswith and iendswith, without regard to letter case.

        What databases know of letters depends on their locale and on the collation of the column, so that only ASCII
        is left to them.
        """
        if not value.isascii():
            before, after = _ANCHORS[lookup]
            return self.matches(text, before + "".join(map(_any_case, value)) + after, ignore_case=False)
        lowered, value = self.lowered(text), value.lower()
        match lookup:
            case "iexact":
                return lowered == literal(value, String)
            case "icontains":
                return self.contains(lowered, value)
            case "istartswith":
                return func.substr(lowered, 1, len(value)) == literal(value, String)
            case _:
                return self.endswith(lowered, value)

    @abstractmethod
    def lowered(self, text: TextElement) -> TextElement:
        """Return text with the capital letters of ASCII as small ones."""

    @abstractmethod
    def matches(self, text: TextElement, pattern: str, *, ignore_case: bool) -> Condition:
        """Return whether a regular expression is found in `text`."""

    @abstractmethod
    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return text that is compared and sorted by code points, whatever the collation of the database."""

    # ------------------------------------------------------------------ other kinds

    @abstractmethod
    def one_of_many(
        self, column: ColumnElement[Any], members: Sequence[Any] | BindParameter[Any], type_: TypeEngine[Any]
    ) -> Condition:
        """Return whether `column` is one of many integers or texts, which travel as one parameter.

        Args:
            column: The column.
            members: The values; or a parameter, to which what `packed` gives is passed when the statement is executed.
            type_: Type of the values.
        """

    @abstractmethod
    def packed(self, members: Sequence[Any]) -> Any:
        """Return many integers or texts as one parameter."""

    @abstractmethod
    def listed(self, members: Sequence[str], name: str, type_: TypeEngine[str]) -> FromClause:
        """Return a table of one column that holds texts, which travel as one parameter."""

    def among(self, column: ColumnElement[Any], ids: Sequence[int]) -> Condition:
        """Return whether `column` is one of some ids, however many."""
        return self.one_of_many(column, ids, BigInteger()) if len(ids) > MANY else column.in_(ids)

    @abstractmethod
    def date_part(self, column: ColumnElement[Any], part: str) -> ColumnElement[int]:
        """Return the month or day of a time, in UTC."""

    # ------------------------------------------------------------------ JSON

    @abstractmethod
    def json_exists(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> Condition:
        """Return whether there is anything under `keys`, be it a JSON null."""

    @abstractmethod
    def json_is(self, column: ColumnElement[Any], keys: tuple[str, ...], kind: str) -> Condition:
        """Return whether the value under `keys` is of a kind: object, array, string, number, boolean or null."""

    @abstractmethod
    def json_text(self, column: ColumnElement[Any], keys: tuple[str, ...]) -> TextElement:
        """Return the text under `keys`; only meaningful where it is a string."""

    @abstractmethod
    def json_number(self, column: ColumnElement[Any], keys: tuple[str, ...], operator: str, number: float) -> Condition:
        """Compare the number under `keys`; only meaningful where it is a number."""

    @abstractmethod
    def json_equals(self, column: ColumnElement[Any], keys: tuple[str, ...], value: Any) -> Condition:
        """Return whether the value under `keys` equals `value`: same type, same members, in any order of keys."""

    @abstractmethod
    def json_has_member(self, column: ColumnElement[Any], keys: tuple[str, ...], value: Any) -> Condition:
        """Return whether the value under `keys` is an array with the member `value`, which is no container."""


# SQLite's names for the kinds of JSON values.
_SQLITE_KINDS = {
    "boolean": ("true", "false"),
    "number": ("integer", "real"),
    "string": ("text",),
    "null": ("null",),
    "object": ("object",),
    "array": ("array",),
}
# What surrounds the value in a regular expression that stands for a lookup.
_ANCHORS = {"iexact": (r"\A", r"\Z"), "icontains": ("", ""), "istartswith": (r"\A", ""), "iendswith": ("", r"\Z")}


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


_POSTGRES = postgresql.dialect()
_DIALECTS: dict[str, Dialect] = {"sqlite": SQLite(), "postgresql": Postgres()}


def dialect_of(name: str) -> Dialect:
    """Return the operations of a database.

    Args:
        name: `sqlite` or `postgresql`, as engines name their dialect.
    """
    return _DIALECTS[name]


def _above(prefix: str) -> str | None:
    """Return the first text after all that start with `prefix`; None where there is no end."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    code = ord(stem[-1]) + 1
    # Surrogates are no characters; their range is skipped.
    return stem[:-1] + chr(0xE000 if 0xD800 <= code < 0xE000 else code)


def _any_case(character: str) -> str:
    """Return the regular expression for a character as a capital and as a small letter."""
    forms = {character, character.lower(), character.upper(), character.upper().lower(), character.lower().upper()}
    if "σ" in forms:  # the one letter with two small forms
        forms.add("ς")
    letters = sorted(form for form in forms if len(form) == 1)
    return f"[{''.join(letters)}]" if len(letters) > 1 else re.escape(character)


def _sqlite_paths(keys: tuple[str, ...]) -> list[str]:
    """Return the JSON paths that `keys` may mean: digits are a position in an array or a key of an object."""
    paths = ["$"]
    for key in keys:
        steps = [f'."{key}"']
        if key.isascii() and key.isdigit():
            steps.append(f"[{int(key)}]")
        paths = [path + step for path in paths for step in steps]
    return paths


def _jsonb(value: Any) -> ColumnElement[Any]:
    return cast(literal(json.dumps(value), String), JSONB)


def among(connection: Connection, column: ColumnElement[Any], members: Iterable[str]) -> Condition:
    """Return whether a column of text is one of some, however many.

    Args:
        connection: Connection to the database that will be asked.
        column: The column.
        members: The texts.
    """
    names = sorted(members)
    if len(names) <= MANY:
        return column.in_(names)
    return dialect_of(connection.dialect.name).one_of_many(column, names, String())


def insert_once(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, leaving out those that a unique index has already."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
