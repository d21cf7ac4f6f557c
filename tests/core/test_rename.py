"""Renaming: of a name, and of a name that is also a place."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event, text

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry


def saved(folder: Path, content: str, key: str, **options: object) -> ln.Artifact:
    source = folder / Path(key).name
    source.write_text(content)
    return ln.Artifact(source, key=key, **options).save()


@pytest.mark.req("R63")
def test_renaming_takes_all_versions_along(registry: Registry, tmp_path: Path) -> None:
    first = saved(tmp_path, "1", "old/x.csv")
    second = saved(tmp_path, "2", "old/x.csv")
    path = second.path
    second.key = "new/x.csv"
    second.save()
    assert ln.Artifact.filter(key="old/x.csv").count() == 0
    assert {item.uid for item in ln.Artifact.filter(key="new/x.csv")} == {first.uid, second.uid}
    assert ln.Artifact.get(key="new/x.csv").path == path
    # The old name is free: what is saved there is another family.
    assert saved(tmp_path, "3", "old/x.csv").stem_uid != second.stem_uid


@pytest.mark.req("R63")
def test_a_name_of_another_family_is_refused(registry: Registry, tmp_path: Path) -> None:
    saved(tmp_path, "1", "a.csv")
    other = saved(tmp_path, "2", "b.csv")
    other.key = "a.csv"
    with pytest.raises(errors.InvalidArgument, match="belongs to the family"):
        other.save()
    assert ln.Artifact.get(other.uid).key == "b.csv"


@pytest.mark.req("R64")
@pytest.mark.parametrize("key", ["x.parquet", None, "../x.csv"])
def test_bad_names_are_refused_before_anything_is_written(registry: Registry, tmp_path: Path, key: str | None) -> None:
    artifact = saved(tmp_path, "1", "x.csv")
    artifact.key = key
    with pytest.raises(errors.InvalidArgument):
        artifact.save()
    assert ln.Artifact.get(artifact.uid).key == "x.csv"


@pytest.mark.req("R52", "R64")
def test_renaming_a_real_key_moves_the_bytes(registry: Registry, tmp_path: Path) -> None:
    artifact = saved(tmp_path, "content", "a/x.csv", key_is_virtual=False)
    root = Path(artifact.storage.root)
    assert artifact.path == root / "a/x.csv"
    artifact.key = "b/y.csv"
    artifact.save()
    assert (root / "b/y.csv").read_text() == "content"
    assert not (root / "a/x.csv").exists()
    assert ln.Artifact.get(key="b/y.csv").path == root / "b/y.csv"


@pytest.mark.req("R64")
def test_a_real_key_is_not_moved_over_something(registry: Registry, tmp_path: Path) -> None:
    artifact = saved(tmp_path, "content", "a/x.csv", key_is_virtual=False)
    other = Path(artifact.storage.root, "taken.csv")
    other.write_text("precious")
    artifact.key = "taken.csv"
    with pytest.raises(FileExistsError):
        artifact.save()
    assert other.read_text() == "precious"
    assert ln.Artifact.get(artifact.uid).path.read_text() == "content"


@pytest.mark.req("R210")
def test_artifacts_are_found_by_the_transform_of_their_run(registry: Registry, tmp_path: Path) -> None:
    run = ln.track("ingest.py")
    artifact = saved(tmp_path, "1", "x.csv")
    ln.finish()
    saved(tmp_path, "2", "y.csv")
    assert artifact.transform == run.transform
    assert ln.Artifact.filter(transform__key="ingest.py").to_list() == [artifact]
    assert ln.Artifact.filter(transform=run.transform).to_list() == [artifact]
    assert ln.Artifact.get(transform__key="ingest.py") == artifact


@pytest.mark.req("R216")
def test_a_key_is_looked_up_in_the_index_of_keys(sqlite_registry: Registry, tmp_path: Path) -> None:
    """Without statistics SQLite takes the first index that fits; none may fit better than that of the key."""
    artifact = saved(tmp_path, "1", "x.csv")
    statements: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    event.listen(sqlite_registry.engine, "before_cursor_execute", note)
    assert ln.Artifact.get(key="x.csv") == artifact
    event.remove(sqlite_registry.engine, "before_cursor_execute", note)
    assert statements
    with sqlite_registry.engine.connect() as connection:
        for statement, parameters in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert "artifact_key" in str(plan)
        assert connection.execute(text("SELECT count(*) FROM lamart_artifact")).scalar_one() == 1
