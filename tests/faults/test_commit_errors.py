"""What is left when the transaction of a save fails, and when nobody can say whether it did."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy.exc import OperationalError

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from tests.seams import at_commit


def stored(registry: Registry) -> list[Path]:
    root = Path(registry.Storage.get(registry.storage_id).root, ".lamart")
    return [path for path in root.iterdir() if path.name not in ("tmp", "storage_uid.txt")]


def lose_the_answer() -> None:
    raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))


@pytest.mark.req("R266", "R267")
def test_a_connection_lost_after_the_commit_keeps_the_bytes(registry: Registry, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("content")
    artifact = ln.Artifact(source, key="a.txt")
    with at_commit("lamart_artifact", after=lose_the_answer, always=True), pytest.raises(OperationalError):
        artifact.save()
    # The row is there, so its bytes must be; saving again finds it.
    assert ln.Artifact.get(key="a.txt").load() == "content"
    assert ln.Artifact(source, key="a.txt").save().uid == ln.Artifact.get(key="a.txt").uid
    assert ln.Artifact.filter().count() == 1


@pytest.mark.req("R266")
def test_a_refused_transaction_leaves_nothing_and_can_be_repeated(registry: Registry) -> None:
    df = pd.DataFrame({"a": [1, 2]})
    artifact = ln.Artifact.from_dataframe(df, key="a.parquet")

    def refuse() -> None:
        raise errors.DatabaseBusy("others write")

    with at_commit("lamart_artifact", before=refuse), pytest.raises(errors.DatabaseBusy):
        artifact.save()
    assert stored(registry) == []
    assert ln.Artifact.filter().count() == 0
    assert artifact.save().load().equals(df)


@pytest.mark.req("R64")
def test_a_connection_lost_after_a_move_keeps_the_bytes(registry: Registry, tmp_path: Path) -> None:
    source = tmp_path / "x.txt"
    source.write_text("content")
    artifact = ln.Artifact(source, key="a/x.txt", key_is_virtual=False).save()
    artifact.key = "b/x.txt"
    with at_commit("lamart_artifact", after=lose_the_answer, always=True), pytest.raises(OperationalError):
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
