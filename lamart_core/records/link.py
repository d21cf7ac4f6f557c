"""Links between records: one declaration makes the table, both ends of the relation, and what checks know of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Connection, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import Base, BigId, Registry, UtcDateTime, now
from lamart_core.query import ToMany
from lamart_core.records.base import SQLRecord
from lamart_core.records.hierarchy import Edges, check_acyclic
from lamart_core.records.run import current_run


@dataclass(frozen=True)
class End:
    """One side of a link.

    Attributes:
        model: Name of the record class on this side.
        names: What the other side calls its records here. Default: the plural, for example `artifacts`.
        column: Column of the link table that refers to it. Default: for example `artifact_id`.
        cascade: Whether the link goes with a record that is deleted. False: as long as the link is there, the record
            is protected. Default: links go with their source, and protect their target.
    """

    model: str
    names: tuple[str, ...] = ()
    column: str = ""
    cascade: bool | None = None


class Link(SQLRecord):
    """A row that says no more than that two records belong together."""

    __abstract__ = True
    __edges__: ClassVar[Edges | None] = None
    # Columns that say who linked the two, and in which run.
    __tracked__: ClassVar[frozenset[str]] = frozenset()

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @classmethod
    def prepare(cls, connection: Connection, registry: Registry, rows: Sequence[dict[str, Any]]) -> None:
        """Complete rows that are going to be inserted, and check that they may be.

        Raises:
            InvalidArgument: The class has no cycles, and these rows would make one.
        """
        values: dict[str, Any] = {"created_at": now()}
        if cls.__tracked__:
            run = current_run(registry)
            made = {"created_by_id": registry.user_id, "run_id": run.id if run is not None else None}
            values |= {name: made[name] for name in cls.__tracked__}
        for row in rows:
            row.update({name: value for name, value in values.items() if row.get(name) is None})
        if cls.__edges__ is not None:
            check_acyclic(connection, cls.__edges__, rows)

    def _insert(self, connection: Connection) -> int:
        values = self._values()
        self.prepare(connection, self.registry, [values])
        for name, value in values.items():
            setattr(self, name, value)
        return super()._insert(connection)


def link(
    source: str | End,
    target: str | End,
    *,
    name: str | None = None,
    columns: Mapping[str, Any] | None = None,
    feature: bool = False,
    tracked: bool = True,
    acyclic: bool = False,
    fixed: str | None = None,
) -> type[Link]:
    """Declare a many-to-many relation: its table, indexes and constraints, and an attribute on both classes.

    Checks and repairs know a link by its class. The classes at the ends may be declared later; each gets its end
    when it is.

    Args:
        source: The record that the link belongs to: it goes with it.
        target: The record that the source is linked to; deleting it is refused while it is linked.
        name: Name of the class. Default: those of both ends, for example `ArtifactProject`.
        columns: Further columns, by name.
        feature: Whether a pair may be linked once under each feature, and once without any.
        tracked: Whether it is written down who linked the two, and in which run where that is neither of them.
        acyclic: For links within one class: whether a cycle is refused.
        fixed: Why nobody changes it by hand; None: it can be changed.

    Returns:
        The class of the rows. Assign it to a variable of its name.

    Example, in the file of `Project`:

        ArtifactProject = link("Artifact", "Project")  # artifact.projects and project.artifacts
    """
    source, target = _complete(source, cascade=True), _complete(target, cascade=False)
    name = name or source.model + target.model
    table = f"lamart_{name.lower()}"
    body: dict[str, Any] = {
        "__doc__": f"Link: {source.model} and {target.model}.",
        "__module__": sys._getframe(1).f_globals["__name__"],
        "__tablename__": table,
        "__table_args__": _indexes(table, source, target, feature=feature),
        # The ends come first: messages take them for what a row stands for.
        source.column: _reference(source),
        target.column: _reference(target, index=True),
    }
    if feature:
        body["feature_id"] = mapped_column(ForeignKey("lamart_feature.id"), index=True)
    if tracked:
        made = {"created_by_id": ("lamart_user.id", False), "run_id": ("lamart_run.id", True)}
        body["__tracked__"] = frozenset(made.keys() - body.keys())
        for column in sorted(body["__tracked__"]):
            refers_to, optional = made[column]
            body[column] = mapped_column(ForeignKey(refers_to), nullable=optional, index=optional)
    model: type[Link] = type(name, (Link,), body | dict(columns or {}))
    if acyclic:
        model.__edges__ = Edges(model.__table__, source.column, target.column, f"lamart_{source.model.lower()}")
    for owner, other in ((source, target), (target, source)):
        for accessor in other.names:
            relation = ToMany(
                other.model,
                link=table,
                source=owner.column,
                target_column=other.column,
                fixed=fixed,
                prepare=model.prepare,
            )
            SQLRecord.add_relation(owner.model, accessor, relation)
    return model


def link_tables() -> frozenset[str]:
    """Return the names of the tables of links: of rows that say nothing but that two others belong together."""
    models = (mapper.class_ for mapper in Base.registry.mappers)
    return frozenset(model.__table__.name for model in models if issubclass(model, Link))


def _complete(end: str | End, *, cascade: bool) -> End:
    if isinstance(end, str):
        end = End(end)
    word = end.model.lower()
    return replace(
        end,
        names=end.names or (f"{word}s",),
        column=end.column or f"{word}_id",
        cascade=cascade if end.cascade is None else end.cascade,
    )


def _reference(end: End, *, index: bool = False) -> Any:
    key = ForeignKey(f"lamart_{end.model.lower()}.id", ondelete="CASCADE" if end.cascade else None)
    return mapped_column(key, nullable=False, index=index)


def _indexes(table: str, source: End, target: End, *, feature: bool) -> tuple[Index, ...]:
    pair = (source.column, target.column)
    if not feature:
        return (Index(f"uq_{table}", *pair, unique=True),)
    # Two nulls are not equal to a unique index: what is linked without a feature has an index of its own.
    without, under = text("feature_id IS NULL"), text("feature_id IS NOT NULL")
    return (
        Index(f"uq_{table}_plain", *pair, unique=True, sqlite_where=without, postgresql_where=without),
        Index(f"uq_{table}_feature", *pair, "feature_id", unique=True, sqlite_where=under, postgresql_where=under),
    )
