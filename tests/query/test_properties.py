"""Random expressions give on both databases what they mean in plain Python."""

from __future__ import annotations

import random
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamart_core.db import Registry
from lamart_core.query import Q, register_resolver
from tests.databases import BACKENDS, fresh_database
from tests.query.models import Author, Book, Measure, Measured, Tag, add, books, create_tables, link, open_library
from tests.query.reference import MEASURED, holds

TEXTS = [
    "",
    "a",
    "A",
    "ab",
    "Ab%",
    "a_b",
    "É",
    "é",
    "éa",
    "b*",
    "[ab]",
    "a?b",
    "a\\b",
    "'",
    '"',
    "a b",
    "~",
    "\U0010ffff",
]
PATTERNS = ["a", "^a", "b$", "[ab]+", "a.b", "^$", "É", r"\[", "(a|é)b?"]
NUMBERS = [-3, 0, 1, 2, 10, 2**40]
MOMENTS = [
    datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
    datetime(2025, 2, 28, 1, tzinfo=UTC),
]
SCALARS = [True, False, 0, 1, 1.5, "1", "a", "Ab", "", None]
DOCUMENTS = [
    None,
    {},
    *({"a": value} for value in SCALARS),
    {"a": {"b": 1}},
    {"a": {"b": True, "c": [1]}},
    {"a": {"c": [1.0], "b": True}},
    {"a": [1, "a", True, None]},
    {"a": []},
    {"a": {}},
    {"a": {"0": "x"}},
    {"a": ["x", ["y"]]},
    {"b": 1},
]


def some(pool: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(pool)


def compare(name: str, lookups: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Q]:
    keyword = some([name if lookup == "exact" else f"{name}__{lookup}" for lookup in lookups])
    return st.builds(lambda keyword, value: Q(**{keyword: value}), keyword, values)


def text_field(name: str) -> st.SearchStrategy[Q]:
    plain = ["exact", "iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith"]
    return st.one_of(
        compare(name, [*plain, "gt", "gte", "lt", "lte"], some(TEXTS)),
        compare(name, ["regex", "iregex"], some(PATTERNS)),
        compare(name, ["range"], st.tuples(some(TEXTS), some(TEXTS))),
        compare(name, ["in"], st.lists(some([*TEXTS, None]), max_size=4)),
        compare(name, ["isnull"], st.booleans()),
        compare(name, ["exact"], st.none()),
    )


ORDERED = ["exact", "gt", "gte", "lt", "lte"]
LEAVES = st.one_of(
    text_field("key"),
    text_field("author__name"),
    text_field("tags__name"),
    text_field("tags__color"),
    text_field("writer__mentor__name"),
    text_field("writer_name"),
    text_field("labels__name"),
    text_field("labels__books__writer_name"),
    text_field("title"),
    text_field("author__students__books__title"),
    compare("stem", ["exact", "startswith"], some(["0" * 16, "0" * 15 + "1", "0"])),
    compare("height", ORDERED, some([0.5, 1, 2])),
    compare("width", ["in"], st.lists(some([0.5, 1, None]), max_size=2)),
    compare("width", ["isnull"], st.booleans()),
    compare("tags__books__height", ORDERED, some([0.5, 1, 2])),
    compare("size", ORDERED, some([*NUMBERS, 1.0, 1.5, 2**70, -(2**70)])),
    compare("size", ["in"], st.lists(some([*NUMBERS, None]), max_size=4)),
    compare("size", ["range"], st.tuples(some(NUMBERS), some(NUMBERS))),
    compare("weight", ORDERED, some([0, 0.5, 1, 1.25])),
    compare("in_print", ["exact", "in"], st.none()).filter(lambda q: q.expression.lookup == "exact"),  # type: ignore[union-attr]
    compare("in_print", ["exact"], st.booleans()),
    compare("created_at", [*ORDERED], some(MOMENTS)),
    compare("created_at__year", ORDERED, some([2022, 2023, 2024, 2025])),
    compare("created_at__month", ORDERED, some([1, 2, 12])),
    compare("created_at__day", ORDERED, some([1, 28, 29, 31])),
    compare("created_at__date", ORDERED, some([moment.date() for moment in MOMENTS])),
    compare("author", ["exact", "in"], some([1, 2, 3])).filter(lambda q: q.expression.lookup == "exact"),  # type: ignore[union-attr]
    compare("author", ["isnull"], st.booleans()),
    compare("tags", ["isnull"], st.booleans()),
    compare("tags", ["in"], st.lists(some([1, 2, 3]), max_size=3)),
    compare("params__a", ["exact"], some([*SCALARS, {"b": 1}, {"b": True, "c": [1]}, [1, "a", True, None], [], {}])),
    compare("params__a", ["in"], st.lists(some(SCALARS), max_size=3)),
    compare("params__a__b", ["exact"], some(SCALARS)),
    compare("params__a__0", ["exact"], some([*SCALARS, "x"])),
    compare("params__a", ORDERED[1:], some([0, 1, 1.2, "1", "a"])),
    compare("params__a", ["contains", "icontains", "startswith", "iendswith", "regex"], some(["a", "1", "b"])),
    compare("params__a", ["contains"], some([1, True])),
    compare("params__a", ["isnull"], st.booleans()),
    compare("params__a__b", ["isnull"], st.booleans()),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=6,
)


class Shelf:
    """A filled library, and the same rows in plain Python."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        draw = random.Random(1)
        writers = [
            {"uid": f"author{i}", "name": name, "mentor_id": i or None} for i, name in enumerate(["Ab%", "é", "a_b"])
        ]
        labels = [{"name": "a", "color": "É"}, {"name": "Ab%", "color": None}, {"name": "b*", "color": "a"}]
        authors = _with_ids(writers, add(registry, Author, *writers))
        tags = _with_ids(labels, add(registry, Tag, *labels))
        for each in authors:
            each["mentor"] = next((other for other in authors if other["id"] == each["mentor_id"]), None)
            each["students"] = [other for other in authors if other["mentor_id"] == each["id"]]
        self.rows: dict[int, dict[str, Any]] = {}
        for number in range(60):
            author = draw.choice([*authors, None])
            book = {
                "uid": f"{number // 20:016d}{number % 20:04d}",
                "key": draw.choice([*TEXTS, None]),
                "size": draw.choice([*NUMBERS, None]),
                "weight": draw.choice([None, 0.0, 0.5, 1.25]),
                "in_print": draw.choice([None, True, False]),
                "created_at": draw.choice([*MOMENTS, None, MOMENTS[1] - timedelta(microseconds=1)]),
                "params": DOCUMENTS[number % len(DOCUMENTS)],
                "author_id": author and author["id"],
            }
            (book_id,) = add(registry, Book, book)
            chosen = draw.sample(tags, draw.choice([0, 1, 1, 2, 3]))
            link(registry, *((book_id, tag["id"]) for tag in chosen))
            measures = {
                name: draw.choice([[], [{"value": 0.5}], [{"value": 1.0}], [{"value": None}]]) for name in MEASURED
            }
            for name, values in measures.items():
                add(registry, Measure, *({"name": name, "book_id": book_id, **value} for value in values))
            row = {**book, "id": book_id, "author": author, "tags": chosen, **measures}
            self.rows[book_id] = row | {
                "stem": book["uid"][:16],
                "title": book["uid"] if book["key"] is None else book["key"],
            }
        for each in authors:
            each["books"] = [row for row in self.rows.values() if row["author"] is each]
        for each in tags:
            each["books"] = [row for row in self.rows.values() if any(tag is each for tag in row["tags"])]


def _with_ids(rows: list[dict[str, Any]], ids: list[int]) -> list[dict[str, Any]]:
    return [{"id": row_id, "date": None, **row} for row_id, row in zip(ids, rows, strict=True)]


@pytest.fixture(scope="module", params=BACKENDS)
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Shelf, None, None]:
    with fresh_database(request.param, tmp_path_factory.mktemp("shelf"), prepare=create_tables) as url:
        registry = open_library(url)
        forget = register_resolver(Book, Measured(*MEASURED))
        yield Shelf(registry)
        forget()
        registry.close()


@pytest.mark.req("R221", "R223")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expression=EXPRESSIONS)
def test_a_filter_finds_what_its_expression_says(shelf: Shelf, expression: Q) -> None:
    expected = [book_id for book_id, row in shelf.rows.items() if holds(expression.expression, row)]
    found = books(shelf.registry).filter(expression)
    assert found.to_list("id") == expected
    assert found.count() == len(expected)


@pytest.mark.req("R225")
@settings(max_examples=100, deadline=None)
@given(one=EXPRESSIONS, other=EXPRESSIONS)
def test_exclude_is_the_complement_and_or_the_union(shelf: Shelf, one: Q, other: Q) -> None:
    everything = books(shelf.registry).to_list("id")
    found = books(shelf.registry).filter(one).to_list("id")
    others = books(shelf.registry).filter(other).to_list("id")
    assert books(shelf.registry).exclude(one).to_list("id") == [each for each in everything if each not in found]
    union = books(shelf.registry).filter(one) | books(shelf.registry).filter(other)
    assert union.to_list("id") == sorted({*found, *others})
    both = books(shelf.registry).filter(one).filter(other)
    assert both.to_list("id") == [each for each in found if each in others]


@pytest.mark.req("R225")
@pytest.mark.parametrize(
    "field", ["key", "size", "weight", "created_at", "author__name", "writer_name", "title", "height"]
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_the_order_is_the_same_on_every_database(shelf: Shelf, field: str, sign: str) -> None:
    def value(row: dict[str, Any]) -> Any:
        if field in ("author__name", "writer_name"):
            return (row["author"] or {}).get("name")
        return next(iter(row[field]), {}).get("value") if field in MEASURED else row[field]

    present = [(value(row), book_id) for book_id, row in shelf.rows.items() if value(row) is not None]
    absent = [book_id for book_id, row in shelf.rows.items() if value(row) is None]
    ordered = sorted(present, key=lambda pair: pair[0], reverse=bool(sign))
    assert books(shelf.registry).order_by(f"{sign}{field}").to_list("id") == [*(each for _, each in ordered), *absent]
