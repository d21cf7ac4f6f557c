"""Expressions whose paths were walked: what only the model knows is decided before anything becomes SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import DeclarativeBase

from lamart_core import errors
from lamart_core.query.language.expressions import And, Bound, Clause, Comparison, Expression, Not, Or, Subquery
from lamart_core.query.language.model import FieldKind, ModelInfo, QueryRegistry, check_registry
from lamart_core.query.language.paths import FieldPath, find, resolve


def bind(info: ModelInfo, expression: Expression, registry: QueryRegistry | None = None) -> Expression:
    """Return an expression in which every comparison knows what it compares.

    Args:
        info: Model that the paths start from.
        expression: The expression.
        registry: Registry that resolvers of other rooms are asked about.

    Raises:
        FieldError: A field or relation does not exist, or a relation is compared with text.
    """
    match expression:
        case Comparison():
            return _bound(info, expression, registry)
        case And(operands):
            return And(tuple(bind(info, operand, registry) for operand in operands))
        case Or(operands):
            return Or(tuple(bind(info, operand, registry) for operand in operands))
        case Not(operand):
            return Not(bind(info, operand, registry))
        case Bound() | Clause():
            return expression


def _bound(info: ModelInfo, comparison: Comparison, registry: QueryRegistry | None) -> Bound:
    """Bind a comparison.

    A relation without a field means the related record; the last name is a field of the related model although a
    lookup is called so too; equal to None means is null.
    """
    path, lookup, value = resolve(info, comparison.path, registry), comparison.lookup, comparison.value
    if path.is_relation and lookup not in ("exact", "in", "isnull"):
        path, lookup = _further(path, lookup, registry), "exact"
    if lookup == "exact" and value is None and not (path.keys and path.field.kind is FieldKind.JSON):
        lookup, value = "isnull", True
    if lookup != "isnull" and registry is not None:
        _check_registries(lookup, value, registry)
    if path.is_relation and lookup != "isnull":
        _check_related(path, lookup, value)
    path = path.shortened()
    return Bound(comparison, path.steps, path.info, path.field, path.keys, lookup, value)


def _further(path: FieldPath, name: str, registry: QueryRegistry | None) -> FieldPath:
    found = find(path.info, (name,), registry)
    if found is not None:
        return replace(found, steps=(*path.steps, *found.steps))
    last = path.steps[-1]
    raise errors.FieldError(
        f"{_described(path)}; {name!r} needs one of its fields, "
        f"for example {last.relation.name}__{last.target.naming_field()}__{name}"
    )


def _each(lookup: str, value: Any) -> Iterable[Any]:
    is_list = lookup == "in" and isinstance(value, Iterable) and not isinstance(value, str | bytes | Subquery)
    return value if is_list else [value]


def _check_registries(lookup: str, value: Any, registry: QueryRegistry) -> None:
    for each in _each(lookup, value):
        if isinstance(each, DeclarativeBase | Subquery):
            check_registry(each, registry)


def _check_related(path: FieldPath, lookup: str, value: Any) -> None:
    for each in _each(lookup, value):
        if isinstance(each, str):
            last = path.steps[-1]
            raise errors.FieldError(
                f"{_described(path)}; to compare with text name a field of it, "
                f"for example {last.relation.name}__{last.target.naming_field()}={each!r}"
            )


def _described(path: FieldPath) -> str:
    last = path.steps[-1]
    return f"{last.source.name}.{last.relation.name} is a relation to {last.target.name}"
