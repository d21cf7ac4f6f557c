"""Records that are made a second time: the existing one, the next version, or a name that is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from tests.registries import write

MAKE: dict[str, Callable[[], Any]] = {
    "Transform": lambda: ln.Transform(key="t"),
    "Transform with code": lambda: ln.Transform(key="t", source_code="x = 1", kind="script"),
    "Transform with version": lambda: ln.Transform(key="t", version="2024"),
    "User": lambda: ln.User(handle="ann"),
    "Branch": lambda: ln.Branch(name="dev"),
    "Space": lambda: ln.Space(name="lab"),
    "ULabel": lambda: ln.ULabel(name="x"),
    "Project": lambda: ln.Project(name="x"),
    "Reference": lambda: ln.Reference(name="x"),
}


@pytest.mark.req("R308")
@pytest.mark.parametrize("name", MAKE)
def test_made_again_it_is_the_same(registry: Registry, name: str) -> None:
    make = MAKE[name]
    first = make().save()
    again = make()
    assert again.is_saved
    assert again == first == again.save()
    pair = ln.save([make(), make()])
    assert pair[0] == pair[1]
    if "description" in type(first).field_names():
        again.description = "said later"
        assert type(first).get(again.save().id).description == make().description == "said later"


@pytest.mark.req("R308")
def test_two_that_were_made_before_one_was_saved(registry: Registry) -> None:
    for make in MAKE.values():
        one, other = make(), make()
        if one.is_saved:
            continue
        assert one.save() == other.save()


@pytest.mark.req("R308")
def test_other_code_is_the_next_version(registry: Registry) -> None:
    first = ln.Transform(key="t", source_code="x = 1", description="one").save()
    second = ln.Transform(key="t", source_code="x = 2").save()
    tagged = ln.Transform(key="t", source_code="x = 2", version="2.0").save()
    assert [each.version for each in first.versions] == ["2.0", "0001", "0000"]
    assert [each.is_latest for each in tagged.versions] == [True, False, False]
    assert ln.Transform(key="t") == ln.Transform.get(key="t") == tagged
    assert ln.Transform(key="t", source_code="x = 1") == first
    revised = ln.Transform(revises=second, source_code="x = 3")
    assert (revised.key, revised.description, revised.is_saved) == ("t", None, False)
    assert revised.save().uid == f"{first.stem_uid}0003"
    assert ln.Transform(revises=first, source_code="x = 4").description == "one"
    for wrong in (
        {"revises": first, "key": "u"},
        {"revises": "t"},
        {},
        {"key": "t", "version": "1", "version_tag": "1"},
    ):
        with pytest.raises(errors.InvalidArgument):
            ln.Transform(**wrong)
    first.refresh()
    first.source_code = "x = 5"
    with pytest.raises(errors.InvalidArgument, match="next version"):
        first.save()
    code = ln.Transform(key="t")
    code.delete()
    assert ln.Transform(key="t", source_code="x = 3").save() == revised


@pytest.mark.req("R308")
def test_code_in_the_trash_comes_back(registry: Registry) -> None:
    gone = ln.Transform(key="t", source_code="x = 1").save()
    gone.delete()
    back = ln.Transform(key="t", source_code="x = 1").save()
    assert back == gone
    assert back.branch.name == "main"
    assert ln.Transform.get(key="t") == back
    assert back.is_latest


@pytest.mark.req("R308")
def test_code_from_a_file(sqlite_registry: Registry, tmp_path: Path) -> None:
    script = write(tmp_path / "clean.py", "x = 1")
    made = ln.Transform.from_path(script, description="cleans").save()
    assert (made.key, made.kind, made.source_code) == ("clean.py", "script", "x = 1")
    run = ln.track("clean.py", path=script)
    assert run.transform.source_code == "x = 1"
    ln.finish()
    cells = '{"cells": [{"cell_type": "code", "source": ["y = 1"]}]}'
    notebook = ln.Transform.from_path(write(tmp_path / "n.ipynb", cells), key="notebooks/n").save()
    assert (notebook.key, notebook.kind, notebook.source_code) == ("notebooks/n", "notebook", "# %%\ny = 1\n")
    with pytest.raises(errors.PathNotFound):
        ln.Transform.from_path(tmp_path / "none.py")


@pytest.mark.req("R308")
def test_what_was_passed_and_differs_is_said(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    ln.User(handle="ann", name="Ann").save()
    assert ln.User(handle="ann", name="Anna").save().name == ln.User.get(handle="ann").name == "Anna"
    branch = ln.Branch(name="dev", status="draft").save()
    assert ln.Branch(name="dev").save().status == "draft"
    assert ln.Branch(name="dev", status="review").save().status == "review"
    assert ln.Branch.filter(status="review").one() == branch
    with pytest.raises(errors.NameTaken):
        ln.Branch(name="DEV").save()
    ln.Transform(key="t", kind="script").save()
    assert ln.Transform(key="t", kind="notebook", description="d").save().kind == "script"
    assert "keeps kind" in caplog.text
    assert ln.Transform.get(key="t").description == "d"


@pytest.mark.req("R308")
def test_a_version_tag_that_is_taken_is_said(registry: Registry, tmp_path: Path) -> None:
    def make(text: str, **keywords: Any) -> ln.Artifact:
        return ln.Artifact(write(tmp_path / f"{text}.txt", text), key="a.txt", run=False, **keywords)

    first = make("one", version="v1").save()
    second = make("two").save()
    second.version_tag = "v1"
    with pytest.raises(errors.NameTaken, match=f"'v1' is already taken by {first.uid}"):
        second.save()
    with pytest.raises(errors.NameTaken, match="tag"):
        ln.Artifact.filter(uid=second.uid).update(version_tag="v1")
    third = make("three")
    third.version_tag = "v1"
    with pytest.raises(errors.NameTaken, match="tag"):
        third.save()
    assert ln.Artifact.filter().count() == 2


@pytest.mark.req("R223")
def test_the_status_of_runs_and_branches_can_be_asked_for(registry: Registry) -> None:
    run = ln.track("a.py")
    ln.finish()
    ln.track("b.py")
    assert ln.Run.filter(status="completed").one() == run
    assert ln.Run.filter(status__in=["started", "errored"]).count() == 1
    assert ln.Run.filter().order_by("status").to_list("status") == ["completed", "started"]
    assert ln.Artifact.filter(run__status="completed").count() == 0
    ln.finish()
