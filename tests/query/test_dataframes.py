"""Query results as data frames."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from lamart_core import errors
from lamart_core.db import Registry
from tests.query.models import Author, Book, Tag, add, books, link
from tests.query.test_querysets import counted

MOMENT = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def filled(library: Registry) -> Registry:
    add(library, Author, {"uid": "ann", "name": "Ann"}, {"uid": "bob", "name": "Bob", "mentor_id": 1})
    add(library, Tag, {"name": "red", "color": "#f00"}, {"name": "blue"})
    rows = [
        {"uid": f"{n:020d}", "key": f"k{n}", "size": n, "weight": n / 2, "in_print": True, "created_at": MOMENT}
        for n in range(30)
    ]
    ids = add(library, Book, *(row | {"author_id": 2, "params": {"a": {"b": n}}} for n, row in enumerate(rows)))
    add(library, Book, {"uid": "none"})
    link(library, (ids[0], 1), (ids[0], 2), (ids[1], 1))
    return library


@pytest.mark.req("R226")
def test_columns_types_and_index(filled: Registry) -> None:
    frame = books(filled).to_dataframe(limit=None)
    assert frame.index.name == "id"
    assert list(frame.index) == sorted(frame.index, reverse=True)
    assert "_private" not in frame.columns
    assert list(frame.columns[:3]) == ["uid", "is_latest", "key"]
    assert frame.columns[-1] == "author_id"
    row = frame.set_index("key").loc["k3"]
    assert (row["size"], row["weight"], row["in_print"], row["created_at"]) == (3, 1.5, True, pd.Timestamp(MOMENT))
    assert row["params"] == {"a": {"b": 3}}
    assert [str(frame[name].dtype) for name in ("size", "weight", "in_print", "branch_id", "is_latest")] == [
        "Int64",
        "Float64",
        "boolean",
        "int64",
        "bool",
    ]
    missing = frame.iloc[0]
    assert all(pd.isna(missing[name]) for name in ("size", "weight", "in_print", "created_at", "author_id"))
    assert missing["key"] is None


@pytest.mark.req("R226")
def test_included_columns(filled: Registry) -> None:
    include = ["author__name", "author__mentor__name", "tags__name", "tags__color", "params__a__b", "tags", "privates"]
    with counted(filled) as statements:
        frame = books(filled).filter(size__lt=2).to_dataframe(include=include, order_by="size")
        assert len(statements) == 4, "one, and one per set"
    assert list(frame["author__name"]) == ["Bob", "Bob"]
    assert list(frame["author__mentor__name"]) == ["Ann", "Ann"]
    assert list(frame["tags__name"]) == [{"red", "blue"}, {"red"}]
    assert list(frame["tags__color"]) == [{"#f00"}, {"#f00"}]
    assert list(frame["tags"]) == [{1, 2}, {1}]
    assert list(frame["params__a__b"]) == [0, 1]
    assert "_private" in frame.columns
    assert books(filled).filter(key="k9").to_dataframe("tags__name")["tags__name"].item() == set()


@pytest.mark.req("R226")
def test_the_limit_warns_when_it_cuts(filled: Registry, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.warns(UserWarning, match="first 20 records"):
        assert len(books(filled).to_dataframe()) == 20
    recwarn.clear()
    assert len(books(filled).to_dataframe(limit=31)) == 31
    assert len(books(filled)[:5].to_dataframe()) == 5
    assert len(books(filled).filter(size__lt=20).to_dataframe()) == 20
    assert not recwarn.list
    with pytest.raises(errors.InvalidArgument):
        books(filled).to_dataframe(limit=-1)


@pytest.mark.req("R226")
def test_order(filled: Registry) -> None:
    few = books(filled).filter(size__lt=3)
    assert list(few.to_dataframe()["key"]) == ["k2", "k1", "k0"]
    assert list(few.to_dataframe(order_by="key")["key"]) == ["k0", "k1", "k2"]
    assert list(few.order_by("key").to_dataframe()["key"]) == ["k0", "k1", "k2"]
    assert list(few.order_by("key")[1:].to_dataframe()["key"]) == ["k1", "k2"]


@pytest.mark.req("R226")
def test_no_records(library: Registry) -> None:
    frame = books(library).to_dataframe(include=["tags__name", "author__name"])
    assert frame.empty
    assert frame.index.name == "id"
    assert {"key", "tags__name", "author__name"} <= set(frame.columns)
    assert str(frame["size"].dtype) == "Int64"


@pytest.mark.req("R226")
def test_more_rows_than_a_statement_takes_parameters(library: Registry) -> None:
    add(library, Tag, {"name": "red"})
    ids = add(library, Book, *({"uid": f"{n}", "key": f"k{n}"} for n in range(1200)))
    link(library, (ids[5], 1))
    frame = books(library).to_dataframe(include="tags__name", limit=None)
    assert len(frame) == 1200
    assert frame.loc[ids[5], "tags__name"] == {"red"}


@pytest.mark.req("R226")
def test_unknown_columns(filled: Registry) -> None:
    with pytest.raises(errors.FieldError, match="nope"):
        books(filled).to_dataframe(include=["nope"])
    with pytest.raises(errors.FieldError, match="no member"):
        books(filled).to_dataframe(include=["key__x"])
    with pytest.raises(errors.InvalidArgument, match="no features"):
        books(filled).to_dataframe(features=["x"])
    with pytest.raises(errors.FieldError):
        books(filled).to_dataframe(order_by="nope")
