"""Opening a registry: the file that was named, and what is said of a database that cannot be opened."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry

NAMES = [
    "plain.db", "a b.db", "50%.db", "lab%20a.db", "what?.db", "q?mode=ro.db", "x#1.db", "plus+.db", "ü.db", "noext",
    "with:colon.db", "a@b.db", "n1/n2/x.db", "'quoted'.db",
]  # fmt: skip


def _files(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in found if not name.endswith(("-wal", "-shm"))]


@pytest.mark.req("R297")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [str, Path], ids=["text", "path"])
def test_the_file_of_that_name_is_opened(tmp_path: Path, name: str, form: Callable[[str], str | Path]) -> None:
    folder = tmp_path / "databases"
    registry = ln.connect(form(f"{folder}/{name}"), storage=tmp_path / "store", make_default=False)
    assert _files(folder) == [name]
    assert name in repr(registry)
    copy = pickle.loads(pickle.dumps(registry))
    assert (copy.uid, _files(folder)) == (registry.uid, [name])
    assert ln.DB(form(f"{folder}/{name}")).uid == registry.uid
    copy.close()
    registry.close()


def _text_file(path: Path) -> Path:
    path.write_text("hello " * 1000)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _below_a_file(path: Path) -> Path:
    return _text_file(path) / "x.db"


def _of_another_program(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE lamart_artifact (id int)")
    connection.close()
    return path


@pytest.mark.req("R297")
@pytest.mark.parametrize("make", [_text_file, _folder, _below_a_file, _of_another_program])
def test_what_is_no_database_is_said(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "t.db")
    with pytest.raises(errors.DatabaseError, match=r"t\.db"):
        ln.connect(path, storage=tmp_path / "store", make_default=False)
    assert not (tmp_path / "store").exists()


@pytest.mark.req("R297")
def test_a_server_that_cannot_be_reached_is_said_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(errors.DatabaseError, match="refused") as caught:
        ln.connect("postgresql://u:hidden@127.0.0.1:1/db", storage=tmp_path, make_default=False)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["sqlite:////tmp/what?.db", "sqlite:////tmp/x.db?mode=ro", "mysql://x/y", "a\0b", "x://"]
)
def test_a_url_that_says_something_else_is_refused(url: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        ln.connect(url, make_default=False)


@pytest.mark.req("R297")
def test_a_second_transaction_within_one_is_refused_at_once(registry: Registry) -> None:
    def work(connection: object) -> None:
        ln.ULabel(name="b").save()

    with pytest.raises(errors.DatabaseError, match="over the connection that it was given"):
        registry.unit_of_work(work)
    assert ln.ULabel(name="b").save().is_saved
