"""Ranked search over the text fields of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Integer, case, literal

from lamart_core import errors
from lamart_core.query.language.expressions import Bound, Clause, Comparison
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import Field, FieldKind
from lamart_core.query.language.paths import resolve
from lamart_core.query.sql import fields
from lamart_core.query.sql.statement import Statement

# Text that no one looks for by words.
_TECHNICAL = frozenset({"hash", "suffix", "otype", "reference_type", "source_code", "version_tag"})
_NAMES = frozenset({"uid", "name", "key", "handle", "title"})
# How well a field matches a word, best first, and what that is worth.
_GRADES = (("iexact", 8), ("istartswith", 4), ("icontains", 2))


@dataclass(frozen=True, slots=True)
class Options:
    """How to search.

    Attributes:
        field: Text fields to look into; None: all that people write.
        limit: Maximal number of records.
        case_sensitive: Whether upper and lower case letters differ.
    """

    field: str | Sequence[str] | None = None
    limit: int = 20
    case_sensitive: bool = False


def searched(statement: Statement, string: str, options: Options) -> Statement:
    """Return the statement of the records that match best.

    Every word must occur in one of the fields. A field that equals a word counts more than one that starts with it,
    and that more than one that contains it; names count more than descriptions.

    Raises:
        InvalidArgument: The string is empty.
        FieldError: A field does not exist or is no text.
    """
    words = string.split()
    if not words:
        raise errors.InvalidArgument("search needs at least one word")
    searched_fields = _fields(statement, options.field)
    score: ColumnElement[int] = literal(0, Integer)
    narrowed = statement
    for word in dict.fromkeys((string.strip(), *words)):
        grades = [_grade(statement, each, word, case_sensitive=options.case_sensitive) for each in searched_fields]
        total = grades[0]
        for grade in grades[1:]:
            total = total + grade
        score = score + total
        if word in words:
            narrowed = narrowed.narrowed(Clause(total > 0))
    return replace(narrowed.sliced(0, options.limit), order=(score.desc(),))


def _fields(statement: Statement, field: str | Sequence[str] | None) -> list[Field]:
    info = statement.info
    if field is None:
        return [
            each
            for each in info.fields.values()
            if each.kind is FieldKind.TEXT and each.name not in _TECHNICAL and not each.name.startswith("_")
        ]
    names = [field] if isinstance(field, str) else field
    chosen = [resolve(info, split_path(name), statement.registry) for name in names]
    for each in chosen:
        if each.field.kind is not FieldKind.TEXT or each.steps or each.keys:
            raise errors.FieldError(f"search looks into text fields of {info.name}, which {each.text!r} is not")
    return [each.field for each in chosen]


def _grade(statement: Statement, field: Field, word: str, *, case_sensitive: bool) -> ColumnElement[int]:
    weight = 2 if field.name in _NAMES else 1
    branches: list[tuple[ColumnElement[bool], int]] = []
    for lookup, worth in _GRADES:
        name = lookup[1:] if case_sensitive else lookup
        comparison = Comparison((field.name,), name, word)
        bound = Bound(comparison, (), statement.info, field, (), name, word)
        branches.append((fields.condition(statement.compiler.dialect, bound), worth * weight))
    return case(*branches, else_=0)
