"""What all record classes share: construction, saving, identity, queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sqlalchemy import Connection, Integer, insert, select, update
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.orm import Mapped, make_transient_to_detached, mapped_column
from sqlalchemy.orm.attributes import instance_state, set_committed_value

from lamart_core import errors, uids
from lamart_core.db import Base, Registry, current_registry, model_class, model_names, now
from lamart_core.db.checks import check_new, check_values
from lamart_core.families.branches import check_unlocked, place
from lamart_core.families.declare import has_unique_tags, is_versioned
from lamart_core.families.family import Family, check_tag_free, rename
from lamart_core.families.following import insert_versions
from lamart_core.planned import no_attribute
from lamart_core.query import Lookup, QuerySet, Relation, ToOne
from lamart_core.query.language.model import model_info, suggestion
from lamart_core.records.kinds import trash
from lamart_core.records.kinds.described import class_or_record, describe_class, describe_record
from lamart_core.records.kinds.json_columns import has_changed, watch_json
from lamart_core.records.kinds.riders import Outcome, Rider, Saved


@cache
def _columns(model: type[Any]) -> dict[str, str]:
    """Return the names of the columns of a record class, by those of the attributes."""
    return {attribute.key: attribute.columns[0].name for attribute in sa_inspect(model).column_attrs}


@cache
def _scalar_defaults(model: type[Any]) -> dict[str, Any]:
    """Return the defaults that columns of a record class declare, by those of the attributes."""
    columns = ((attribute.key, attribute.columns[0]) for attribute in sa_inspect(model).column_attrs)
    return {name: column.default.arg for name, column in columns if column.default is not None}


class SQLRecord(Base):
    """A row of a registry as an object.

    Records are plain values: what a query returns is detached from any session, stays readable, and is not changed
    by what others save later. Query again to see that. Two records are equal when they are the same row of the
    same registry.
    """

    __abstract__ = True
    __relations__: ClassVar[dict[str, Relation]] = {}
    # What identifies a record or follows from its content is never assigned by hand.
    __frozen__: ClassVar[frozenset[str]] = frozenset({"id", "uid", "created_at", "created_on_id"})
    # What is assigned to one record after the other, and never to all of a query: others may have to follow.
    __one_by_one__: ClassVar[frozenset[str]] = frozenset()
    # What the constructor takes without a keyword.
    __positional__: ClassVar[tuple[str, ...]] = ()
    # Field that names a record: what `get` takes as a uid, what `repr` shows.
    __uid_length__: ClassVar[int] = 12

    _registry: Registry | None = None
    # What the next save writes in its transaction beside the row; see `riders`.
    _riders: tuple[Rider, ...] = ()

    id: Mapped[int] = mapped_column(Integer, primary_key=True)

    # Relations of classes that are not declared yet, by the name of the class.
    __waiting__: ClassVar[dict[str, dict[str, Relation]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        # What mixins say is said of the class, whatever their order.
        said = (base.__dict__.get("__one_by_one__", frozenset()) for base in cls.__mro__)
        cls.__one_by_one__ = frozenset().union(*said)
        super().__init_subclass__(**options)
        if "__tablename__" in cls.__dict__:
            # Records are equal when their ids are, so that no id is ever used again.
            cls.__table__.kwargs["sqlite_autoincrement"] = True
            watch_json(cls)
        for name, relation in SQLRecord.__waiting__.pop(cls.__name__, {}).items():
            cls._set_relation(name, relation)

    @staticmethod
    def add_relation(model: str, name: str, relation: Relation) -> None:
        """Give a record class an attribute for a relation, now or when the class is declared.

        Args:
            model: Name of the class.
            name: Name of the attribute.
            relation: The relation.
        """
        if model in model_names():
            declared: Any = model_class(model)
            declared._set_relation(name, relation)
        else:
            SQLRecord.__waiting__.setdefault(model, {})[name] = relation

    @classmethod
    def _set_relation(cls, name: str, relation: Relation) -> None:
        setattr(cls, name, relation)
        relation.__set_name__(cls, name)
        model_info.cache_clear()

    def __init__(self, *args: Any, **fields: Any) -> None:
        cls = type(self)
        if len(args) > len(cls.__positional__):
            takes = ", ".join(cls.__positional__) or "no argument without a keyword"
            example = f"{cls.__name__}({model_info(cls).naming_field()}=…)"
            raise errors.InvalidArgument(f"{cls.__name__}() takes {takes}, got {len(args)}: name them, as in {example}")
        named = dict(zip(cls.__positional__, args, strict=False))
        if twice := sorted(named.keys() & fields.keys()):
            raise errors.InvalidArgument(f"{cls.__name__}() got {', '.join(twice)} twice, with and without its name")
        self._registry = current_registry()
        self._assign(named | fields)
        # At once, and before a database is asked; what is missing may still be assigned.
        check_values(cls, {name: value for name, value in self._values().items() if value is not None})

    # ------------------------------------------------------------------ fields

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the names of all columns and relations, as queries and constructors know them."""
        columns = [attribute.key for attribute in sa_inspect(cls).column_attrs]
        return sorted({*columns, *cls.__relations__})

    def _assign(self, fields: Mapping[str, Any]) -> None:
        """Set initial values of columns and to-one relations."""
        cls = type(self)
        columns = {attribute.key for attribute in sa_inspect(cls).column_attrs}
        frozen = cls.__frozen__ - {"uid"}
        to_one = {
            name: relation
            for name, relation in cls.__relations__.items()
            if isinstance(relation, ToOne) and relation.column not in frozen
        }
        allowed = (columns | set(to_one)) - frozen
        unknown = sorted(set(fields) - allowed)
        if unknown:
            raise errors.FieldValidationError(
                f"{cls.__name__}() got unknown keywords {unknown}; it takes: {', '.join(sorted(allowed))}"
            )
        for name, relation in to_one.items():
            if fields.get(name) is not None and fields.get(str(relation.column)) is not None:
                raise errors.InvalidArgument(f"pass either {name} or {relation.column}, not both")
        for name, value in fields.items():
            if name == "uid":
                self._give(uid=value)
            elif name not in to_one or value is not None:
                setattr(self, name, value)

    def _give(self, **values: Any) -> None:
        """Set values that nobody assigns by hand."""
        for name, value in values.items():
            super().__setattr__(name, value)

    def _adopt(self, row: Self) -> None:
        """Become the existing record `row`: the same row, with nothing to save."""
        self._adopt_row(
            {attribute.key: getattr(row, attribute.key) for attribute in sa_inspect(type(self)).column_attrs}
        )

    def _adopt_row(self, row: Mapping[str, Any]) -> None:
        """Become the row with these column values, with nothing to save."""
        names = _columns(type(self))
        if sa_inspect(self).transient:
            # Becoming detached forgets all history; so the values can be set at once, for thousands of records.
            vars(self).update((name, row[name]) for name in names)
        else:
            for name in names:
                set_committed_value(self, name, row[name])
        self._mark_saved()

    def _mark_saved(self) -> None:
        state = sa_inspect(self)
        if state.transient:
            make_transient_to_detached(self)

    @property
    def is_saved(self) -> bool:
        """Whether the record is a row of its registry."""
        # Not by the flags of the state, which are all computed: this is asked for every record of thousands.
        return instance_state(self).has_identity

    def _values(self) -> dict[str, Any]:
        """Return the column values that are set, by column name."""
        present = self.__dict__
        return {
            column: present[name] for name, column in _columns(type(self)).items() if name in present and name != "id"
        }

    def _changes(self) -> dict[str, Any]:
        """Return the column values that were assigned since the record was loaded or saved."""
        state = instance_state(self)
        if not state.committed_state:
            return {}
        before, columns, present = state.committed_state, _columns(type(self)), self.__dict__
        return {
            columns[name]: present[name]
            for name in before
            if name in columns and name in present and has_changed(state, name)
        }

    def __setattr__(self, name: str, value: Any) -> None:
        model = type(self)
        if name in model.__frozen__:
            raise errors.InvalidArgument(
                f"{model.__name__}.{name} identifies the record or follows from its content; it cannot be assigned"
            )
        if not name.startswith("_") and not hasattr(model, name):
            names = model.field_names()
            raise errors.FieldError(
                f"{model.__name__} has no field {name!r} to assign{suggestion(name, names)}; it has: {', '.join(names)}"
            )
        super().__setattr__(name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            model = type(self)
            raise no_attribute(f"a {model.__name__}", [base.__name__ for base in model.__mro__], name, dir(model))

    def _check(self) -> None:
        """Check the values that the next save writes.

        Raises:
            InvalidArgument: One has the wrong type, is too long, cannot be stored, or is missing.
        """
        if self.is_saved:
            check_values(type(self), self._changes())
        else:
            self._defaults(self.registry)
            check_new(type(self), self._values())

    # ------------------------------------------------------------------ saving

    def _defaults(self, registry: Registry) -> None:
        """Fill what a new row needs and the caller did not say."""
        present = self.__dict__
        defaults = self._default_values(registry)
        self._give(**{name: value for name, value in defaults.items() if present.get(name) is None})

    def _default_values(self, registry: Registry) -> dict[str, Any]:
        values: dict[str, Any] = dict(_scalar_defaults(type(self)))
        columns = self.__table__.columns
        if "uid" in columns and self.__dict__.get("uid") is None:
            values["uid"] = uids.base62(type(self).__uid_length__)
        if "branch_id" in columns:
            values["branch_id"] = registry.branch_id
        if "created_on_id" in columns:
            values["created_on_id"] = self.__dict__.get("branch_id") or registry.branch_id
        if "space_id" in columns:
            values["space_id"] = registry.space_id
        if "is_locked" in columns:
            values["is_locked"] = False
        if "created_by_id" in columns:
            values["created_by_id"] = registry.user_id
        if "created_at" in columns:
            values["created_at"] = now()
        if "updated_at" in columns:
            values["updated_at"] = now()
        return values

    def save(self) -> Self:
        """Write the record to its registry.

        Returns:
            The record itself, so that calls chain. A record without changes is not written again.

        Raises:
            InvalidArgument: A value has the wrong type, is too long, or cannot be stored.
            IntegrityError: The row contradicts others.
            NameTaken: The name, or the key on the target branch, belongs to another record.
            RecordLocked: The record is locked; unlock it with `is_locked = False`.
            ObjectDoesNotExist: The record was deleted since it was read.
            DatabaseBusy: Other writers held the database for too long.
        """
        registry = self.registry
        self._check()
        if not self.is_saved:
            self._inserted(registry.unit_of_work(self._insert))
            return self
        if (changes := self._changes()) or self._riders:
            if changes and "updated_at" in self.__table__.columns:
                self.updated_at = now()
            moves = "branch_id" in self._changes()
            registry.unit_of_work(self._update)
            if moves:  # which version is the latest may have changed
                self._riders = ()
                return self.refresh()
        self._mark_unchanged()
        return self

    def _insert(self, connection: Connection) -> int:
        """Insert the row and return its id; run again with a new transaction when another writer got in between."""
        table, values = self.__table__, self._values()
        if is_versioned(table):
            row_id = insert_versions(connection, table, [values])[0].id
        else:
            row_id = connection.execute(insert(table).values(**values).returning(table.c.id)).scalar_one()
        self._ride(connection, values | {"id": row_id}, Outcome.CREATED)
        return int(row_id)

    def _inserted(self, row_id: int) -> None:
        """Take the values that were inserted, or those of the row that `_insert` returned the id of."""
        set_committed_value(self, "id", row_id)
        self._mark_unchanged()

    def _update(self, connection: Connection) -> None:
        self._write(connection, self._changes())

    def _write(self, connection: Connection, changes: dict[str, Any]) -> None:
        """Write changes of a saved record, and run its riders."""
        table = self.__table__
        if changes.get("is_locked") is not False:
            check_unlocked(connection, table, [self.id])
        if changes.get("version_tag") is not None and has_unique_tags(table):
            check_tag_free(connection, Family.of(table, self.__dict__["uid"]), changes["version_tag"])
        target = changes.pop("branch_id", None)
        if target is not None:
            place(connection, table, self._rows_that_move(connection), target)
        if isinstance(changes.get("key"), str) and is_versioned(table):
            rename(connection, table, self.__dict__["uid"], changes["key"])
        if changes:
            changed = connection.execute(update(table).where(table.c.id == self.id).values(**changes))
            if changed.rowcount != 1:
                raise errors.ObjectDoesNotExist(f"{self!r} was deleted from {self.registry!r}; it cannot be changed")
        if self._riders:  # they are told the row, and not what this object knows of it
            row = connection.execute(select(table).where(table.c.id == self.id)).mappings().one_or_none()
            if row is None:
                raise errors.ObjectDoesNotExist(f"{self!r} was deleted from {self.registry!r}")
            self._ride(connection, dict(row), Outcome.EXISTING)

    def _ride(self, connection: Connection, row: Mapping[str, Any], outcome: Outcome) -> None:
        """Run the riders of the record in the transaction that has written its row."""
        for rider in self._riders:
            rider(connection, Saved(row, outcome))

    def _rows_that_move(self, connection: Connection) -> list[int]:
        """Return the ids of the rows that change branches with this one."""
        return [self.id]

    def _rows_that_come_back(self, connection: Connection) -> list[int]:
        """Return the ids of the rows that are restored with this one."""
        return self._rows_that_move(connection)

    def _mark_unchanged(self) -> None:
        """Take the current values as those of the row."""
        for attribute in sa_inspect(type(self)).column_attrs:
            set_committed_value(self, attribute.key, self.__dict__.get(attribute.key))
        self._mark_saved()
        if self._riders:
            self._riders = ()

    @property
    def has_trash(self) -> bool:
        """Whether deleting moves the record to the trash first."""
        return False

    def delete(self, permanent: bool | None = None) -> None:
        """Delete the record: into the trash where the class has branches, else from the database. Never asks.

        Args:
            permanent: True skips the trash; None trashes at the first call and deletes at the second. What counts is
                whether this object knows that it lies in the trash: of two processes that delete a record at the
                same time for the first time, none deletes it for good.

        Raises:
            ProtectedError: Other records refer to it; the message names some.
            RecordLocked: The record is locked.
        """
        trash.remove(self, permanent=permanent)

    # ------------------------------------------------------------------ identity

    @property
    def registry(self) -> Registry:  # pyright: ignore[reportIncompatibleVariableOverride]  # SQLAlchemy's is Base's
        """The registry that the record belongs to."""
        if self._registry is None:
            self._registry = current_registry()
        return self._registry

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, SQLRecord) or type(self) is not type(other) or not self.is_saved:
            return False
        return other.is_saved and self.id == other.id and self.registry == other.registry

    def __hash__(self) -> int:
        if not self.is_saved:
            return id(self)
        return hash((type(self).__name__, self.registry, self.id))

    def __repr__(self) -> str:
        shown = ("uid", "key", "name", "handle", "root", "description", "kind", "version_tag", "is_latest")
        fields = (f"{name}={self.__dict__[name]!r}" for name in shown if self.__dict__.get(name) is not None)
        return f"{type(self).__name__}({', '.join(fields)})"

    def refresh(self) -> Self:
        """Read the row again, dropping unsaved changes.

        Raises:
            ObjectDoesNotExist: The row was deleted.
        """
        cls = type(self)
        with self.registry.read() as session:
            row = session.scalars(select(cls).where(cls.id == self.id)).one_or_none()
        if row is None:
            raise errors.ObjectDoesNotExist(f"{self!r} was deleted from {self.registry!r}")
        self._adopt(row)
        for name in type(self).__relations__:
            vars(self).pop(f"_cached_{name}", None)
        return self

    # ------------------------------------------------------------------ queries

    @classmethod
    def filter(cls, *queries: Any, **expressions: Any) -> QuerySet[Self]:
        """Query records.

        Args:
            *queries: `Q` objects or SQLAlchemy column expressions.
            **expressions: Fields and values as Django query expressions, for example `name__startswith="a"`.

        Returns:
            A lazy query set.

        Raises:
            FieldError: A field, relation or lookup does not exist.
        """
        return QuerySet(cls, current_registry()).filter(*queries, **expressions)

    @classmethod
    def get(cls, idlike: int | str | None = None, **expressions: Any) -> Self:
        """Get a single record.

        Args:
            idlike: An integer id, a uid, or the first characters of a uid.
            **expressions: Fields and values as Django query expressions.

        Raises:
            ObjectDoesNotExist: No record matches.
            MultipleObjectsReturned: Several records match.
        """
        return QuerySet(cls, current_registry()).get(idlike, **expressions)

    @classmethod
    def search(
        cls,
        string: str,
        *,
        field: str | Sequence[str] | None = None,
        limit: int = 20,
        case_sensitive: bool = False,
    ) -> QuerySet[Self]:
        """Return the records that match words best, best first; the arguments are those of `QuerySet.search`."""
        records = QuerySet(cls, current_registry())
        return records.search(string, field=field, limit=limit, case_sensitive=case_sensitive)

    @classmethod
    def lookup(cls, field: str | None = None, return_field: str | None = None) -> Lookup:
        """Return the records as attributes, for auto-completion; the arguments are those of `QuerySet.lookup`."""
        return QuerySet(cls, current_registry()).lookup(field, return_field)

    @class_or_record(describe_class)
    def describe(self, return_str: bool = False) -> str | None:
        """Print what is known about the record, or return it as plain text; of a class, its fields and relations."""
        return describe_record(self, return_str=return_str)

    @classmethod
    def to_dataframe(cls, **options: Any) -> Any:
        """Return the records as a data frame; the arguments are those of `QuerySet.to_dataframe`."""
        return QuerySet(cls, current_registry()).filter().to_dataframe(**options)
