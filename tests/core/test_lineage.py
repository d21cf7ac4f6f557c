"""Lineage: runs, their inputs and outputs, re-creations, and the graph."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.lineage import lineage_graph, run_context
from lamart_core.models import RunInput
from tests.registries import write


def save(tmp_path: Path, name: str, content: str | None = None) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / name, content or name), key=name).save()


def chain(tmp_path: Path) -> list[ln.Artifact]:
    """Three artifacts, each made by a run that read the one before."""
    made: list[ln.Artifact] = []
    for name in ("a.txt", "b.txt", "c.txt"):
        ln.track(f"make {name}")
        if made:
            made[-1].load()
        made.append(save(tmp_path, name))
        ln.finish()
    return made


@pytest.mark.req("R207", "R211", "R276")
def test_runs_inputs_and_outputs(registry: Registry, tmp_path: Path) -> None:
    a, b, c = chain(tmp_path)
    run = ln.Artifact.get(b.uid).run
    assert run.input_artifacts.to_list() == [a]
    assert run.output_artifacts.to_list() == [b]
    assert [item.transform.key for item in b.input_of_runs.to_list()] == ["make c.txt"]
    assert b.transform.key == "make b.txt"
    assert ln.Artifact.filter(run__transform__key="make b.txt").one() == b
    assert ln.Artifact.filter(run__input_artifacts=b).one() == c
    assert b.created_by.handle == "tester"
    assert {item.uid for item in b.created_by.created_artifacts.to_list()} == {a.uid, b.uid, c.uid}
    assert {item.uid for item in b.storage.artifacts.to_list()} == {a.uid, b.uid, c.uid}


@pytest.mark.req("R219", "R250", "R277")
def test_what_is_an_input(registry: Registry, tmp_path: Path) -> None:
    source = save(tmp_path, "a.txt")
    other = ln.track("other")
    ln.finish()
    run = ln.track("reader")
    source.load(is_run_input=False)
    assert run.input_artifacts.count() == 0
    registry.settings.track_run_inputs = False
    source.load()
    assert run.input_artifacts.count() == 0
    ln.Artifact.get(key="a.txt", is_run_input=True)
    registry.settings.track_run_inputs = True
    source.load()
    source.cache()
    assert run.input_artifacts.to_list() == [source]
    source.load(is_run_input=other)
    assert other.input_artifacts.to_list() == [source]
    made = save(tmp_path, "b.txt")
    made.load()
    assert run.input_artifacts.to_list() == [source]
    ln.finish()
    with run_context(other):
        source.cache()
        assert save(tmp_path, "c.txt").run == other


@pytest.mark.req("R86", "R87", "R277")
def test_making_again_is_a_re_creation(registry: Registry, tmp_path: Path) -> None:
    nobody = save(tmp_path, "n.txt")
    first_run = ln.track("maker")
    artifact = save(tmp_path, "a.txt")
    assert save(tmp_path, "n.txt").run == first_run
    ln.finish()
    second_run = ln.track("maker")
    again = ln.Artifact(tmp_path / "a.txt", key="a.txt")
    assert artifact.recreating_runs.count() == 0
    again.save()
    assert again == artifact
    assert ln.Artifact.get(artifact.uid).run == first_run
    assert artifact.recreating_runs.to_list() == [second_run]
    assert second_run.recreated_artifacts.to_list() == [artifact]
    again.load()
    assert second_run.input_artifacts.count() == 0
    nobody.load()
    ln.Artifact(tmp_path / "n.txt", key="n.txt").save()
    assert nobody.recreating_runs.count() == 0
    ln.finish()


@pytest.mark.req("R273", "R274")
def test_the_graph(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c = chain(tmp_path)
    monkeypatch.setenv("PATH", "")
    source = b.view_lineage(return_graph=True).source
    for artifact in (a, b, c):
        assert f"artifact_{artifact.uid}" in source
        assert f"run_{artifact.run.uid} -> artifact_{artifact.uid}" in source
    assert f"artifact_{a.uid} -> run_{b.run.uid}" in source
    without = b.view_lineage(with_children=False, return_graph=True).source
    assert c.uid not in without
    assert a.uid in without
    alone = ln.Artifact(write(tmp_path / "alone.txt", "alone"), key="alone.txt", run=False).save()
    assert f"artifact_{alone.uid}" in alone.view_lineage(return_graph=True).source
    assert [line.split(" (")[0].strip("└─ ") for line in lineage_graph(c).to_text().splitlines()] == [
        "c.txt",
        "b.txt",
        "a.txt",
    ]


@pytest.mark.req("R274")
def test_cycles_end(registry: Registry, tmp_path: Path) -> None:
    a, _, c = chain(tmp_path)
    c.load(is_run_input=a.run)
    a.load(is_run_input=a.run)
    source = a.view_lineage(return_graph=True).source
    assert f"artifact_{c.uid} -> run_{a.run.uid}" in source
    assert f"artifact_{a.uid} -> run_{a.run.uid}" not in source
    assert lineage_graph(a).to_text()


@pytest.mark.req("R274")
def test_what_a_run_read_and_made_is_shown_as_made(registry: Registry, tmp_path: Path) -> None:
    run = ln.track("loop.py")
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt").save()
    ln.finish()
    # Other writers than this library may have recorded it.
    RunInput(run_id=run.id, artifact_id=artifact.id).save()
    graph = artifact.view_lineage(return_graph=True)
    assert graph is not None
    edges = [line.strip() for line in graph.source.splitlines() if "->" in line]
    assert edges == [f"run_{run.uid} -> artifact_{artifact.uid}"]


@pytest.mark.req("R275")
def test_trash_and_re_creations_in_the_graph(registry: Registry, tmp_path: Path) -> None:
    a, b, c = chain(tmp_path)
    again = ln.track("again")
    save(tmp_path, "b.txt")
    ln.finish()
    c.delete()
    source = b.view_lineage(return_graph=True).source
    assert c.uid not in source
    assert f"run_{again.uid} -> artifact_{b.uid} [style=dashed]" in source
    assert a.uid in source


def test_describe_names_run_and_inputs(registry: Registry, tmp_path: Path) -> None:
    _, b, _ = chain(tmp_path)
    text = ln.Artifact.get(b.uid).describe(return_str=True)
    for part in ("b.txt", b.uid, "make b.txt", "a.txt", str(b.path), "tester"):
        assert part in text
