"""Links between records: one declaration makes the table, both ends of the relation, and what checks know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from sqlalchemy import Column, Connection, ForeignKey, Index, Integer, Table, text

from lamart_core import errors
from lamart_core.db import Base, BigId, Registry, UtcDateTime, now
from lamart_core.families.delete_rows import UNLINKS
from lamart_core.query import ToMany
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.current_run import current_run
from lamart_core.records.kinds.hierarchy import Edges, check_acyclic


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


@dataclass(frozen=True)
class Link:
    """A declared link.

    Attributes:
        name: Name of the class of its rows.
        table: The table; each row says no more than that two records belong together.
        tracked: Columns that say who linked the two, and in which run.
        edges: Of a link that is not to have circles: its edges.
    """

    name: str
    table: Table
    tracked: frozenset[str]
    edges: Edges | None

    @cached_property
    def model(self) -> type[Any]:
        """The record class of the rows. Made when it is asked for: what uses the table alone does not need it."""
        body = {"__abstract__": True, "__doc__": f"A row of `{self.table.name}`.", "__link__": self}
        model = type(self.name, (LinkRow,), body)
        Base.registry.map_imperatively(model, self.table)
        return model

    def prepare(self, connection: Connection, registry: Registry, rows: Sequence[dict[str, Any]]) -> None:
        """Complete rows that are going to be inserted, and check that they may be.

        Raises:
            InvalidArgument: The link has no circles, and these rows would close one.
        """
        values: dict[str, Any] = {"created_at": now()}
        if self.tracked:
            run = current_run(registry)
            made = {"created_by_id": registry.user_id, "run_id": run.id if run is not None else None}
            values |= {name: made[name] for name in self.tracked}
        for row in rows:
            row.update(values)
        if self.edges is not None:
            check_acyclic(connection, self.edges, rows)


class LinkRow(SQLRecord):
    """A row of a link; what adds related records writes rows without it."""

    __abstract__ = True
    __link__: ClassVar[Link]

    def _insert(self, connection: Connection) -> int:
        row = self._values()
        self.__link__.prepare(connection, self.registry, [row])
        self._give(**row)
        return super()._insert(connection)

    def _check(self) -> None:
        ends = list(self.__link__.table.columns)[:2]
        if self.is_saved and (moved := sorted(self._changes().keys() & {end.name for end in ends})):
            raise errors.InvalidArgument(
                f"{', '.join(moved)} of {self!r}: a link stays between its two ends; delete it, and link the others"
            )
        super()._check()


_links: dict[str, Link] = {}


def link(
    source: str | End,
    target: str | End,
    *,
    name: str | None = None,
    columns: Sequence[Column[Any]] = (),
    feature: bool = False,
    tracked: bool = True,
    acyclic: bool = False,
    fixed: str | None = None,
    small: bool = False,
) -> Link:
    """Declare a many-to-many relation: its table, indexes and constraints, and an attribute on both classes.

    Checks and repairs know each link that was declared. The classes at the ends may be declared later; each gets its
    end when it is.

    Args:
        source: The record that the link belongs to: it goes with it.
        target: The record that the source is linked to; deleting it is refused while it is linked.
        name: Name of the class of its rows. Default: those of both ends, for example `ArtifactProject`.
        columns: Further columns.
        feature: Whether a pair may be linked once under each feature, and once without any.
        tracked: Whether it is written down who linked the two, and in which run where that is neither of them.
        acyclic: For links within one class: whether a cycle is refused.
        fixed: Why nobody changes it by hand; None: it can be changed.
        small: Whether its own ids are small numbers, as those of tables are that were made so.

    Example, in the file of `Project`:

        ArtifactProject = link("Artifact", "Project")  # artifact.projects and project.artifacts
    """
    source, target = _complete(source, cascade=True), _complete(target, cascade=False)
    name = name or source.model + target.model
    who = Column("created_by_id", ForeignKey("lamart_user.id"), nullable=False)
    when = Column("run_id", ForeignKey("lamart_run.id"), index=True)
    made = [column for column in (who, when) if tracked and column.name not in (source.column, target.column)]
    table = Table(
        f"lamart_{name.lower()}",
        Base.metadata,
        # The ends come first: messages take them for what a row stands for.
        _reference(source),
        _reference(target, index=True),
        *([Column("feature_id", ForeignKey("lamart_feature.id"), index=True)] if feature else []),
        *columns,
        *made,
        Column("id", Integer if small else BigId, primary_key=True),
        Column("created_at", UtcDateTime, nullable=False),
        *_indexes(f"lamart_{name.lower()}", source, target, feature=feature),
        sqlite_autoincrement=True,
        info={UNLINKS: fixed is None},
    )
    edges = Edges(table, source.column, target.column, f"lamart_{source.model.lower()}") if acyclic else None
    declared = _links[table.name] = Link(name, table, frozenset(column.name for column in made), edges)
    for owner, other in ((source, target), (target, source)):
        for accessor in other.names:
            relation = ToMany(
                other.model,
                link=table.name,
                source=owner.column,
                target_column=other.column,
                fixed=fixed,
                prepare=declared.prepare,
            )
            SQLRecord.add_relation(owner.model, accessor, relation)
    return declared


def __getattr__(name: str) -> type[Any]:
    """Find the class of the rows of a link by its name, as pickle does."""
    for declared in _links.values():
        if declared.name == name:
            return declared.model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def link_tables() -> frozenset[str]:
    """Return the names of the tables of links: of rows that say nothing but that two others belong together."""
    return frozenset(_links)


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


def _reference(end: End, *, index: bool = False) -> Column[Any]:
    key = ForeignKey(f"lamart_{end.model.lower()}.id", ondelete="CASCADE" if end.cascade else None)
    return Column(end.column, key, nullable=False, index=index)


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
