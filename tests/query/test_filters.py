"""What filters accept, what they refuse, and how they say it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.query import Q, QuerySet
from tests.query.models import Author, Book, Tag, add, books, link


def uid(number: int) -> str:
    return f"{number:020d}"


@pytest.fixture
def filled(library: Registry) -> Registry:
    ann, bob = add(
        library,
        Author,
        {"uid": "ann", "name": "Ann", "country": "NO", "mentor_id": None},
        {"uid": "bob", "name": "Bob", "country": None, "mentor_id": 1},
    )
    red, blue = add(
        library,
        Tag,
        {"name": "red", "color": "#f00", "date": datetime(2020, 5, 1, tzinfo=UTC)},
        {"name": "blue", "color": None, "date": None},
    )
    first, second, _ = add(
        library,
        Book,
        {"uid": uid(1), "key": "raw/a.csv", "size": 1, "author_id": ann},
        {"uid": uid(2), "key": "raw/b.csv", "size": 2, "author_id": bob},
        {"uid": uid(3), "key": "done/c.csv", "size": None, "author_id": None},
    )
    link(library, (first, red), (first, blue), (second, blue))
    return library


def keys(registry: Registry, *conditions: Any, **expressions: Any) -> list[str]:
    return books(registry).filter(*conditions, **expressions).to_list("key")


@pytest.mark.req("R221", "R223")
def test_relations_are_followed_in_both_directions(filled: Registry) -> None:
    assert keys(filled, author__mentor__name="Ann") == ["raw/b.csv"]
    assert keys(filled, author__students__name__startswith="B") == ["raw/a.csv"]
    assert QuerySet(Author, filled).filter(books__tags__name="red").to_list("name") == ["Ann"]
    assert QuerySet(Tag, filled).filter(books__author__country="NO").to_list("name") == ["red", "blue"]


@pytest.mark.req("R180", "R223")
def test_a_record_that_is_related_to_many_matching_ones_comes_once(filled: Registry) -> None:
    assert keys(filled, tags__name__in=["red", "blue"]) == ["raw/a.csv", "raw/b.csv"]
    assert books(filled).filter(tags__name__contains="e").count() == 2


@pytest.mark.req("R223")
def test_conditions_of_one_call_are_about_one_related_record(filled: Registry) -> None:
    assert keys(filled, tags__name="blue", tags__color="#f00") == []
    assert books(filled).filter(tags__name="blue").filter(tags__color="#f00").to_list("key") == ["raw/a.csv"]


@pytest.mark.req("R223")
def test_a_related_record_can_be_given_as_a_record_an_id_or_a_query(filled: Registry) -> None:
    ann = QuerySet(Author, filled).get(name="Ann")
    red = QuerySet(Tag, filled).get(name="red")
    assert keys(filled, author=ann) == keys(filled, author=ann.id) == keys(filled, author_id=ann) == ["raw/a.csv"]
    assert keys(filled, author__in=[ann, 2]) == ["raw/a.csv", "raw/b.csv"]
    assert keys(filled, author__in=QuerySet(Author, filled).filter(country=None)) == ["raw/b.csv"]
    assert keys(filled, tags=red) == keys(filled, tags__in=[red]) == ["raw/a.csv"]
    assert keys(filled, author__in=(each for each in [ann])) == ["raw/a.csv"]


@pytest.mark.req("R223")
def test_missing_relations(filled: Registry) -> None:
    assert keys(filled, author=None) == keys(filled, author__isnull=True) == ["done/c.csv"]
    assert keys(filled, author__isnull=False) == ["raw/a.csv", "raw/b.csv"]
    assert keys(filled, tags=None) == keys(filled, tags__isnull=True) == ["done/c.csv"]
    assert keys(filled, author__country=None) == ["raw/b.csv", "done/c.csv"]


@pytest.mark.req("R223")
def test_wildcards_and_letter_case_mean_themselves(library: Registry) -> None:
    names = ["a%b", "a_b", "axb", "A%B", "a*b", "a[b]", "É", "é"]
    add(library, Book, *({"uid": uid(number), "key": name} for number, name in enumerate(names)))
    assert keys(library, key__contains="%") == ["a%b", "A%B"]
    assert keys(library, key__startswith="a_") == ["a_b"]
    assert keys(library, key__startswith="a%") == ["a%b"]
    assert keys(library, key__endswith="*b") == ["a*b"]
    assert keys(library, key__contains="[b]") == ["a[b]"]
    assert keys(library, key__istartswith="a%") == ["a%b", "A%B"]
    assert keys(library, key__iexact="é") == ["É", "é"]
    assert keys(library, key="é") == ["é"]


@pytest.mark.req("R221")
def test_q_objects_combine(filled: Registry) -> None:
    raw, large = Q(key__startswith="raw/"), Q(size__gt=1)
    assert keys(filled, raw & large) == ["raw/b.csv"]
    assert keys(filled, raw & ~large) == ["raw/a.csv"]
    assert keys(filled, ~raw | large) == ["raw/b.csv", "done/c.csv"]
    assert keys(filled, ~Q(size=1)) == ["raw/b.csv", "done/c.csv"], "a missing size is not 1"
    assert keys(filled, Q() | large) == ["raw/b.csv"]
    assert keys(filled, raw, size=1) == ["raw/a.csv"]
    assert repr(raw & large | ~Q(size=1)) == "Q(key__startswith='raw/', size__gt=1) | ~Q(size=1)"


@pytest.mark.req("R221")
def test_column_expressions(filled: Registry) -> None:
    assert keys(filled, Book.size > 1) == ["raw/b.csv"]
    assert keys(filled, Book.key.like("raw/%"), Q(Book.size == 1) | Q(size=2)) == ["raw/a.csv", "raw/b.csv"]


@pytest.mark.req("R223")
def test_many_members(filled: Registry) -> None:
    assert keys(filled, size__in=range(1, 3000)) == ["raw/a.csv", "raw/b.csv"]
    assert keys(filled, key__in=[*(f"x{number}" for number in range(70_000)), "raw/a.csv", None]) == ["raw/a.csv"]
    assert keys(filled, author__in=list(range(2, 40_000))) == ["raw/b.csv"]
    assert keys(filled, size__in=[]) == []


@pytest.mark.req("R223")
def test_numbers_beyond_the_integers_of_the_database(filled: Registry) -> None:
    assert keys(filled, size__lt=2**100) == ["raw/a.csv", "raw/b.csv"]
    assert keys(filled, size__gt=-(10**400)) == ["raw/a.csv", "raw/b.csv"]
    assert keys(filled, size=2**64) == []
    assert keys(filled, id=2**40) == []
    assert keys(filled, size__gt=1.5) == ["raw/b.csv"]
    assert keys(filled, size=np.int64(1)) == ["raw/a.csv"]


@pytest.mark.req("R223")
def test_a_field_that_is_called_like_a_lookup(filled: Registry) -> None:
    moment = datetime(2020, 5, 1, tzinfo=UTC)
    assert keys(filled, tags__date=moment) == ["raw/a.csv"]
    assert keys(filled, tags__date__year=2020) == ["raw/a.csv"]
    assert QuerySet(Tag, filled).filter(date=moment).to_list("name") == ["red"]
    assert QuerySet(Tag, filled).filter(date__date="2020-05-01").to_list("name") == ["red"]


@pytest.mark.req("R223")
def test_times(library: Registry) -> None:
    moment = datetime(2024, 12, 31, 23, 30, tzinfo=UTC)
    add(library, Book, {"uid": uid(1), "key": "a", "created_at": moment})
    for value in (moment, moment.replace(tzinfo=None), "2024-12-31T23:30:00", "2025-01-01T01:30:00+02:00"):
        assert keys(library, created_at=value) == ["a"]
    assert keys(library, created_at__year=2024, created_at__month=12, created_at__day=31) == ["a"]
    assert keys(library, created_at__date=moment.date()) == ["a"]
    assert keys(library, created_at__gte="2025-01-01") == []
    assert keys(library, created_at__year__in=[2023, 2024]) == ["a"]
    assert keys(library, created_at__year__range=(1, 20_000)) == ["a"]


@pytest.mark.req("R182", "R223")
def test_json_values_keep_their_types(library: Registry) -> None:
    values = [True, 1, "1", 1.5, None, ["a, b", 1], {"x": {"y": 1}, "z": 2}]
    add(library, Book, *({"uid": uid(n), "key": repr(v), "params": {"v": v}} for n, v in enumerate(values)))
    add(library, Book, {"uid": uid(99), "key": "absent", "params": {}})
    for value in values:
        assert keys(library, params__v=value) == [repr(value)]
    assert keys(library, params__v={"z": 2, "x": {"y": 1}}) == [repr(values[-1])], "the order of keys says nothing"
    assert keys(library, params__v__x__y=1) == [repr(values[-1])]
    assert keys(library, params__v__contains="a, b") == [repr(values[5])]
    assert keys(library, params__v__gte=1) == ["1", "1.5"]
    assert keys(library, params__v__isnull=True) == ["absent"]
    assert keys(library, params={}) == ["absent"]


@pytest.mark.req("R181", "R218")
@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"kye": "x"}, r"no field or relation 'kye'; did you mean 'key'\?; fields: .*size.*; relations: .*tags"),
        ({"tags": "red"}, "tags__name='red'"),
        ({"tags__in": ["red"]}, "tags__name='red'"),
        ({"tags__startswith": "r"}, "tags__name__startswith"),
        ({"author": "ann"}, "author__name='ann'"),
        ({"author__nam": "ann"}, "Author has no field or relation 'nam'"),
        ({"key__startwith": "a"}, "did you mean 'startswith'"),
        ({"size__startswith": "1"}, "'startswith' is not one for the integer field 'size'"),
        ({"key__year": 2020}, "'year'"),
        ({"in_print__gt": True}, "'gt'"),
        ({"size__x__y": 1}, "'x'"),
    ],
)
def test_unknown_names_are_field_errors(filled: Registry, expression: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.FieldError, match=message):
        books(filled).filter(**expression)
    with pytest.raises(errors.FieldError, match=message):
        books(filled).get(**expression)


@pytest.mark.req("R218")
@pytest.mark.parametrize(
    "expression",
    [
        {"key": 5},
        {"key": "a\x00b"},
        {"key": "\ud800"},
        {"key__gt": None},
        {"key__in": "abc"},
        {"key__in": 5},
        {"key__regex": "("},
        {"size": "1"},
        {"size": True},
        {"size": float("nan")},
        {"size__range": (1,)},
        {"size__isnull": 1},
        {"in_print": "yes"},
        {"created_at": "yesterday"},
        {"created_at": 5},
        {"created_at__year": "2020"},
        {"created_at__date": "x"},
        {"params__a": object()},
        {"params__a": float("nan")},
        {"params__a": {1: 2}},
        {"params__a__gt": True},
        {'params__a"b': 1},
        {"author": 1.5},
        {"tags__in": [1.5]},
        {"id": "1"},
    ],
)
def test_values_that_can_never_match_are_refused(filled: Registry, expression: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        books(filled).filter(**expression)


@pytest.mark.req("R218")
def test_records_of_another_class_and_unsaved_ones_are_refused(filled: Registry) -> None:
    with pytest.raises(errors.FieldError, match="expected a record of Author"):
        books(filled).filter(author=QuerySet(Tag, filled).first())
    with pytest.raises(errors.InvalidArgument, match="not saved"):
        books(filled).filter(author=Author(uid="x", name="X"))
    with pytest.raises(errors.FieldError, match="relation to Tag"):
        books(filled).filter(author__in=QuerySet(Tag, filled))
    with pytest.raises(errors.InvalidArgument, match="Q objects and column expressions"):
        books(filled).filter("raw/a.csv")  # type: ignore[arg-type]


@pytest.mark.req("R222")
def test_the_default_scope(library: Registry) -> None:
    branches = {"main": 1, "archive": 0, "trash": -1, "other": 7}
    rows = [{"uid": uid(5 + b), "key": n, "hash": n, "branch_id": b} for n, b in branches.items()]
    ids = dict(zip(branches, add(library, Book, *rows), strict=True))
    assert keys(library) == ["main"]
    assert keys(library, key__in=list(branches)) == ["main"]
    assert keys(library, branch_id=-1) == ["trash"]
    assert keys(library, branch_id=None) == list(branches)
    assert keys(library, Q(branch_id=None) & Q(key="other")) == ["other"]
    assert keys(library, id=ids["archive"]) == keys(library, uid=uid(5)) == keys(library, hash="archive") == ["archive"]
    assert keys(library, id__gt=0) == list(branches)
    assert keys(library, Book.id == ids["trash"]) == ["trash"]
    assert books(library).exclude(id=ids["other"]).to_list("key") == ["main"], "excluding does not bring back the trash"
    library.branch_id = 7
    assert keys(library) == ["main", "other"]
    assert books(library).filter(key="trash").exists() is False
    assert (books(library).filter(branch_id=-1) | books(library).filter(key="main")).count() == 2
