"""What a query set asks for, as a value that builds SELECT statements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, select, true
from sqlalchemy.sql.selectable import FromClause

from lamart_core import errors
from lamart_core.query.language.binding import bind
from lamart_core.query.language.expressions import And, Expression, Or, describe
from lamart_core.query.language.model import ModelInfo, QueryRegistry
from lamart_core.query.sql.compile import Compiler, compiler_of
from lamart_core.query.sql.ordering import order_clauses
from lamart_core.query.sql.scope import default_scope, lifts_scope, without_any_branch

OrderField = str | ColumnElement[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A query on one model; immutable.

    Attributes:
        info: The model.
        registry: Where to ask.
        filters: Conditions that all hold, one per call of `filter`.
        clauses: The same as SQL.
        order: Fields to sort by; empty: by id.
        offset: How many records to skip.
        limit: How many records to return at most.
        is_scoped: Whether the default scope applies.
        is_reversed: Whether the order is turned around.
    """

    info: ModelInfo
    registry: QueryRegistry
    filters: tuple[Expression, ...] = ()
    clauses: tuple[ColumnElement[bool], ...] = ()
    order: tuple[OrderField, ...] = ()
    offset: int = 0
    limit: int | None = None
    is_scoped: bool = True
    is_reversed: bool = False

    @property
    def compiler(self) -> Compiler:
        """The compiler for the database of the registry."""
        return compiler_of(self.registry.engine.dialect.name)

    @property
    def is_slice(self) -> bool:
        """Whether it gives only a part of the records that match."""
        return self.limit is not None or self.offset > 0

    def narrowed(self, expression: Expression) -> Statement:
        """Return the statement with one more filter.

        Raises:
            FieldError: A field, relation or lookup does not exist.
            InvalidArgument: A value cannot be compared with its field, or this is a slice.
        """
        self.check_whole("filtered")
        bound = bind(self.info, expression, self.registry)
        kept = without_any_branch(self.info, bound)
        # Each call of `filter` is compiled on its own: it may be about another related record than the others.
        return replace(
            self,
            filters=(*self.filters, kept),
            clauses=(*self.clauses, self.compiler.where(self.info, kept)),
            is_scoped=self.is_scoped and not lifts_scope(self.info, bound),
        )

    def united(self, other: Statement) -> Statement:
        """Return the statement for what this or another one finds.

        Raises:
            InvalidArgument: One of them is a slice.
        """
        return self._combined(other, Or)

    def common(self, other: Statement) -> Statement:
        """Return the statement for what both this and another one find.

        Raises:
            InvalidArgument: One of them is a slice.
        """
        return self._combined(other, And)

    def _combined(self, other: Statement, how: type[And] | type[Or]) -> Statement:
        self.check_whole("combined")
        other.check_whole("combined")
        # Each call of `filter` stays one of its own: it may be about another related record than the others.
        sides = (And(tuple(And((each,)) for each in statement.conditions())) for statement in (self, other))
        return replace(self, filters=(), clauses=(), is_scoped=False).narrowed(how(tuple(sides)))

    def reversed(self) -> Statement:
        """Return the statement in the opposite order.

        Raises:
            InvalidArgument: It is a slice.
        """
        self.check_whole("reversed")
        turned = replace(self, is_reversed=not self.is_reversed)
        turned.ordering()
        return turned

    def sliced(self, start: int, stop: int | None) -> Statement:
        """Return the part from `start` to before `stop`, counted within this statement's own part."""
        limit = self.limit if stop is None else max(stop - start, 0)
        if self.limit is not None:
            limit = max(min(self.limit - start, self.limit if limit is None else limit), 0)
        return replace(self, offset=self.offset + start, limit=limit)

    def check_whole(self, verb: str) -> None:
        """Check that it is no slice.

        Raises:
            InvalidArgument: It is one.
        """
        if self.is_slice:
            raise errors.InvalidArgument(f"a slice of a query set cannot be {verb}; do that before slicing")

    def conditions(self) -> tuple[Expression, ...]:
        """Return the filters, with the default scope where it applies."""
        if not self.is_scoped or not self.info.is_scoped:
            return self.filters
        return (*self.filters, default_scope(self.info, self.registry.branch_id))

    def where(self) -> ColumnElement[bool]:
        """Return the condition as SQL."""
        clauses = list(self.clauses)
        if self.is_scoped and self.info.is_scoped:
            clauses.append(self.compiler.where(self.info, default_scope(self.info, self.registry.branch_id)))
        return and_(*clauses) if clauses else true()

    def select(
        self, *columns: Any, source: FromClause | None = None, distinct: bool = False, ordered: bool = True
    ) -> Select[*tuple[Any, ...]]:
        """Return the SELECT of the columns, or of a mapped class.

        Args:
            *columns: What to select.
            source: What to select from, where the columns alone do not say it.
            distinct: Whether to drop equal rows, which then come in the order of their columns.
            ordered: Whether the order of the rows matters.
        """
        statement: Select[*tuple[Any, ...]] = select(*columns).where(self.where())
        if source is not None:
            statement = statement.select_from(source)
        if distinct:
            statement = statement.distinct().order_by(*columns)
        elif ordered or self.is_slice:
            statement = statement.order_by(*self.ordering())
        if self.limit is not None:
            statement = statement.limit(self.limit)
        if self.offset:
            # SQLite has no OFFSET without a LIMIT; SQLAlchemy writes LIMIT -1 there.
            statement = statement.offset(self.offset)
        return statement

    def ordering(self) -> list[ColumnElement[Any]]:
        """Return the ORDER BY clauses.

        Raises:
            FieldError: A field does not exist, or cannot be sorted by.
        """
        return order_clauses(self.compiler, self.info, self.order, self.is_reversed, self.registry)

    def ids(self) -> Select[*tuple[Any, ...]]:
        """Return the SELECT of the ids."""
        return self.select(self.info.id, ordered=False)

    def count(self) -> int:
        """Count the records."""
        if self.is_slice:
            statement = select(func.count()).select_from(self.ids().subquery())
        else:
            statement = select(func.count()).select_from(self.info.table).where(self.where())
        with self.registry.read() as session:
            return int(session.execute(statement).scalar_one())

    def exists(self) -> bool:
        """Return whether there is a record."""
        statement = replace(self, limit=1 if self.limit is None else min(self.limit, 1), order=())
        with self.registry.read() as session:
            found = session.execute(statement.select(literal(1), source=self.info.table, ordered=False)).first()
        return found is not None

    def __repr__(self) -> str:
        return f"{self.info.name}.filter({describe(And(self.filters)) if self.filters else ''})"
