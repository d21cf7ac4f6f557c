"""What people who know another registry type: it does the same here, or the error says what does."""

from __future__ import annotations

import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.planned import planned_names
from tests.registries import write


@pytest.fixture
def texts(registry: Registry, tmp_path: Path) -> list[ln.Artifact]:
    """Three artifacts, of sizes 1 to 3."""
    return [
        ln.Artifact(write(tmp_path / f"{n}.txt", "x" * n), key=f"{name}.txt", run=False).save()
        for n, name in ((1, "one"), (2, "two"), (3, "three"))
    ]


@pytest.mark.req("R225")
def test_query_sets_combine_reverse_and_give_records_in_bulk(registry: Registry, texts: list[ln.Artifact]) -> None:
    one, two, three = texts
    everything, small, large = ln.Artifact.filter(), ln.Artifact.filter(size__lte=2), ln.Artifact.filter(size__gte=2)
    assert (small & large).to_list() == [two]
    assert (small | large).order_by("-id").to_list() == [three, two, one]
    assert (small & large & everything).count() == 1
    assert (small & ln.Artifact.filter(size=3)).count() == 0
    two.delete()
    assert (small & everything).to_list() == [one]
    assert (small.filter(branch=None) & large.filter(branch=None)).to_list() == [two]
    two.restore()
    assert everything.reverse().to_list() == [three, two, one]
    assert everything.order_by("-size").reverse().first() == one
    assert everything.order_by("key").reverse().reverse().to_list("key") == ["one.txt", "three.txt", "two.txt"]
    for wrong in (lambda: everything[:2].reverse(), lambda: everything & everything[:1], lambda: everything & "x"):
        with pytest.raises(errors.InvalidArgument):
            wrong()
    for size in (1, 2, 3, 1000):
        assert list(everything.order_by("-id").iterator(size)) == [three, two, one]
    assert list(everything[1:].iterator()) == [two, three]
    lazily = everything.iterator(1)
    assert next(lazily) == one
    two.delete(permanent=True)
    assert list(lazily) == [three]
    assert everything.in_bulk() == {one.id: one, three.id: three}
    assert everything.in_bulk([one.id, two.id]) == {one.id: one}
    assert everything.in_bulk([three.uid], field_name="uid") == {three.uid: three}
    for wrong in (lambda: everything.in_bulk(field_name="key"), lambda: everything.iterator(0)):
        with pytest.raises(errors.InvalidArgument):
            wrong()


@pytest.mark.req("R225")
def test_conditions_about_different_related_records_stay_so(registry: Registry, texts: list[ln.Artifact]) -> None:
    a, b = ln.ULabel(name="a").save(), ln.ULabel(name="b").save()
    texts[0].ulabels.add(a, b)
    both = ln.Artifact.filter(ulabels__name="a").filter(ulabels__name="b")
    none = ln.Artifact.filter(size=77)
    assert both.to_list() == (both | none).to_list() == (both & ln.Artifact.filter()).to_list() == [texts[0]]


@pytest.mark.req("R225")
def test_sums_and_means(registry: Registry, texts: list[ln.Artifact]) -> None:
    found = ln.Artifact.filter().aggregate(
        total=("size", "sum"), mean=("size", "mean"), first=("key", "min"), last=("created_at", "max"),
        n=("id", "count"), kinds=("kind", "count"), maker=("created_by__handle", "max"), version=("version", "max"),
    )  # fmt: skip
    assert found == {
        "total": 6, "mean": 2.0, "first": "one.txt", "last": texts[2].created_at, "n": 3, "kinds": 0, "maker": "tester",
        "version": "0000",
    }  # fmt: skip
    assert {type(found[name]) for name in ("total", "n")} == {int}
    assert ln.Artifact.filter(size__gt=5).aggregate(total=("size", "sum"), n=("id", "count")) == {"total": None, "n": 0}
    assert ln.Artifact.filter().order_by("-size")[:2].aggregate(total=("size", "sum")) == {"total": 5}
    for wrong in ({}, {"x": "size"}, {"x": ("size", "median")}, {"x": ("key", "sum")}, {"x": ("nope", "sum")},
                  {"x": ("ulabels__name", "max")}, {"x": ("extra_data__k", "sum")}):  # fmt: skip
        with pytest.raises(errors.InvalidArgument):
            ln.Artifact.filter().aggregate(**wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.req("R220", "R228")
def test_classes_search_and_describe_themselves(registry: Registry, texts: list[ln.Artifact]) -> None:
    assert ln.Artifact.search("three").to_list() == registry.Artifact.search("THREE").to_list() == [texts[2]]
    ln.ULabel(name="T cell", description="white").save()
    assert ln.ULabel.search("white").one().name == ln.ULabel.lookup().t_cell.name == "T cell"
    assert ln.ULabel.lookup(return_field="uid").t_cell == ln.ULabel.get(name="T cell").uid
    told = ln.Artifact.describe(return_str=True)
    assert all(word in str(told) for word in ("Artifact", "size", "integer", "ulabels", "many ULabel", "computed"))
    assert "T cell" in str(ln.ULabel.get(name="T cell").describe(return_str=True))
    assert "one.txt" in str(texts[0].describe(return_str=True))
    run = ln.Run(ln.Transform(key="t").save()).save()
    assert run.transform.key == "t"
    with pytest.raises(errors.InvalidArgument, match="twice"):
        ln.Run(run.transform, transform=run.transform)


@pytest.fixture
def quiet() -> Generator[None, None, None]:
    """The logger as it was."""
    logger = logging.getLogger("lamart")
    before = logger.level, list(logger.handlers)
    yield
    logger.setLevel(before[0])
    logger.handlers[:] = before[1]


def test_verbosity(sqlite_registry: Registry, quiet: None, caplog: pytest.LogCaptureFixture) -> None:
    for value, name in (("error", "error"), (1, "warning"), ("info", "info"), (3, "debug"), ("warning", "warning")):
        ln.settings.verbosity = value
        assert ln.settings.verbosity == name
    for wrong in ("loud", 7, None, True, 1.5):
        with pytest.raises(errors.InvalidArgument, match="error, warning, info, debug"):
            ln.settings.verbosity = wrong  # type: ignore[assignment]
    ln.settings.verbosity = "error"
    ln.User(handle="x").delete()
    assert "never saved" not in caplog.text


# ---------------------------------------------------------------------- names that are not there


@pytest.mark.req("R310")
def test_names_of_the_module_say_what_to_do() -> None:
    for name in planned_names(""):
        assert name not in ln.__all__, "it exists by now"
        with pytest.raises(AttributeError, match=rf"no attribute '{name}': .{{10}}"):
            getattr(ln, name)
    with pytest.raises(AttributeError, match="did you mean 'Artifact'"):
        _ = ln.Artefact  # type: ignore[attr-defined]
    assert not hasattr(ln, "Feature")


@pytest.mark.req("R310")
def test_names_of_classes_records_and_queries_say_what_to_do(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", run=False).save()
    owners: dict[str, list[Any]] = {
        "SQLRecord": [ln.Artifact, artifact, ln.ULabel, ln.ULabel(name="x")],
        "ArtifactRecord": [ln.Artifact, artifact],
        "CollectionRecord": [ln.Collection, ln.Collection([artifact], key="c")],
        "Transform": [ln.Transform, ln.Transform(key="t")],
        "Run": [ln.Run],
        "QuerySet": [ln.Artifact.filter(), ln.ULabel.filter()],
    }
    for owner, things in owners.items():
        for name in planned_names(owner):
            for thing in things:
                if owner == "SQLRecord" and name in {*planned_names("ArtifactRecord")}:
                    continue
                with pytest.raises(AttributeError, match=rf"no attribute '{name}': .{{2}}"):
                    getattr(thing, name)
    with pytest.raises(AttributeError, match="did you mean 'description'"):
        _ = artifact.descripton  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="did you mean 'from_dataframe'"):
        _ = ln.Artifact.from_datafram  # type: ignore[attr-defined]
    with pytest.raises(errors.FieldError, match="not built yet"):
        ln.Artifact.filter(schema__name="x")
    assert getattr(artifact, "_private", None) is None
