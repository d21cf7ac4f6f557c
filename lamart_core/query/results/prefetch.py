"""Fill the to-one relations of records that were loaded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lamart_core import errors
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import ModelInfo, QueryRegistry, cache_name
from lamart_core.query.sql.dialects import Dialect


def prefetch(
    session: Session,
    dialect: Dialect,
    registry: QueryRegistry,
    info: ModelInfo,
    records: Sequence[Any],
    paths: Sequence[str],
) -> None:
    """Load relations of records, one statement per relation.

    Args:
        session: Open session.
        dialect: Operations of the database.
        registry: Registry that the loaded records will belong to.
        info: Model of the records.
        records: Records to fill.
        paths: To-one relations, for example `"run__transform"`, which fills `run` as well.

    Raises:
        FieldError: A relation does not exist or is not to one.
    """
    nested: dict[str, list[str]] = {}
    for path in paths:
        name, *rest = split_path(path)
        nested.setdefault(name, []).extend(["__".join(rest)] if rest else [])
    for name, inner in nested.items():
        relation = info.relation(name)
        if relation.many:
            raise errors.FieldError(f"select_related loads relations to one record; {info.name}.{name} is to many")
        target = info.target(relation)
        wanted = {key for record in records if (key := getattr(record, str(relation.column))) is not None}
        related = _load(session, dialect, target, sorted(wanted))
        for record in related.values():
            record.__dict__["_registry"] = registry
        for record in records:
            record.__dict__[cache_name(name)] = related.get(getattr(record, str(relation.column)))
        prefetch(session, dialect, registry, target, list(related.values()), inner)


def _load(session: Session, dialect: Dialect, target: ModelInfo, ids: list[int]) -> dict[int, Any]:
    condition = dialect.among(target.id, ids)
    return {record.id: record for record in session.scalars(select(target.model).where(condition))}
