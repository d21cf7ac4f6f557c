"""What databases say differently: the operations that each of them has a class for."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, BindParameter, ColumnElement, FromClause, String, func, literal
from sqlalchemy.types import TypeEngine

Condition = ColumnElement[bool]
TextElement = ColumnElement[str]

# Above this, members travel as one parameter; databases limit how many parameters a statement may have.
MANY = 500
# What surrounds the value in a regular expression that stands for a lookup.
_ANCHORS = {"iexact": (r"\A", r"\Z"), "icontains": ("", ""), "istartswith": (r"\A", ""), "iendswith": ("", r"\Z")}


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


def _any_case(character: str) -> str:
    """Return the regular expression for a character as a capital and as a small letter."""
    forms = {character, character.lower(), character.upper(), character.upper().lower(), character.lower().upper()}
    if "σ" in forms:  # the one letter with two small forms
        forms.add("ς")
    letters = sorted(form for form in forms if len(form) == 1)
    return f"[{''.join(letters)}]" if len(letters) > 1 else re.escape(character)
