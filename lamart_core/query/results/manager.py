"""The records that a record is related to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select, update
from sqlalchemy.orm import DeclarativeBase

from lamart_core import errors
from lamart_core.query.language.expressions import EVERYTHING, Clause, Comparison, Q
from lamart_core.query.language.model import ModelInfo, QueryRegistry, Relation, check_registry, model_info
from lamart_core.query.language.paths import seen_of
from lamart_core.query.results.queryset import QuerySet
from lamart_core.query.sql.dialects import dialect_of, insert_once

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T", bound=DeclarativeBase)


class RelatedManager(Generic[T]):
    """Records on the other side of a to-many relation, such as `run.output_artifacts`.

    All of them are seen, those in the trash and on other branches too: what is related stays related. Labels that lie
    in the trash are not shown until they are restored.

    Args:
        owner: The record that they are related to.
        relation: The relation.
        registry: Registry of the owner.

    Example:
        >>> import lamart_core as ln
        >>> run = ln.track("analysis.py")
        >>> from pathlib import Path
        >>> _ = Path("a.txt").write_text("a")
        >>> artifact = ln.Artifact("a.txt", key="a.txt").save()
        >>> run.output_artifacts.to_list("key")
        ['a.txt']
        >>> ln.finish()
    """

    def __init__(self, owner: DeclarativeBase, relation: Relation, registry: QueryRegistry) -> None:
        self._owner: Any = owner
        self._relation = relation
        self._registry = registry
        self._source: ModelInfo = model_info(type(owner))
        self._target: ModelInfo = self._source.target(relation)

    # ------------------------------------------------------------------ reading

    def all(self) -> QuerySet[T]:
        """Return all related records as a query set.

        Raises:
            InvalidArgument: The owner is not saved yet.
        """
        queryset: QuerySet[Any] = QuerySet(self._target.model, self._registry, is_scoped=False)
        seen = seen_of(self._source, self._relation)
        if seen is not EVERYTHING:
            queryset = queryset.filter(Q.of(seen))
        if self._relation.link is None:
            return queryset.filter(Q.of(Comparison((str(self._relation.column),), "exact", self._owner_id())))
        _, source, target = self._link()
        linked = select(target).where(source == self._owner_id()).correlate(None)
        return queryset.filter(Q.of(Clause(self._target.id.in_(linked))))

    def filter(self, *conditions: Q | ColumnElement[bool], **expressions: Any) -> QuerySet[T]:
        """Return the related records for which all conditions hold; the arguments are those of `QuerySet.filter`."""
        return self.all().filter(*conditions, **expressions)

    def exclude(self, *conditions: Q | ColumnElement[bool], **expressions: Any) -> QuerySet[T]:
        """Return the related records but those for which all conditions hold."""
        return self.all().exclude(*conditions, **expressions)

    def order_by(self, *fields: str | ColumnElement[Any]) -> QuerySet[T]:
        """Return the related records, sorted."""
        return self.all().order_by(*fields)

    def get(self, idlike: int | str | None = None, **expressions: Any) -> T:
        """Return one related record; the arguments are those of `QuerySet.get`."""
        return self.all().get(idlike, **expressions)

    def one(self) -> T:
        """Return the only related record."""
        return self.all().one()

    def one_or_none(self) -> T | None:
        """Return the only related record, or None."""
        return self.all().one_or_none()

    def first(self) -> T | None:
        """Return the related record with the lowest id, or None."""
        return self.all().first()

    def to_list(self, field: str | None = None) -> list[Any]:
        """Return the related records, or the values of one of their fields."""
        return self.all().to_list(field)

    def to_dataframe(
        self,
        include: str | Sequence[str] | None = None,
        limit: int | None = 20,
        order_by: str | None = "-id",
    ) -> pd.DataFrame:
        """Return the related records as a data frame; the arguments are those of `QuerySet.to_dataframe`."""
        return self.all().to_dataframe(include=include, limit=limit, order_by=order_by)

    def count(self) -> int:
        """Count the related records."""
        return self.all().count()

    def exists(self) -> bool:
        """Return whether there is a related record."""
        return self.all().exists()

    def __iter__(self) -> Iterator[T]:
        return iter(self.all())

    def __bool__(self) -> bool:
        return self.exists()

    def __contains__(self, record: object) -> bool:
        if not isinstance(record, self._target.model):
            return False
        return self.all().filter(id=getattr(record, "id", None) or 0).exists()

    def __repr__(self) -> str:
        name = f"{self._source.name}.{self._relation.name}"
        return f"<{name}: not saved>" if self._owner.id is None else f"<{name} {self.all()!r}>"

    # ------------------------------------------------------------------ writing

    def add(self, *records: T) -> None:
        """Relate records; those that are related already stay so.

        Args:
            *records: Saved records of the same registry.

        Raises:
            InvalidArgument: The owner is not saved yet, a record belongs to another class or registry, or the relation
                is fixed.
            ValidationError: A record is not saved yet.
        """
        self._check_changeable()
        ids = self._ids(records)
        owner_id = self._owner_id()
        if ids:
            self._registry.unit_of_work(lambda connection: self._add(connection, owner_id, ids))

    def remove(self, *records: T) -> None:
        """Unrelate records; those that are not related are left alone. The arguments are those of `add`."""
        self._check_changeable()
        ids = self._ids(records)
        owner_id = self._owner_id()
        self._check_optional()
        if ids:
            self._registry.unit_of_work(lambda connection: self._remove(connection, owner_id, ids))

    def set(self, records: Iterable[T]) -> None:
        """Relate these records and no others.

        Args:
            records: Saved records of the same registry.
        """
        self._check_changeable()
        given: Any = records
        if isinstance(given, str) or not isinstance(given, Iterable):
            name = self._relation.name
            raise errors.InvalidArgument(
                f"{name}.set() takes a list of records, got {given!r}; {name}.set([…]) or {name}.clear()"
            )
        ids = self._ids(list(records))
        owner_id = self._owner_id()

        def work(connection: Connection) -> None:
            kept = set(ids)
            outdated = [each for each in self._related_ids(connection, owner_id) if each not in kept]
            if outdated:
                self._check_optional()
                self._remove(connection, owner_id, outdated)
            if ids:
                self._add(connection, owner_id, ids)

        self._registry.unit_of_work(work)

    def clear(self) -> None:
        """Unrelate all records."""
        self.set([])

    # ------------------------------------------------------------------ inside

    def _add(self, connection: Connection, owner_id: int, ids: list[int]) -> None:
        if self._relation.link is None:
            self._point(connection, owner_id, self._among(self._target.id, ids))
            return
        link, source, target = self._link()
        rows: list[dict[str, Any]] = [{source.name: owner_id, target.name: each} for each in ids]
        if self._relation.prepare is not None:
            self._relation.prepare(connection, self._registry, rows)
        insert_once(connection, link, rows)

    def _remove(self, connection: Connection, owner_id: int, ids: list[int]) -> None:
        if self._relation.link is None:
            owned = self._foreign_key() == owner_id
            self._point(connection, None, and_(owned, self._among(self._target.id, ids)))
            return
        link, source, target = self._link()
        connection.execute(delete(link).where(source == owner_id, self._among(target, ids)))

    def _point(self, connection: Connection, owner_id: int | None, where: ColumnElement[bool]) -> None:
        column = str(self._relation.column)
        connection.execute(update(self._target.table).where(where).values({column: owner_id}))

    def _related_ids(self, connection: Connection, owner_id: int) -> list[int]:
        if self._relation.link is None:
            statement = select(self._target.id).where(self._foreign_key() == owner_id)
        else:
            _, source, target = self._link()
            statement = select(target).where(source == owner_id)
        return list(connection.execute(statement).scalars())

    def _foreign_key(self) -> ColumnElement[Any]:
        return self._target.field(str(self._relation.column)).column

    def _link(self) -> tuple[Table, ColumnElement[Any], ColumnElement[Any]]:
        link = self._source.table.metadata.tables[str(self._relation.link)]
        return link, link.c[str(self._relation.source)], link.c[str(self._relation.target_column)]

    def _among(self, column: ColumnElement[Any], ids: list[int]) -> ColumnElement[bool]:
        return dialect_of(self._registry.engine.dialect.name).among(column, ids)

    def _owner_id(self) -> int:
        if self._owner.id is None:
            raise errors.InvalidArgument(
                f"this {self._source.name} is not saved yet and has no {self._relation.name}; save it first"
            )
        return int(self._owner.id)

    def _check_changeable(self) -> None:
        if self._relation.fixed is not None:
            name = f"{self._source.name}.{self._relation.name}"
            raise errors.InvalidArgument(f"{name} cannot be changed by hand: {self._relation.fixed}")

    def _check_optional(self) -> None:
        if self._relation.link is None and not self._target.field(str(self._relation.column)).nullable:
            raise errors.InvalidArgument(
                f"every {self._target.name} needs its {self._source.name}; relate it to another one instead"
            )

    def _ids(self, records: Sequence[Any]) -> list[int]:
        for record in records:
            if not isinstance(record, self._target.model):
                raise errors.InvalidArgument(
                    f"{self._source.name}.{self._relation.name} takes records of {self._target.name}, got {record!r}"
                )
            if record.id is None:
                raise errors.ValidationError(f"{record!r} is not saved yet; save it first")
            check_registry(record, self._registry)
        return list(dict.fromkeys(record.id for record in records))
