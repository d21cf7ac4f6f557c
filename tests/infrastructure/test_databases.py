"""A Postgres database that is used again is as it was when it was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from tests.postgres import postgres_database


def fill(url: str) -> None:
    with connected(url) as connection:
        connection.execute("CREATE TABLE parent (id serial PRIMARY KEY, name text)")
        connection.execute("CREATE TABLE child (id serial PRIMARY KEY, parent_id int REFERENCES parent)")
        connection.execute("INSERT INTO parent (name) VALUES ('one'), ('two')")


def connected(url: str) -> psycopg.Connection[Any]:
    given = make_url(url)
    return psycopg.connect(dbname=given.database, user=given.username, host=given.query["host"], autocommit=True)


def content(url: str) -> tuple[list[Any], list[Any], Any]:
    """Return the rows, in the order in which they lie, and what the next ids would be."""
    with connected(url) as connection:
        rows = connection.execute("SELECT * FROM parent").fetchall()
        children = connection.execute("SELECT * FROM child").fetchall()
        ids = connection.execute("SELECT nextval('parent_id_seq'), nextval('child_id_seq')").fetchone()
        return rows, children, ids


NEW = ([(1, "one"), (2, "two")], [], (3, 1))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO parent (name) SELECT 'more' FROM generate_series(1, 1000)",
        "INSERT INTO child (parent_id) SELECT id FROM parent",
        "UPDATE parent SET name = 'other' WHERE id = 1",
        "DELETE FROM parent",
        "TRUNCATE parent RESTART IDENTITY CASCADE",
    ],
)
def test_rows_and_sequences_are_restored(statement: str) -> None:
    with postgres_database(fill) as url:
        assert content(url) == NEW
        with connected(url) as connection:
            connection.execute(statement)
    with postgres_database(fill) as again:
        assert again == url, "it is used again"
        assert content(again) == NEW


def test_whoever_is_still_connected_is_sent_away() -> None:
    with postgres_database(fill) as url:
        left = connected(url)
        left.execute("BEGIN")
        left.execute("DELETE FROM parent")
    with pytest.raises(psycopg.OperationalError):
        left.execute("COMMIT")
    with postgres_database(fill) as again:
        assert (again, content(again)) == (url, NEW)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE child ADD COLUMN name text",
        "ALTER TABLE child DROP CONSTRAINT child_parent_id_fkey",
        "CREATE INDEX by_name ON parent (name)",
        "CREATE TABLE another (id int)",
        "DROP TABLE child",
    ],
)
def test_a_database_with_other_tables_is_not_used_again(statement: str) -> None:
    with postgres_database(fill) as url, connected(url) as connection:
        connection.execute(statement)
    with postgres_database(fill) as another:
        assert another != url
        assert content(another) == NEW


def test_two_at_a_time_are_two() -> None:
    with postgres_database(fill) as one, postgres_database(fill) as other:
        assert one != other


def test_databases_that_are_filled_otherwise_are_others() -> None:
    empty: Callable[[str], None] = lambda url: None  # noqa: E731
    with postgres_database(fill):
        pass
    with postgres_database(empty) as url, connected(url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'parent'").fetchone() == (0,)
