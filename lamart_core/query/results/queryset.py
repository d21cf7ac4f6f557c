"""Lazy, chainable queries for records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import DeclarativeBase

from lamart_core import errors
from lamart_core.db.checks import check_integer
from lamart_core.planned import no_attribute
from lamart_core.query.language.expressions import Not, Q, Subquery, conjunction
from lamart_core.query.language.model import QueryRegistry, model_info
from lamart_core.query.results import aggregates, assign, frames, search, single
from lamart_core.query.results.autocomplete import Lookup
from lamart_core.query.results.prefetch import prefetch
from lamart_core.query.results.select_fields import Rows
from lamart_core.query.sql.statement import Statement

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T", bound=DeclarativeBase)

_SHOWN_IN_REPR = 20


class QuerySet(Subquery, Generic[T]):
    """A query for records, which runs when its result is needed.

    Every method that narrows it gives a new one. A query set that was iterated keeps its records; `all()` gives
    one that asks again.

    Args:
        model: Record class.
        registry: Registry to ask.
        is_scoped: Whether the trash, the archive and other branches are hidden, unless a filter names a branch or
            asks for an id, uid or hash.

    Example:
        >>> import lamart_core as ln
        >>> ln.Transform(key="ingest").save()
        Transform(...)
        >>> transforms = ln.Transform.filter(key__startswith="in", is_latest=True).order_by("-created_at")
        >>> transforms.count()
        1
        >>> transforms[:10].to_list("key")
        ['ingest']
    """

    def __new__(cls, model: type[T], *_: Any, **__: Any) -> Self:
        """Give a query set of the class that the record class names in `__query_set__`, if it names one."""
        named: type[Self] | None = getattr(model, "__query_set__", None) if cls is QuerySet else None
        return object.__new__(named if named is not None else cls)

    def __init__(self, model: type[T], registry: QueryRegistry, *, is_scoped: bool = True) -> None:
        self.model = model
        self.registry = registry
        self._statement = Statement(model_info(model), registry, is_scoped=is_scoped)
        self._related: tuple[str, ...] = ()
        self._is_distinct = False
        self._records: list[T] | None = None

    # ------------------------------------------------------------------ narrowing

    def all(self) -> Self:
        """Return the same query, not run yet."""
        return self._with(self._statement)

    def filter(self, *conditions: Q | ColumnElement[bool], **expressions: Any) -> Self:
        """Keep the records for which all conditions hold.

        Args:
            *conditions: `Q` objects or SQLAlchemy column expressions.
            **expressions: Fields and values, for example `run__transform__key="ingest"` or `size__gt=10`. Conditions
                through one relation are about the same related record; chain `filter` for conditions that different
                ones may meet.

        Raises:
            FieldError: A field, relation or lookup does not exist; the message lists what does.
            InvalidArgument: A value cannot be compared with its field, or the query set is a slice.
        """
        if not conditions and not expressions:
            return self._with(self._statement)
        return self._with(self._statement.narrowed(conjunction(conditions, expressions)))

    def exclude(self, *conditions: Q | ColumnElement[bool], **expressions: Any) -> Self:
        """Drop the records for which all conditions hold; the arguments are those of `filter`."""
        return self._with(self._statement.narrowed(Not(conjunction(conditions, expressions))))

    def order_by(self, *fields: str | ColumnElement[Any]) -> Self:
        """Sort by fields, descending with a leading `-`; missing values come last, text goes by code points.

        Args:
            *fields: Names such as `"-created_at"` or `"run__started_at"`, or column expressions; none: by id.

        Raises:
            FieldError: A field does not exist or has no order.
        """
        self._statement.check_whole("sorted")
        statement = replace(self._statement, order=fields, is_reversed=False)
        statement.ordering()
        return self._with(statement)

    def distinct(self) -> Self:
        """Drop equal rows from `values` and `values_list`; records are distinct anyway."""
        other = self._with(self._statement)
        other._is_distinct = True
        return other

    def select_related(self, *relations: str) -> Self:
        """Load to-one relations along with the records, with one statement each, however many records there are.

        Args:
            *relations: Names such as `"run"` or `"run__transform"`.
        """
        other = self._with(self._statement)
        other._related = (*self._related, *relations)
        return other

    def reverse(self) -> Self:
        """Return the records in the opposite order; without one, from the highest id down."""
        return self._with(self._statement.reversed())

    def __or__(self, other: QuerySet[T]) -> Self:
        """Return the records of either query."""
        return self._with(self._statement.united(self._like(other)))

    def __and__(self, other: QuerySet[T]) -> Self:
        """Return the records that both queries give."""
        return self._with(self._statement.common(self._like(other)))

    def _like(self, other: Any) -> Statement:
        if not isinstance(other, QuerySet) or other.model is not self.model or other.registry != self.registry:
            raise errors.InvalidArgument(
                f"only query sets of one record class and one registry can be combined, got {type(other).__name__}"
            )
        return other._statement

    # ------------------------------------------------------------------ one record

    def get(self, idlike: int | str | None = None, **expressions: Any) -> T:
        """Return the only record that matches.

        Of records with versions, the beginning of a uid and a key mean the latest version, unless `version` names one.

        Args:
            idlike: An integer id, a uid, or the first characters of a uid.
            **expressions: As for `filter`.

        Raises:
            ObjectDoesNotExist: No record matches.
            MultipleObjectsReturned: Several match.
            FieldError: A field, relation or lookup does not exist.
        """
        return self._filled([single.get(self._statement, idlike, expressions)])[0]

    def one(self) -> T:
        """Return the only record.

        Raises:
            ObjectDoesNotExist: There is none.
            MultipleObjectsReturned: There are several.
        """
        return self._filled([single.get_one(self._statement)])[0]

    def one_or_none(self) -> T | None:
        """Return the only record, or None where there is none.

        Raises:
            MultipleObjectsReturned: There are several.
        """
        found: list[T] = single.load(self._statement, 2)
        if len(found) > 1:
            raise single.several(self._statement)
        return self._filled(found)[0] if found else None

    def first(self) -> T | None:
        """Return the first record in the order of the query, by id without one; None where there is none."""
        found = self._with(self._statement.sliced(0, 1))._fetched()
        return found[0] if found else None

    def last(self) -> T | None:
        """Return the last record in the order of the query, by id without one; None where there is none."""
        if self._statement.is_slice:
            records = self._fetched()
            return records[-1] if records else None
        turned = replace(self._statement, is_reversed=not self._statement.is_reversed)
        return self._with(turned).first()

    # ------------------------------------------------------------------ many records

    def to_list(self, field: str | None = None) -> list[Any]:
        """Return the records, or the values of one field.

        Args:
            field: Name of a field, through relations too; the values of a to-many relation come as sets.
        """
        return list(self._fetched()) if field is None else self.values_list(field, flat=True).to_list()

    def values(self, *fields: str) -> Rows:
        """Return fields of the records as dictionaries.

        Args:
            *fields: Names, through relations too, such as `"run__uid"`; none: all fields.
        """
        return Rows(self._statement, fields, shape="dict", distinct=self._is_distinct)

    def values_list(self, *fields: str, flat: bool = False) -> Rows:
        """Return fields of the records as tuples.

        Args:
            *fields: Names, through relations too; none: all fields.
            flat: Return the bare values of one field.
        """
        return Rows(self._statement, fields, shape="flat" if flat else "tuple", distinct=self._is_distinct)

    def to_dataframe(
        self,
        include: str | Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        limit: int | None = 20,
        order_by: str | None = "-id",
    ) -> pd.DataFrame:
        """Return the records as a data frame with the id as its index.

        Args:
            include: Further columns: fields of related records such as `"run__uid"` or `"ulabels__name"`, the latter
                as sets; `"privates"` for the fields with a leading underscore.
            features: Names of features to show as columns; for records that have features.
            limit: Maximal number of rows, None for all; a warning says when there are more.
            order_by: Field to sort by, unless the query is sorted already.

        Raises:
            FieldError: A column does not exist.
        """
        if features is not None:
            raise errors.InvalidArgument(f"{self.model.__name__} records have no features; use include for fields")
        return frames.to_dataframe(self._statement, include=include, limit=limit, order_by=order_by)

    def iterator(self, chunk_size: int = 1000) -> Iterator[T]:
        """Give the records one after the other without keeping them, for those that do not fit into memory.

        Which records they are is decided at the first one; those that are deleted meanwhile are left out.

        Args:
            chunk_size: How many records are read at a time.

        Raises:
            InvalidArgument: `chunk_size` is no positive number.
        """
        check_integer("chunk_size", chunk_size)
        if chunk_size < 1:
            raise errors.InvalidArgument(f"chunk_size is a positive number of records, got {chunk_size!r}")
        return self._in_chunks(chunk_size)

    def _in_chunks(self, size: int) -> Iterator[T]:
        statement = self._statement
        with self.registry.read() as session:
            ids = list(session.scalars(statement.select(statement.info.id)))
        for start in range(0, len(ids), size):
            chunk = ids[start : start + size]
            found = self._by_id(chunk)
            yield from (found[each] for each in chunk if each in found)

    def _by_id(self, ids: Sequence[int]) -> dict[int, T]:
        some = QuerySet(self.model, self.registry, is_scoped=False)
        some._related = self._related
        identified = self._statement.compiler.dialect.among(self._statement.info.id, ids)
        return {getattr(record, "id"): record for record in some.filter(identified)}  # noqa: B009

    def in_bulk(self, ids: Sequence[Any] | None = None, *, field_name: str = "id") -> dict[Any, T]:
        """Return records by their id, or by another field that tells them apart.

        Args:
            ids: Values of the field; None: all records of the query. Those that are not there are left out.
            field_name: `"id"` or `"uid"`.

        Raises:
            InvalidArgument: Records may have the same value of the field.
        """
        if field_name not in ("id", "uid"):
            raise errors.InvalidArgument(f"in_bulk() tells records apart by 'id' or 'uid', got {field_name!r}")
        found = self if ids is None else self.filter(**{f"{field_name}__in": ids})
        return {getattr(record, field_name): record for record in found}

    def aggregate(self, **results: tuple[str, str]) -> dict[str, Any]:
        """Return sums and the like over the records, in one statement.

        Args:
            **results: Name of the result, with a field and what to compute: `count`, `sum`, `mean`, `min` or `max`.

        Returns:
            The results by their names; None where no record has a value, and 0 for a count.

        Raises:
            FieldError: A field does not exist, or has no such aggregate.

        Examples:
            >>> import lamart_core as ln
            >>> ln.Artifact.filter().aggregate(total=("size", "sum"), newest=("created_at", "max"), n=("id", "count"))
            {'total': None, 'newest': None, 'n': 0}
        """
        return aggregates.aggregate(self._statement, results)

    def count(self) -> int:
        """Count the records."""
        return len(self._records) if self._records is not None else self._statement.count()

    def exists(self) -> bool:
        """Return whether there is a record."""
        return bool(self._records) if self._records is not None else self._statement.exists()

    def search(
        self,
        string: str,
        *,
        field: str | Sequence[str] | None = None,
        limit: int = 20,
        case_sensitive: bool = False,
    ) -> Self:
        """Return the records that match words best, best first.

        Args:
            string: Words, all of which must occur in a record.
            field: Text fields to look into; None: all that people write.
            limit: Maximal number of records.
            case_sensitive: Whether upper and lower case letters differ.
        """
        options = search.Options(field=field, limit=limit, case_sensitive=case_sensitive)
        return self._with(search.searched(self._statement, string, options))

    def lookup(self, field: str | None = None, return_field: str | None = None) -> Lookup:
        """Return the records as attributes, for auto-completion.

        Args:
            field: Field that gives the attribute names; None: the name, key or handle.
            return_field: Give the values of this field instead of the records.
        """
        name = field or self._statement.info.naming_field()
        if return_field is not None:
            pairs: list[tuple[Any, Any]] = self.values_list(name, return_field).to_list()
        else:
            pairs = [(getattr(record, name), record) for record in self._fetched()]
        return Lookup((str(key), value) for key, value in pairs if key is not None)

    # ------------------------------------------------------------------ writing

    def update(self, **values: Any) -> int:
        """Assign fields of all records in one statement.

        Args:
            **values: Fields, or to-one relations with a record, an id or None.

        Returns:
            The number of records.

        Raises:
            FieldError: A field does not exist.
            InvalidArgument: A field identifies records or follows from their content, and is never assigned.
        """
        return assign.update_all(self._statement, values)

    def delete(self, permanent: bool | None = None, **options: Any) -> int:
        """Delete the records one by one, as `record.delete(permanent=…)` does.

        Args:
            permanent: True skips the trash; None trashes records, and deletes those that lie in the trash already.
            **options: Other arguments of the class' own `delete`, such as `storage` for artifacts.

        Returns:
            The number of records.

        Raises:
            BulkDeleteError: One could not be deleted, those before it are. The error holds both, and `__cause__` says
                why. If it was the first one, nothing is deleted, and that error is raised itself.
        """
        records: list[Any] = self.all()._fetched()
        for done, record in enumerate(records):
            try:
                record.delete(permanent=permanent, **options)
            except errors.ObjectDoesNotExist:  # it went with another version of its family
                continue
            except errors.LamartError as error:
                if not done:
                    raise
                raise errors.BulkDeleteError(
                    f"{done:,} of {len(records):,} records are deleted, {len(records) - done:,} are as they were and "
                    f"are in `.remaining`. The cause is {type(error).__name__}: {error}",
                    deleted=records[:done],
                    remaining=records[done:],
                ) from error
        return len(records)

    # ------------------------------------------------------------------ as a sequence

    def __iter__(self) -> Iterator[T]:
        return iter(self._fetched())

    def __len__(self) -> int:
        return len(self._fetched())

    def __bool__(self) -> bool:
        return self.exists()

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> T | Self:
        if isinstance(index, slice):
            start, stop = index.start or 0, index.stop
            if index.step not in (None, 1) or start < 0 or (stop is not None and stop < 0):
                raise errors.InvalidArgument("a query set is sliced from the front and without a step; sort it instead")
            return self._with(self._statement.sliced(start, stop))
        if index < 0:
            raise errors.InvalidArgument("a query set has no negative positions; use last() or sort the other way")
        if self._records is not None:
            return self._records[index]
        found = self._with(self._statement.sliced(index, index + 1))._fetched()
        if not found:
            raise IndexError(f"the query set has no record at position {index}")
        return found[0]

    def __repr__(self) -> str:
        shown = list(self[: _SHOWN_IN_REPR + 1])
        lines = [f"  {record!r}," for record in shown[:_SHOWN_IN_REPR]]
        if len(shown) > _SHOWN_IN_REPR:
            lines.append("  …")
        return "\n".join([f"<QuerySet of {self.model.__name__} [", *lines, "]>"]) if lines else "<QuerySet []>"

    def ids(self) -> Select[Any]:
        """Return the SELECT of the ids, as `in` lookups use it."""
        return self._statement.ids()

    # ------------------------------------------------------------------ inside

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            raise no_attribute("a query set", [base.__name__ for base in type(self).__mro__], name, dir(type(self)))

    def _fetched(self) -> list[T]:
        if self._records is None:
            statement = self._statement
            with self.registry.read() as session:
                records = list(session.scalars(statement.select(self.model)))
                for record in records:
                    record.__dict__["_registry"] = self.registry
                if self._related and records:
                    self._prefetch(session, records)
            self._records = records
        return self._records

    def _filled(self, records: list[T]) -> list[T]:
        if self._related:
            with self.registry.read() as session:
                self._prefetch(session, records)
        return records

    def _prefetch(self, session: Any, records: list[T]) -> None:
        prefetch(session, self._statement, records, self._related)

    def _with(self, statement: Statement) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._statement = statement
        other._records = None
        return other
