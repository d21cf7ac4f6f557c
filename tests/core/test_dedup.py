"""Content: what is equal, what is not, and how often it is stored."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.saving import Outcome, create
from tests.processes import run_together
from tests.registries import contents, storage_root, tree, write


@pytest.mark.req("R79", "R84", "R74", "R75")
def test_known_content_is_the_existing_artifact(
    lab: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = ln.Artifact(write(tmp_path / "a.txt", "equal"), key="a.txt").save()
    second = ln.Artifact(write(tmp_path / "b.txt", "equal"), key="b.txt")
    assert (second, second.id, second.uid, second.is_saved) == (first, first.id, first.uid, True)
    assert second.save().key == "a.txt"
    assert "'a.txt' is kept" in caplog.text
    assert (len(first.hash or ""), first._hash_type) == (43, "blake3")
    assert contents(lab).artifacts == 1
    nameless = ln.Artifact(write(tmp_path / "c.txt", "other"), description="words").save()
    assert ln.Artifact(write(tmp_path / "d.txt", "other"), key="d.txt").save() == nameless
    assert ln.Artifact.get(nameless.uid).key == "d.txt"


@pytest.mark.req("R76")
def test_one_byte_in_the_middle_of_a_large_file(sqlite_registry: Registry, tmp_path: Path) -> None:
    size = 101 * 1024 * 1024
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(size))
    first = ln.Artifact(path, key="large.bin").save()
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\x01")
    second = ln.Artifact(path, key="large.bin")
    assert not second.is_saved
    assert second.hash != first.hash
    second.save()
    assert second.uid == first.stem_uid + "0001"
    assert first.size == second.size == size
    assert [item.cache().read_bytes()[size // 2] for item in (first, second)] == [0, 1]
    assert second.verify()


@pytest.mark.req("R77")
def test_swapped_and_renamed_files_are_other_content(registry: Registry, tmp_path: Path) -> None:
    files = {"one.txt": "1", "two.txt": "2", "deep/three.txt": "3"}
    original = ln.Artifact(tree(tmp_path / "original", dict(files)), key="original").save()
    others = {
        "swapped": {**files, "one.txt": "2", "two.txt": "1"},
        "renamed": {"uno.txt": "1", "two.txt": "2", "deep/three.txt": "3"},
        "renamed in its place of the order": {"one_.txt": "1", "two.txt": "2", "deep/three.txt": "3"},
        "moved": {"one.txt": "1", "two.txt": "2", "three.txt": "3"},
    }
    for name, changed in others.items():
        artifact = ln.Artifact(tree(tmp_path / name, dict(changed)), key=name)
        assert not artifact.is_saved
        assert artifact.hash != original.hash
    assert ln.Artifact(tree(tmp_path / "same", dict(files)), key="same") == original
    (tmp_path / "empty").mkdir()
    with pytest.raises(ln.errors.InvalidArgument, match="empty"):
        ln.Artifact(tmp_path / "empty", key="empty")


@pytest.mark.req("R30", "R80", "R81", "R88")
def test_skipping_the_lookup(registry: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(write(tmp_path / "a.txt", "equal"), key="a.txt").save()
    other = ln.Artifact(tmp_path / "a.txt", key="b.txt", skip_hash_lookup=True).save()
    assert other != first
    assert other.path == first.path
    again = ln.Artifact(tmp_path / "a.txt", key="a.txt", skip_hash_lookup=True).save()
    assert again == first
    inside = write(storage_root(registry) / "inside.txt", "equal")
    assert ln.Artifact(inside, skip_hash_lookup=False) in (first, other)
    assert ln.Artifact(inside).save() not in (first, other)


@pytest.mark.req("R82", "R90")
def test_empty_files_are_never_equal(lab: Registry, tmp_path: Path) -> None:
    empty = write(tmp_path / "a.txt", "")
    first = ln.Artifact(empty, key="a.txt").save()
    second = ln.Artifact(empty, key="b.txt", skip_hash_lookup=False).save()
    third, fourth = (ln.Artifact(empty, description="no key").save() for _ in range(2))
    assert len({first.uid, second.uid, third.uid, fourth.uid}) == 4
    assert third.load() == ""


@pytest.mark.req("R83", "R92")
def test_trash_is_not_found_and_comes_back_under_its_key(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.txt", "equal")
    first = ln.Artifact(path, key="a.txt").save()
    first.delete()
    assert not ln.Artifact(path, key="a.txt").is_saved
    elsewhere = ln.Artifact(path, key="b.txt").save()
    assert elsewhere != first
    elsewhere.delete(permanent=True)
    back = ln.Artifact(path, key="a.txt").save()
    assert back == first
    assert "restored from the trash" in caplog.text
    assert ln.Artifact.get(key="a.txt").load() == "equal"
    assert back.is_latest


@pytest.mark.req("R83")
def test_trash_does_not_hide_what_is_visible(registry: Registry, tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "equal")
    visible = ln.Artifact(path, key="a.txt").save()
    ln.Artifact(path, key="b.txt", skip_hash_lookup=True).save().delete()  # newer, and in the trash
    assert ln.Artifact(path, key="c.txt") == visible


@pytest.mark.req("R85")
def test_a_hit_takes_the_description(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.txt", "equal")
    first = ln.Artifact(path, key="a.txt", description="old", kind="dataset").save()
    ln.Artifact(path, key="a.txt", description="new", kind="model").save()
    assert ln.Artifact.get(first.uid).description == "new"
    assert ln.Artifact.get(first.uid).kind == "dataset"
    assert "description" in caplog.text
    assert "kind" in caplog.text


@pytest.mark.req("R84", "R93")
@pytest.mark.parametrize("damage", ["gone", "cut off"])
def test_a_hit_on_bytes_that_are_not_whole_stores_them_again(lab: Registry, tmp_path: Path, damage: str) -> None:
    path, folder = write(tmp_path / "a.txt", "equal"), tree(tmp_path / "in", {"b.txt": "1", "deep/c.txt": "2"})
    frame = table(1, 2, 3)
    makers = [
        lambda: ln.Artifact(path, key="a.txt"),
        lambda: ln.Artifact(folder, key="in"),
        lambda: ln.Artifact.from_dataframe(frame, key="t.parquet"),
    ]
    for make in makers:
        first = make().save()
        is_folder = first.n_files is not None
        damaged = first.path / "deep/c.txt" if is_folder else first.path
        if damage == "gone":
            first.storage.backend.delete(first.object.path, is_folder=is_folder)
        else:
            damaged.unlink()
            damaged.write_bytes(b"")
        with pytest.raises(ln.errors.LamartError):
            ln.Artifact.get(first.uid).verify()
        assert make().save() == first
        assert ln.Artifact.get(first.uid).verify()
    assert not [name for name in contents(lab).files if "tmp" in name or "staged" in name]


@pytest.mark.req("R84")
def test_a_key_follows_a_file_that_was_moved_in_its_place(registry: Registry, tmp_path: Path) -> None:
    root = storage_root(registry)
    first = ln.Artifact(write(root / "raw/a.txt", "equal")).save()
    named = ln.Artifact(write(root / "raw/n.txt", "named"), key="name.txt").save()
    (root / "raw/a.txt").rename(root / "raw/b.txt")
    (root / "raw/n.txt").rename(root / "raw/m.txt")
    assert ln.Artifact(root / "raw/b.txt", skip_hash_lookup=False).save() == first
    assert ln.Artifact(root / "raw/m.txt", skip_hash_lookup=False).save() == named
    moved, renamed = ln.Artifact.get(key="raw/b.txt"), ln.Artifact.get(key="name.txt")
    assert (moved, moved.path, moved.load()) == (first, root / "raw/b.txt", "equal")
    assert (renamed, renamed.path, renamed.load()) == (named, root / "raw/m.txt", "named")
    # A copy beside a file that is still there moves nothing.
    copy = write(root / "raw/copy.txt", "equal")
    assert ln.Artifact(copy, skip_hash_lookup=False).save() == first
    assert ln.Artifact.get(first.uid).key == "raw/b.txt"


def table(*values: int) -> pd.DataFrame:
    return pd.DataFrame({"a": pd.Series(values, dtype="int64")})


@pytest.mark.req("R89")
def test_a_key_whose_content_comes_back_has_three_versions(registry: Registry) -> None:
    results = [create(registry, table(value), key="t.parquet") for value in (1, 2, 1)]
    assert [result.outcome for result in results] == [Outcome.CREATED, Outcome.NEW_VERSION, Outcome.NEW_VERSION]
    latest = ln.Artifact.get(key="t.parquet")
    assert latest.uid[-4:] == "0002"
    assert latest.load().equals(table(1))
    first, second, third = (result.artifact for result in results)
    assert first.hash == third.hash != second.hash
    assert first.object_id == third.object_id
    held = contents(registry)
    assert (held.artifacts, held.objects, len(held.files)) == (3, 2, 2)
    again = create(registry, table(1), key="t.parquet")
    assert (again.outcome, again.artifact) == (Outcome.EXISTING, latest)


@pytest.mark.req("R89", "R257")
def test_equal_content_under_two_keys_is_two_artifacts_stored_once(lab: Registry) -> None:
    one = create(lab, table(), key="one.parquet").artifact
    two = create(lab, table(), key="two.parquet").artifact
    assert one != two
    assert one.object_id == two.object_id
    assert len(contents(lab).files) == 1
    one.delete(permanent=True, storage=True)
    assert ln.Artifact.get(key="two.parquet").load().equals(table())
    assert two.refresh().verify()
    two.delete(permanent=True)
    held = contents(lab)
    assert (held.artifacts, held.objects, held.files) == (0, 0, ())


_SAVE = """
ready()
tell(ln.Artifact(arguments["path"], key="a.txt", run=False).save().uid)
"""


@pytest.mark.req("R91")
def test_many_processes_that_save_the_same_store_it_once(lab: Registry, tmp_path: Path) -> None:
    uids = run_together(lab, _SAVE, 3, path=write(tmp_path / "a.txt", "equal"))
    assert set(uids) == {ln.Artifact.get(key="a.txt").uid}
    held = contents(lab)
    assert (held.artifacts, held.objects, len(held.files)) == (1, 1, 1)
    assert ln.Artifact.get(key="a.txt").verify()
