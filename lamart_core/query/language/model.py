"""What a record class offers to queries: its fields, their kinds, and its relations."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Engine,
    Float,
    Integer,
    Numeric,
    String,
    Table,
)
from sqlalchemy import Enum as SqlEnum
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.orm import DeclarativeBase, Mapper, Session
from sqlalchemy.sql.selectable import FromClause
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from lamart_core import errors
from lamart_core.planned import planned
from lamart_core.query.language.virtual import Virtual

R = TypeVar("R")


class QueryRegistry(Protocol):
    """What queries need of a registry."""

    engine: Engine
    branch_id: int

    def read(self) -> AbstractContextManager[Session]:
        """Give a session for one read."""
        ...

    def unit_of_work(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in one write transaction."""
        ...


# What rows of a link table need besides the ids of its ends, and whether they may be inserted.
Prepare = Callable[[Connection, Any, Sequence[dict[str, Any]]], None]


class FieldKind(Enum):
    """What can be done with the values of a field."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "number"
    BOOLEAN = "boolean"
    DATETIME = "time"
    DATE = "date"
    JSON = "JSON"
    OTHER = "opaque"


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A column, or what is computed from columns, under the name that queries know.

    Attributes:
        name: The name.
        column: The column or expression.
        kind: What can be done with its values.
        virtual: How it is computed; None: it is a column.
    """

    name: str
    column: ColumnElement[Any]
    kind: FieldKind
    virtual: Virtual[Any] | None = None

    @property
    def nullable(self) -> bool:
        """Whether the column can be null."""
        return bool(getattr(self.column, "nullable", True))


class Relation:
    """A named way from one model to another; `ToOne` and `ToMany` are the two kinds.

    Attributes:
        name: Name on the owning class.
        target: Name of the related class.
        column: Foreign key: on the owner (to one) or on the target (to many). None for many-to-many.
        link: Name of the link table of a many-to-many relation.
        source: Column of the link table that refers to the owner.
        target_column: Column of the link table that refers to the target.
        fixed: Why a to-many relation cannot be changed by hand; None: it can.
        prepare: Completes and checks rows of the link table before they are inserted.
    """

    name: str = ""
    target: str
    many: bool
    column: str | None
    link: str | None = None
    source: str | None = None
    target_column: str | None = None
    fixed: str | None = None
    prepare: Prepare | None = None

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name
        if "__relations__" not in owner.__dict__:
            owner.__relations__ = _inherited_relations(owner)
        owner.__relations__[name] = self


def _inherited_relations(model: type[Any]) -> dict[str, Relation]:
    merged: dict[str, Relation] = {}
    for base in reversed(model.__mro__):
        merged.update(base.__dict__.get("__relations__", {}))
    return merged


def _attributes(model: type[Any]) -> dict[str, Any]:
    """Return the attributes of a class and of those it inherits from, as they were written there."""
    merged: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        merged.update(base.__dict__)
    return merged


class ModelInfo:
    """Fields, virtual fields, relations and aliases of one record class.

    Attributes:
        fields: The columns.
        virtuals: The fields that are computed from columns.
        relations: The relations, by name.
        aliases: What other names stand for: paths, as `__aliases__` of the class and of those it inherits from say.
    """

    def __init__(self, model: type[DeclarativeBase], alias: FromClause | None = None) -> None:
        mapper: Mapper[Any] = sa_inspect(model)
        table = mapper.local_table
        assert isinstance(table, Table)
        self.model: type[Any] = model
        self.name = model.__name__
        self.table = table
        self.source: FromClause = table if alias is None else alias
        self.fields: Mapping[str, Field] = {
            attribute.key: Field(attribute.key, self.source.c[column.name], _kind(column.type))
            for attribute in mapper.column_attrs
            if isinstance(column := attribute.columns[0], Column)
        }
        self.relations: Mapping[str, Relation] = _inherited_relations(model)
        self.id: ColumnElement[Any] = self.fields["id"].column
        self.is_scoped = "branch_id" in self.fields
        self.walked: dict[tuple[str, ...], Any] = {}  # paths of the class, which lead the same way each time
        self._targets: dict[Relation, ModelInfo] = {}

    @cached_property
    def virtuals(self) -> Mapping[str, Field]:
        """The virtual fields that the class declares."""
        declared = {name: value for name, value in _attributes(self.model).items() if isinstance(value, Virtual)}
        return {name: self.computed(name, each) for name, each in declared.items()}

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """The aliases that the class declares; a field or relation of the same name wins."""
        declared: dict[str, str] = {}
        for base in reversed(self.model.__mro__):
            declared.update(base.__dict__.get("__aliases__", {}))
        return {name: path for name, path in declared.items() if name not in self.fields and name not in self.relations}

    @cached_property
    def _foreign_keys(self) -> Mapping[str, Relation]:
        return {
            relation.column: relation for relation in self.relations.values() if relation.column and not relation.many
        }

    def aliased(self) -> ModelInfo:
        """Return the same model with columns of an alias of its table."""
        return ModelInfo(self.model, self.table.alias())

    def computed(self, name: str, how: Virtual[Any]) -> Field:
        """Return a field that is computed from the columns."""
        element = how.sql(self.source)
        return Field(name, element, _kind(element.type), how)

    def own(self, field: Field) -> Field:
        """Return the field of this alias that is the same as one of the model."""
        return self.field(field.name) if field.virtual is None else self.computed(field.name, field.virtual)

    def target(self, relation: Relation) -> ModelInfo:
        """Return the model that a relation leads to.

        Raises:
            FieldError: No loaded class has the name that the relation gives.
        """
        found = self._targets.get(relation)
        if found is None:
            for mapper in sa_inspect(self.model).registry.mappers:
                if mapper.class_.__name__ == relation.target:
                    found = self._targets[relation] = model_info(mapper.class_)
                    break
            else:
                raise errors.FieldError(f"{self.name}.{relation.name} leads to {relation.target}, which is not loaded")
        return found

    def foreign_key(self, name: str) -> Relation | None:
        """Return the relation that a foreign key column such as `run_id` belongs to."""
        return self._foreign_keys.get(name)

    def field(self, name: str) -> Field:
        """Return a field.

        Raises:
            FieldError: There is none; the message lists what exists.
        """
        field = self.fields.get(name) or self.virtuals.get(name)
        if field is None:
            raise self.unknown(name)
        return field

    def unknown(self, name: str, others: Iterable[str] = ()) -> errors.FieldError:
        """Return the error for a name that is neither a field nor a relation.

        Args:
            name: The name.
            others: Names that are known besides those of the class.
        """
        fields = {*self.fields, *self.virtuals, *self.aliases}
        reason = planned([base.__name__ for base in self.model.__mro__], name)
        told = f": {reason}" if reason is not None else suggestion(name, [*fields, *self.relations, *others])
        return errors.FieldError(
            f"{self.name} has no field or relation {name!r}{told}; "
            f"fields: {_listed(fields)}; relations: {_listed(self.relations)}"
        )

    def naming_field(self) -> str:
        """Return the field by which people call a record: its name, key, handle or root, else its uid."""
        return next((name for name in ("name", "key", "handle", "root", "uid") if name in self.fields), "id")


@cache
def model_info(model: type[DeclarativeBase]) -> ModelInfo:
    """Return the fields and relations of a record class, described once per process."""
    return ModelInfo(model)


def check_registry(value: Any, registry: QueryRegistry) -> None:
    """Check that a record, or a query set, is of a registry: its number means another record in another one.

    Raises:
        InvalidArgument: It belongs to another registry.
    """
    other = (
        getattr(value, "_registry", None) if isinstance(value, DeclarativeBase) else getattr(value, "registry", None)
    )
    if other is not None and other != registry:
        raise errors.InvalidArgument(
            f"{value!r} belongs to another registry, {other!r}, not to {registry!r}; get the one of that registry"
        )


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return `"; did you mean …?"` for a misspelt name, else nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _kind(type_: TypeEngine[Any]) -> FieldKind:
    if isinstance(type_, TypeDecorator):
        type_ = type_.impl_instance
    # The order matters: an enumeration is a kind of text to SQLAlchemy, but not to queries.
    kinds: tuple[tuple[type[Any] | tuple[type[Any], ...], FieldKind], ...] = (
        (SqlEnum, FieldKind.OTHER),
        (String, FieldKind.TEXT),
        (Boolean, FieldKind.BOOLEAN),
        (Integer, FieldKind.INTEGER),
        ((Float, Numeric), FieldKind.FLOAT),
        (DateTime, FieldKind.DATETIME),
        (Date, FieldKind.DATE),
        (JSON, FieldKind.JSON),
    )
    return next((kind for class_, kind in kinds if isinstance(type_, class_)), FieldKind.OTHER)


def cache_name(relation: str) -> str:
    """Return the name under which an instance keeps the record that a relation leads to."""
    return f"_cached_{relation}"
