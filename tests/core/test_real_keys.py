"""Real keys: the bytes of the latest version lie at the key, and no version ever loads those of another."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import collect_garbage
from lamart_core.db import Registry
from lamart_core.places.publish import finish_publication, publish_pending
from tests.processes import run_together
from tests.registries import contents, tree, write
from tests.seams import at_commit, at_storage


def save(folder: Path, content: str | bytes, key: str = "y/a.txt", **fields: Any) -> ln.Artifact:
    fields = {"key_is_virtual": False, **fields}
    return ln.Artifact(write(folder / "a.txt", content), key=key, **fields).save()


def at_key(registry: Registry, key: str = "y/a.txt") -> Path | UPath:
    return registry.Storage.get(registry.storage_id).backend.path(key)


def latest(key: str = "y/a.txt") -> ln.Artifact:
    return ln.Artifact.get(key=key)


def put_at(registry: Registry, content: str, key: str = "y/a.txt") -> None:
    """Write into the storage past the registry."""
    path = at_key(registry, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


class Died(BaseException):
    """What no handler knows: the end of a process."""


def die() -> None:
    raise Died


@contextmanager
def dead_after_the_commit() -> Generator[None, None, None]:
    """Let the process die after its first transaction that writes an artifact: nothing is published."""
    with at_commit("lamart_artifact", after=die), pytest.raises(Died):
        yield


@pytest.mark.req("R52", "R53", "R66")
def test_versions_under_a_real_key_keep_their_bytes(lab: Registry, tmp_path: Path) -> None:
    versions = [save(tmp_path, content) for content in ("first", "second!", "third!!")]
    assert len({item.stem_uid for item in versions}) == 1
    assert at_key(lab).read_text() == "third!!"
    assert str(versions[-1].path) == str(at_key(lab))
    for item, content in zip(versions, ("first", "second!", "third!!"), strict=True):
        assert item.load() == content
        assert item.verify()
        assert item.suffix == ".txt"
    # Nothing is left that no record refers to.
    held = contents(lab)
    assert (held.artifacts, held.objects, len(held.files)) == (3, 3, 3)
    assert collect_garbage(lab) == []
    assert publish_pending(lab) == []
    # The first content again is known.
    assert save(tmp_path, "first") == versions[0]
    assert at_key(lab).read_text() == "third!!"


@pytest.mark.req("R53")
def test_content_that_comes_back_shares_its_bytes(lab: Registry, tmp_path: Path) -> None:
    first, second, third = (save(tmp_path, content, skip_hash_lookup=True) for content in ("A", "B", "A"))
    assert [item.load() for item in (first, second, third)] == ["A", "B", "A"]
    assert at_key(lab).read_text() == "A"
    assert second.verify()
    third.delete(permanent=True, storage=True)
    assert at_key(lab).read_text() == "B"
    assert [item.load() for item in (first, second)] == ["A", "B"]


@pytest.mark.req("R53", "R60")
@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_at_real_keys(lab: Registry, tmp_path: Path, overwrite: bool) -> None:
    options: dict[str, Any] = {"key": "run", "key_is_virtual": False, "overwrite_versions": overwrite}
    first = ln.Artifact(tree(tmp_path / "1", {"a.txt": "1", "deep/b.txt": "2"}), **options).save()
    second = ln.Artifact(tree(tmp_path / "2", {"a.txt": "changed", "c.txt": "3"}), **options).save()
    names = {path.relative_to(second.cache()).as_posix() for path in second.cache().rglob("*") if path.is_file()}
    assert names == {"a.txt", "c.txt"}
    assert at_key(lab, "run/a.txt").read_text() == "changed"
    assert not at_key(lab, "run/deep/b.txt").exists()
    assert second.verify()
    if overwrite:
        with pytest.raises(errors.OutdatedVersion):
            first.load()
        assert len(contents(lab).files) == 2
    else:
        assert first.verify()
        assert (first.cache() / "deep/b.txt").read_text() == "2"
    assert collect_garbage(lab) == []


@pytest.mark.req("R53")
def test_bytes_that_others_changed_are_not_taken_for_the_old_version(
    lab: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = save(tmp_path, "first")
    put_at(lab, "other")  # of the same size
    second = save(tmp_path, "second")
    assert "no longer available" in caplog.text
    for read in (first.load, first.cache, first.verify):
        with pytest.raises(errors.ContentMismatch):
            read()
    assert second.load() == at_key(lab).read_text() == "second"
    assert collect_garbage(lab) == []


@pytest.mark.req("R53")
def test_what_others_put_at_a_key_is_not_overwritten(lab: Registry, tmp_path: Path) -> None:
    put_at(lab, "precious")
    before = contents(lab)
    with pytest.raises(FileExistsError, match="no version of this key"):
        save(tmp_path, "mine")
    assert contents(lab) == before
    # The content itself may lie there already.
    assert save(tmp_path, "precious").load() == "precious"
    assert len(contents(lab).files) == 1


@pytest.mark.req("R53")
def test_a_file_that_is_shared_does_not_change_through_the_key(registry: Registry, tmp_path: Path) -> None:
    shared = save(tmp_path, "equal", key="v.txt", key_is_virtual=True)
    real = save(tmp_path, "equal", skip_hash_lookup=True)
    put_at(registry, "edited in place")
    assert shared.load() == "equal"
    with pytest.raises(errors.ContentMismatch):
        real.load()


@pytest.mark.req("R53", "R267")
def test_a_publication_is_finished_later(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "first")
    with dead_after_the_commit():
        save(tmp_path, "second")
    second = latest()
    assert at_key(lab).read_text() == "first"
    assert [item.load() for item in (first, second)] == ["first", "second"]
    collect_garbage(lab, dry_run=False)
    (pending,) = publish_pending(lab)
    assert (pending.key, pending.uid) == ("y/a.txt", second.uid)
    finish_publication(lab, pending)
    assert at_key(lab).read_text() == "second"
    assert publish_pending(lab) == []
    # The next save of the family does it too.
    with dead_after_the_commit():
        save(tmp_path, "third")
    third = latest()
    fourth = save(tmp_path, "fourth")
    assert at_key(lab).read_text() == "fourth"
    assert [item.load() for item in (first, second, third, fourth)] == ["first", "second", "third", "fourth"]
    assert contents(lab).objects == len(contents(lab).files) == 4
    # What others put there since is left.
    with dead_after_the_commit():
        save(tmp_path, "fifth")
    fifth = latest()
    put_at(lab, "foreign")
    assert publish_pending(lab) == []
    assert fifth.load() == "fifth"


@pytest.mark.req("R254", "R257", "R259")
def test_deleting_under_a_real_key(lab: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second, third = (save(tmp_path, content) for content in ("first", "second", "third"))
    third.delete()
    assert at_key(lab).read_text() == third.load() == "third"
    third.delete(permanent=True, storage=True)
    # The newest version that remains is what lies at the key.
    assert at_key(lab).read_text() == "second"
    assert second.load() == "second"
    first.delete(permanent=True)
    assert len(contents(lab).files) == 1
    second.delete(permanent=True)
    assert "is kept" in caplog.text
    assert at_key(lab).read_text() == "second"
    assert contents(lab).objects == 0


@pytest.mark.req("R53")
def test_a_version_in_the_trash_keeps_its_bytes(lab: Registry, tmp_path: Path) -> None:
    save(tmp_path, "first")
    second = save(tmp_path, "second")
    second.delete()
    third = save(tmp_path, "third")
    assert at_key(lab).read_text() == "third"
    second.restore()
    assert [second.load(), third.load()] == ["second", "third"]


@pytest.mark.req("R56")
def test_a_file_that_changed_in_place(lab: Registry, tmp_path: Path) -> None:
    put_at(lab, "A")
    first = ln.Artifact(at_key(lab)).save()
    assert first.load() == "A"
    put_at(lab, "B")
    second = ln.Artifact(at_key(lab)).save()
    assert second.uid == first.stem_uid + "0001"
    assert second.load() == "B"
    for read in (first.load, first.cache, first.verify):
        with pytest.raises(errors.ContentMismatch, match="no longer available"):
            read()
    # Deleting the record of the later version does not give its bytes to the first.
    second.delete(permanent=True)
    with pytest.raises(errors.ContentMismatch):
        first.load()
    assert at_key(lab).read_text() == "B"


@pytest.mark.req("R56")
def test_a_content_that_comes_back_in_place(lab: Registry) -> None:
    if lab.Storage.get(lab.storage_id).backend.protocol == "az":
        pytest.skip("Azure knows no MD5 of what adlfs writes, so content that comes back is another one")
    versions: list[ln.Artifact] = []
    for content in ("A", "B", "A"):
        put_at(lab, content)
        versions.append(ln.Artifact(at_key(lab)).save())
    first, second, third = versions
    assert [item.uid[-4:] for item in versions] == ["0000", "0001", "0002"]
    assert first.load() == third.load() == "A"
    with pytest.raises(errors.ContentMismatch):
        second.load()
    # Deleting a version that is lost leaves the file, which is another one's.
    second.delete(permanent=True, storage=True)
    assert third.load() == "A"


SAVERS = """
from pathlib import Path
ready()
for turn in range(arguments["saves"]):
    path = Path(arguments["folder"], f"{number}-{turn}.txt")
    path.write_text(f"{number}-{turn}")
    ln.Artifact(path, key="y/a.txt", key_is_virtual=False).save()
tell(True)
"""


@pytest.mark.req("R53", "R287")
def test_processes_that_save_under_one_real_key(registry: Registry, tmp_path: Path) -> None:
    assert all(run_together(registry, SAVERS, 3, folder=str(tmp_path), saves=3))
    versions = ln.Artifact.filter(key="y/a.txt").order_by("uid").to_list()
    assert len({item.stem_uid for item in versions}) == 1
    assert [item.is_latest for item in versions] == [False] * 8 + [True]
    assert {item.load() for item in versions} == {f"{index}-{number}" for index in range(3) for number in range(3)}
    assert all(item.verify() for item in versions)
    assert versions[-1].path == at_key(registry)
    held = contents(registry)
    assert (held.objects, len(held.files)) == (9, 9)
    assert publish_pending(registry) == []


@pytest.mark.req("R53", "R47")
def test_a_version_that_is_saved_while_another_is_published(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path / "1", "first")
    begun, go_on = threading.Event(), threading.Event()

    def be_slow() -> None:
        begun.set()
        assert go_on.wait(60)

    with at_storage("publish", before=be_slow), ThreadPoolExecutor(1) as pool:
        slow_save = pool.submit(save, tmp_path / "2", "second")
        assert begun.wait(60)
        third = save(tmp_path / "3", "third")
        assert third.load() == "third"
        go_on.set()
        second = slow_save.result()
    assert at_key(lab).read_text() == "third"
    assert [item.load() for item in (first, second, third)] == ["first", "second", "third"]
    assert all(item.verify() for item in (first, second, third))
    assert (contents(lab).objects, len(contents(lab).files)) == (3, 3)
    assert publish_pending(lab) == []
