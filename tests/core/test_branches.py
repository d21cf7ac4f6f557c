"""Branches, spaces, trash and archive: what queries see, and one latest version per family and branch."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from sqlalchemy import select, update

import lamart_core as ln
from lamart_core.care import iter_findings
from lamart_core.db import Registry
from lamart_core.models import Artifact, ArtifactBlock, Collection
from tests.processes import answers, release, start
from tests.registries import write


def save(tmp_path: Path, content: str, key: str = "a.txt", **keywords: object) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / f"source{Path(key).suffix}", content), key=key, **keywords).save()


def check_heads(registry: Registry) -> None:
    """Check that every family has exactly one latest version, the newest, on each branch but the trash."""
    for model in (Artifact, Collection):
        table = model.__table__
        with registry.engine.connect() as connection:
            rows = connection.execute(select(table.c.uid, table.c.branch_id, table.c.is_latest)).all()
        families: dict[tuple[str, int], list[tuple[str, bool]]] = {}
        for row in rows:
            families.setdefault((row.uid[:16], row.branch_id), []).append((row.uid, row.is_latest))
        for (_, branch_id), members in families.items():
            latest = [uid for uid, is_latest in members if is_latest]
            assert latest == ([] if branch_id == -1 else [max(uid for uid, _ in members)])


# ---------------------------------------------------------------------- records


def test_names(registry: Registry) -> None:
    branch = ln.Branch(name="Filter", description="Other thresholds").save()
    assert (branch.status, branch.space.name, branch.created_by.handle) == ("standalone", "all", "tester")
    assert ln.Branch.get(name="Filter") == branch
    space = ln.Space(name="Clinic").save()
    for model, name in ((ln.Branch, "fILTER"), (ln.Branch, "MAIN"), (ln.Space, "clinic"), (ln.Space, "All")):
        with pytest.raises(ln.errors.NameTaken, match=r"get\(name="):
            model(name=name).save()
    # Databases differ in what they take for the lower case of a letter.
    ln.Branch(name="Ärger").save()
    with pytest.raises(ln.errors.NameTaken):
        ln.Branch(name="äRGER").save()
    for name in ("", " a", "a ", "x" * 101, None, 7):
        with pytest.raises(ln.errors.InvalidArgument):
            ln.Branch(name=name).save()
    branch.name = "filter"  # another case of its own name
    branch.save()
    branch.name = "main"
    with pytest.raises(ln.errors.NameTaken):
        branch.save()
    branch.refresh()
    space.name = "Hospital"
    space.save()
    assert {item.name for item in ln.Branch.filter()} == {"main", "archive", "trash", "filter", "Ärger"}


def test_what_is_built_in_stays(registry: Registry) -> None:
    for record in (*(ln.Branch.get(name=name) for name in ("main", "archive", "trash")), ln.Space.get(name="all")):
        with pytest.raises(ln.errors.ProtectedError, match="built in"):
            record.delete()
        record.name = "other"
        with pytest.raises(ln.errors.ProtectedError, match="built in"):
            record.save()
        with pytest.raises(ln.errors.InvalidArgument):
            type(record).filter(id=record.id).update(name="other")


def test_deleting_branches_and_spaces(registry: Registry, tmp_path: Path) -> None:
    branch, space = ln.Branch(name="draft").save(), ln.Space(name="clinic").save()
    storage = ln.Storage(root=tmp_path / "clinic", space=space).save()
    artifact = save(tmp_path, "1", branch=branch, space=space)
    assert artifact.storage == storage
    for record in (branch, space):
        with pytest.raises(ln.errors.ProtectedError, match=r"a\.txt"):
            record.delete()
    ln.settings.branch = branch
    with pytest.raises(ln.errors.ProtectedError, match="current"):
        branch.delete()
    ln.settings.branch = "main"
    branch.merge()
    with pytest.raises(ln.errors.ProtectedError, match="created_on"):
        branch.delete()
    artifact.delete(permanent=True)
    branch.delete()
    assert not ln.Branch.filter(name="draft").exists()


def test_status(registry: Registry) -> None:
    branch = ln.Branch(name="draft", status="draft").save()
    assert ln.Branch.get(name="draft").status == "draft"
    branch.status = "review"
    branch.save()
    assert ln.Branch.get(name="draft").status == "review"
    for status in ("merged", "other", None):
        with pytest.raises(ln.errors.InvalidArgument, match="review"):
            branch.status = status
    branch.merge()
    assert branch.status == ln.Branch.get(name="draft").status == "merged"
    branch.status = "closed"
    assert branch.save().status == "closed"


# ---------------------------------------------------------------------- what is current


@pytest.mark.req("R26")
def test_the_current_branch_and_space(registry: Registry, tmp_path: Path) -> None:
    assert (ln.settings.branch.name, ln.settings.space.name) == ("main", "all")
    branch, space = ln.Branch(name="draft").save(), ln.Space(name="clinic").save()
    ln.settings.branch = "DRAFT"
    assert ln.settings.branch == registry.branch == branch
    default = save(tmp_path, "0")
    assert default.branch == default.created_on == branch
    assert pickle.loads(pickle.dumps(registry)).branch == branch
    ln.settings.space = space
    assert pickle.loads(pickle.dumps(registry)).space == space
    collection = ln.Collection([default], key="c").save()
    assert (collection.branch, collection.space) == (branch, space)
    # The storage location decides for artifacts.
    assert save(tmp_path, "1", "b.txt").space.name == "all"
    assert save(tmp_path, "2", "c.txt", space=ln.Space.get(name="all")).space.name == "all"
    registry.branch = ln.Branch.get(name="main")
    ln.settings.space = "all"
    assert save(tmp_path, "3", "d.txt").branch.name == "main"
    with pytest.raises(ln.errors.ObjectDoesNotExist, match=r"draft.*Branch\(name='other'\)"):
        ln.settings.branch = "other"
    with pytest.raises(ln.errors.ObjectDoesNotExist, match="clinic"):
        ln.settings.space = "other"
    for name in ("trash", "archive"):
        with pytest.raises(ln.errors.InvalidArgument, match="current"):
            ln.settings.branch = name
    for value in (7, None, space, ln.Branch(name="unsaved")):
        with pytest.raises(ln.errors.InvalidArgument, match="branch"):
            ln.settings.branch = value
    again = ln.connect(registry.url.render_as_string(hide_password=False), branch="Draft", make_default=False)
    assert again.branch == branch
    again.close()


@pytest.mark.req("R28")
def test_spaces_and_their_storage_locations(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = ln.Space(name="clinic").save()
    with pytest.raises(ln.errors.NoStorageLocationForSpace, match=r"Storage\(root=.*storage="):
        save(tmp_path, "0", space=space)
    first, second = (ln.Storage(root=tmp_path / name, space=space).save() for name in ("first", "second"))
    artifact = save(tmp_path, "1", space=space)
    assert (artifact.storage, artifact.space) == (first, space)
    assert "several storage locations" in caplog.text
    caplog.clear()
    assert save(tmp_path, "2", "b.txt", space=space, storage=second, run=False).storage == second
    assert caplog.text == ""
    # What belongs to a space does not go where others may look.
    outside = ln.settings.storage
    moved = save(tmp_path, "3", "c.txt", space=space, storage=outside)
    assert (moved.storage, moved.space) == (first, space)
    assert outside.root in caplog.text


# ---------------------------------------------------------------------- what queries see


@pytest.mark.req("R222")
def test_default_scope(registry: Registry, tmp_path: Path) -> None:
    ln.Branch(name="draft").save()
    made = {"main": save(tmp_path, "main", "main.txt")}
    for name in ("trash", "archive"):
        made[name] = save(tmp_path, name, f"{name}.txt")
    collection = ln.Collection(made.values(), key="all").save()
    made["trash"].delete()
    made["archive"].archive()
    ln.settings.branch = "draft"
    made["draft"] = save(tmp_path, "draft", "draft.txt")
    ln.Collection(made["draft"], key="draft").save()

    def seen(**where: object) -> set[str]:
        return {item.key.removesuffix(".txt") for item in ln.Artifact.filter(**where)}

    assert seen() == {"main", "draft"}
    assert {item.key for item in ln.Collection.filter()} == {"all", "draft"}
    ln.settings.branch = "main"
    assert seen() == {"main"}
    assert {item.key for item in ln.Collection.filter()} == {"all"}
    assert seen(key__endswith=".txt") == {"main"}
    for every in ({"branch": None}, {"branch_id": None}, {"id__gt": 0}, {"uid__gt": ""}, {"hash__isnull": False}):
        assert seen(**every) == set(made), every
    for name, artifact in made.items():
        branch = ln.Branch.get(name=name)
        assert seen(branch=branch) == seen(branch_id=branch.id) == seen(branch__name=name) == {name}
        assert ln.Artifact.get(artifact.uid) == ln.Artifact.get(artifact.id) == artifact
        assert ln.Artifact.filter(hash=artifact.hash).one() == artifact
        assert artifact.refresh().branch == branch
        assert artifact.load() == name
    with pytest.raises(ln.errors.ObjectDoesNotExist, match="branch"):
        ln.Artifact.get(key="trash.txt")
    # What is related stays related.
    assert collection.artifacts.count() == 3
    assert {item.key for item in ln.Collection.filter(artifacts__key="trash.txt")} == {"all"}
    assert ln.settings.storage.artifacts.count() == len(made)


@pytest.mark.req("R72")
def test_versions_leave_out_the_trash(registry: Registry, tmp_path: Path) -> None:
    first, second, third = (save(tmp_path, content) for content in "123")
    second.delete()
    ln.settings.branch = ln.Branch(name="draft").save()
    fourth = save(tmp_path, "4")
    ln.settings.branch = "main"
    assert [item.uid for item in first.versions] == [fourth.uid, third.uid, first.uid]


@pytest.mark.req("R47", "R216")
def test_heads_of_a_family_on_several_branches(registry: Registry, tmp_path: Path) -> None:
    on_main = save(tmp_path, "main")
    one, two = ln.Branch(name="one").save(), ln.Branch(name="two").save()
    on_one, on_two = save(tmp_path, "one", branch=one), save(tmp_path, "two", branch=two)
    assert [item.uid[-4:] for item in (on_main, on_one, on_two)] == ["0000", "0001", "0002"]
    assert all(item.refresh().is_latest for item in (on_main, on_one, on_two))
    # Main comes before branches that are not current.
    assert ln.Artifact.get(on_main.stem_uid) == ln.Artifact.get(key="a.txt") == on_main
    ln.settings.branch = "one"
    assert ln.Artifact.get(on_main.stem_uid) == ln.Artifact.get(key="a.txt") == on_one
    collection = ln.Collection([on_main], key="c", branch=ln.Branch.get(name="main")).save()
    later = ln.Collection([on_one], key="c", branch=two).save()
    ln.settings.branch = "main"
    assert ln.Collection.get(later.stem_uid) == collection
    check_heads(registry)


# ---------------------------------------------------------------------- moving


@pytest.mark.req("R47", "R49")
def test_assigning_a_branch_moves_a_version(registry: Registry, tmp_path: Path) -> None:
    draft = ln.Branch(name="draft").save()
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    second.branch = draft
    second.description = "moved"
    second.save()
    assert second.is_latest
    assert first.refresh().is_latest
    assert second.created_on.name == "main"
    assert ln.Artifact.get(second.uid).description == "moved"
    first.branch_id = draft.id
    first.save()
    assert not first.is_latest
    assert second.refresh().is_latest
    assert ln.Artifact.filter(key="a.txt").count() == 0
    third = save(tmp_path, "3")
    assert third.uid == first.stem_uid + "0002"
    second.branch = ln.Branch.get(name="main")
    second.save()
    assert not second.is_latest
    check_heads(registry)
    with pytest.raises(ln.errors.InvalidArgument, match="branch"):
        ln.Artifact.filter(key="a.txt").update(branch_id=draft.id)
    with pytest.raises(ln.errors.InvalidArgument, match="key"):
        ln.Artifact.filter(key="a.txt").update(key="b.txt")


@pytest.mark.req("R47", "R83", "R222")
def test_archive(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    second.archive()
    assert second.branch.name == "archive"
    assert second.is_latest  # of what is in the archive
    assert ln.Artifact.get(key="a.txt") == first.refresh()
    assert second.load() == "2"
    # Equal content is recognised there, so that it is not stored twice.
    assert save(tmp_path, "2", "b.txt") == second
    third = save(tmp_path, "3")
    assert third.uid[-4:] == "0002"
    second.restore()
    assert second.branch.name == "main"
    assert not second.is_latest
    check_heads(registry)
    collection = ln.Collection([first], key="c").save()
    assert collection.archive().branch.name == "archive"
    assert ln.Collection.filter().count() == 0
    assert collection.restore().branch.name == "main"
    ln.settings.branch = ln.Branch(name="draft").save()
    third.archive().restore()
    assert third.branch.name == "draft"
    third.restore()  # it is neither in the trash nor in the archive
    assert third.branch.name == "draft"
    with pytest.raises(ln.errors.InvalidArgument, match="neither trash nor archive"):
        ln.settings.storage.archive()
    with pytest.raises(ln.errors.InvalidArgument, match="not saved"):
        ln.Artifact(write(tmp_path / "n.txt", "n"), key="n.txt").archive()


def test_an_overwritten_folder_moves_as_a_whole(registry: Registry, tmp_path: Path) -> None:
    versions = []
    for content in "123":
        write(tmp_path / "d" / "a.txt", content)
        versions.append(ln.Artifact(tmp_path / "d", key="d").save())
    versions[-1].archive()
    assert {item.refresh().branch_id for item in versions} == {0}
    check_heads(registry)
    versions[-1].restore()
    assert {item.refresh().branch_id for item in versions} == {1}
    assert [item.is_latest for item in versions] == [False, False, True]
    with pytest.raises(ln.errors.OutdatedVersion):
        versions[0].archive()
    assert {item.refresh().branch_id for item in versions} == {1}
    check_heads(registry)


@pytest.mark.req("R24")
@pytest.mark.parametrize("key_is_virtual", [True, False])
def test_a_folder_that_is_overwritten_on_a_branch_stays_on_main(
    lab: Registry, tmp_path: Path, key_is_virtual: bool
) -> None:
    def folder(content: str) -> ln.Artifact:
        write(tmp_path / "folder" / "a.txt", content)
        write(tmp_path / "folder" / "same.txt", "same")
        return ln.Artifact(tmp_path / "folder", key="folder", key_is_virtual=key_is_virtual, run=False).save()

    def read(artifact: ln.Artifact) -> str:
        return (ln.Artifact.get(artifact.id).cache() / "a.txt").read_text()

    main = folder("main")
    ln.Branch(name="dev").save()
    lab.branch = "dev"
    first, second = folder("dev 1"), folder("dev 2")
    assert [read(artifact) for artifact in (main, second)] == ["main", "dev 2"]
    with pytest.raises(ln.errors.OutdatedVersion):
        first.load()
    lab.branch = "main"
    check_heads(lab)
    assert ln.Artifact.get(key="folder") == main
    main.refresh()
    write(tmp_path / "folder" / "a.txt", "main 2")
    main.replace(tmp_path / "folder")
    main.save()
    assert [read(artifact) for artifact in (main, second)] == ["main 2", "dev 2"]
    again = folder("main 3")
    assert [read(artifact) for artifact in (again, second)] == ["main 3", "dev 2"]
    with pytest.raises(ln.errors.OutdatedVersion):
        ln.Artifact.get(main.id).load()
    assert list(iter_findings(lab)) == []


def test_locked_records(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    stale = ln.Artifact.get(artifact.uid)
    artifact.is_locked = True
    artifact.save()
    for change in (
        lambda: setattr(stale, "description", "x") or stale.save(),
        lambda: setattr(stale, "key", "b.txt") or stale.save(),
        lambda: setattr(artifact, "branch_id", 0) or artifact.save(),
        lambda: artifact.delete(),
        lambda: artifact.delete(permanent=True),
        lambda: artifact.archive(),
    ):
        with pytest.raises(ln.errors.RecordLocked, match="is_locked = False"):
            change()
        artifact.refresh()
        stale.refresh()
    save(tmp_path, "2")  # a new version is another record
    assert ln.Artifact.get(artifact.uid).description is None
    artifact.is_locked = False
    artifact.description = "x"
    artifact.save()
    artifact.delete()
    assert artifact.branch.name == "trash"


@pytest.mark.req("R49")
def test_a_family_without_a_latest_version_heals(registry: Registry, tmp_path: Path) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    table = Artifact.__table__
    registry.unit_of_work(lambda connection: connection.execute(update(table).values(is_latest=False)).rowcount)
    assert ln.Artifact.get(key="a.txt") == ln.Artifact.get(first.stem_uid) == second
    assert save(tmp_path, "3").uid == first.stem_uid + "0002"
    check_heads(registry)


# ---------------------------------------------------------------------- merging


@pytest.mark.req("R47", "R49")
def test_merging(registry: Registry, tmp_path: Path) -> None:
    branch = ln.Branch(name="draft").save()
    shared = save(tmp_path, "main", "shared.txt")
    ln.settings.branch = "draft"
    run = ln.track("on the branch")
    newer = save(tmp_path, "draft", "shared.txt")
    own = save(tmp_path, "own", "own.txt")
    collection = ln.Collection([newer, own], key="c").save()
    note = ArtifactBlock(artifact=own, content="A note.").save()
    ln.finish()
    ln.settings.branch = "main"
    ahead = save(tmp_path, "ahead", "ahead.txt")
    behind = save(tmp_path, "behind", "ahead.txt", branch=branch)
    latest = save(tmp_path, "latest", "ahead.txt")
    assert branch.merge() == 7  # with the run and its transform
    assert branch.status == "merged"
    for record in (newer, own, collection, note, run, run.transform, behind):
        record.refresh()
        assert (record.branch.name, record.created_on.name) == ("main", "draft")
    assert ln.Artifact.get(key="shared.txt") == newer
    assert newer.is_latest
    assert not shared.refresh().is_latest
    assert ln.Artifact.get(key="ahead.txt") == latest
    assert [item.refresh().is_latest for item in (ahead, behind, latest)] == [False, False, True]
    assert own.notes == "A note."
    assert branch.merge() == 0
    # What is saved there later stays there until it is merged too.
    late = save(tmp_path, "late", "own.txt", branch=branch)
    assert ln.Artifact.get(key="own.txt") == own
    other = ln.Branch(name="other").save()
    assert branch.merge(into="OTHER") == 1
    assert late.refresh().branch == other
    assert other.merge(into=ln.Branch.get(name="main")) == 1
    assert ln.Artifact.get(key="own.txt") == late
    check_heads(registry)


def test_what_cannot_be_merged(registry: Registry, tmp_path: Path) -> None:
    branch = ln.Branch(name="draft").save()
    artifact = save(tmp_path, "1", branch=branch)
    for source, into in (("draft", "draft"), ("draft", "trash"), ("trash", "main"), ("main", "archive")):
        with pytest.raises(ln.errors.InvalidArgument):
            ln.Branch.get(name=source).merge(into=into)
    with pytest.raises(ln.errors.ObjectDoesNotExist, match="other"):
        branch.merge(into="other")
    with pytest.raises(ln.errors.InvalidArgument, match="not saved"):
        ln.Branch(name="unsaved").merge()
    assert artifact.refresh().branch == branch
    assert branch.refresh().status == "standalone"


def give_key(registry: Registry, stem: str, key: str) -> None:
    """Give a family a key that another one has, which no verb does."""
    table = Artifact.__table__
    statement = update(table).where(table.c.uid.startswith(stem)).values(key=key)
    registry.unit_of_work(lambda connection: connection.execute(statement).rowcount)


def two_families(registry: Registry, tmp_path: Path, branch: ln.Branch) -> tuple[ln.Artifact, ln.Artifact]:
    """Return two artifacts of different families under one key, on main and on a branch."""
    on_main = save(tmp_path, "main")
    save(tmp_path, "first", "b.txt", branch=branch).delete(permanent=True)
    save(tmp_path, "old", "b.txt", branch=branch)
    on_branch = save(tmp_path, "new", "b.txt", branch=branch)
    ln.Artifact.get(on_branch.stem_uid + "0000").delete(permanent=True)
    give_key(registry, on_branch.stem_uid, "a.txt")
    return on_main, on_branch


def test_two_families_under_one_key_are_not_merged(registry: Registry, tmp_path: Path) -> None:
    branch = ln.Branch(name="draft").save()
    on_main, on_branch = two_families(registry, tmp_path, branch)
    other = save(tmp_path, "other", "other.txt", branch=branch)
    with pytest.raises(ln.errors.MergeConflict, match=rf"'a\.txt'.*{on_branch.uid} and {on_main.uid}"):
        branch.merge()
    assert (other.refresh().branch, on_branch.refresh().branch) == (branch, branch)
    assert branch.refresh().status == "standalone"
    on_branch.branch_id = 1
    with pytest.raises(ln.errors.NameTaken, match=on_main.uid):
        on_branch.save()
    on_branch.refresh().delete()
    with pytest.raises(ln.errors.NameTaken, match=on_main.uid):
        on_branch.restore()
    assert on_branch.refresh().branch_id == -1
    # Each family goes on on its own branch.
    on_branch.delete()
    check_heads(registry)
    assert save(tmp_path, "next").stem_uid == on_main.stem_uid
    assert branch.merge() == 1


BEGIN = """
ready()
told = []
branch = ln.Branch.get(name="main" if number % 2 else "draft")
for round in range(6):
    source = f"{arguments['folder']}/{number}-{round}.txt"
    open(source, "w").write(f"{number} {round}")
    told.append(ln.Artifact(source, key=f"{round}.txt", branch=branch).save().uid)
tell(told)
"""


@pytest.mark.req("R40", "R47")
def test_a_key_that_is_begun_on_two_branches_is_one_family(registry: Registry, tmp_path: Path) -> None:
    branch = ln.Branch(name="draft").save()
    processes = [start(registry, BEGIN, number=number, folder=tmp_path) for number in range(4)]
    release(processes)
    told = answers(processes)
    for round in range(6):
        assert len({each[round][:16] for each in told}) == 1
    check_heads(registry)
    branch.merge()
    assert ln.Artifact.filter(is_latest=True).count() == 6
    check_heads(registry)


WRITE = """
from lamart_core.errors import LamartError
names = ("main", "draft")
ready()
told = []
for round in range(8):
    if number == 0:
        ln.Branch.get(name="draft").merge()
        continue
    branch = ln.Branch.get(name=names[number % 2])
    source = f"{arguments['folder']}/{number}-{round}.txt"
    open(source, "w").write(f"{number} {round}")
    artifact = ln.Artifact(source, key=f"{round % 2}.txt", branch=branch).save()
    told.append(artifact.uid)
    if number == 3:
        # Two that trash the two newest versions of a family at the same time must not leave it without a latest.
        for victim in ln.Artifact.filter(key=f"{round % 2}.txt", branch=None).order_by("-uid").to_list()[:2]:
            victim.delete(permanent=False)
            if round % 3 == 0:
                victim.restore()
tell(told)
"""


@pytest.mark.req("R47", "R49", "R259", "R287")
def test_merging_while_others_write(registry: Registry, tmp_path: Path) -> None:
    branch = ln.Branch(name="draft").save()
    processes = [start(registry, WRITE, number=number, folder=tmp_path) for number in range(5)]
    try:
        release(processes)
        told = {uid for each in answers(processes) for uid in each}
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert len(told) == 4 * 8
    assert {item.uid for item in ln.Artifact.filter(branch=None)} == told
    check_heads(registry)
    branch.merge()
    check_heads(registry)
    assert ln.Artifact.filter(branch=branch).count() == 0
    assert {item.load() for item in ln.Artifact.filter(branch=None)} == {
        f"{number} {round}" for number in range(1, 5) for round in range(8)
    }


TRASH = """
ready()
for uid in arguments["uids"]:
    artifact = ln.Artifact.get(uid[number])
    ready()
    artifact.delete()
tell(None)
"""


@pytest.mark.req("R47", "R49", "R259")
def test_the_two_newest_versions_are_trashed_at_the_same_moment(registry: Registry, tmp_path: Path) -> None:
    rounds = 8
    families = [[save(tmp_path, f"{n} {v}", f"{n}.txt") for v in range(3)] for n in range(rounds)]
    uids = [[family[2].uid, family[1].uid] for family in families]
    processes = [start(registry, TRASH, number=number, uids=uids) for number in range(2)]
    for _ in range(rounds + 1):
        release(processes)
    answers(processes)
    assert [family[0].refresh().is_latest for family in families] == [True] * rounds
    assert ln.Artifact.filter(branch_id=-1).count() == 2 * rounds
    check_heads(registry)


@pytest.mark.req("R251")
def test_two_that_delete_for_the_first_time_only_trash(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    mine, theirs = ln.Artifact.get(artifact.uid), ln.Artifact.get(artifact.uid)
    mine.delete()
    theirs.delete()
    assert artifact.refresh().branch_id == -1
    mine.restore()
    theirs.delete()  # it knows of the trash, but the artifact is not there any more
    assert artifact.refresh().branch_id == -1
    theirs.delete()
    assert ln.Artifact.filter(branch=None).count() == 0
