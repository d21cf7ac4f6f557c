"""The declarative base of all record classes, and its column types."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Integer, MetaData, String, Table
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from lamart_core.planned import no_attribute

# Named constraints, so that every migration can address them on both databases.
NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware and in UTC in Python, whatever the database stores."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Use `timestamptz` where it exists."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; a naive value is taken as UTC."""
        if value is None:
            return None
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware value in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def uid_type(length: int) -> String:
    """Return a text type that is ordered by bytes on every database, as base62 counters must be."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class KeyText(TypeDecorator[str]):
    """Text that is compared and stored in one normal form (NFC), ordered by bytes: names that look the same are equal.

    Args:
        length: Largest number of characters.
    """

    impl = String
    cache_ok = True
    is_normal = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Use the order of bytes where a database has others."""
        return dialect.type_descriptor(uid_type(self.length).dialect_impl(dialect))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Bring a value into the normal form."""
        return value if value is None else unicodedata.normalize("NFC", value)


# SQLite only counts rows up in a column of type INTEGER.
BigId = BigInteger().with_variant(Integer(), "sqlite")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class RecordClass(type(DeclarativeBase)):
    """Class of the record classes: says of names that they do not have what does the same here."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            raise no_attribute(cls.__name__, [base.__name__ for base in cls.__mro__], name, dir(cls))


class Base(DeclarativeBase, metaclass=RecordClass):
    """Declarative base of all record classes."""

    metadata = MetaData(naming_convention=NAMING)
    if TYPE_CHECKING:
        # SQLAlchemy allows any FROM clause here; ours are all tables.
        __table__: ClassVar[Table]  # pyright: ignore[reportIncompatibleVariableOverride]


def model_class(name: str) -> type[Base]:
    """Return the record class of this name.

    Args:
        name: Name of a class, for example `"Run"`.

    Raises:
        KeyError: No loaded record class has this name.
    """
    for mapper in Base.registry.mappers:
        if mapper.class_.__name__ == name:
            return mapper.class_
    raise KeyError(name)


def model_names() -> list[str]:
    """Return the names of all loaded record classes, sorted."""
    return sorted(mapper.class_.__name__ for mapper in Base.registry.mappers)


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)
