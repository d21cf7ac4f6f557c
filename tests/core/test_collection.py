"""Collections: immutable, ordered, hashed and versioned sets of artifacts."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.processes import run_together
from tests.registries import write


def save(tmp_path: Path, *names: str) -> list[ln.Artifact]:
    return [ln.Artifact(write(tmp_path / "in" / name, name), key=f"in/{name}").save() for name in names]


def order(collection: ln.Collection) -> list[str]:
    return collection.ordered_artifacts.to_list("key")


@pytest.mark.req("R214")
def test_members_in_their_order(registry: Registry, tmp_path: Path) -> None:
    a, b, c = save(tmp_path, "a.txt", "b.txt", "c.txt")
    collection = ln.Collection([c, a, b], key="inputs", description="Three files")
    assert collection.uid[-4:] == "0000"
    assert not collection.is_saved
    collection.save()
    again = ln.Collection.get(collection.uid)
    assert order(again) == ["in/c.txt", "in/a.txt", "in/b.txt"]
    assert set(again.artifacts) == {a, b, c}
    assert again.description == "Three files"
    assert (len(again.uid), len(again.hash or "")) == (20, 43)
    assert again.created_by.handle == "tester"
    assert again.ordered_artifacts.filter(key__endswith="b.txt").one() == b
    assert order(ln.Collection(ln.Artifact.filter(key__startswith="in/").order_by("-key"), key="by/query").save()) == [
        "in/c.txt",
        "in/b.txt",
        "in/a.txt",
    ]
    assert order(ln.Collection(a, key="single").save()) == ["in/a.txt"]


@pytest.mark.req("R214")
def test_the_hash_is_that_of_the_members(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    a, b, c = save(tmp_path, "a.txt", "b.txt", "c.txt")
    first = ln.Collection([a, b], key="inputs").save()
    caplog.clear()
    assert ln.Collection([a, b], key="inputs").save() == first
    assert caplog.text == ""
    assert ln.Collection([b, a], key="inputs").save() == first
    assert "order" in caplog.text
    assert order(first) == ["in/a.txt", "in/b.txt"]
    assert ln.Collection([a, b], key="other").save().stem_uid != first.stem_uid
    assert ln.Collection([a, b], key="third").save().hash == first.hash
    assert ln.Collection([a, c], key="inputs").save().hash != first.hash
    # Empty files have nothing in common but their hash, and both are in it.
    empty = [ln.Artifact(write(tmp_path / name, ""), key=name).save() for name in ("e.txt", "f.txt")]
    assert ln.Collection(empty, key="empty").save().artifacts.count() == 2


@pytest.mark.req("R214")
def test_members_without_an_exact_hash_are_equal_to_themselves_only(registry: Registry, tmp_path: Path) -> None:
    from sqlalchemy import update

    from lamart_core.models import StoredObject

    a, b = save(tmp_path, "a.txt", "b.txt")
    exact = ln.Collection([a], key="exact").save()
    objects = StoredObject.__table__
    # What a server vouches for, as an upload of several parts leaves it.
    registry.unit_of_work(lambda connection: connection.execute(update(objects).values(is_exact=False)).rowcount)
    vague = ln.Collection([a], key="vague").save()
    assert vague.hash != exact.hash
    assert ln.Collection([a], key="vague").save() == vague
    assert ln.Collection([b], key="vague").save() != vague


@pytest.mark.req("R214")
def test_versions(registry: Registry, tmp_path: Path) -> None:
    a, b, c = save(tmp_path, "a.txt", "b.txt", "c.txt")
    first = ln.Collection([a], key="inputs", version="one").save()
    second = first.append(b)
    assert not second.is_saved
    second.save()
    third = second.append([c]).save()
    assert [item.uid for item in third.versions] == [f"{first.stem_uid}000{digit}" for digit in "210"]
    assert order(third) == ["in/a.txt", "in/b.txt", "in/c.txt"]
    assert order(first) == ["in/a.txt"]
    assert [item.is_latest for item in (first.refresh(), second.refresh(), third)] == [False, False, True]
    assert ln.Collection.get(key="inputs", is_latest=True) == third
    assert ln.Collection.get(first.stem_uid) == third
    assert (first.version, third.version) == ("one", "0002")
    renamed = ln.Collection([b], key="inputs/renamed", revises=third).save()
    assert renamed.uid == first.stem_uid + "0003"
    assert first.refresh().key == "inputs/renamed"
    assert ln.Collection([a], key="inputs/renamed").save() == first


@pytest.mark.req("R214")
def test_revising_a_version_that_is_not_the_latest(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b, c = save(tmp_path, "a.txt", "b.txt", "c.txt")
    first = ln.Collection([a], key="inputs").save()
    mine, theirs = first.append(b), first.append(c)
    theirs.save()
    # Whoever appends to what is not the latest any more would drop what the other has appended.
    with pytest.raises(ln.errors.IntegrityError, match="is the latest"):
        mine.save()
    with pytest.raises(ln.errors.IntegrityError, match=rf"{theirs.uid} is the latest"):
        first.append(b)
    assert ln.Collection.filter(key="inputs").count() == 2
    late = ln.Collection([b], revises=first)
    assert "not the latest" in caplog.text
    assert order(late.save()) == ["in/b.txt"]
    # Two who begin a line on a branch meet too.
    ln.settings.branch = ln.Branch(name="draft").save()
    mine, theirs = late.append(a), late.append(c)
    theirs.save()
    with pytest.raises(ln.errors.IntegrityError, match="is the latest"):
        mine.save()


@pytest.mark.req("R214")
def test_what_cannot_be_collected(registry: Registry, tmp_path: Path) -> None:
    a, b = save(tmp_path, "a.txt", "b.txt")
    unsaved = ln.Artifact(write(tmp_path / "u.txt", "u"), key="u.txt")
    trashed = ln.Artifact(write(tmp_path / "t.txt", "t"), key="t.txt").save()
    trashed.delete()
    other = ln.connect(f"sqlite:///{tmp_path / 'other.db'}", storage=tmp_path / "other", make_default=False)
    foreign = other.Artifact(write(tmp_path / "f.txt", "f"), key="f.txt").save()
    for members, message in (
        ([], "at least one"),
        ([a, a], "twice"),
        ([unsaved], "not saved"),
        ([trashed], "trash"),
        ([foreign], "another registry"),
    ):
        with pytest.raises(ValueError, match=message):
            ln.Collection(members, key="inputs")
    for members in ("in/a.txt", 7, ["in/a.txt"], None):
        with pytest.raises(TypeError):
            ln.Collection(members, key="inputs")
    with pytest.raises(ValueError, match="key"):
        ln.Collection([a])
    for key in ("", "/a", "a//b", "../a"):
        with pytest.raises(ln.errors.InvalidKey):
            ln.Collection([a], key=key)
    with pytest.raises(ln.errors.FieldValidationError, match="color"):
        ln.Collection([a], key="inputs", color="red")
    with pytest.raises(TypeError, match="revises"):
        ln.Collection([a], key="inputs", revises=a)
    collection = ln.Collection([a], key="inputs").save()
    with pytest.raises(ValueError, match="twice"):
        collection.append([b, a])
    with pytest.raises(ValueError, match="nothing"):
        collection.append([])
    assert ln.Collection.filter().count() == 1
    other.close()


@pytest.mark.req("R214")
def test_a_member_that_is_deleted_before_the_collection_is_saved(registry: Registry, tmp_path: Path) -> None:
    a, b = save(tmp_path, "a.txt", "b.txt")
    collection = ln.Collection([a, b], key="inputs")
    b.delete(permanent=True)
    with pytest.raises(ln.errors.IntegrityError, match="deleted meanwhile"):
        collection.save()
    assert ln.Collection.filter().count() == 0


@pytest.mark.req("R214")
def test_a_collection_never_changes(registry: Registry, tmp_path: Path) -> None:
    a, b = save(tmp_path, "a.txt", "b.txt")
    collection = ln.Collection([a], key="inputs").save()
    for change in (
        lambda: collection.artifacts.add(b),
        lambda: collection.artifacts.remove(a),
        lambda: collection.artifacts.set([b]),
        lambda: collection.artifacts.clear(),
        lambda: b.collections.add(collection),
        lambda: a.collections.remove(collection),
        lambda: setattr(collection, "artifacts", [b]),
        lambda: setattr(collection, "hash", "x"),
        lambda: setattr(collection, "uid", "x"),
        lambda: ln.Collection.filter().update(hash="x"),
    ):
        with pytest.raises(ln.errors.InvalidArgument):
            change()
    collection.description = "words may change"
    collection.save()
    assert order(ln.Collection.get(collection.uid)) == ["in/a.txt"]
    assert ln.Collection.get(collection.uid).description == "words may change"


@pytest.mark.req("R154", "R214")
def test_a_query_finds_later_files_and_a_collection_does_not(registry: Registry, tmp_path: Path) -> None:
    collection = ln.Collection(save(tmp_path, "a.txt", "b.txt"), key="inputs").save()
    ln.Artifact(write(tmp_path / "in" / "a.txt", "next version of a"), key="in/a.txt").save()
    save(tmp_path, "c.txt")
    assert ln.Artifact.filter(key__startswith="in/", is_latest=True).count() == 3
    assert [item.load() for item in ln.Collection.get(collection.uid).ordered_artifacts] == ["a.txt", "b.txt"]


@pytest.mark.req("R208", "R214")
def test_lineage_and_relations(registry: Registry, tmp_path: Path) -> None:
    maker = ln.track("maker")
    a, b = save(tmp_path, "a.txt", "b.txt")
    collection = ln.Collection([a, b], key="inputs").save()
    assert len(collection.cache()) == 2  # never an input of the run that made it
    ln.finish()
    reader = ln.track("reader")
    assert [path.read_text() for path in ln.Collection.get(key="inputs").cache()] == ["a.txt", "b.txt"]
    collection.cache()
    ln.finish()
    again = ln.track("again")
    ln.Collection([a, b], key="inputs").save()
    ln.Collection([a, b], key="inputs").save()
    ln.finish()
    assert maker.output_collections.to_list() == [collection]
    assert reader.input_collections.to_list() == [collection]
    assert reader.input_artifacts.count() == 0
    assert again.recreated_collections.to_list() == [collection]
    assert collection.run == maker
    assert collection.input_of_runs.to_list() == [reader]
    assert collection.recreating_runs.to_list() == [again]
    assert a.collections.to_list() == [collection]
    assert {item.key for item in ln.Artifact.filter(collections__key="inputs")} == {"in/a.txt", "in/b.txt"}
    assert ln.Collection.filter(artifacts__key="in/a.txt").one() == collection
    assert ln.Collection.filter(run__transform__key="maker").one() == collection


def test_a_rename_takes_the_family_along(registry: Registry, tmp_path: Path) -> None:
    a, b = save(tmp_path, "a.txt", "b.txt")
    first = ln.Collection([a], key="inputs").save()
    second = first.append(b).save()
    taken = ln.Collection([b], key="taken").save()
    second.key = "taken"
    with pytest.raises(ln.errors.NameTaken, match=taken.stem_uid):
        second.save()
    second.key = "renamed"
    second.save()
    assert [item.key for item in second.versions] == ["renamed", "renamed"]
    second.key = "a//b"
    with pytest.raises(ln.errors.InvalidKey):
        second.save()


@pytest.mark.req("R214")
def test_trash_and_restore(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    a, b = save(tmp_path, "a.txt", "b.txt")
    first = ln.Collection([a], key="inputs").save()
    second = first.append(b).save()
    second.delete()
    assert ln.Collection.get(key="inputs") == first.refresh()
    assert first.is_latest
    assert [item.uid for item in first.versions] == [first.uid]
    second.restore()
    assert second.is_latest
    assert not first.refresh().is_latest
    second.delete()
    assert ln.Collection([a, b], key="inputs").save() == second
    assert "restored from the trash" in caplog.text
    second.refresh().delete(permanent=True)
    assert first.refresh().is_latest
    assert a.collections.to_list() == [first]
    assert b.collections.count() == 0
    assert ln.Collection(a, key="inputs").append(b).save().uid == first.stem_uid + "0002"


def test_describe(registry: Registry, tmp_path: Path) -> None:
    text = ln.Collection(save(tmp_path, "a.txt", "b.txt"), key="inputs").save().describe(return_str=True)
    assert text is not None
    assert text.startswith("Collection: inputs (0000)")
    assert "in/a.txt, in/b.txt" in text


RACE = """
from lamart_core.errors import IntegrityError
members = [ln.Artifact.get(uid) for uid in arguments["uids"]]
ready()
told = [ln.Collection(members, key="equal").save().uid]
told.append(ln.Collection(members[: number + 1], key="growing").save().uid)
told.append(ln.Collection(members[number:], key=f"own/{number}").save().uid)
appended = 0
while True:
    latest = ln.Collection.get(key="log", is_latest=True)
    try:
        latest.append(members[number]).save()
        break
    except IntegrityError:
        appended += 1
tell(told)
"""


@pytest.mark.req("R47", "R214", "R287")
def test_processes_that_collect_at_the_same_time(registry: Registry, tmp_path: Path) -> None:
    count = 4
    artifacts = save(tmp_path, *(f"{number}.txt" for number in range(count + 1)))
    ln.Collection(artifacts[-1], key="log").save()
    told = run_together(registry, RACE, count, uids=[item.uid for item in artifacts])
    assert len({each[0] for each in told}) == 1
    assert ln.Collection.filter(key="equal").count() == 1
    growing = ln.Collection.filter(key="growing").order_by("uid").to_list()
    assert {item.uid for item in growing} == {each[1] for each in told}
    assert len({item.stem_uid for item in growing}) == 1
    assert [item.is_latest for item in growing] == [False] * (count - 1) + [True]
    assert len({each[2] for each in told}) == count
    # Nobody's append was lost.
    log = ln.Collection.get(key="log", is_latest=True)
    assert set(log.artifacts) == set(artifacts)
    assert log.version == f"000{count}"


def test_branch_and_space_may_be_given_by_name(lab: Registry, tmp_path: Path) -> None:
    ln.Branch(name="dev").save()
    member = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt").save()
    collection = ln.Collection([member], key="c", branch="dev", space="all").save()  # pyright: ignore[reportArgumentType]
    assert collection.branch.name == "dev"
    with pytest.raises(ln.errors.InvalidArgument, match="there is no branch 'nope'"):
        ln.Collection([member], key="d", branch="nope")  # pyright: ignore[reportArgumentType]
