"""Deleting in all its forms: what goes, what stays, what is refused, and that nobody is asked."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

import lamart_core as ln
import lamart_dagster
from lamart_core.db import Registry
from lamart_core.lineage import RunSpec, TransformSpec, open_run
from lamart_core.models import Artifact, Transform
from tests.processes import run_together
from tests.registries import contents, storage_root, tree, write
from tests.seams import at_storage


def save(tmp_path: Path, content: str, key: str = "a.txt", **keywords: object) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / "source.txt", content), key=key, **keywords).save()


def folders(tmp_path: Path, *contents_: str) -> list[ln.Artifact]:
    """Return versions of a folder that keeps the files of the latest only."""
    return [ln.Artifact(tree(tmp_path / "d", {"a.txt": content}), key="d").save() for content in contents_]


def test_no_prompt_in_the_library() -> None:
    """Only the command may ask."""
    asked: list[str] = []
    for package in (ln, lamart_dagster):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = ast.unparse(node.func)
                    if name.split(".")[-1] in ("input", "prompt", "confirm", "getpass") and path.name != "cli.py":
                        asked.append(f"{path.relative_to(root)}:{node.lineno} {name}")
    assert asked == []


@pytest.mark.req("R251")
def test_using_key(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    for keywords in ({"using_key": "other/registry"}, {"using": "other/registry"}):
        with pytest.raises(ln.errors.InvalidArgument, match="another registry"):
            artifact.delete(**keywords)
        with pytest.raises(ln.errors.InvalidArgument, match="another registry"):
            artifact.delete(permanent=True, **keywords)
    assert artifact.refresh().branch_id == 1
    artifact.delete(using_key=registry.uid)
    assert artifact.branch_id == -1
    artifact.delete(using="default", storage=None, permanent=None)
    assert contents(registry).artifacts == 0


@pytest.mark.req("R253")
def test_trashed_bytes_stay_until_they_are_deleted_for_good(lab: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    artifact.delete()
    assert artifact.load() == "1"
    artifact.delete(permanent=False)
    assert artifact.refresh().branch_id == -1
    held = contents(lab)
    assert (held.artifacts, held.objects, len(held.files)) == (1, 1, 1)
    artifact.delete(permanent=True)
    assert contents(lab) == contents(lab).__class__(0, 0, ())


@pytest.mark.req("R254")
@pytest.mark.parametrize("storage", [None, True, False])
def test_which_bytes_go(lab: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture, storage: bool | None) -> None:
    root = ln.settings.storage
    in_place = root / "in_place.txt"
    in_place.write_text("3")
    artifacts = {
        "virtual": save(tmp_path, "1", "virtual.txt"),
        "real": save(tmp_path, "2", "real.txt", key_is_virtual=False),
        "in place": ln.Artifact(in_place).save(),
    }
    paths = {name: artifact.path for name, artifact in artifacts.items()}
    for artifact in artifacts.values():
        artifact.delete(permanent=True, storage=storage)
    assert ln.Artifact.filter(branch=None).count() == 0
    kept = {name for name, path in paths.items() if path.exists()}
    assert kept == {None: {"real", "in place"}, True: set(), False: {"virtual", "real", "in place"}}[storage]
    named = {name for name, path in paths.items() if f"{path.name} is kept" in caplog.text}
    assert named == ({"real", "in place"} if storage is None else set())
    # What was kept can be registered again.
    if storage is None:
        assert ln.Artifact(in_place).save().load() == "3"


@pytest.mark.req("R257")
def test_bytes_that_others_refer_to_stay(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = save(tmp_path, "same", "a.txt", skip_hash_lookup=True)
    second = save(tmp_path, "same", "b.txt", skip_hash_lookup=True)
    assert first.path == second.path
    first.delete(permanent=True, storage=True)
    assert "other artifacts refer to it" in caplog.text
    assert second.load() == "same"
    second.delete(permanent=True)
    assert contents(registry).files == ()


@pytest.mark.req("R256", "R257", "R259")
def test_versions_of_an_overwritten_folder(lab: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second, third = folders(tmp_path, "1", "2", "3")
    first.delete(permanent=True, storage=True)
    assert "other artifacts refer to it" in caplog.text
    assert (ln.Artifact.get(key="d").cache() / "a.txt").read_text() == "3"
    second.delete()
    assert (third.refresh().is_latest, third.branch_id) == (True, 1)
    second.restore()
    # The latest takes the others along, to the trash and back.
    third.delete()
    assert {item.refresh().branch_id for item in (second, third)} == {-1}
    assert ln.Artifact.filter(key="d").count() == 0
    second.delete()
    assert third.refresh().branch_id == -1, "an older version takes none along, in the trash neither"
    third.restore()
    assert third.is_latest
    assert (third.cache() / "a.txt").read_text() == "3"
    fourth = folders(tmp_path, "4")[0]
    fourth.delete(permanent=True)
    held = contents(lab)
    assert (held.artifacts, held.objects, held.files) == (0, 0, ())


def test_a_folder_that_lives_on_elsewhere_keeps_its_files(registry: Registry, tmp_path: Path) -> None:
    first, second = folders(tmp_path, "1", "2")
    ln.settings.branch = ln.Branch(name="draft").save()
    third = folders(tmp_path, "3")[0]
    ln.settings.branch = "main"
    second.refresh().delete(permanent=True)
    assert (third.refresh().path / "a.txt").read_text() == "3"
    assert {item.uid for item in ln.Artifact.filter(branch=None)} == {third.uid}
    third.delete()
    ln.settings.branch = "draft"
    third.restore()
    assert third.is_latest
    assert first.key == "d"


@pytest.mark.req("R253", "R259")
def test_restoring_after_new_versions_were_made(registry: Registry, tmp_path: Path) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    second.delete()
    assert first.refresh().is_latest
    third = save(tmp_path, "3")
    second.restore()
    assert [item.refresh().is_latest for item in (first, second, third)] == [False, False, True]
    for item in (third, second, first):
        item.delete()
    assert ln.Artifact.filter(key="a.txt").count() == 0
    second.restore()
    assert second.is_latest
    third.restore()
    assert [item.refresh().is_latest for item in (second, third)] == [False, True]


@pytest.mark.req("R253", "R261")
@pytest.mark.parametrize("order", ["id", "-id"])
def test_deleting_in_bulk(registry: Registry, tmp_path: Path, order: str) -> None:
    for number in range(3):
        save(tmp_path, f"{number}", f"{number}.txt")
    folders(tmp_path, "1", "2")
    everything = ln.Artifact.filter().order_by(order)
    assert everything.delete() == 5
    # Nobody who deletes for the first time deletes for good, whatever an earlier one of the set took along.
    assert ln.Artifact.filter(branch_id=-1).count() == 5
    for artifact in ln.Artifact.filter(branch_id=-1).order_by("id"):
        artifact.restore()
    ln.Artifact.filter(key="0.txt").delete(permanent=True, storage=False)
    assert ln.Artifact.filter(branch=None).count() == 4
    assert ln.Artifact.filter().order_by(order).delete(permanent=True) == 4
    held = contents(registry)
    assert (held.artifacts, len(held.files)) == (0, 1)


@pytest.mark.req("R261")
def test_a_deletion_in_bulk_says_what_it_did(registry: Registry, tmp_path: Path) -> None:
    artifacts = [save(tmp_path, f"{number}", f"{number}.txt") for number in range(3)]
    artifacts[1].is_locked = True
    artifacts[1].save()
    everything = ln.Artifact.filter().order_by("id")
    with pytest.raises(ln.errors.BulkDeleteError, match="1 of 3 records are deleted, 2 are as they were") as caught:
        everything.delete(permanent=True)
    assert (caught.value.deleted, caught.value.remaining) == (artifacts[:1], artifacts[1:])
    assert isinstance(caught.value.__cause__, ln.errors.RecordLocked)
    assert ln.Artifact.filter(branch=None).order_by("id").to_list() == artifacts[1:]
    with pytest.raises(ln.errors.RecordLocked):  # the first of them: nothing was done
        ln.Artifact.filter().order_by("id").delete()
    assert ln.Artifact.filter().count() == 2


@pytest.mark.req("R260")
def test_deleting_what_was_never_saved(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write(tmp_path / "a.txt", "1")
    for unsaved in (ln.Artifact(source, key="a.txt"), ln.Branch(name="draft")):
        caplog.clear()
        unsaved.delete(permanent=True)
        assert "never saved" in caplog.text
    assert source.exists()


@pytest.mark.req("R258")
def test_bytes_that_cannot_be_removed_are_left_to_garbage_collection(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from datetime import timedelta

    from lamart_core.care import collect_garbage

    artifact = save(tmp_path, "1")
    path = artifact.path
    assert isinstance(path, Path)
    path.unlink()
    write(path / "in the way.txt", "a folder is no file")
    artifact.delete(permanent=True)
    assert f"{path.name} could not be removed" in caplog.text
    assert ln.Artifact.filter(branch=None).count() == 0
    assert path.exists()
    collect_garbage(registry, grace=timedelta(0), dry_run=False)
    assert not path.exists()


# ---------------------------------------------------------------------- who refers to what


@pytest.mark.req("R212", "R258")
def test_referrers_protect_and_are_named(registry: Registry, tmp_path: Path) -> None:
    run = ln.track("code")
    ln.finish()
    transform = run.transform
    artifacts = {
        name: save(tmp_path, name, f"{name}.txt")
        for name in ("report", "environment", "plan", "code_plan", "code_environment", "member", "meta", "linked")
    }
    run.report, run.environment, run.plan = (artifacts[name] for name in ("report", "environment", "plan"))
    run.save()
    transform.plan, transform.environment = artifacts["code_plan"], artifacts["code_environment"]
    transform.save()
    collection = ln.Collection([artifacts["member"]], key="my/collection").save()
    collection.meta_artifact = artifacts["meta"]
    collection.save()
    run.linked_artifacts.add(artifacts["linked"])
    expected = {
        "report": rf"Run \({run.uid}\) as its report",
        "environment": rf"Run \({run.uid}\) as its environment",
        "plan": rf"Run \({run.uid}\) as its plan",
        "code_plan": rf"Transform 'code' \({transform.uid}\) as its plan",
        "code_environment": rf"Transform 'code' \({transform.uid}\) as its environment",
        "member": rf"Collection 'my/collection' \({collection.uid}\)",
        "meta": rf"Collection 'my/collection' \({collection.uid}\) as its meta_artifact",
        "linked": rf"Run \({run.uid}\)",
    }
    table = Artifact.__table__
    before = contents(registry)
    for name, message in expected.items():
        with pytest.raises(ln.errors.ProtectedError, match=message):
            artifacts[name].delete(permanent=True)
        # Not only the library: the database refuses too.
        with pytest.raises(IntegrityError), registry.engine.begin() as connection:
            connection.execute(delete(table).where(table.c.id == artifacts[name].id))
        assert artifacts[name].load() == name
    assert contents(registry) == before
    artifacts["member"].delete()  # the trash takes nothing away
    assert collection.artifacts.to_list() == [artifacts["member"]]
    run.report = None
    run.save()
    artifacts["report"].delete(permanent=True)
    collection.delete(permanent=True)
    for name in ("member", "meta"):
        artifacts[name].delete(permanent=True)
    run.linked_artifacts.remove(artifacts["linked"])
    artifacts["linked"].delete(permanent=True)


@pytest.mark.req("R212")
def test_deleting_runs_transforms_and_users(registry: Registry, tmp_path: Path) -> None:
    run = ln.track("code")
    artifact = save(tmp_path, "1")
    ln.finish()
    other = ln.track("reader")
    artifact.load()
    ln.finish()
    for record in (run, run.transform):
        with pytest.raises(ln.errors.ProtectedError, match=rf"Artifact 'a\.txt' \({artifact.uid}\) as its run"):
            record.delete(permanent=True)
    user = ln.User.get(handle="tester")
    with pytest.raises(ln.errors.ProtectedError, match=r"tester.*as its created_by"):
        user.delete()
    # A run without outputs goes, with its inputs.
    other.delete()
    assert other.branch_id == -1
    other.delete()
    assert artifact.input_of_runs.count() == 0
    artifact.delete(permanent=True)
    run.transform.delete(permanent=True)
    assert not ln.Run.filter(uid=run.uid).exists()
    lonely = ln.User(handle="lonely").save()
    lonely.delete()
    assert not ln.User.filter(handle="lonely").exists()


def test_versions_of_code_in_the_trash(registry: Registry) -> None:
    """The newest remaining version of code is its latest, as with artifacts."""
    specs = [TransformSpec("code", source_code=code) for code in ("1", "2")]
    first, second = (open_run(registry, RunSpec(f"run of {spec.source_code}", spec)).transform for spec in specs)
    second.delete()
    assert Transform.get(first.uid).is_latest
    assert not second.is_latest
    second.restore()
    assert second.is_latest
    second.delete(permanent=True)
    assert Transform.get(first.uid).is_latest


# ---------------------------------------------------------------------- races


@pytest.mark.req("R89", "R93")
@pytest.mark.parametrize("permanent", [True, False])
@pytest.mark.parametrize("in_bulk", [False, True])
def test_what_was_deleted_since_it_was_found_is_saved_again(
    registry: Registry, tmp_path: Path, permanent: bool, in_bulk: bool
) -> None:
    write(tmp_path / "a.txt", "content")
    first = ln.Artifact(tmp_path / "a.txt", key="a.txt").save()
    again = ln.Artifact(tmp_path / "a.txt", key="a.txt")
    assert again == first
    again.description = "the second time"
    first.delete(permanent=permanent)
    if in_bulk:
        other = ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt")
        ln.save([again, other])
    else:
        again.save()
    found = ln.Artifact.get(key="a.txt")
    assert found.load() == "content"
    assert (found.uid, found.description) == (again.uid, "the second time")
    assert (found.uid == first.uid) == (not permanent)
    assert ln.Artifact.filter(branch=None, key="a.txt").count() == 1
    assert len(contents(registry).files) == 1 + in_bulk


@pytest.mark.req("R93")
def test_bytes_that_are_repaired_beside_a_deletion_leave_nothing(registry: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(write(tmp_path / "a.txt", "content"), key="a.txt").save()
    Path(first.path).unlink()
    again = ln.Artifact(tmp_path / "a.txt", key="a.txt")
    with at_storage("put_file", before=lambda: first.delete(permanent=True)):
        again.save()
    assert again.uid != first.uid
    assert again.load() == "content"
    assert contents(registry).files == (again.object.path,)


RACE = """
from lamart_core.errors import ObjectDoesNotExist
source = f"{arguments['folder']}/{number}.txt"
ready()
for round in range(6):
    # All save the same contents, under one key and under keys of their own, and delete them again.
    open(source, "w").write(f"content {round % 2}")
    shared = ln.Artifact(source, key="shared.txt").save()
    own = ln.Artifact(source, key=f"{number}.txt", skip_hash_lookup=True).save()
    assert own.load() == f"content {round % 2}"
    for artifact in (shared, own):
        try:
            artifact.delete(permanent=True if (round + number) % 2 else None)
        except ObjectDoesNotExist:
            pass
open(source, "w").write("in the end")
last = ln.Artifact(source, key="last.txt").save()
tell(last.uid)
"""


@pytest.mark.req("R89", "R91", "R257", "R258", "R259")
def test_processes_that_save_and_delete_the_same_content(registry: Registry, tmp_path: Path) -> None:
    told = run_together(registry, RACE, 4, folder=tmp_path)
    assert len(set(told)) == 1
    left = ln.Artifact.filter(branch=None).to_list()
    for artifact in left:
        assert artifact.verify()
    held = contents(registry)
    assert set(held.files) == {artifact.object.path for artifact in left}
    assert held.objects == len(held.files)
    assert storage_root(registry).exists()
    for key in ("shared.txt", "last.txt", *(f"{number}.txt" for number in range(4))):
        family = ln.Artifact.filter(key=key, branch_id=1).order_by("uid").to_list()
        assert [item.is_latest for item in family] == [False] * (len(family) - 1) + [True] * bool(family)
