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


# Letters of one fold beside the small one and the capital.
_VARIANTS = {
    "\u03c3": "\u03c2", "\u03b8": "\u03d1\u03f4", "\u03b2": "\u03d0", "\u03b5": "\u03f5", "\u03ba": "\u03f0",
    "\u03c0": "\u03d6", "\u03c1": "\u03f1", "\u03c6": "\u03d5", "\u03bc": "\u00b5", "\u03c9": "\u2126",
    "\u03b9": "\u0345\u1fbe", "\u00e5": "\u212b", "\u00df": "\u1e9e", "\u1e61": "\u1e9b", "\u0432": "\u1c80",
    "\u0434": "\u1c81", "\u043e": "\u1c82", "\u0441": "\u1c83", "\u0442": "\u1c84\u1c85", "\u044a": "\u1c86",
    "\u0463": "\u1c87", "\ua64b": "\u1c88",
}  # fmt: skip


def letters_like(character: str) -> str:
    """Return a character with those that differ from it in case only, sorted.

    One character is compared with one: a sharp s with its capital, and not with two letters. Letters of ASCII are like
    letters of ASCII only, as databases have it: the Turkish i without a dot is another letter than i.
    """
    if character.isascii():
        return "".join(sorted({character.lower(), character.upper()}))
    folded = next((form for form in (character.casefold(), character.lower()) if len(form) == 1), character)
    if folded.isascii():
        return character
    forms = {character, folded, folded.lower(), folded.upper(), folded.title(), *_VARIANTS.get(folded, "")}
    return "".join(sorted(form for form in forms if len(form) == 1 and not form.isascii()))


def prefixes_in_any_case(value: str, most: int = 8) -> list[str]:
    """Return how texts may begin that start with a value in any case: some of its first characters, in all ways."""
    found = [""]
    for character in value:
        longer = [prefix + letter for prefix in found for letter in letters_like(character)]
        if len(longer) > most:
            break
        found = longer
    return found


def _any_case(character: str) -> str:
    """Return the regular expression for a character as a capital and as a small letter."""
    letters = letters_like(character)
    return f"[{letters}]" if len(letters) > 1 else re.escape(character)
