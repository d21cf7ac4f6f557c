"""What a query asks, as a small immutable tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import ColumnElement, Select

from lamart_core import errors
from lamart_core.query.language.lookups import split_keyword

if TYPE_CHECKING:
    from lamart_core.query.language.model import Field, ModelInfo
    from lamart_core.query.language.paths import PathStep


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field compared with one value.

    Attributes:
        path: Names from the queried model to the field: relations, then a column, then JSON keys or a part of a date.
        lookup: How to compare, one of `lookups.LOOKUPS`.
        value: What to compare with.
    """

    path: tuple[str, ...]
    lookup: str
    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A comparison of which it is known what it compares; `binding.bind` makes it.

    Attributes:
        asked: The comparison that it was made from.
        steps: Relations on the way to the field.
        info: Model of the field.
        field: The field.
        keys: Keys inside a JSON value, or a part of a date.
        lookup: How to compare.
        value: What to compare with.
    """

    asked: Comparison
    steps: tuple[PathStep, ...]
    info: ModelInfo
    field: Field
    keys: tuple[str, ...]
    lookup: str
    value: Any


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition that is already SQL."""

    element: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class And:
    """All operands hold. Comparisons through the same relation are about one and the same related record."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one operand holds."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The operand does not hold; what compares with null does not hold."""

    operand: Expression


Expression: TypeAlias = Comparison | Bound | Clause | And | Or | Not

EVERYTHING = And(())


class Subquery:
    """Records that another query gives, for `in` lookups."""

    model: type[Any]

    def ids(self) -> Select[Any]:
        """Return the statement that selects the ids."""
        raise NotImplementedError


class Q:
    """A condition that can be combined with `&`, `|` and `~`.

    Args:
        *conditions: Other `Q` objects or SQLAlchemy column expressions, which must all hold.
        **expressions: Fields and values, for example `key__startswith="raw/"`, which must all hold.

    Example:
        >>> Q(suffix=".csv") | ~Q(run__transform__key="ingest", size__gt=1000)
        Q(suffix='.csv') | ~Q(run__transform__key='ingest', size__gt=1000)
    """

    __slots__ = ("expression",)

    def __init__(self, *conditions: Q | ColumnElement[bool], **expressions: Any) -> None:
        self.expression = conjunction(conditions, expressions)

    @classmethod
    def of(cls, expression: Expression) -> Q:
        """Wrap an expression."""
        result = cls()
        result.expression = expression
        return result

    def __and__(self, other: Q) -> Q:
        return Q.of(_joined(And, self.expression, other.expression))

    def __or__(self, other: Q) -> Q:
        return Q.of(_joined(Or, self.expression, other.expression))

    def __invert__(self) -> Q:
        return Q.of(Not(self.expression))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Q) and self.expression == other.expression

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # values may be lists

    def __repr__(self) -> str:
        return describe(self.expression)


def conjunction(conditions: tuple[Any, ...], expressions: dict[str, Any]) -> Expression:
    """Return the expression in which all conditions and all keyword expressions hold.

    Raises:
        InvalidArgument: A condition is neither a `Q` nor a column expression.
    """
    operands: list[Expression] = []
    for condition in conditions:
        expression = _condition(condition)
        operands.extend(expression.operands if isinstance(expression, And) else (expression,))
    for keyword, value in expressions.items():
        # A query may run several times, a generator only once.
        kept = list(value) if isinstance(value, Iterator) else value
        operands.append(Comparison(*split_keyword(keyword), kept))
    return operands[0] if len(operands) == 1 else And(tuple(operands))


def describe(expression: Expression) -> str:
    """Return an expression as it could be written in Python."""
    match expression:
        case Comparison(path, lookup, value):
            keyword = "__".join(path if lookup == "exact" else (*path, lookup))
            return f"Q({keyword}={value!r})"
        case Bound(asked):
            return describe(asked)
        case Clause(element):
            return f"Q({element})"
        case And(operands) if all(isinstance(operand, Comparison | Bound) for operand in operands):
            return f"Q({', '.join(describe(operand)[2:-1] for operand in operands)})"
        case And(operands):
            return " & ".join(_nested(operand) for operand in operands)
        case Or(operands):
            return " | ".join(_nested(operand) for operand in operands)
        case Not(operand):
            return f"~{_nested(operand)}"


def _nested(expression: Expression) -> str:
    text = describe(expression)
    is_atom = isinstance(expression, Comparison | Bound | Clause | Not) or (
        text.startswith("Q(") and text.count("Q(") == 1
    )
    return text if is_atom else f"({text})"


def _condition(condition: Any) -> Expression:
    # `Q`, and what rooms above make of names that they know.
    expression = getattr(condition, "expression", None)
    if isinstance(expression, Comparison | Bound | Clause | And | Or | Not):
        return expression
    if isinstance(condition, ColumnElement):
        return Clause(condition)
    if hasattr(condition, "__clause_element__"):
        return Clause(condition.__clause_element__())
    raise errors.InvalidArgument(
        f"filter takes Q objects and column expressions without a keyword, got {condition!r}; "
        'name the field: filter(name="…")'
    )


def _joined(kind: type[And] | type[Or], left: Expression, right: Expression) -> Expression:
    # An empty Q says nothing, so that `Q()` can start a loop that adds alternatives or conditions.
    if EVERYTHING in (left, right):
        return right if left == EVERYTHING else left
    operands: list[Expression] = []
    for side in (left, right):
        operands.extend(side.operands if isinstance(side, kind) else (side,))
    return kind(tuple(operands))
