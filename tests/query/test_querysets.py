"""Query sets: one record, many records, slices, values, updates."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.query import QuerySet
from tests.query.models import Author, Book, Tag, add, books, link

STEM = "AbcdefghijklmnoP"


@contextmanager
def counted(registry: Registry) -> Generator[list[str], None, None]:
    """Collect the statements, but for those that begin transactions."""
    statements: list[str] = []

    def collect(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    event.listen(registry.engine, "before_cursor_execute", collect)
    try:
        yield statements
    finally:
        event.remove(registry.engine, "before_cursor_execute", collect)


@pytest.fixture
def filled(library: Registry) -> Registry:
    authors = add(library, Author, *({"uid": f"a{n}", "name": f"author {n}"} for n in range(3)))
    tags = add(library, Tag, {"name": "red"}, {"name": "blue"})
    rows = [
        {"uid": f"{n:020d}", "key": f"k{n}", "size": n // 2, "author_id": authors[n % 3], "params": {"n": n}}
        for n in range(10)
    ]
    ids = add(library, Book, *rows)
    link(library, *((book, tags[0]) for book in ids[:4]), (ids[0], tags[1]))
    return library


# ---------------------------------------------------------------------- one record


@pytest.mark.req("R215", "R220")
def test_get_by_id_uid_and_expression(filled: Registry) -> None:
    book = books(filled).get(key="k3")
    assert books(filled).get(book.id).key == books(filled).get(book.uid).key == "k3"
    assert QuerySet(Author, filled).get("a1").name == "author 1"
    assert books(filled).get("0000", key="k5").key == "k5"
    assert book._registry is filled


@pytest.mark.req("R216")
def test_a_stub_means_the_latest_version(library: Registry) -> None:
    add(
        library,
        Book,
        {"uid": f"{STEM}0000", "key": "v0", "is_latest": False},
        {"uid": f"{STEM}000Z", "key": "v1", "is_latest": False},
        {"uid": f"{STEM}000a", "key": "v2", "is_latest": True},
        {"uid": f"{STEM}000b", "key": "v3", "is_latest": True, "branch_id": 7},
        {"uid": f"{STEM}000c", "key": "v4", "is_latest": True, "branch_id": -1},
        {"uid": "zzzzzzzzzzzzzzzz0000", "key": "old", "is_latest": False},
        {"uid": "zzzzzzzzzzzzzzzz000Z", "key": "new", "is_latest": False},
    )
    assert books(library).get(STEM).key == books(library).get(STEM[:5]).key == "v2"
    assert books(library).get(f"{STEM}0000").key == "v0"
    assert books(library).get(f"{STEM}000c").key == "v4", "a full uid finds what is in the trash"
    assert books(library).get("zzz").key == "new", "without a latest version the newest one"
    library.branch_id = 7
    assert books(library).get(STEM).key == "v3", "the current branch comes first"


@pytest.mark.req("R217")
def test_nothing_found(filled: Registry) -> None:
    with pytest.raises(errors.ObjectDoesNotExist, match=r"Q\(key='nope', size__gt=1\)"):
        books(filled).get(key="nope", size__gt=1)
    with pytest.raises(errors.DoesNotExist, match=r"Book\.get\(key='raw/a\.csv'\)"):
        books(filled).get("raw/a.csv")
    with pytest.raises(errors.DoesNotExist, match="no Book has a uid"):
        books(filled).get("x" * 20)
    with pytest.raises(errors.ObjectDoesNotExist):
        books(filled).get(2**70)
    books(filled).filter(key="k1").update(branch_id=-1)
    with pytest.raises(errors.ObjectDoesNotExist, match="1 that match are in the trash"):
        books(filled).get(key="k1")


@pytest.mark.req("R217")
def test_several_found(filled: Registry) -> None:
    with pytest.raises(errors.MultipleObjectsReturned, match=r"Q\(name__contains='author'\).*or use filter"):
        QuerySet(Author, filled).get(name__contains="author")
    with pytest.raises(errors.MultipleObjectsReturned, match="pass more of it"):
        QuerySet(Author, filled).get("a")
    QuerySet(Author, filled).filter(uid="a1").update(name="x")
    add(filled, Author, {"uid": "a1x", "name": "longer"})
    assert QuerySet(Author, filled).get("a1").name == "x", "a whole uid is never ambiguous"


@pytest.mark.req("R215")
@pytest.mark.parametrize("idlike", [True, 1.5, "", b"x"])
def test_what_is_no_id(filled: Registry, idlike: Any) -> None:
    with pytest.raises(errors.InvalidArgument):
        books(filled).get(idlike)


@pytest.mark.req("R225")
def test_one_and_one_or_none(filled: Registry) -> None:
    assert books(filled).filter(key="k1").one().key == "k1"
    assert books(filled).filter(key="x").one_or_none() is None
    with pytest.raises(errors.ObjectDoesNotExist):
        books(filled).filter(key="x").one()
    for many in (books(filled).one, books(filled).one_or_none):
        with pytest.raises(errors.MultipleObjectsReturned):
            many()


@pytest.mark.req("R225")
def test_first_and_last(filled: Registry) -> None:
    ordered = books(filled).order_by("-size", "key")
    assert [ordered.first().key, ordered.last().key] == ["k8", "k1"]  # type: ignore[union-attr]
    assert [books(filled).first().key, books(filled).last().key] == ["k0", "k9"]  # type: ignore[union-attr]
    assert books(filled)[2:5].last().key == "k4"  # type: ignore[union-attr]
    assert books(filled).filter(key="x").first() is books(filled).filter(key="x").last() is None


# ---------------------------------------------------------------------- many records


@pytest.mark.req("R225")
def test_a_query_set_runs_once_and_only_when_needed(filled: Registry) -> None:
    with counted(filled) as statements:
        queryset = books(filled).filter(size__gt=0).exclude(key="k9").order_by("-key")
        assert statements == []
        assert [book.key for book in queryset] == [book.key for book in queryset]
        assert len(queryset) == queryset.count() == len(list(queryset)) == 7
        assert len(statements) == 1
    add(filled, Book, {"uid": "new", "key": "new", "size": 1})
    assert len(queryset) == 7
    assert len(queryset.all()) == 8


@pytest.mark.req("R225")
def test_slices(filled: Registry) -> None:
    queryset = books(filled)
    assert queryset[2:5].to_list("key") == ["k2", "k3", "k4"]
    assert queryset[7:].to_list("key") == ["k7", "k8", "k9"]
    assert queryset[2:8][1:3].to_list("key") == ["k3", "k4"]
    assert queryset[2:4][1:9].to_list("key") == ["k3"]
    assert queryset[3:3].to_list() == []
    assert queryset[4].key == "k4"
    assert queryset[2:8].count() == 6
    assert queryset[20:].exists() is False
    assert queryset[:5].exists() is True
    with pytest.raises(IndexError):
        _ = queryset[10]
    with pytest.raises(errors.InvalidArgument, match="last"):
        _ = queryset[-1]
    with pytest.raises(errors.InvalidArgument):
        _ = queryset[::2]
    for refused in (lambda: queryset[:2].filter(key="k1"), lambda: queryset[:2].order_by("key")):
        with pytest.raises(errors.InvalidArgument, match="slice"):
            refused()


@pytest.mark.req("R225")
def test_values(filled: Registry) -> None:
    queryset = books(filled).filter(key__in=["k0", "k1", "k2"])
    assert queryset.values("key", "author__name")[0] == {"key": "k0", "author__name": "author 0"}
    assert queryset.values_list("size", "params__n").to_list() == [(0, 0), (0, 1), (1, 2)]
    assert queryset.values_list("size", flat=True).distinct().to_list() == [0, 1]
    assert queryset.distinct().values_list("size", flat=True).count() == 2
    assert queryset.values_list("key", "tags__name").to_list()[:2] == [("k0", {"red", "blue"}), ("k1", {"red"})]
    assert queryset.to_list("tags") == [{1, 2}, {1}, {1}]
    assert queryset.values_list("params__n", flat=True).first() == 0
    assert set(queryset.values()[0]) >= {"id", "uid", "key", "author_id"}
    with pytest.raises(errors.FieldError):
        queryset.values("nope")
    with pytest.raises(errors.InvalidArgument):
        queryset.values_list("key", "size", flat=True)


@pytest.mark.req("R225")
def test_order(filled: Registry) -> None:
    assert books(filled).order_by("-author__name", "-key")[:2].to_list("key") == ["k8", "k5"]
    assert books(filled).order_by(Book.key.desc())[:1].to_list("key") == ["k9"]
    assert QuerySet(Author, filled).order_by("mentor__name", "-uid").to_list("uid") == ["a2", "a1", "a0"]
    for wrong in ("nope", "tags", "params", "params__n", "author__books"):
        with pytest.raises(errors.FieldError):
            books(filled).order_by(wrong)


@pytest.mark.req("R225")
def test_union(filled: Registry) -> None:
    union = books(filled).filter(key="k1") | books(filled).filter(size=0)
    assert union.to_list("key") == ["k0", "k1"]
    assert union.filter(key="k0").count() == 1
    with pytest.raises(errors.InvalidArgument):
        _ = books(filled) | QuerySet(Author, filled)  # type: ignore[operator]


@pytest.mark.req("R225")
def test_update(filled: Registry) -> None:
    author = QuerySet(Author, filled).get(name="author 2")
    assert books(filled).filter(size=0).update(description="small", author=author) == 2
    assert books(filled).filter(author=author, description="small").to_list("key") == ["k0", "k1"]
    assert books(filled).order_by("-key")[:3].update(author=None, params={"x": [1]}) == 3
    assert books(filled).filter(author=None, params__x=[1]).to_list("key") == ["k7", "k8", "k9"]
    for frozen in ({"uid": "x"}, {"hash": "x"}, {"id": 5}):
        with pytest.raises(errors.InvalidArgument, match="cannot be assigned"):
            books(filled).update(**frozen)
    for wrong in ({"nope": 1}, {"tags": [1]}, {"size": "x"}, {"is_latest": None}, {"author": "x"}, {}):
        with pytest.raises(errors.InvalidArgument):
            books(filled).update(**wrong)


@pytest.mark.req("R225")
def test_repr_shows_some(filled: Registry) -> None:
    add(filled, Book, *({"uid": f"x{n}", "key": f"x{n}"} for n in range(30)))
    text = repr(books(filled))
    assert text.startswith("<QuerySet of Book [")
    assert text.count("\n") == 22
    assert repr(books(filled).filter(key="nope")) == "<QuerySet []>"


@pytest.mark.req("R292")
@pytest.mark.parametrize("number", [1, 10])
def test_related_records_come_with_a_constant_number_of_statements(filled: Registry, number: int) -> None:
    QuerySet(Author, filled).filter(name="author 1").update(mentor_id=1)
    with counted(filled) as statements:
        found = books(filled).select_related("author", "author__mentor")[:number].to_list()
        assert len(statements) == 3
        names = [(book.author.name, book.author.mentor and book.author.mentor.name) for book in found]
        assert len(statements) == 3
    assert names[0] == ("author 0", None)
    assert number == 1 or names[1] == ("author 1", "author 0")
    assert books(filled).select_related("author").get(key="k1").author._registry is filled
    with pytest.raises(errors.FieldError):
        books(filled).select_related("tags").to_list()


@pytest.mark.req("R292")
def test_one_statement_finds_one_record(filled: Registry) -> None:
    for find in (
        lambda: books(filled).get("0" * 19 + "1"),
        lambda: books(filled).get(key="k1"),
        lambda: books(filled).get("0" * 12, key="k1"),
        lambda: books(filled).filter(author__name="author 1").first(),
        lambda: books(filled).filter(tags__name="red").exists(),
        lambda: books(filled).filter(tags__name="red").count(),
    ):
        with counted(filled) as statements:
            assert find()
        assert len(statements) == 1


# ---------------------------------------------------------------------- search and lookup


@pytest.mark.req("R228")
def test_search_ranks(library: Registry) -> None:
    names = ["t cell", "T cell", "cell", "activated T cell", "B cell", "tissue"]
    add(library, Tag, *({"name": name} for name in names))
    add(library, Tag, {"name": "other", "color": "t cell"})
    found = QuerySet(Tag, library).search("t cell").to_list("name")
    assert found[:2] == ["t cell", "T cell"]
    assert set(found[2:]) == {"activated T cell", "other"}
    assert QuerySet(Tag, library).search("T cell", case_sensitive=True)[0].name == "T cell"
    assert QuerySet(Tag, library).search("cell", field="name", limit=2).count() == 2
    assert QuerySet(Tag, library).filter(name__startswith="B").search("cell").to_list("name") == ["B cell"]
    assert QuerySet(Tag, library).search("100%").to_list() == []
    with pytest.raises(errors.InvalidArgument):
        QuerySet(Tag, library).search(" ")
    with pytest.raises(errors.FieldError):
        QuerySet(Tag, library).search("x", field="date")


@pytest.mark.req("R228")
def test_lookup_gives_records_as_attributes(library: Registry) -> None:
    add(library, Tag, *({"name": name} for name in ["T cell", "t-cell", "class", "2nd", "é"]), {"name": "x"})
    lookup = QuerySet(Tag, library).lookup()
    assert lookup.t_cell.name == "T cell"
    assert lookup.t_cell_2.name == "t-cell"
    assert {"_class", "_2nd", "é", "x"} <= set(dir(lookup))
    assert lookup["T cell"].name == "T cell"
    assert set(lookup.dict()) == {"T cell", "t-cell", "class", "2nd", "é", "x"}
    assert QuerySet(Tag, library).lookup("name", return_field="id").x == 6
    with pytest.raises(AttributeError, match="nope"):
        _ = lookup.nope
