"""Labels, projects and references: names that identify, types, hierarchies, and what they are linked to."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.models import SQLRecord
from lamart_core.records.ulabel import ArtifactULabel
from tests.registries import write

REGISTRIES = (ln.ULabel, ln.Project, ln.Reference)


@pytest.fixture
def artifacts(registry: Registry, tmp_path: Path) -> list[ln.Artifact]:
    return [ln.Artifact(write(tmp_path / name, name), key=name).save() for name in ("a.txt", "b.txt", "c.txt")]


# ---------------------------------------------------------------------- names


@pytest.mark.req("R220", "R293")
def test_a_name_is_one_record(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    for model in REGISTRIES:
        first = model(name="x", description="first").save()
        assert len(first.uid) == (8 if model is ln.ULabel else 12)
        again = model(name="x")
        assert again == first
        assert again.save() == first
        assert "first" not in caplog.text
        assert model.filter().count() == 1
        assert model.get(name="x") == model.get(first.uid) == model.get(first.uid[:5]) == first
        assert model.get(name="x").description == "first"
        with pytest.raises(ln.errors.ObjectDoesNotExist):
            model.get(name="X")


@pytest.mark.req("R293")
def test_what_differs_is_taken_over_or_said(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    first = ln.Project(name="P", description="old", start_date=date(2024, 1, 2)).save()
    branch = ln.Branch(name="dev").save()
    again = ln.Project(name="P", description="new", url="https://example.org", is_type=True, branch=branch)
    assert (again.id, again.description, again.url) == (first.id, "new", "https://example.org")
    assert not again.is_type
    assert again.branch.name == "main"
    assert "gets another value for description: it was 'old', 'new' was passed" in caplog.text
    assert "keeps is_type: it was False, True was passed" in caplog.text
    assert first.refresh().description == "old", "nothing is written before save()"
    again.save()
    stored = ln.Project.get(name="P")
    assert (stored.description, stored.url, stored.start_date) == ("new", "https://example.org", date(2024, 1, 2))
    assert stored.updated_at > first.updated_at


@pytest.mark.req("R293")
def test_a_name_is_free_in_another_space_and_for_another_type(registry: Registry) -> None:
    clinic = ln.Space(name="clinic").save()
    stain, state = (ln.ULabel(name=name, is_type=True).save() for name in ("stain", "state"))
    made = [
        ln.ULabel(name="red").save(),
        ln.ULabel(name="red", type=stain).save(),
        ln.ULabel(name="red", type=state).save(),
        ln.ULabel(name="red", space=clinic).save(),
    ]
    assert len({record.id for record in made}) == 4
    assert ln.ULabel(name="red", type=stain) == made[1]
    assert ln.ULabel(name="red", space=clinic) == made[3]
    assert ln.ULabel.get(name="red", type__name="state") == made[2]


@pytest.mark.req("R293")
def test_names_are_seen_across_branches_but_not_in_the_trash(registry: Registry) -> None:
    branch = ln.Branch(name="dev").save()
    elsewhere = ln.ULabel(name="x", branch=branch).save()
    assert ln.ULabel(name="x") == elsewhere
    elsewhere.archive()
    assert ln.ULabel(name="x") == elsewhere
    elsewhere.delete()
    other = ln.ULabel(name="x").save()
    assert other != elsewhere
    with pytest.raises(ln.errors.NameTaken, match=other.uid):
        elsewhere.restore()
    elsewhere.branch = branch
    with pytest.raises(ln.errors.NameTaken, match=other.uid):
        elsewhere.save()
    other.name = "y"
    other.save()
    assert elsewhere.refresh().restore().branch.name == "main"
    other.name = "x"
    with pytest.raises(ln.errors.NameTaken, match=elsewhere.uid):
        other.save()
    # Two ways of writing one character are one name.
    assert ln.ULabel(name="e\u0301").save() == ln.ULabel(name="\u00e9")


@pytest.mark.parametrize("fields", [{}, {"name": ""}, {"name": " x"}, {"name": 1}, {"name": "x" * 151}])
def test_names_that_are_refused(sqlite_registry: Registry, fields: dict[str, str]) -> None:
    with pytest.raises(ln.errors.InvalidArgument, match="name"):
        ln.ULabel(**fields).save()
    with pytest.raises(ln.errors.FieldValidationError, match="colour"):
        ln.ULabel(name="x", colour="red")
    assert ln.ULabel.filter().count() == 0


def test_dates_and_numbers_come_back(registry: Registry) -> None:
    ln.Reference(name="A paper", pubmed_id=2**40, doi="10.1/x", date=date(2024, 2, 29)).save()
    paper = ln.Reference.get(date__year=2024, pubmed_id__gt=2**33)
    assert (paper.date, paper.pubmed_id, paper.doi) == (date(2024, 2, 29), 2**40, "10.1/x")
    with pytest.raises(ln.errors.InvalidArgument, match="date"):
        ln.Reference(name="Another", date="2024").save()


@pytest.mark.req("R271")
def test_many_are_saved_at_once(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    there = ln.ULabel(name="b").save()
    made = ln.save([ln.ULabel(name=name) for name in "abca"] + [ln.Project(name="P")])
    assert [record.name for record in made] == ["a", "b", "c", "a", "P"]
    assert made[1] == there
    assert made[0] == made[3]
    assert made[0].uid == made[3].uid
    assert ln.ULabel.filter().count() == 3
    # Known only when it is written: another one of the same name came first.
    early = [ln.ULabel(name="d", description=text) for text in ("first", "second")]
    ln.save(early)
    assert early[0].uid == early[1].uid
    assert ln.ULabel.get(name="d").description == "second"
    assert "gets another value for description" in caplog.text


def test_a_label_knows_its_run_and_its_maker(registry: Registry) -> None:
    run = ln.track("labelling.py")
    label = ln.ULabel(name="x").save()
    ln.finish()
    assert label.run == run
    assert label.created_by.handle == "tester"
    assert ln.ULabel(name="y").save().run is None
    assert ln.ULabel.filter(run=run).one() == label


def test_a_locked_label_stays_as_it_is(registry: Registry) -> None:
    label = ln.ULabel(name="x", is_locked=True).save()
    again = ln.ULabel(name="x", description="new")
    with pytest.raises(ln.errors.RecordLocked):
        again.save()
    with pytest.raises(ln.errors.RecordLocked):
        label.delete()
    label.is_locked = False
    label.save()
    again.save()
    assert label.refresh().description == "new"


# ---------------------------------------------------------------------- types and hierarchies


@pytest.mark.req("R294")
def test_types(registry: Registry) -> None:
    for model in REGISTRIES:
        upper = model(name="upper", is_type=True).save()
        kind = model(name="kind", is_type=True, type=upper).save()
        one = model(name="one", type=kind).save()
        members = getattr(kind, f"{model.__name__.lower()}s")
        assert members.to_list("name") == ["one"]
        assert model.filter(type__type__name="upper").one() == one
        with pytest.raises(ln.errors.InvalidArgument, match="type of each record"):
            members.add(upper)
        with pytest.raises(ln.errors.InvalidArgument, match="'one' is no type"):
            model(name="two", type=one).save()
        upper.type = kind
        with pytest.raises(ln.errors.InvalidArgument, match=f"{model.__name__} 'upper' .* would be above itself"):
            upper.save()
        assert upper.refresh().type is None
        kind.is_type = False
        with pytest.raises(ln.errors.ProtectedError, match="'one'"):
            kind.save()
        with pytest.raises(ln.errors.ProtectedError, match="'one'"):
            kind.refresh().delete(permanent=True)
        one.type = None
        one.save()
        kind.delete(permanent=True)
        assert model.filter().count() == 2


@pytest.mark.req("R295")
def test_parents(registry: Registry) -> None:
    a, b, c, d = (ln.ULabel(name=name).save() for name in "abcd")
    a.parents.add(b)
    b.parents.add(c, d)
    c.children.add(a)
    assert set(a.parents) == {b, c}
    assert c.children.order_by("name").to_list("name") == ["a", "b"]
    assert set(a.ancestors()) == {b, c, d}
    assert d.descendants().order_by("name").to_list() == [a, b]
    assert ln.ULabel.filter(parents__name="d").one() == b
    assert d.ancestors().count() == 0
    for below, above in ((a, a), (c, a), (d, a)):
        with pytest.raises(ln.errors.InvalidArgument, match="above itself"):
            below.parents.add(above)
        with pytest.raises(ln.errors.InvalidArgument, match="above itself"):
            above.children.set([below])
    with pytest.raises(ln.errors.InvalidArgument, match="above itself"):
        ln.ULabel.__parents__.model(child_id=d.id, parent_id=a.id).save()
    assert d.parents.count() == 0
    b.delete(permanent=True)
    assert a.parents.to_list() == [c]
    old, new = ln.Project(name="old").save(), ln.Project(name="new").save()
    new.predecessors.add(old)
    assert old.successors.to_list() == [new]
    with pytest.raises(ln.errors.InvalidArgument, match="above itself"):
        old.predecessors.add(new)


# ---------------------------------------------------------------------- links


@pytest.mark.req("R185", "R187", "R208")
def test_annotating_artifacts(artifacts: list[ln.Artifact], registry: Registry) -> None:
    a, b, _ = artifacts
    for model in REGISTRIES:
        name = f"{model.__name__.lower()}s"
        one, two, three = (model(name=each).save() for each in ("one", "two", "three"))
        labels = getattr(a, name)
        labels.add(one, two)
        labels.add(two, one)
        assert labels.count() == 2
        assert labels.exists()
        assert set(labels) == {one, two} == set(labels.all())
        assert labels.order_by("name").to_list("name") == ["one", "two"]
        assert labels.filter(name__startswith="t").one() == labels.get(name="two") == two
        assert sorted(labels.to_dataframe()["name"]) == ["one", "two"]
        assert one in labels
        assert three not in labels
        labels.remove(one, three)
        assert labels.to_list() == [two]
        labels.set([one, three])
        assert set(labels) == {one, three}
        getattr(b, name).add(three)
        # Both ends, and queries through them.
        assert set(three.artifacts) == {a, b}
        assert ln.Artifact.filter(**{f"{name}__name": "three"}).order_by("key").to_list() == [a, b]
        assert ln.Artifact.filter(**{name: one}).one() == a
        assert ln.Artifact.filter(**{f"{name}__isnull": False, "key": "c.txt"}).count() == 0
        assert model.filter(artifacts__key="b.txt").one() == three
        frame = ln.Artifact.filter(key="a.txt").to_dataframe(include=f"{name}__name")
        assert set(frame[f"{name}__name"].iloc[0]) == {"one", "three"}
        labels.clear()
        assert not labels.exists()
        assert three.artifacts.to_list() == [b]


@pytest.mark.req("R187")
def test_several_labels_are_linked_by_one_statement(artifacts: list[ln.Artifact], registry: Registry) -> None:
    from sqlalchemy import event

    labels = ln.save([ln.ULabel(name=f"{number}") for number in range(10)])
    said: list[str] = []
    event.listen(registry.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    artifacts[0].ulabels.add(*labels)
    assert len([statement for statement in said if not statement.startswith(("BEGIN", "PRAGMA"))]) == 1
    assert artifacts[0].ulabels.count() == 10


@pytest.mark.req("R185")
def test_other_records_have_labels_too(artifacts: list[ln.Artifact], registry: Registry) -> None:
    run = ln.track("code")
    ln.finish()
    collection = ln.Collection(artifacts, key="all").save()
    branch = ln.Branch(name="dev").save()
    label, project, paper = (model(name="x").save() for model in REGISTRIES)
    for record in (run, run.transform, collection, branch):
        record.ulabels.add(label)
        record.projects.add(project)
    for record in (run.transform, collection, project):
        record.references.add(paper)
    label.projects.add(project)
    assert project.ulabels.to_list() == [label]
    assert paper.projects.to_list() == [project]
    for one in (label, project):
        assert one.runs.to_list() == [run]
        assert one.transforms.to_list() == [run.transform]
        assert one.collections.to_list() == [collection]
        assert one.branches.to_list() == [branch]
    assert ln.Run.filter(ulabels__name="x", transform__references__name="x").one() == run
    assert ln.Collection.filter(projects__ulabels__name="x").one() == collection


@pytest.mark.req("R186")
def test_what_cannot_be_linked(artifacts: list[ln.Artifact], tmp_path: Path) -> None:
    a = artifacts[0]
    with pytest.raises(ln.errors.ValidationError, match="not saved yet"):
        a.ulabels.add(ln.ULabel(name="x"))
    with pytest.raises(ln.errors.InvalidArgument, match="not saved yet"):
        ln.Artifact(write(tmp_path / "new.txt", "new"), key="new.txt").ulabels.add(ln.ULabel(name="x").save())
    with pytest.raises(ln.errors.InvalidArgument, match="takes records of ULabel"):
        a.ulabels.add(ln.Project(name="x").save())
    with pytest.raises(ln.errors.FieldError, match="ulabels__name"):
        ln.Artifact.get(ulabels="x")


@pytest.mark.req("R189")
def test_deleting_what_is_linked(artifacts: list[ln.Artifact]) -> None:
    a, b, _ = artifacts
    for model in REGISTRIES:
        name = f"{model.__name__.lower()}s"
        label = model(name="x").save()
        getattr(a, name).add(label)
        getattr(b, name).add(label)
        with pytest.raises(ln.errors.ProtectedError, match=r"'x'.*cannot be deleted.*Artifact 'a\.txt'.*'b\.txt'"):
            label.delete(permanent=True)
        assert re.search(rf"{name} +x$", str(a.describe(return_str=True)), re.MULTILINE)
        label.delete()
        assert model.filter().count() == 0
        assert getattr(a, name).to_list() == []
        assert ln.Artifact.filter(**{f"{name}__name": "x"}).count() == 0
        assert ln.Artifact.filter(**{f"{name}__isnull": True}).count() == 3
        assert name not in str(a.describe(return_str=True))
        with pytest.raises(ln.errors.ProtectedError, match=r"unlink it from them first, with remove\(\)"):
            label.delete()
        label.restore()
        assert getattr(a, name).to_list() == [label], "what lies in the trash stays linked"
        assert model.get(name="x") == label
    a.delete(permanent=True)
    for model in REGISTRIES:
        label = model.get(name="x")
        assert label.artifacts.to_list() == [b]
        getattr(b, f"{model.__name__.lower()}s").clear()
        label.delete(permanent=True)
        assert model.filter(branch=None).count() == 0


@pytest.mark.req("R296")
def test_links_remember_who_made_them(artifacts: list[ln.Artifact], registry: Registry) -> None:
    run = ln.track("labelling.py")
    artifacts[0].ulabels.add(ln.ULabel(name="x").save())
    ln.finish()
    (link,) = ArtifactULabel.model.filter()
    assert (link.run_id, link.created_by_id) == (run.id, registry.user_id)
    with pytest.raises(ln.errors.ProtectedError, match="'x'"):
        run.delete(permanent=True)


def test_a_branch_brings_its_labels_to_main(registry: Registry) -> None:
    branch = ln.Branch(name="dev").save()
    ln.settings.branch = "dev"
    label = ln.ULabel(name="x").save()
    ln.settings.branch = "main"
    assert ln.ULabel.filter().count() == 0
    branch.merge()
    assert ln.ULabel.filter().one() == label


def test_many_are_not_renamed_at_once(sqlite_registry: Registry) -> None:
    ln.save([ln.ULabel(name=name) for name in "ab"])
    with pytest.raises(ln.errors.InvalidArgument, match="each record"):
        ln.ULabel.filter().update(name="c")
    assert ln.ULabel.filter().update(description="text") == 2
    assert all(issubclass(model, SQLRecord) for model in REGISTRIES)


def test_a_name_that_is_not_saved_is_no_name_to_restore_under(registry: Registry) -> None:
    trashed = ln.ULabel(name="a").save()
    trashed.delete()
    ln.ULabel(name="a").save()
    with pytest.raises(ln.errors.NameTaken):
        trashed.restore()
    trashed.name = "b"
    with pytest.raises(ln.errors.InvalidArgument, match="save\\(\\) it, then restore it"):
        trashed.restore()
    trashed.save().restore()
    assert sorted(ln.ULabel.filter().to_list("name")) == ["a", "b"]
