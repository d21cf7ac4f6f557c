"""Bytes that are not whole any more: whoever has the same content stores them again, and no new version shares them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import lamart_core as ln
from lamart_core.care import check_registry, collect_garbage
from lamart_core.db import Registry
from lamart_core.models import StoredObject
from lamart_core.objects import histories
from lamart_core.saving import create
from lamart_core.storage import Local
from tests.processes import run_together
from tests.registries import advance, tree, write
from tests.registries import contents as held
from tests.seams import at_storage
from tests.storage.s3_server import shared_server

IN_BUCKETS = pytest.mark.parametrize("lab", ["sqlite-s3", "postgres-s3"], indirect=True)
# Each database, each storage and each damage; not all of each.
DAMAGED_BUCKETS = [("sqlite-s3", "cut off"), ("postgres-s3", "gone")]
IN_DAMAGED_BUCKETS = pytest.mark.parametrize(("lab", "damage"), DAMAGED_BUCKETS, indirect=["lab"])
DAMAGED_EVERYWHERE = [*DAMAGED_BUCKETS, ("sqlite-local", "gone"), ("postgres-local", "cut off")]
EVERYWHERE = pytest.mark.parametrize(("lab", "damage"), DAMAGED_EVERYWHERE, indirect=["lab"])
AT_ONCE = timedelta(0)

Files = dict[str, str]
FILES: Files = {"a.txt": "one", "b/c.txt": "two", "b/d.csv": "three", "same.txt": "one", "empty": ""}
MANY: Files = {f"{number:02}.txt": f"content {number}" for number in range(20)}


def folder_of(tmp_path: Path, files: Files, name: str = "source") -> Path:
    """Write files into a fresh folder."""
    folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
    return tree(folder, dict(files))


def save(tmp_path: Path, files: Files, key: str = "run", **options: Any) -> ln.Artifact:
    return ln.Artifact(folder_of(tmp_path, files), key=key, overwrite_versions=False, **options).save()


def place_of(artifact: ln.Artifact, name: str) -> str:
    """Return where the bytes of a file of a folder lie."""
    with artifact.registry.engine.connect() as connection:
        files = {file.path: file.relpath for file in histories.files_of(connection, artifact.object_id)}
    return files.get(name) or f"{artifact.object.path}/{name}"


def harm(artifact: ln.Artifact, relpath: str, damage: str) -> None:
    """Damage stored bytes behind the back of everybody."""
    backend = artifact.storage.backend
    backend.delete(relpath)
    if damage != "gone":
        path = backend.path(relpath)
        path.write_bytes(b"o")


def check(artifact: ln.Artifact, files: Files) -> None:
    """Check that an artifact reads back by every way."""
    found = ln.Artifact.get(artifact.uid)
    prefix = len(str(found.path)) + 1
    assert {str(path)[prefix:]: path.read_text() for path in found.path.rglob("*") if path.is_file()} == files
    assert {name: (found.cache() / name).read_text() for name in files} == files
    assert found.verify()


def check_nothing_left(lab: Registry) -> None:
    """Check that nothing lies in the storage that no record names."""
    with lab.read() as session:
        paths = set(session.scalars(select(StoredObject.path).where(~StoredObject.is_content_addressed)))
    assert {"/".join(name.split("/")[:2]) for name in held(lab).files} == paths
    assert collect_garbage(lab, grace=AT_ONCE) == []
    assert check_registry(lab, verify=True, grace=AT_ONCE).is_clean


@contextmanager
def requests(lab: Registry) -> Generator[Counter[str], None, None]:
    """Count what the object store is asked for."""
    asked: Counter[str] = Counter()
    fs: Any = lab.Storage.get(lab.storage_id).backend.fs
    fs.connect()
    events = fs.s3.meta.events

    def count(model: Any, **_: Any) -> None:
        asked[model.name] += 1

    events.register("before-call.s3", count)
    try:
        yield asked
    finally:
        events.unregister("before-call.s3", count)


# ---------------------------------------------------------------------- hits


@pytest.mark.req("R70", "R93")
@IN_DAMAGED_BUCKETS
@pytest.mark.parametrize("in_bulk", [False, True])
def test_a_hit_on_a_kept_folder_puts_its_files_again(lab: Registry, tmp_path: Path, damage: str, in_bulk: bool) -> None:
    first = save(tmp_path, FILES | {"old.txt": "old"})
    second = save(tmp_path, FILES)
    other = save(tmp_path, {"x.txt": "two", "y.txt": "y"}, key="other")
    for name in ("a.txt", "b/c.txt"):
        harm(second, place_of(second, name), damage)
    for broken in (first, second, other):
        with pytest.raises(ln.errors.LamartError):
            ln.Artifact.get(broken.uid).verify()
    again = ln.Artifact(folder_of(tmp_path, FILES), key="run", overwrite_versions=False)
    assert again == second
    if in_bulk:
        whole = ln.Artifact(folder_of(tmp_path, FILES | {"old.txt": "old"}), key="run", overwrite_versions=False)
        assert list(ln.save([again, whole])) == [second, first]
    else:
        again.save()
    check(second, FILES)
    # Whoever shares the contents has them back.
    check(first, FILES | {"old.txt": "old"})
    check(other, {"x.txt": "two", "y.txt": "y"})
    check_nothing_left(lab)


@pytest.mark.req("R93")
@IN_BUCKETS
def test_a_hit_on_a_whole_folder_costs_a_listing(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, MANY)
    again = ln.Artifact(folder_of(tmp_path, MANY), key="run", overwrite_versions=False)
    with requests(lab) as asked:
        again.save()
    assert dict(asked) == {"ListObjectsV2": 1}
    assert again == first
    batch = [ln.Artifact(folder_of(tmp_path, MANY), key="run", overwrite_versions=False) for _ in range(3)]
    with requests(lab) as asked:
        ln.save(batch)
    assert dict(asked) == {"ListObjectsV2": 1}


@pytest.mark.req("R93")
@IN_BUCKETS
def test_nobody_is_told_of_a_loss_that_is_none(lab: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = save(tmp_path, FILES)

    def fail() -> None:
        raise ln.errors.StorageError(5, "the server does not answer")

    with at_storage("mismatched", before=fail, always=True):
        assert ln.Artifact(folder_of(tmp_path, FILES), key="run", overwrite_versions=False).save() == first
    assert "does not answer" in caplog.text
    assert "storing them again" not in caplog.text
    check(first, FILES)


# ---------------------------------------------------------------------- new versions


@pytest.mark.req("R70", "R93")
@IN_DAMAGED_BUCKETS
def test_a_new_version_shares_no_file_that_is_not_whole(lab: Registry, tmp_path: Path, damage: str) -> None:
    single = ln.Artifact(write(tmp_path / "two.txt", "two"), key="two.txt").save()
    first = save(tmp_path, FILES)
    harm(first, place_of(first, "a.txt"), damage)
    harm(single, single.object.path, damage)  # a content that carries the name of another family
    changed = FILES | {"b/d.csv": "changed"}
    second = save(tmp_path, changed)
    assert second.stem_uid == first.stem_uid
    check(second, changed)
    check(first, FILES)
    assert single.cache().read_text() == "two"
    assert single.verify()
    check_nothing_left(lab)


@pytest.mark.req("R93")
@IN_BUCKETS
def test_a_new_version_costs_one_listing_and_what_changed(lab: Registry, tmp_path: Path) -> None:
    save(tmp_path, MANY)
    artifact = ln.Artifact(folder_of(tmp_path, MANY | {"00.txt": "new"}), key="run", overwrite_versions=False)
    with requests(lab) as asked:
        artifact.save()
    assert dict(asked) == {"ListObjectsV2": 1, "PutObject": 1, "HeadObject": 1}
    with requests(lab) as asked:
        save(tmp_path, {"x.txt": "nothing of this is known"}, key="other")
    assert dict(asked) == {"PutObject": 1, "HeadObject": 1}


@pytest.mark.req("R70", "R93")
@IN_DAMAGED_BUCKETS
def test_a_content_that_has_several_objects_is_repaired_in_all(lab: Registry, tmp_path: Path, damage: str) -> None:
    table = ln.Artifact(write(tmp_path / "one.csv", "one"), key="one.csv").save()
    text = ln.Artifact(write(tmp_path / "one.txt", "one"), key="one.txt", skip_hash_lookup=True).save()
    assert table.object.path != text.object.path
    folder = save(tmp_path, FILES)
    for artifact in (table, text):
        harm(artifact, artifact.object.path, damage)
    second = save(tmp_path, FILES | {"new.txt": "new"})
    check(second, FILES | {"new.txt": "new"})
    check(folder, FILES)
    assert table.verify()
    assert text.verify()
    check_nothing_left(lab)


@pytest.mark.req("R93")
@EVERYWHERE
def test_a_version_that_goes_back_to_older_content_is_whole(lab: Registry, tmp_path: Path, damage: str) -> None:
    def state(files: Files) -> Any:
        return create(lab, folder_of(tmp_path, files), key="run").artifact

    first, second = state(FILES), state(FILES | {"a.txt": "changed"})
    harm(first, place_of(first, "b/c.txt"), damage)
    third = state(FILES)
    assert third not in (first, second)
    assert third.object_id == first.object_id
    check(third, FILES)
    check_nothing_left(lab)


@pytest.mark.req("R93", "R257")
@EVERYWHERE
@pytest.mark.parametrize("verb", ["save", "create", "bulk", "replace"])
def test_a_file_that_shares_its_bytes_is_whole(lab: Registry, tmp_path: Path, damage: str, verb: str) -> None:
    path = write(tmp_path / "a.txt", "content")
    first = ln.Artifact(path, key="a.txt").save()
    replaced = ln.Artifact(write(tmp_path / "r.txt", "replaced"), key="r.txt").save()
    harm(first, first.object.path, damage)
    if verb == "save":
        second = ln.Artifact(path, key="b.txt", skip_hash_lookup=True).save()
    elif verb == "create":
        second = create(lab, path, key="b.txt").artifact
    elif verb == "bulk":
        new = write(tmp_path / "n.txt", "new")
        second, _ = ln.save([ln.Artifact(path, key="b.txt", skip_hash_lookup=True), ln.Artifact(new, key="n.txt")])
    else:
        replaced.replace(path)
        second = replaced.save()
    assert second != first
    assert second.object_id == first.object_id
    for artifact in (first, second):
        assert artifact.verify()
        assert artifact.cache().read_text() == "content"
    check_nothing_left(lab)


@pytest.mark.req("R93", "R155")
@EVERYWHERE
def test_files_of_a_batch_that_others_store_meanwhile_are_whole(lab: Registry, tmp_path: Path, damage: str) -> None:
    batch = [
        ln.Artifact(write(tmp_path / f"{number}.txt", f"content {number}"), key=f"{number}.txt") for number in "ab"
    ]
    others: list[ln.Artifact] = []

    def put_another() -> None:
        others.append(ln.Artifact(tmp_path / "a.txt", key="other.txt").save())
        harm(others[0], others[0].object.path, damage)
        others[0].delete(permanent=True, storage=False)

    with at_storage("put_files", before=put_another):
        ln.save(batch)
    assert batch[0].object_id == others[0].object_id
    assert all(artifact.verify() for artifact in batch)
    check_nothing_left(lab)


@pytest.mark.req("R93", "R257")
@IN_DAMAGED_BUCKETS
@pytest.mark.parametrize("in_bulk", [False, True])
def test_a_file_that_shares_the_bytes_of_a_folder_is_whole(
    lab: Registry, tmp_path: Path, damage: str, in_bulk: bool
) -> None:
    folder = save(tmp_path, FILES)
    harm(folder, place_of(folder, "b/c.txt"), damage)
    single = ln.Artifact(write(tmp_path / "c.txt", "two"), key="c.txt")
    if in_bulk:
        ln.save([single, ln.Artifact(write(tmp_path / "n.txt", "new"), key="n.txt")])
    else:
        single.save()
    assert single.object.path == place_of(folder, "b/c.txt")
    assert single.verify()
    check(folder, FILES)
    check_nothing_left(lab)


@pytest.mark.req("R92", "R93")
@EVERYWHERE
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_restored_from_the_trash_is_whole(lab: Registry, tmp_path: Path, damage: str, kind: str) -> None:
    files = FILES if kind == "folder" else {"a.txt": "one"}
    source = folder_of(tmp_path, files)
    path = source if kind == "folder" else source / "a.txt"
    first = ln.Artifact(path, key="k.txt" if kind == "file" else "k", overwrite_versions=False).save()
    first.delete()
    harm(first, place_of(first, "a.txt") if kind == "folder" else first.object.path, damage)
    again = ln.Artifact(path, key=first.key, overwrite_versions=False).save()
    assert again == first
    assert again.verify()


@pytest.mark.req("R70", "R93")
@pytest.mark.parametrize("damage", ["gone", "cut off", "longer"])
def test_a_file_that_is_not_whole_is_not_linked_into_the_next_version(
    registry: Registry, tmp_path: Path, damage: str
) -> None:
    first = save(tmp_path, FILES)
    path = Path(str(first.path)) / "b/c.txt"
    status = path.stat()
    path.unlink()
    if damage != "gone":
        path.write_text("t" if damage == "cut off" else "two and more")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = FILES | {"new.txt": "new"}
    second = save(tmp_path, changed)
    check(second, changed)
    assert (Path(str(second.path)) / "b/d.csv").samefile(Path(str(first.path)) / "b/d.csv")


@pytest.mark.req("R71", "R93")
@EVERYWHERE
def test_an_overwritten_folder_takes_over_no_file_that_is_not_whole(lab: Registry, tmp_path: Path, damage: str) -> None:
    first = ln.Artifact(folder_of(tmp_path, FILES), key="run").save()
    backend = first.storage.backend
    relpath = f"{first.object.path}/b/c.txt"
    backend.delete(relpath)
    if damage == "cut off":
        backend.path(relpath).write_bytes(b"t")
    changed = FILES | {"a.txt": "changed"}
    second = ln.Artifact(folder_of(tmp_path, changed), key="run").save()
    check(second, changed)


@pytest.mark.req("R70", "R257")
@IN_DAMAGED_BUCKETS
def test_a_family_that_moves_shares_no_file_that_is_not_whole(lab: Registry, tmp_path: Path, damage: str) -> None:
    target = ln.Storage(root=shared_server().new_root()).save()
    there = save(tmp_path, {"x.txt": "two"}, key="other", storage=target)
    harm(there, place_of(there, "x.txt"), damage)
    artifact = save(tmp_path, FILES)
    artifact.storage = target
    artifact.save()
    check(artifact, FILES)
    check(there, {"x.txt": "two"})


@pytest.mark.req("R257")
@EVERYWHERE
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_moves_to_where_equal_bytes_are_not_whole_keeps_its_own(
    lab: Registry, tmp_path: Path, damage: str, kind: str
) -> None:
    source = folder_of(tmp_path, FILES)
    path, key = (source, "k") if kind == "folder" else (source / "a.txt", "k.txt")
    is_local = isinstance(lab.Storage.get(lab.storage_id).backend, Local)
    target = ln.Storage(root=str(tmp_path / "second") if is_local else shared_server().new_root()).save()
    there = ln.Artifact(path, key=key, storage=target).save()
    harm(there, there.object.path + ("/a.txt" if kind == "folder" else ""), damage)
    artifact = ln.Artifact(path, key=f"moving/{key}", skip_hash_lookup=True).save()
    artifact.storage = target
    artifact.save()
    assert ln.Artifact.get(artifact.uid).object_id == ln.Artifact.get(there.uid).object_id
    assert artifact.verify()
    assert there.verify()
    assert held(lab).files == ()
    assert check_registry(lab, verify=True, grace=AT_ONCE).is_clean


@pytest.mark.req("R53", "R257")
@EVERYWHERE
def test_what_leaves_a_real_key_to_where_equal_bytes_are_not_whole_keeps_its_own(
    lab: Registry, tmp_path: Path, damage: str
) -> None:
    path = write(tmp_path / "a.txt", "content")
    other = ln.Artifact(path, key="other.txt").save()
    first = ln.Artifact(path, key="real.txt", key_is_virtual=False, skip_hash_lookup=True).save()
    harm(other, other.object.path, damage)
    ln.Artifact(write(tmp_path / "b.txt", "new"), key="real.txt", key_is_virtual=False).save()
    assert first.refresh().object_id == other.object_id
    assert first.verify()
    assert first.cache().read_text() == "content"
    assert check_registry(lab, verify=True, grace=AT_ONCE).is_clean


# ---------------------------------------------------------------------- beside others


@pytest.mark.req("R89", "R93")
@IN_BUCKETS
@pytest.mark.parametrize("verb", ["hit", "version"])
def test_files_that_are_repaired_beside_a_deletion_leave_nothing(lab: Registry, tmp_path: Path, verb: str) -> None:
    first = save(tmp_path, FILES)
    harm(first, place_of(first, "a.txt"), "cut off")
    files = FILES if verb == "hit" else FILES | {"new.txt": "new"}
    again = ln.Artifact(folder_of(tmp_path, files), key="run", overwrite_versions=False)
    with at_storage("put_files", before=lambda: first.delete(permanent=True)):
        again.save()
    assert ln.Artifact.filter(branch=None).to_list() == [again]
    check(again, files)
    check_nothing_left(lab)


@pytest.mark.req("R93")
@IN_BUCKETS
def test_of_two_who_repair_the_same_files_one_is_enough(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, FILES)
    harm(first, place_of(first, "a.txt"), "cut off")
    again = [ln.Artifact(folder_of(tmp_path, FILES), key="run", overwrite_versions=False) for _ in range(2)]
    places: list[str] = []

    def save_the_other() -> None:
        again[1].save()
        places.append(place_of(first, "a.txt"))

    with at_storage("put_files", before=save_the_other):
        again[0].save()
    assert places == [place_of(first, "a.txt")]
    check(first, FILES)
    check_nothing_left(lab)


@pytest.mark.req("R93", "R291")
@IN_BUCKETS
def test_files_that_are_collected_while_they_are_repaired_are_put_again(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, FILES)
    harm(first, place_of(first, "a.txt"), "gone")
    taken: list[str] = []

    def lose() -> None:
        advance(lab)
        taken.extend(found.path for found in collect_garbage(lab, grace=AT_ONCE, dry_run=False))

    with at_storage("put_files", after=lose):
        ln.Artifact(folder_of(tmp_path, FILES), key="run", overwrite_versions=False).save()
    assert len(taken) == 1
    check(first, FILES)
    check_nothing_left(lab)


@pytest.mark.req("R93")
@IN_BUCKETS
def test_a_source_that_changed_repairs_nothing(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, FILES)
    harm(first, place_of(first, "a.txt"), "gone")
    harm(first, place_of(first, "b/c.txt"), "gone")
    source = folder_of(tmp_path, FILES)
    again = ln.Artifact(source, key="run", overwrite_versions=False)
    (source / "b/c.txt").write_text("TWO")
    before = held(lab)
    with pytest.raises(ln.errors.SourceChanged):
        again.save()
    assert held(lab) == before
    (source / "b/c.txt").write_text("two")
    ln.Artifact(source, key="run", overwrite_versions=False).save()
    check(first, FILES)


TOGETHER = """
from pathlib import Path
from lamart_core.saving import create
folder = Path(arguments["folder"])
ready()
for round in range(2):
    if number == 0:
        ln.Artifact.get(key=f"other-{round}").delete(permanent=True)
    elif number == 1:
        create(registry, folder / f"next-{round}", key="run")
    else:
        ln.Artifact(folder / "first", key="run", overwrite_versions=False).save()
tell(number)
"""


@pytest.mark.req("R43", "R93", "R257")
@pytest.mark.parametrize("lab", ["postgres-s3"], indirect=True)
def test_processes_that_repair_share_and_delete_the_same_files(lab: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(tree(tmp_path / "first", dict(FILES)), key="run", overwrite_versions=False).save()
    following = [FILES | {"next.txt": f"next {round}"} for round in range(2)]
    for round, changed in enumerate(following):
        tree(tmp_path / f"next-{round}", dict(changed))
        save(tmp_path, {"x.txt": "two", "y.txt": f"other {round}"}, key=f"other-{round}")
    harm(first, place_of(first, "a.txt"), "gone")
    harm(first, place_of(first, "b/c.txt"), "cut off")
    run_together(lab, TOGETHER, 4, folder=tmp_path)
    check(first, FILES)
    versions = ln.Artifact.filter(key="run").order_by("uid").to_list()
    assert len(versions) == 3
    for artifact, changed in zip(versions[1:], following, strict=True):
        check(artifact, changed)
    advance(lab)
    collect_garbage(lab, grace=AT_ONCE, dry_run=False)
    check_nothing_left(lab)
