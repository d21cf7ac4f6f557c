"""What is left when the transaction of a save fails, and when nobody can say whether it did."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from tests.databases import BACKENDS
from tests.registries import fresh_registry


@pytest.fixture(params=BACKENDS)
def registry(request: pytest.FixtureRequest, tmp_path: Path):
    with fresh_registry(request.param, tmp_path / "lab") as registry:
        yield registry


def stored(registry: Registry) -> list[Path]:
    root = Path(registry.Storage.get(registry.storage_id).root, ".lamart")
    return [path for path in root.iterdir() if path.name not in ("tmp", "storage_uid.txt")]


@pytest.mark.req("R266", "R267")
def test_a_connection_lost_after_the_commit_keeps_the_bytes(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.txt"
    source.write_text("content")
    artifact = ln.Artifact(source, key="a.txt")
    commit = Connection._commit_impl

    def lose(self: Connection) -> None:
        commit(self)
        raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_commit_impl", lose)
        with pytest.raises(OperationalError):
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
