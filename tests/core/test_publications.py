"""What a process leaves at a real key that is killed there: whatever verb comes next, no key is blocked by it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

import lamart_core as ln
from lamart_core.care import Kind, check_registry, collect_garbage
from lamart_core.db import Registry
from lamart_core.objects.leases import LEASE
from tests.processes import start
from tests.registries import contents, tree, write
from tests.seams import at_storage

KEY = "y/a.txt"
AT_ONCE = timedelta(0)

DIES = """
import os, signal, threading
from pathlib import Path
from lamart_core.places import publish
from lamart_core.storage import ObjectStore
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if arguments["torn"]:
    copy, turns, first = ObjectStore._copy, [], threading.Event()
    def copy_one(self, source, target):
        turns.append(target)
        if turns[0] != target:
            first.wait()
            die()
        copy(self, source, target)
        first.set()
    ObjectStore._copy = copy_one
else:
    publish._record_publication = die
ln.Artifact(Path(arguments["source"]), key=arguments["key"], key_is_virtual=False, run=False).save()
"""


def save(folder: Path, content: str, key: str = KEY) -> ln.Artifact:
    return ln.Artifact(write(folder / f"{content}.txt", content), key=key, key_is_virtual=False, run=False).save()


def at_key(registry: Registry, key: str = KEY) -> Path | UPath:
    return registry.Storage.get(registry.storage_id).backend.path(key)


def die_while_saving(registry: Registry, source: Path, key: str, *, torn: bool = False) -> None:
    """Save a version in a process that is killed when its bytes lie at the key, or half of them."""
    process = start(registry, DIES, source=source, key=key, torn=torn)
    assert process.wait() == -signal.SIGKILL
    process.close()


def second_storage(tmp_path: Path, registry: Registry) -> ln.Storage:
    root = registry.Storage.get(registry.storage_id).root
    return ln.Storage(root=root.replace("?", "-2?") if "://" in root else str(tmp_path / "second")).save()


def rename(artifact: ln.Artifact, *_: Any) -> None:
    artifact.key = "y/b.txt" if artifact.n_files is None else "other"
    artifact.save()


def replace(artifact: ln.Artifact, tmp_path: Path, registry: Registry) -> None:
    source = write(tmp_path / "new.txt", "replaced")
    artifact.replace(source if artifact.n_files is None else tree(tmp_path / "new", {"a.txt": "replaced"}))
    artifact.save()


def move(artifact: ln.Artifact, tmp_path: Path, registry: Registry) -> None:
    artifact.storage = second_storage(tmp_path, registry)
    artifact.save()


VERBS: dict[str, Callable[..., Any]] = {
    "delete": lambda artifact, *_: artifact.delete(permanent=True, storage=True),
    "delete and keep": lambda artifact, *_: artifact.delete(permanent=True),
    "trash": lambda artifact, *_: artifact.delete(),
    "rename": rename,
    "move": move,
    "replace": replace,
}


def check_settled(registry: Registry) -> None:
    """Check that everything can be read, and that nothing lies in the storage that no record names."""
    for artifact in ln.Artifact.filter(branch=None):
        if artifact.is_latest or not artifact.overwrite_versions:
            assert artifact.verify()
    check_registry(registry, repair=True, grace=AT_ONCE)
    collect_garbage(registry, grace=AT_ONCE, dry_run=False)
    assert check_registry(registry, verify=True, grace=AT_ONCE).findings == ()
    folders = registry.StoredObject.filter(n_files__isnull=False).to_list("path")
    lying = {next((path for path in folders if name.startswith(f"{path}/")), name) for name in contents(registry).files}
    named = registry.StoredObject.filter(storage_id=registry.storage_id, is_content_addressed=False)
    assert lying == set(named.to_list("path"))


@pytest.mark.req("R311")
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_blocks_a_key_at_which_a_save_was_killed(lab: Registry, tmp_path: Path, verb: str) -> None:
    save(tmp_path, "one")
    die_while_saving(lab, write(tmp_path / "second.txt", "second"), KEY)
    second = ln.Artifact.get(key=KEY)
    assert second.load() == at_key(lab).read_text() == "second"
    VERBS[verb](second, tmp_path, lab)
    if verb in ("delete", "rename", "move"):
        assert lab.Storage.get(lab.storage_id).backend.exists(KEY) == (verb == "delete")
    if verb == "delete and keep":  # the file is nobody's now, as the caller was told
        assert at_key(lab).read_text() == "second"
        at_key(lab).unlink()
    save(tmp_path, "third")
    assert at_key(lab).read_text() == "third"
    check_settled(lab)


@pytest.mark.req("R311")
@pytest.mark.parametrize("lab", ["sqlite-s3"], indirect=True)
@pytest.mark.parametrize("verb", ["delete", "trash", "rename", "replace"])
def test_a_folder_of_which_half_lies_at_its_key_is_still_ours(lab: Registry, tmp_path: Path, verb: str) -> None:
    files = {f"{number}.txt": f"first {number}" for number in range(4)}
    ln.Artifact(tree(tmp_path / "1", dict(files)), key="run", key_is_virtual=False, run=False).save()
    changed = {name: f"second {name}" for name in files if name != "0.txt"}
    die_while_saving(lab, tree(tmp_path / "2", dict(changed)), "run", torn=True)
    assert not {path.read_text() for path in at_key(lab, "run").iterdir()} <= set(changed.values())
    second = ln.Artifact.get(key="run")
    VERBS[verb](second, tmp_path, lab)
    third = ln.Artifact(tree(tmp_path / "3", {"x.txt": "third"}), key="run", key_is_virtual=False, run=False).save()
    assert third.verify()
    assert [path.read_text() for path in at_key(lab, "run").iterdir()] == ["third"]
    check_settled(lab)


@pytest.mark.req("R311")
def test_a_stranger_who_comes_to_a_key_at_which_a_save_was_killed_keeps_his_file(lab: Registry, tmp_path: Path) -> None:
    save(tmp_path, "one")
    die_while_saving(lab, write(tmp_path / "second.txt", "second"), KEY)
    at_key(lab).write_text("a stranger's")
    check_registry(lab, repair=True)
    ln.Artifact.get(key=KEY).delete(permanent=True, storage=True)
    with pytest.raises(FileExistsError, match="no version of this key"):
        save(tmp_path, "third")
    assert at_key(lab).read_text() == "a stranger's"


@pytest.mark.req("R311")
def test_a_key_whose_version_is_replaced_while_it_is_published(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "one")

    def replace_again() -> None:
        other = ln.Artifact.get(first.uid)
        other.replace(write(tmp_path / "twice.txt", "replaced twice"))
        other.save()

    first.replace(write(tmp_path / "once.txt", "replaced"))
    with pytest.MonkeyPatch.context() as patch:  # as if it died after its commit
        patch.setattr("lamart_core.saving.write.publish", lambda *_, **__: None)
        first.save()
    with at_storage("publish", after=replace_again):
        check_registry(registry, repair=True)
    check_registry(registry, repair=True)
    assert at_key(registry).read_text() == ln.Artifact.get(first.uid).load() == "replaced twice"
    save(tmp_path, "next")
    check_settled(registry)


# ---------------------------------------------------------------------- what is kept of the version before


def age(path: Any) -> None:
    """Let a file be as old as one that was saved three days ago."""
    if isinstance(path, Path):
        status = path.stat()
        os.utime(path, (status.st_atime, status.st_mtime - 3 * 86_400))


@pytest.mark.req("R312")
@pytest.mark.parametrize("grace", [timedelta(hours=24), AT_ONCE])
@pytest.mark.parametrize("verb", ["save", "rename"])
def test_garbage_collection_leaves_the_second_name_of_old_bytes(
    lab: Registry, tmp_path: Path, verb: str, grace: timedelta
) -> None:
    first = save(tmp_path, "one")
    age(at_key(lab))
    removed: list[Any] = []
    with at_storage("duplicate", after=lambda: removed.extend(collect_garbage(lab, grace=grace, dry_run=False))):
        if verb == "save":
            save(tmp_path, "second")
        else:
            rename(first)
    assert removed == []
    assert ln.Artifact.get(first.uid).load() == "one"
    check_settled(lab)


@pytest.mark.req("R312")
def test_a_second_name_that_is_collected_is_made_again(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "one")

    def collect() -> None:
        with lab.engine.begin() as connection:  # as if the lease had expired
            connection.execute(LEASE.delete())
        ln.Artifact(write(tmp_path / "later.txt", "later"), key="later.txt", run=False).save()
        assert collect_garbage(lab, grace=AT_ONCE, dry_run=False) != []

    with at_storage("duplicate", after=collect):
        save(tmp_path, "second")
    assert ln.Artifact.get(first.uid).load() == "one"
    check_settled(lab)


@pytest.mark.req("R312")
def test_bytes_that_were_away_for_a_moment_are_not_replaced(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "one")
    at_key(lab).unlink()
    with at_storage("put_file", before=lambda: at_key(lab).write_text("one")):
        second = save(tmp_path, "second")
    assert at_key(lab).read_text() == second.load() == "second"
    assert ln.Artifact.get(first.uid).load() == "one"
    check_settled(lab)


@pytest.mark.req("R312", "R291")
def test_what_is_lost_is_told(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "one")
    at_key(lab).unlink()
    save(tmp_path, "second")
    (found,) = check_registry(lab, verify=True, repair=True).findings
    assert (found.kind, found.artifact) == (Kind.LOST, first.uid)
    assert "there was nothing" in found.detail
    first.delete(permanent=True)
    assert check_registry(lab).is_clean


@pytest.mark.req("R312")
@pytest.mark.parametrize("lab", ["postgres-s3"], indirect=True)
def test_a_key_that_another_writer_takes_while_it_is_copied(
    lab: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = save(tmp_path, "one")
    with at_storage("duplicate", before=lambda: save(tmp_path, "meanwhile")):
        last = save(tmp_path, "last")
    assert "no longer available" not in caplog.text
    assert [item.load() for item in ln.Artifact.filter(key=KEY).order_by("uid")] == ["one", "meanwhile", "last"]
    with at_storage("duplicate", before=lambda: save(tmp_path, "later")):
        rename(last)
    assert first.load() == "one"
    assert [item.key for item in ln.Artifact.filter(uid__startswith=first.stem_uid)] == ["y/b.txt"] * 4
    check_settled(lab)


@pytest.mark.req("R312")
def test_a_family_of_which_a_version_is_deleted_while_it_moves(lab: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "one")
    second = save(tmp_path, "second")
    with at_storage(
        "get" if lab.Storage.get(lab.storage_id).backend.is_cached else "put_file",
        before=lambda: first.delete(permanent=True),
    ):
        move(second, tmp_path, lab)
    assert second.load() == "second"
    check_settled(lab)
