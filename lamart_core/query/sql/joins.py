"""The steps of a path as joins, for what is selected and sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, select

from lamart_core.query.language.expressions import EVERYTHING
from lamart_core.query.language.model import ModelInfo
from lamart_core.query.language.paths import FieldPath, PathStep
from lamart_core.query.sql.compile import Compiler


def joined(
    compiler: Compiler, source: FromClause, here: ModelInfo, steps: Sequence[PathStep]
) -> tuple[FromClause, ModelInfo]:
    """Join the tables along steps.

    Args:
        compiler: Compiler of the database.
        source: What is selected from so far.
        here: Model in it that the first step leads from.
        steps: The steps.

    Returns:
        What to select from, and the model at the end, an alias.
    """
    for step in steps:
        added, target, inner, outer = _stepped(compiler, here, step)
        source, here = source.join(added, inner == outer), target
    return source, here


def single_value(compiler: Compiler, info: ModelInfo, path: FieldPath) -> ColumnElement[Any]:
    """Return the one value that a path leads to from a row of the model, null where there is none."""
    if not path.steps:
        return path.field.column
    added, target, inner, outer = _stepped(compiler, info, path.steps[0])
    source, end = joined(compiler, added, target, path.steps[1:])
    found = select(end.own(path.field).column).select_from(source).where(inner == outer)
    if not all(step.is_plain for step in path.steps):
        found = found.order_by(end.id).limit(1)
    return found.correlate(info.source).scalar_subquery()


def many_values(compiler: Compiler, info: ModelInfo, path: FieldPath) -> tuple[Select[Any, Any], ColumnElement[int]]:
    """Return the SELECT of owner ids and the values that a path leads to from them, and the column of the ids."""
    first, *others = path.steps
    if first.relation.many:  # what leads to the owner names it: the owner's own table is not needed
        added, target, owner, _ = _stepped(compiler, info, first)
        source, end = joined(compiler, added, target, others)
    else:
        here = info.aliased()
        owner = here.id
        source, end = joined(compiler, here.source, here, path.steps)
    return select(owner, end.own(path.field).column).select_from(source), owner


def _stepped(
    compiler: Compiler, here: ModelInfo, step: PathStep
) -> tuple[FromClause, ModelInfo, ColumnElement[Any], ColumnElement[Any]]:
    """Return what to join for a step, its target in there, and the two columns that must be equal: inner and outer."""
    relation, target = step.relation, step.target.aliased()
    counts = None if step.where is EVERYTHING else compiler.where(target, step.where)
    added: FromClause = target.source
    if relation.link is not None:
        link = here.table.metadata.tables[relation.link].alias()
        onward = link.c[str(relation.target_column)] == target.id
        added = link.join(target.source, onward if counts is None else and_(onward, counts))
        return added, target, link.c[str(relation.source)], here.id
    if counts is not None:
        added = select(target.source).where(counts).subquery()
        target = ModelInfo(target.model, added)
    if relation.many:
        return added, target, target.field(str(relation.column)).column, here.id
    return added, target, target.id, here.field(str(relation.column)).column
