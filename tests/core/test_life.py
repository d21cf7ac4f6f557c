"""Reading, deleting, restoring and saving again."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import event

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.saving import create
from tests.registries import contents, tree, write


def save(tmp_path: Path, content: str, key: str = "a.txt", **keywords: object) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / "a.txt", content), key=key, **keywords).save()


@pytest.mark.req("R251", "R253", "R259")
def test_trash_restore_and_delete(registry: Registry, tmp_path: Path) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    second.delete()
    assert second.branch_id == -1
    assert ln.Artifact.get(key="a.txt") == first
    assert first.refresh().is_latest
    assert ln.Artifact.get(second.uid).load() == "2"
    second.restore()
    assert ln.Artifact.get(key="a.txt") == second
    assert not first.refresh().is_latest
    second.delete()
    second.delete()
    assert first.refresh().is_latest
    held = contents(registry)
    assert (held.artifacts, held.objects, len(held.files)) == (1, 1, 1)
    first.delete(permanent=True)
    assert contents(registry).files == ()
    with pytest.raises(ln.errors.ObjectDoesNotExist):
        ln.Artifact.get(first.uid)


@pytest.mark.req("R252", "R289")
def test_deleting_never_asks(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(prompt: object = "") -> str:
        raise AssertionError(f"asked {prompt!r}")

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr("sys.stdin", None)
    artifact = save(tmp_path, "1")
    artifact.delete()
    artifact.delete()
    assert contents(registry).artifacts == 0


@pytest.mark.req("R261")
def test_deleting_what_a_query_finds(registry: Registry, tmp_path: Path) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    found = ln.Artifact.filter(key="a.txt", is_latest=False).first()
    assert found == first
    found.delete()
    ln.Artifact.get(key="a.txt", is_latest=True).delete()
    assert ln.Artifact.filter(key="a.txt").count() == 0
    assert {item.uid for item in ln.Artifact.filter(branch_id=-1)} == {first.uid, second.uid}


@pytest.mark.req("R254")
def test_which_bytes_go(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    virtual = save(tmp_path, "1", "v.txt")
    path = virtual.path
    virtual.delete(permanent=True, storage=False)
    assert path.exists()
    real = save(tmp_path, "2", "real.txt", key_is_virtual=False)
    real_path = real.path
    real.delete(permanent=True)
    assert real_path.exists()
    assert str(real_path) in caplog.text
    again = ln.Artifact(real_path).save()
    again.delete(permanent=True, storage=True)
    assert not real_path.exists()


@pytest.mark.req("R255")
def test_bytes_of_another_registry(registry: Registry, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    ln.connect(f"sqlite:///{tmp_path / 'other.db'}", storage=theirs, make_default=False).close()
    ln.Storage(root=theirs).save()
    artifact = ln.Artifact(write(theirs / "a.txt", "not ours")).save()
    for storage in (None, True):
        with pytest.raises(ln.errors.IntegrityError, match="storage=False"):
            artifact.delete(permanent=True, storage=storage)
    artifact.delete(permanent=True, storage=False)
    assert (theirs / "a.txt").exists()
    assert ln.Artifact.filter(branch=None).count() == 0


@pytest.mark.req("R256", "R259")
def test_folders_whose_versions_are_overwritten(registry: Registry, tmp_path: Path) -> None:
    first, second, third = (ln.Artifact(tree(tmp_path / "d", {"a.txt": content}), key="d").save() for content in "123")
    first.delete(permanent=True)
    assert (ln.Artifact.get(key="d").path / "a.txt").read_text() == "3"
    assert second.refresh().uid[-4:] == "0001"
    third.delete(permanent=True)
    held = contents(registry)
    assert (held.artifacts, held.objects, held.files) == (0, 0, ())


@pytest.mark.req("R212")
def test_what_points_from_an_artifact_goes_with_it(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    run = ln.track("reader")
    artifact.load()
    ln.finish()
    assert run.input_artifacts.to_list() == [artifact]
    artifact.delete(permanent=True)
    assert run.input_artifacts.count() == 0
    assert ln.Run.get(run.uid) == run


@pytest.mark.req("R247")
def test_altered_bytes_are_never_loaded(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "content")
    path = artifact.path
    path.chmod(0o644)
    path.write_text("conten")
    for read in (artifact.load, artifact.cache, artifact.verify):
        with pytest.raises(ln.errors.IntegrityError):
            read()
    path.write_text("CONTENT")
    with pytest.raises(ln.errors.IntegrityError, match="altered"):
        artifact.verify()
    registry.settings.verify_on_read = True
    with pytest.raises(ln.errors.IntegrityError, match="altered"):
        artifact.load()
    path.unlink()
    with pytest.raises(ln.errors.IntegrityError, match="missing"):
        artifact.load()


@pytest.mark.req("R245", "R248", "R61")
def test_load_cache_and_path(registry: Registry) -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    artifact = ln.Artifact.from_dataframe(table, key="t.parquet")
    assert artifact.load() is table
    artifact.save()
    loaded = ln.Artifact.get(key="t.parquet").load(columns=["a"])
    assert list(loaded.columns) == ["a"]
    assert ln.Artifact.get(key="t.parquet").load().equals(table)
    assert artifact.cache() == artifact.path
    assert artifact.path.is_relative_to(registry.options["storage"])


@pytest.mark.req("R215", "R216", "R217")
def test_get(registry: Registry, tmp_path: Path) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    assert ln.Artifact.get(first.id) == first
    assert ln.Artifact.get(first.uid) == first
    assert ln.Artifact.get(first.stem_uid) == second
    assert ln.Artifact.get(first.stem_uid[:8]) == second
    assert ln.Artifact.get(key="a.txt") == second
    assert ln.Artifact.get(path=first.path) == first
    assert ln.Artifact.get(path=str(second.path)) == second
    with pytest.raises(ln.errors.DoesNotExist, match="key"):
        ln.Artifact.get("a.txt")
    assert ln.Artifact.get(key__startswith="a") == second


@pytest.mark.req("R264")
def test_saving_again_writes_nothing(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    updated = artifact.updated_at
    with statements(registry) as seen:
        artifact.save()
    assert seen == []
    artifact.description = "words"
    artifact.save()
    assert ln.Artifact.get(artifact.uid).updated_at > updated


@contextmanager
def statements(registry: Registry) -> Generator[list[str], None, None]:
    """Collect the statements that a registry runs."""
    seen: list[str] = []

    def remember(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(registry.engine, "before_cursor_execute", remember)
    try:
        yield seen
    finally:
        event.remove(registry.engine, "before_cursor_execute", remember)


def writes(seen: list[str]) -> list[str]:
    """Leave out what only begins and ends a transaction."""
    return [statement for statement in seen if not statement.startswith(("BEGIN", "COMMIT"))]


@pytest.mark.req("R292")
def test_numbers_of_statements(registry: Registry, tmp_path: Path) -> None:
    save(tmp_path, "warm up", "warm.txt")
    with statements(registry) as seen:
        artifact = ln.Artifact(write(tmp_path / "a.txt", "1"), key="a.txt")
    assert len(writes(seen)) <= 2, seen
    with statements(registry) as seen:
        artifact.save()
    assert len(writes(seen)) <= 4, seen
    following = ln.Artifact(write(tmp_path / "a.txt", "2"), key="a.txt")
    with statements(registry) as seen:
        following.save()
    assert len(writes(seen)) <= 5, seen
    with statements(registry) as seen:
        create(registry, pd.DataFrame({"a": [1]}), key="t.parquet")
    assert len(writes(seen)) <= 6, seen
