"""A small registry of its own: shelves, books, authors and tags, with every kind of column and relation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Float, ForeignKey, String, Text, UniqueConstraint, func, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from lamart_core.db import Json, Registry, UtcDateTime, uid_type
from lamart_core.query import (
    Comparison,
    FieldPath,
    ModelInfo,
    PathStep,
    QueryRegistry,
    QuerySet,
    ToMany,
    ToOne,
    virtual,
)
from lamart_core.settings import Settings


class Base(DeclarativeBase):
    _registry: Any = None

    id: Mapped[int] = mapped_column(primary_key=True)

    @property
    def registry_id(self) -> int:
        return id(self._registry)


class Scoped:
    branch_id: Mapped[int] = mapped_column(default=1)


class Author(Base):
    __tablename__ = "author"

    uid: Mapped[str] = mapped_column(uid_type(8), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    country: Mapped[str | None] = mapped_column(String(100))
    mentor_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))

    mentor = ToOne["Author | None"]("Author", "mentor_id")
    students = ToMany["Author"]("Author", column="mentor_id")
    books = ToMany["Book"]("Book", column="author_id")


class Tag(Base):
    __tablename__ = "tag"

    name: Mapped[str] = mapped_column(String(100))
    color: Mapped[str | None] = mapped_column(String(20))
    date: Mapped[datetime | None] = mapped_column(UtcDateTime)

    books = ToMany["Book"]("Book", link="book_tag", source="tag_id", target_column="book_id")


class Book(Scoped, Base):
    __tablename__ = "book"
    __aliases__: ClassVar[dict[str, str]] = {
        "writer": "author",
        "writer_name": "writer__name",
        "labels": "tags",
        "key": "description",  # a field of the class wins
    }
    __frozen__: ClassVar[frozenset[str]] = frozenset({"uid", "hash"})

    uid: Mapped[str] = mapped_column(uid_type(20), unique=True)
    is_latest: Mapped[bool] = mapped_column(default=True)
    key: Mapped[str | None] = mapped_column(String(1024), index=True)
    description: Mapped[str | None] = mapped_column(Text)
    hash: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int | None] = mapped_column(BigInteger)
    weight: Mapped[float | None] = mapped_column(Float)
    in_print: Mapped[bool | None]
    created_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    params: Mapped[Any | None] = mapped_column(Json)
    _private: Mapped[str | None] = mapped_column(String(10))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"), index=True)

    author = ToOne["Author | None"]("Author", "author_id")
    tags = ToMany["Tag"]("Tag", link="book_tag", source="book_id", target_column="tag_id")
    measures = ToMany["Measure"]("Measure", column="book_id")

    @virtual(lambda table: func.substr(table.c.uid, 1, 16, type_=String), prefix_of="uid")
    def stem(self) -> str:
        return self.uid[:16]

    @virtual(lambda table: func.coalesce(table.c.key, table.c.uid))
    def title(self) -> str:
        return self.uid if self.key is None else self.key


class BookTag(Base):
    __tablename__ = "book_tag"
    __table_args__ = (UniqueConstraint("book_id", "tag_id"),)

    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))
    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=lambda: datetime.now(UTC))


class Measure(Base):
    __tablename__ = "measure"

    name: Mapped[str] = mapped_column(String(20))
    value: Mapped[float | None] = mapped_column(Float)
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))


class Chapter(Base):
    __tablename__ = "chapter"

    title: Mapped[str] = mapped_column(String(100))
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))

    book = ToOne["Book"]("Book", "book_id")


Book.chapters = ToMany["Chapter"]("Chapter", column="book_id")  # type: ignore[attr-defined]
Book.chapters.__set_name__(Book, "chapters")  # type: ignore[attr-defined]


class Measured:
    """Knows the names of measures as fields of books."""

    def __init__(self, *known: str) -> None:
        self.known = known

    def resolve(self, registry: QueryRegistry, info: ModelInfo, names: tuple[str, ...]) -> FieldPath | None:
        if names[0] not in self.known:
            return None
        relation = info.relations["measures"]
        where = Comparison(("name",), "exact", names[0])
        step = PathStep(relation, info, info.target(relation), where=where, is_single=True)
        return FieldPath(names, (step,), step.target, step.target.field("value"), keys=names[1:])

    def names(self, registry: QueryRegistry, info: ModelInfo) -> tuple[str, ...]:
        return self.known


def open_library(url: str) -> Registry:
    return Registry(url, settings=Settings(cache_dir=Path("unused")))


def create_tables(url: str) -> None:
    registry = open_library(url)
    Base.metadata.create_all(registry.engine)
    registry.close()


def books(registry: Registry) -> QuerySet[Book]:
    return QuerySet(Book, registry)


def add(registry: Registry, model: type[Base], *rows: dict[str, Any]) -> list[int]:
    """Insert rows and return their ids."""

    def work(connection: Any) -> list[int]:
        return [connection.execute(insert(model).values(row).returning(model.id)).scalar_one() for row in rows]

    return registry.unit_of_work(work)


def link(registry: Registry, *pairs: tuple[int, int]) -> None:
    """Tag books."""
    now = datetime(2024, 1, 1, tzinfo=UTC)
    add(registry, BookTag, *({"book_id": book, "tag_id": tag, "created_at": now} for book, tag in pairs))
