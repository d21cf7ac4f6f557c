"""Translate expressions to SQL conditions.

Relations become `IN (SELECT …)`, so that a record that is related to many matching ones is found once, and so that
the database may start from the related side. Every condition is two-valued: what compares with null does not hold,
and its negation does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from unicodedata import normalize

from sqlalchemy import BigInteger, ColumnElement, Select, String, Table, and_, false, or_, select, true
from sqlalchemy.orm import DeclarativeBase

from lamart_core import errors
from lamart_core.query.language.binding import bind
from lamart_core.query.language.expressions import (
    EVERYTHING,
    And,
    Bound,
    Clause,
    Comparison,
    Expression,
    Not,
    Or,
    Subquery,
)
from lamart_core.query.language.model import FieldKind, ModelInfo
from lamart_core.query.language.paths import PathStep
from lamart_core.query.sql import fields
from lamart_core.query.sql.dialect import MANY, Dialect, prefixes_in_any_case
from lamart_core.query.sql.dialects import dialect_of
from lamart_core.query.sql.parameters import members, plain

Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles expressions for one database."""

    dialect: Dialect

    def where(self, info: ModelInfo, expression: Expression) -> Condition:
        """Return the condition that `expression` puts on rows of the model.

        Raises:
            FieldError: A field, relation or lookup does not exist.
            InvalidArgument: A value cannot be compared with its field.
        """
        return self._where(bind(info, expression))

    def _where(self, expression: Expression) -> Condition:
        match expression:
            case Bound():
                return self._all((expression,))
            case Clause(element):
                return element
            case And(operands):
                return self._all(operands)
            case Or(operands):
                return or_(false(), *(self._where(operand) for operand in operands))
            case Not(operand):
                return negated(self._where(operand))
            case Comparison():
                raise AssertionError(f"{expression!r} is not bound")

    # ------------------------------------------------------------------ relations

    def _all(self, operands: Sequence[Expression]) -> Condition:
        """Return the conjunction; operands through one relation are about the same related record."""
        conditions: list[Condition] = []
        through: list[tuple[PathStep, list[Expression]]] = []
        for operand in operands:
            step = None if isinstance(operand, And) else _common_step(operand)
            if step is not None:
                inner = next((inner for other, inner in through if other == step), None)
                if inner is None:
                    through.append((step, inner := []))
                inner.append(_stripped(operand))
            elif isinstance(operand, Bound):
                conditions.append(self._leaf(operand))
            else:
                conditions.append(self._where(operand))
        conditions.extend(self._related(step, inner) for step, inner in through)
        return and_(*conditions) if conditions else true()

    def _related(self, step: PathStep, inner: Sequence[Expression]) -> Condition:
        match inner:
            case [Bound(steps=(), field=field, keys=(), lookup="isnull", value=bool(value))] if field.name == "id":
                unrelated = self._unrelated(step)
                return unrelated if value else negated(unrelated)
            case _:
                key, owners = self._owners(step)
                found = key.in_(owners.where(self._all(inner)).correlate(None))
                if all(_fits_missing_record(expression) for expression in inner):
                    return or_(self._unrelated(step), found)
                return found

    def _unrelated(self, step: PathStep) -> Condition:
        key, owners = self._owners(step)
        return key.is_(None) if step.is_plain else negated(key.in_(owners.correlate(None)))

    def _owners(self, step: PathStep) -> tuple[ColumnElement[Any], Select[Any]]:
        """Return the owner's column and the statement of its values that lead to a target."""
        relation, source, target = step.relation, step.source, step.target
        if not relation.many:
            key, owners = source.field(str(relation.column)).column, select(target.id)
        elif relation.link is None:
            column = target.field(str(relation.column)).column
            key, owners = source.id, select(column).where(column.is_not(None))
        else:
            link = source.table.metadata.tables[relation.link]
            linked = link.join(target.table, link.c[str(relation.target_column)] == target.id)
            key, owners = source.id, select(link.c[str(relation.source)]).select_from(linked)
        return key, owners if step.where is EVERYTHING else owners.where(self.where(target, step.where))

    # ------------------------------------------------------------------ fields

    def _leaf(self, bound: Bound) -> Condition:
        bound = _normal(bound)
        field, info = bound.field, bound.info
        if field.kind is FieldKind.JSON:
            return fields.json_condition(self.dialect, bound)
        relation = info.foreign_key(field.name)
        if relation is not None or field.name == "id":
            bound = _with_ids(info if relation is None else info.target(relation), bound)
            if isinstance(bound.value, Subquery):
                return field.column.in_(bound.value.ids().correlate(None))
        if bound.lookup == "in" and not bound.keys:
            return self._member(bound)
        condition = fields.condition(self.dialect, bound)
        prefixed = field.virtual.prefix_of if field.virtual is not None else None
        if prefixed is not None and bound.lookup == "exact" and not bound.keys:
            # Says nothing new, but an index on the whole column serves it.
            return and_(self.dialect.startswith(info.field(prefixed).column, bound.value), condition)
        if bound.lookup in ("iexact", "istartswith") and not bound.keys and _is_indexed(field.column):
            # Neither does this: some ranges of the index instead of all rows.
            beginnings = [self.dialect.startswith(field.column, each) for each in prefixes_in_any_case(bound.value)]
            return and_(or_(*beginnings), condition)
        return condition

    def _member(self, bound: Bound) -> Condition:
        field = bound.field
        if isinstance(bound.value, Subquery):
            raise errors.InvalidArgument(f"{field.name}__in takes values; a query set gives ids, for relations")
        values = members(bound.value, field.name)
        present = [plain(value) for value in values if value is not None]
        conditions: list[Condition] = []
        if len(present) != len(values):
            conditions.append(field.column.is_(None))
        if len(present) > MANY and field.kind is FieldKind.TEXT and all(isinstance(value, str) for value in present):
            conditions.append(self.dialect.one_of_many(field.column, present, String()))
        elif len(present) > MANY and field.kind is FieldKind.INTEGER and all(_is_small(value) for value in present):
            conditions.append(self.dialect.one_of_many(field.column, present, BigInteger()))
        elif present:
            conditions.append(fields.one_of(field, present))
        return or_(false(), *conditions)


def _is_indexed(column: ColumnElement[Any]) -> bool:
    """Return whether an index begins with a column."""
    table = getattr(column, "table", None)
    return isinstance(table, Table) and any(next(iter(index.expressions), None) is column for index in table.indexes)


def _normal(bound: Bound) -> Bound:
    """Return the comparison with text in the normal form that the column has, if it has one."""
    if not getattr(bound.field.column.type, "is_normal", False) or bound.lookup in ("regex", "iregex"):
        return bound
    value = bound.value
    if isinstance(value, str):
        value = normalize("NFC", value)
    elif isinstance(value, list | tuple | set | frozenset):
        value = [normalize("NFC", item) if isinstance(item, str) else item for item in value]
    return replace(bound, value=value)


@cache
def compiler_of(database: str) -> Compiler:
    """Return the compiler for a database, as engines name their dialect."""
    return Compiler(dialect_of(database))


def negated(condition: Condition) -> Condition:
    """Return a condition that holds exactly where `condition` does not, be it false or null."""
    return condition.self_group().is_not(true())


def _with_ids(target: ModelInfo, bound: Bound) -> Bound:
    """Replace records of the target by their ids."""
    value = bound.value
    if isinstance(value, Subquery):
        if bound.lookup != "in" or value.model is not target.model:
            raise errors.FieldError(f"{value!r} can only be what a relation to {value.model.__name__} is `in`")
    elif bound.lookup == "in":
        value = [_id_of(target, each) for each in members(value, bound.asked.path[-1])]
    elif bound.lookup == "exact":
        value = _id_of(target, value)
    return replace(bound, value=value)


def _id_of(target: ModelInfo, value: Any) -> int | None:
    """Return the id that a record, an id, or None stands for."""
    value = plain(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if not isinstance(value, DeclarativeBase):
        raise errors.InvalidArgument(f"a {target.name} is given as a record or its integer id, got {value!r}")
    record: Any = value
    if not isinstance(record, target.model):
        raise errors.FieldError(f"expected a record of {target.name}, got {record!r}")
    if record.id is None:
        raise errors.InvalidArgument(
            f"{record!r} is not saved yet, so that nothing can be related to it; save it first"
        )
    return int(record.id)


def _common_step(expression: Expression) -> PathStep | None:
    """Return the step that all of an expression begins with, if there is one and nothing is negated."""
    match expression:
        case Bound(steps=steps):
            return steps[0] if steps else None
        case And(operands) | Or(operands):
            first, *others = [_common_step(operand) for operand in operands] or [None]
            return first if all(other == first for other in others) else None
        case Comparison() | Clause() | Not():
            return None


def _stripped(expression: Expression) -> Expression:
    """Return an expression without the step that all of it begins with."""
    match expression:
        case Bound(steps=steps):
            return replace(expression, steps=steps[1:])
        case And(operands):
            return And(tuple(_stripped(operand) for operand in operands))
        case Or(operands):
            return Or(tuple(_stripped(operand) for operand in operands))
        case Comparison() | Clause() | Not():
            return expression


def _fits_missing_record(expression: Expression) -> bool:
    """Return whether an expression holds for a record that is not there, all fields of which are null."""
    match expression:
        case Bound(lookup="isnull", value=value):
            return value is True
        case Bound(lookup="in", value=list() | tuple() | set() | frozenset() as value):
            is_json_key = expression.keys and expression.field.kind is FieldKind.JSON
            return any(each is None for each in value) and not is_json_key
        case And(operands):
            return all(_fits_missing_record(operand) for operand in operands)
        case Or(operands):
            return any(_fits_missing_record(operand) for operand in operands)
        case Bound() | Comparison() | Clause() | Not():
            return False


def _is_small(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
