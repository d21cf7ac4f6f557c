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

from sqlalchemy import BigInteger, ColumnElement, Select, String, and_, false, or_, select, true
from sqlalchemy.orm import DeclarativeBase

from lamart_core import errors
from lamart_core.query.language.expressions import And, Clause, Comparison, Expression, Not, Or
from lamart_core.query.language.model import Field, Kind, ModelInfo, Relation
from lamart_core.query.sql import fields
from lamart_core.query.sql.dialects import MANY, Dialect, dialect_of
from lamart_core.query.sql.values import flag, members, plain

Condition = ColumnElement[bool]


class Subquery:
    """Records that another query gives, for `in` lookups."""

    model: type[Any]

    def ids(self) -> Select[Any]:
        """Return the statement that selects the ids."""
        raise NotImplementedError


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
        match expression:
            case Comparison():
                return self._all(info, (expression,))
            case Clause(element):
                return element
            case And(operands):
                return self._all(info, operands)
            case Or(operands):
                return or_(false(), *(self.where(info, operand) for operand in operands))
            case Not(operand):
                return negated(self.where(info, operand))

    # ------------------------------------------------------------------ relations

    def _all(self, info: ModelInfo, operands: Sequence[Expression]) -> Condition:
        """Return the conjunction; operands through one relation are about the same related record."""
        conditions: list[Condition] = []
        through: dict[str, list[Expression]] = {}
        for operand in operands:
            expression = _local(info, operand) if isinstance(operand, Comparison) else operand
            name = None if isinstance(expression, And) else _common_relation(info, expression)
            if name is not None:
                through.setdefault(name, []).append(_stripped(info, expression))
            elif isinstance(expression, Comparison):
                conditions.append(self._leaf(info, expression))
            else:
                conditions.append(self.where(info, expression))
        for name, inner in through.items():
            conditions.append(self._related(info, info.relations[name], inner))
        return and_(*conditions) if conditions else true()

    def _related(self, info: ModelInfo, relation: Relation, inner: Sequence[Expression]) -> Condition:
        target = info.target(relation)
        key, owners = _owners(info, relation, target)
        condition = self._all(target, inner)
        found = key.in_(owners.where(condition).correlate(None))
        if all(_holds_for_nothing(target, expression) for expression in inner):
            return or_(self._unrelated(info, relation), found)
        return found

    def _unrelated(self, info: ModelInfo, relation: Relation) -> Condition:
        if not relation.many:
            return info.field(str(relation.column)).column.is_(None)
        key, owners = _owners(info, relation, info.target(relation))
        return negated(key.in_(owners.correlate(None)))

    # ------------------------------------------------------------------ fields

    def _leaf(self, info: ModelInfo, comparison: Comparison) -> Condition:
        name = comparison.path[0]
        if name in info.relations:
            unrelated = self._unrelated(info, info.relations[name])
            return unrelated if flag(comparison.value, name) else negated(unrelated)
        field = info.field(name)
        comparison = _normal(field, comparison)
        if field.kind is Kind.JSON:
            return fields.json_condition(self.dialect, field, comparison)
        relation = info.foreign_key(name)
        if relation is not None or name == "id":
            comparison = _with_ids(info, relation, comparison)
            if isinstance(comparison.value, Subquery):
                return field.column.in_(comparison.value.ids().correlate(None))
        if comparison.lookup == "in" and len(comparison.path) == 1:
            return self._member(info, comparison)
        return fields.condition(self.dialect, field, comparison)

    def _member(self, info: ModelInfo, comparison: Comparison) -> Condition:
        field = info.field(comparison.path[0])
        if isinstance(comparison.value, Subquery):
            raise errors.InvalidArgument(f"{field.name}__in takes values; a query set gives ids, for relations")
        values = members(comparison.value, field.name)
        present = [plain(value) for value in values if value is not None]
        conditions: list[Condition] = []
        if len(present) != len(values):
            conditions.append(field.column.is_(None))
        if len(present) > MANY and field.kind is Kind.TEXT and all(isinstance(value, str) for value in present):
            conditions.append(self.dialect.one_of_many(field.column, present, String()))
        elif len(present) > MANY and field.kind is Kind.INTEGER and all(_is_small(value) for value in present):
            conditions.append(self.dialect.one_of_many(field.column, present, BigInteger()))
        elif present:
            conditions.append(fields.one_of(field, present))
        return or_(false(), *conditions)


def _normal(field: Field, comparison: Comparison) -> Comparison:
    """Return the comparison with text in the normal form that the column has, if it has one."""
    if not getattr(field.column.type, "is_normal", False) or comparison.lookup in ("regex", "iregex"):
        return comparison
    value = comparison.value
    if isinstance(value, str):
        value = normalize("NFC", value)
    elif isinstance(value, list | tuple | set | frozenset):
        value = [normalize("NFC", item) if isinstance(item, str) else item for item in value]
    return replace(comparison, value=value)


@cache
def compiler_of(database: str) -> Compiler:
    """Return the compiler for a database, as engines name their dialect."""
    return Compiler(dialect_of(database))


def negated(condition: Condition) -> Condition:
    """Return a condition that holds exactly where `condition` does not, be it false or null."""
    return condition.self_group().is_not(true())


def _owners(info: ModelInfo, relation: Relation, target: ModelInfo) -> tuple[ColumnElement[Any], Select[Any]]:
    """Return the owner's column and the statement of its values that lead to a target."""
    if not relation.many:
        return info.field(str(relation.column)).column, select(target.id)
    if relation.link is None:
        column = target.field(str(relation.column)).column
        return info.id, select(column).where(column.is_not(None))
    link = info.table.metadata.tables[relation.link]
    source, target_column = link.c[str(relation.source)], link.c[str(relation.target_column)]
    return info.id, select(source).select_from(link.join(target.table, target_column == target.id))


def _local(info: ModelInfo, comparison: Comparison) -> Comparison:
    """Return an equal comparison in which what the model decides is settled.

    A relation without a field means the related record; the last name is a field of the related model although a
    lookup is called so too; equal to None means is null.
    """
    path, lookup, value = comparison.path, comparison.lookup, comparison.value
    if lookup == "exact" and value is None and not _is_json_key(info, path):
        lookup, value = "isnull", True
    relation = info.relations.get(path[0])
    if relation is None:
        return Comparison(path, lookup, value)
    target = info.target(relation)
    if len(path) == 1 and lookup not in ("exact", "in", "isnull"):
        if lookup not in target.fields and lookup not in target.relations:
            raise errors.FieldError(
                f"{info.name}.{relation.name} is a relation to {target.name}; {lookup!r} needs one of its fields, "
                f"for example {relation.name}__{target.naming_field()}__{lookup}"
            )
        path, lookup = (*path, lookup), "exact"
    if len(path) == 1 and lookup != "isnull":
        _check_related(info, relation, target, value, lookup)
        path = (*path, "id")
    if path[1:] == ("id",) and not relation.many:
        path = (str(relation.column),)
    return Comparison(path, lookup, value)


def _is_json_key(info: ModelInfo, path: tuple[str, ...]) -> bool:
    """Return whether a path ends inside a JSON value, where None means a JSON null."""
    for position, name in enumerate(path):
        relation = info.relations.get(name)
        if relation is None:
            field = info.fields.get(name)
            return field is not None and field.kind is Kind.JSON and position < len(path) - 1
        info = info.target(relation)
    return False


def _check_related(info: ModelInfo, relation: Relation, target: ModelInfo, value: Any, lookup: str) -> None:
    values = members(value, relation.name) if lookup == "in" and not isinstance(value, Subquery) else [value]
    for each in values:
        if isinstance(each, str):
            raise errors.FieldError(
                f"{info.name}.{relation.name} is a relation to {target.name}; to compare with text name a field of it, "
                f"for example {relation.name}__{target.naming_field()}={each!r}"
            )


def _with_ids(info: ModelInfo, relation: Relation | None, comparison: Comparison) -> Comparison:
    """Replace records by their ids."""
    target = info if relation is None else info.target(relation)
    value = comparison.value
    if isinstance(value, Subquery):
        if comparison.lookup != "in" or value.model is not target.model:
            raise errors.FieldError(f"{value!r} can only be what a relation to {value.model.__name__} is `in`")
    elif comparison.lookup == "in":
        listed = members(value, comparison.path[0])
        value = [_id_of(target, each) for each in listed]
    elif comparison.lookup == "exact":
        value = _id_of(target, value)
    return Comparison(comparison.path, comparison.lookup, value)


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


def _common_relation(info: ModelInfo, expression: Expression) -> str | None:
    """Return the relation through which all of an expression goes, if there is one and nothing is negated."""
    match expression:
        case Comparison():
            path = _local(info, expression).path
            return path[0] if len(path) > 1 and path[0] in info.relations else None
        case And(operands) | Or(operands):
            names = {_common_relation(info, operand) for operand in operands}
            return names.pop() if len(names) == 1 else None
        case Clause() | Not():
            return None


def _stripped(info: ModelInfo, expression: Expression) -> Expression:
    """Return an expression through one relation as one on the related model."""
    match expression:
        case Comparison():
            local = _local(info, expression)
            return Comparison(local.path[1:], local.lookup, local.value)
        case And(operands):
            return And(tuple(_stripped(info, operand) for operand in operands))
        case Or(operands):
            return Or(tuple(_stripped(info, operand) for operand in operands))
        case Clause() | Not():
            return expression


def _holds_for_nothing(info: ModelInfo, expression: Expression) -> bool:
    """Return whether an expression holds for a record that is not there, all fields of which are null."""
    match expression:
        case Comparison(lookup="isnull", value=value):
            return value is True
        case Comparison(path, "in", list() | tuple() | set() | frozenset() as value):
            return any(each is None for each in value) and not _is_json_key(info, path)
        case And(operands):
            return all(_holds_for_nothing(info, operand) for operand in operands)
        case Or(operands):
            return any(_holds_for_nothing(info, operand) for operand in operands)
        case Comparison() | Clause() | Not():
            return False


def _is_small(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
