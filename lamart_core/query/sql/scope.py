"""The default scope: what a query that says nothing of branches sees."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement
from sqlalchemy.sql import visitors

from lamart_core.query.language.expressions import EVERYTHING, And, Bound, Clause, Comparison, Expression, Not, Or
from lamart_core.query.language.model import ModelInfo

MAIN_BRANCH_ID = 1

_BRANCH = frozenset({"branch", "branch_id"})
_IDENTITY = frozenset({"id", "uid", "hash"})


def default_scope(info: ModelInfo, branch_id: int) -> Expression:
    """Return the condition that the default scope is.

    Main and the current branch are seen; the trash, the archive and other branches are not.
    """
    if not info.is_scoped:
        return EVERYTHING
    if branch_id == MAIN_BRANCH_ID:
        return Comparison(("branch_id",), "exact", MAIN_BRANCH_ID)
    return Comparison(("branch_id",), "in", (MAIN_BRANCH_ID, branch_id))


def lifts_scope(info: ModelInfo, expression: Expression) -> bool:
    """Return whether a bound filter sees all branches: it names a branch, or asks for an id, uid or hash."""
    return info.is_scoped and _lifts(info, expression, is_negated=False)


def without_any_branch(info: ModelInfo, expression: Expression) -> Expression:
    """Return a bound expression in which `branch=None` has the meaning that it has in queries: any branch."""
    if not info.is_scoped:
        return expression
    match expression:
        case Bound(Comparison(lookup="exact", value=None), steps=()) if expression.field.name == "branch_id":
            return EVERYTHING
        case And(operands):
            return And(tuple(without_any_branch(info, operand) for operand in operands))
        case Or(operands):
            return Or(tuple(without_any_branch(info, operand) for operand in operands))
        case Not(operand):
            return Not(without_any_branch(info, operand))
        case Bound() | Comparison() | Clause():
            return expression


def _lifts(info: ModelInfo, expression: Expression, *, is_negated: bool) -> bool:
    # Excluding one id is no search for a particular record: it does not bring back the trash.
    lifting = _BRANCH if is_negated else _BRANCH | _IDENTITY
    match expression:
        case Bound(steps=steps, field=field):
            if steps:
                return steps[0].relation.name in lifting
            return field.name in lifting or (field.virtual is not None and field.virtual.prefix_of in lifting)
        case Comparison(path):
            return path[0] in lifting
        case Clause(element):
            return not lifting.isdisjoint(_column_names(info, element))
        case And(operands) | Or(operands):
            return any(_lifts(info, operand, is_negated=is_negated) for operand in operands)
        case Not(operand):
            return _lifts(info, operand, is_negated=True)


def _column_names(info: ModelInfo, element: ColumnElement[bool]) -> set[str]:
    return {
        node.name
        for node in visitors.iterate(element)
        if isinstance(node, Column) and getattr(node.table, "name", None) == info.table.name
    }
