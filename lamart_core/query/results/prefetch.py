"""Fill the to-one relations of records that were loaded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lamart_core import errors
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import ModelInfo, cache_name
from lamart_core.query.language.paths import FieldPath, PathStep, resolve
from lamart_core.query.sql.dialect import Dialect
from lamart_core.query.sql.statement import Statement


def prefetch(session: Session, statement: Statement, records: Sequence[Any], paths: Sequence[str]) -> None:
    """Load relations of records, one statement per relation.

    Args:
        session: Open session.
        statement: What found the records.
        records: Records to fill.
        paths: To-one relations, for example `"run__transform"`, which fills `run` as well.

    Raises:
        FieldError: A relation does not exist or is not to one.
    """
    resolved = [resolve(statement.info, split_path(path), statement.registry) for path in paths]
    for path in resolved:
        _check_to_one(path)
    _fill(session, statement, records, [path.steps for path in resolved])


def _check_to_one(path: FieldPath) -> None:
    if not path.is_relation:
        raise errors.FieldError(f"select_related loads related records; {path.text!r} is a field of {path.info.name}")
    for step in path.steps:
        if not step.is_plain:
            name = f"{step.source.name}.{step.relation.name}"
            raise errors.FieldError(f"select_related loads relations to one record; {name} is to many")


def _fill(
    session: Session, statement: Statement, records: Sequence[Any], paths: Sequence[tuple[PathStep, ...]]
) -> None:
    nested: dict[str, list[tuple[PathStep, ...]]] = {}
    for steps in paths:
        nested.setdefault(steps[0].relation.name, []).append(steps)
    for name, inner in nested.items():
        step, column = inner[0][0], str(inner[0][0].relation.column)
        wanted = {key for record in records if (key := getattr(record, column)) is not None}
        related = _load(session, statement.compiler.dialect, step.target, sorted(wanted))
        for record in related.values():
            record.__dict__["_registry"] = statement.registry
        for record in records:
            record.__dict__[cache_name(name)] = related.get(getattr(record, column))
        _fill(session, statement, list(related.values()), [steps[1:] for steps in inner if steps[1:]])


def _load(session: Session, dialect: Dialect, target: ModelInfo, ids: list[int]) -> dict[int, Any]:
    condition = dialect.among(target.id, ids)
    return {record.id: record for record in session.scalars(select(target.model).where(condition))}
