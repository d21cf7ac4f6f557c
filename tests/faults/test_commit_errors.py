"""What is left when the transaction of a save fails, and when nobody can say whether it did."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry


def stored(registry: Registry) -> list[Path]:
    root = Path(registry.Storage.get(registry.storage_id).root, ".lamart")
    return [path for path in root.iterdir() if path.name not in ("tmp", "storage_uid.txt")]


@contextmanager
def answers_lost(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    """Let every commit succeed and then fail, as when the connection breaks before the answer."""
    commit = Connection._commit_impl

    def lose(self: Connection) -> None:
        commit(self)
        raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_commit_impl", lose)
        yield


@pytest.mark.req("R266", "R267")
def test_a_connection_lost_after_the_commit_keeps_the_bytes(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.txt"
    source.write_text("content")
    artifact = ln.Artifact(source, key="a.txt")
    with answers_lost(monkeypatch), pytest.raises(OperationalError):
        artifact.save()
    # The row is there, so its bytes must be; saving again finds it.
    assert ln.Artifact.get(key="a.txt").load() == "content"
    assert ln.Artifact(source, key="a.txt").save().uid == ln.Artifact.get(key="a.txt").uid
    assert ln.Artifact.filter().count() == 1


@pytest.mark.req("R266")
def test_a_refused_transaction_leaves_nothing_and_can_be_repeated(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    df = pd.DataFrame({"a": [1, 2]})
    artifact = ln.Artifact.from_dataframe(df, key="a.parquet")

    def refuse(self: Registry, work: object) -> None:
        raise errors.DatabaseBusy("others write")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "unit_of_work", refuse)
        with pytest.raises(errors.DatabaseBusy):
            artifact.save()
    assert stored(registry) == []
    assert ln.Artifact.filter().count() == 0
    assert artifact.save().load().equals(df)


@pytest.mark.req("R64")
def test_a_connection_lost_after_a_move_keeps_the_bytes(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "x.txt"
    source.write_text("content")
    artifact = ln.Artifact(source, key="a/x.txt", key_is_virtual=False).save()
    artifact.key = "b/x.txt"
    with answers_lost(monkeypatch), pytest.raises(OperationalError):
        artifact.save()
    assert ln.Artifact.get(artifact.uid).load() == "content"


@pytest.mark.req("R64", "R247")
def test_altered_bytes_are_not_moved(registry: Registry, tmp_path: Path) -> None:
    source = tmp_path / "x.txt"
    source.write_text("content")
    artifact = ln.Artifact(source, key="a/x.txt", key_is_virtual=False).save()
    assert isinstance(artifact.path, Path)
    artifact.path.write_text("altered")  # of the same size
    artifact.key = "b/x.txt"
    with pytest.raises(errors.IntegrityError):
        artifact.save()
    assert not Path(artifact.storage.root, "b/x.txt").exists()
    assert ln.Artifact.get(artifact.uid).key == "a/x.txt"
