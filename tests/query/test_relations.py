"""Relations on records: one record, or a manager of many."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.query import QuerySet, ToMany
from tests.databases import fresh_database
from tests.query.models import Author, Book, Chapter, Tag, add, books, create_tables, open_library
from tests.query.test_querysets import counted


@pytest.fixture
def book(library: Registry) -> Book:
    add(library, Author, {"uid": "ann", "name": "Ann"}, {"uid": "bob", "name": "Bob"})
    add(library, Tag, *({"name": name} for name in ("red", "green", "blue")))
    add(library, Book, {"uid": "b1", "key": "one", "author_id": 1}, {"uid": "b2", "key": "two"})
    return books(library).get(key="one")


def tags(library: Registry, *names: str) -> list[Tag]:
    return [QuerySet(Tag, library).get(name=name) for name in names]


@pytest.mark.req("R207")
def test_a_record_knows_the_record_it_refers_to(library: Registry, book: Book) -> None:
    with counted(library) as statements:
        assert book.author is not None
        assert book.author.name == book.author.name == "Ann"
        assert book.author._registry is library
        assert len(statements) == 1, "it is loaded once"
    assert books(library).get(key="two").author is None
    book.author_id = 2
    assert book.author.name == "Bob", "the foreign key decides"


@pytest.mark.req("R207")
def test_assigning_a_record_assigns_its_id(library: Registry, book: Book) -> None:
    bob = QuerySet(Author, library).get(name="Bob")
    book.author = bob
    assert (book.author_id, book.author) == (bob.id, bob)
    book.author = None
    assert (book.author_id, book.author) == (None, None)
    with pytest.raises(errors.InvalidArgument, match="record of Author"):
        book.author = tags(library, "red")[0]  # type: ignore[assignment]
    with pytest.raises(errors.InvalidArgument, match="not saved"):
        book.author = Author(uid="x", name="X")
    with pytest.raises(errors.InvalidArgument, match=r"tags\.add"):
        book.tags = []  # type: ignore[assignment]


@pytest.mark.req("R187", "R207")
def test_adding_and_removing_links(library: Registry, book: Book) -> None:
    red, green, blue = tags(library, "red", "green", "blue")
    book.tags.add(red, green)
    book.tags.add(green, green)
    assert book.tags.to_list("name") == ["red", "green"]
    assert [tag.name for tag in book.tags] == ["red", "green"]
    assert (book.tags.count(), book.tags.exists(), red in book.tags, blue in book.tags) == (2, True, True, False)
    assert book.tags.filter(name__startswith="g").one().name == "green"
    assert book.tags.exclude(name="red").to_list("name") == ["green"]
    assert book.tags.order_by("-name").first().name == "red"  # type: ignore[union-attr]
    assert book.tags.get(name="red").name == "red"
    assert list(book.tags.to_dataframe()["name"]) == ["green", "red"]
    assert red.books.to_list("key") == ["one"]
    book.tags.remove(red, blue)
    assert book.tags.to_list("name") == ["green"]
    book.tags.set([blue, red])
    assert book.tags.to_list("name") == ["red", "blue"]
    assert green.books.exists() is False
    book.tags.clear()
    assert not book.tags
    assert book.tags.one_or_none() is book.tags.first() is None


@pytest.mark.req("R187")
def test_many_links_at_once(library: Registry, book: Book) -> None:
    add(library, Tag, *({"name": f"t{n}"} for n in range(700)))
    everything = QuerySet(Tag, library).to_list()
    book.tags.set(everything)
    assert book.tags.count() == 703
    book.tags.remove(*everything[3:])
    assert book.tags.to_list("name") == ["red", "green", "blue"]


@pytest.mark.req("R187", "R207")
def test_the_other_side_of_a_foreign_key(library: Registry, book: Book) -> None:
    ann, bob = (QuerySet(Author, library).get(name=name) for name in ("Ann", "Bob"))
    two = books(library).get(key="two")
    assert ann.books.to_list("key") == ["one"]
    ann.books.add(two)
    assert ann.books.to_list("key") == ["one", "two"]
    bob.books.set([book])
    assert (ann.books.to_list("key"), bob.books.to_list("key")) == (["two"], ["one"])
    ann.books.clear()
    assert books(library).get(key="two").author is None


@pytest.mark.req("R187")
def test_what_needs_its_owner_is_not_left_without(library: Registry, book: Book) -> None:
    add(library, Chapter, {"title": "I", "book_id": book.id})
    chapters = book.chapters  # type: ignore[attr-defined]
    assert chapters.to_list("title") == ["I"]
    for refused in (chapters.clear, lambda: chapters.remove(chapters.first())):
        with pytest.raises(errors.InvalidArgument, match="every Chapter needs its Book"):
            refused()
    assert chapters.count() == 1


@pytest.mark.req("R186", "R187")
def test_only_saved_records_of_the_right_class_and_registry_are_related(
    library: Registry, book: Book, tmp_path: Path
) -> None:
    (red,) = tags(library, "red")
    with pytest.raises(errors.ValidationError, match="not saved"):
        book.tags.add(Tag(name="new"))
    with pytest.raises(errors.InvalidArgument, match="takes records of Tag"):
        book.tags.add(book)  # type: ignore[arg-type]
    unsaved = Book(uid="x")
    unsaved._registry = library
    with pytest.raises(ValueError, match="not saved"):
        unsaved.tags.add(red)
    assert "not saved" in repr(unsaved.tags)
    with fresh_database("sqlite", tmp_path, prepare=create_tables) as url:
        other = open_library(url)
        add(other, Tag, {"name": "red"})
        with pytest.raises(errors.InvalidArgument, match="another registry"):
            book.tags.add(QuerySet(Tag, other).one())
        other.close()
    assert not book.tags


@pytest.mark.req("R187")
def test_related_records_in_the_trash_stay_related(library: Registry, book: Book) -> None:
    ann = QuerySet(Author, library).get(name="Ann")
    books(library).filter(key="one").update(branch_id=-1)
    assert ann.books.to_list("key") == ["one"]
    assert ann.books.filter(branch_id=1).to_list("key") == []


def test_a_relation_says_how_it_is_made() -> None:
    with pytest.raises(errors.InvalidArgument, match="either column, or link"):
        ToMany("Tag")
    assert Book.tags.target == "Tag"
    assert set(Book.__relations__) == {"author", "tags", "chapters", "measures"}  # type: ignore[attr-defined]
