"""Paths mean the same wherever a query takes one: aliases, virtual fields, and names that rooms above know."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.query import Comparison, Q, QuerySet, register_resolver
from tests.query.models import Author, Book, Measure, Measured, Tag, add, books, link

STEMS = ["AbcdefghijklmnoP", "AbcdefghijklmnoQ"]


@pytest.fixture
def filled(library: Registry) -> Registry:
    ann, bob = add(library, Author, {"uid": "ann", "name": "Ann"}, {"uid": "bob", "name": "Bob", "mentor_id": 1})
    (red,) = add(library, Tag, {"name": "red"})
    ids = add(
        library,
        Book,
        {"uid": f"{STEMS[0]}0000", "key": "a", "author_id": ann, "size": 3},
        {"uid": f"{STEMS[0]}0001", "key": None, "author_id": bob, "size": 1},
        {"uid": f"{STEMS[1]}0000", "key": "c", "author_id": None, "size": 2},
    )
    link(library, (ids[0], red))
    heights = zip(ids, [20.0, 30.0], strict=False)
    add(library, Measure, *({"name": "height", "value": value, "book_id": book} for book, value in heights))
    add(library, Measure, {"name": "width", "value": 99.0, "book_id": ids[0]})
    return library


@pytest.fixture
def measured() -> Generator[None, None, None]:
    forget = register_resolver(Book, Measured("height", "key"))
    yield
    forget()


def sizes(query: QuerySet[Book]) -> list[int]:
    return query.to_list("size")


# Each way to narrow a query to what a keyword says.
WAYS: list[Callable[[QuerySet[Book], dict[str, Any]], QuerySet[Book]]] = [
    lambda query, expressions: query.filter(**expressions),
    lambda query, expressions: query.all().filter().filter(size__gte=0).filter(**expressions),
    lambda query, expressions: query.filter(Q(**expressions)),
    lambda query, expressions: query.filter(Q(**expressions) | Q(size=99)),
    lambda query, expressions: query.exclude(~Q(**expressions)),
    lambda query, expressions: query.filter(id=query.get(**expressions).id),
]


@pytest.mark.req("R223")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "expressions",
    [
        {"writer__name": "Bob"},
        {"writer_name__istartswith": "b"},
        {"writer__mentor": 1},
        {"stem": STEMS[0], "title__contains": "0001"},
        {"stem__startswith": STEMS[0][:4], "size": 1},
        {"title": f"{STEMS[0]}0001"},
        {"height__gt": 20},
        {"height__isnull": False, "writer_name": "Bob"},
    ],
)
def test_every_filter_knows_all_names(measured: None, filled: Registry, way: Any, expressions: dict[str, Any]) -> None:
    assert sizes(way(books(filled), expressions)) == [1]


@pytest.mark.req("R223")
def test_names_are_known_behind_relations(measured: None, filled: Registry) -> None:
    authors, tags = QuerySet(Author, filled), QuerySet(Tag, filled)
    assert authors.filter(books__writer__name="Bob").to_list("uid") == ["bob"]
    assert authors.filter(books__height__lt=25, books__labels__name="red").to_list("uid") == ["ann"]
    assert authors.exclude(books__height__lt=25).to_list("uid") == ["bob"]
    assert tags.filter(books__title="a").values_list("books__writer_name", "books__height").to_list() == [
        ({"Ann"}, {20.0})
    ]
    ann = authors.get("ann")
    assert sizes(ann.books.filter(writer__name="Ann", height=20)) == [3]
    assert sizes(ann.books.exclude(writer_name="Bob").order_by("-height")) == [3]


@pytest.mark.req("R223")
def test_conditions_of_one_call_are_about_one_record_whatever_they_are_called(filled: Registry) -> None:
    (blue,) = add(filled, Tag, {"name": "blue", "color": "b"})
    link(filled, (1, blue))
    assert sizes(books(filled).filter(tags__name="red", labels__color="b")) == []
    assert sizes(books(filled).filter(tags__name="red").filter(labels__color="b")) == [3]
    either = Q(tags__isnull=True) | Q(tags__name="red")
    assert sizes(books(filled).filter(either, labels__name="blue")) == []


@pytest.mark.req("R225")
def test_orders(measured: None, filled: Registry) -> None:
    assert sizes(books(filled).order_by("writer__name")) == [3, 1, 2], "missing ones last"
    assert sizes(books(filled).order_by("-writer_name")) == [1, 3, 2]
    assert sizes(books(filled).order_by("title")) == [1, 3, 2], "by code points"
    assert sizes(books(filled).order_by("-height")) == [1, 3, 2]
    assert books(filled).order_by("stem", "-title").last().size == 2  # type: ignore[union-attr]
    with pytest.raises(errors.FieldError, match="many values"):
        books(filled).order_by("labels__name")


@pytest.mark.req("R226")
def test_frames_and_values(measured: None, filled: Registry) -> None:
    frame = books(filled).to_dataframe(include=["writer__name", "title", "labels__name", "height"], order_by="height")
    assert frame["writer__name"].fillna("").tolist() == ["Ann", "Bob", ""]
    assert frame["title"].tolist() == ["a", f"{STEMS[0]}0001", "c"]
    assert frame["labels__name"].tolist() == [{"red"}, set(), set()]
    assert frame["height"].fillna(0).tolist() == [20, 30, 0]
    assert books(filled).order_by("-height").values("stem", "writer_name")[0] == {
        "stem": STEMS[0],
        "writer_name": "Bob",
    }
    assert books(filled).order_by("stem").values_list("stem", flat=True).distinct().to_list() == STEMS
    assert [book.title for book in books(filled)] == books(filled).to_list("title"), "in Python as in SQL"
    assert books(filled).filter(writer__isnull=False).select_related("writer__mentor").last().author.name == "Bob"  # type: ignore[union-attr]
    with pytest.raises(errors.FieldError, match="is a field of Author"):
        books(filled).select_related("writer__name").to_list()
    assert sizes(books(filled).search("c", field="title"))[0] == 2


@pytest.mark.req("R225")
def test_updates(measured: None, filled: Registry) -> None:
    assert books(filled).filter(writer_name="Bob").update(writer=1, description="x") == 1
    assert sizes(books(filled).filter(writer_name="Ann")) == [3, 1]
    for wrong, message in [
        ({"title": "x"}, "follows from other fields"),
        ({"writer_name": "x"}, "of Book itself"),
        ({"height": 1}, "of Book itself"),
        ({"writer": 1, "author": 2}, "twice"),
    ]:
        with pytest.raises(errors.InvalidArgument, match=message):
            books(filled).update(**wrong)
    with pytest.raises(AttributeError, match="follows from other fields"):
        books(filled).get(size=3).title = "x"


@pytest.mark.req("R218", "R223")
def test_names_of_resolvers_come_last_and_are_suggested(measured: None, filled: Registry) -> None:
    assert sizes(books(filled).filter(key="a")) == [3], "the field of the class wins over the measure and the alias"
    for query in (books(filled).filter, books(filled).exclude, books(filled).get):
        with pytest.raises(errors.FieldError, match=r"no field or relation 'heigth'; did you mean 'height'\?"):
            query(heigth__gt=1)
    for name, known in {"writr": "writer", "titel": "title"}.items():
        with pytest.raises(errors.FieldError, match=f"did you mean '{known}'"):
            books(filled).order_by(name)
    forget = register_resolver(Book, Measured("depth"))
    assert sizes(books(filled).filter(depth__isnull=True)) == [3, 1, 2]
    forget()
    with pytest.raises(errors.FieldError, match="depth"):
        books(filled).filter(depth__isnull=True)


@pytest.mark.req("R221")
def test_expression_objects(measured: None, filled: Registry) -> None:
    class Tall:
        expression = Comparison(("height",), "gt", 25)

    assert sizes(books(filled).filter(Tall())) == [1]
    assert sizes(books(filled).filter(~Q(Tall()), writer__isnull=False)) == [3]
    assert sizes(books(filled).exclude(Tall())) == [3, 2]


@pytest.mark.req("R223")
def test_letter_case_is_the_same_for_all_letters_and_collations(library: Registry) -> None:
    names = ["ÄRZTE/a.csv", "ärzte/b.csv", "ARZTE/c.csv", "Σίσυφος", "[Ä]", "straße"]
    for number, name in enumerate(names):
        add(library, Book, {"uid": f"{number}{name}", "key": name, "params": {"x": name}})
    for field in ("key", "uid", "params__x"):  # on Postgres `uid` has the collation "C"

        def found(lookup: str, value: str, field: str = field) -> list[str]:
            return books(library).filter(**{f"{field}__{lookup}": value}).to_list("key")

        assert found("icontains", "ärzte") == found("icontains", "ÄrZTE/") == names[:2]
        assert found("icontains", "rzte") == names[:3]
        assert found("iendswith", "ΣΊΣΥΦΟΣ") == names[3:4]
        assert found("icontains", "[ä]") == names[4:5]
        assert found("icontains", "RAß") == names[5:]
        assert found("iregex", "ärzte/[AB]") == names[:2]
    assert books(library).filter(key__istartswith="äRZTE/A").to_list("key") == names[:1]
    assert books(library).filter(key__iexact="ÄRZTE/B.csv").to_list("key") == names[1:2]
