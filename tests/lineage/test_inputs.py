"""What is recorded as an input, by which switch; and artifacts that no run made."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.saving.create import create
from tests.processes import run_together
from tests.registries import write

READERS: dict[str, Callable[[ln.Artifact, dict[str, Any]], Any]] = {
    "load": lambda artifact, how: artifact.load(**how),
    "open": lambda artifact, how: artifact.open(**how),
    "cache": lambda artifact, how: artifact.cache(**how),
}


def save(folder: Path, name: str) -> ln.Artifact:
    return ln.Artifact(write(folder / name, f"name\n{name}\n"), key=name, run=False).save()


@pytest.mark.req("R219", "R250", "R276")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("tracking", [True, False])
def test_every_reader_and_every_switch(sqlite_registry: Registry, tmp_path: Path, reader: str, tracking: bool) -> None:
    read = READERS[reader]
    names = ("none", "true", "false", "run", "no run")
    artifacts = {name: save(tmp_path, f"{name}.csv") for name in names}
    other = ln.track("other")
    ln.finish()
    ln.settings.track_run_inputs = tracking
    read(artifacts["no run"], {})
    read(artifacts["no run"], {"is_run_input": True})
    run = ln.track("reader")
    read(artifacts["none"], {})
    read(artifacts["true"], {"is_run_input": True})
    read(artifacts["false"], {"is_run_input": False})
    read(artifacts["run"], {"is_run_input": other})
    ln.finish()
    expected = {"none.csv", "true.csv"} if tracking else {"true.csv"}
    assert {item.key for item in run.input_artifacts.to_list()} == expected
    assert other.input_artifacts.to_list() == [artifacts["run"]]
    assert artifacts["no run"].input_of_runs.count() == 0


@pytest.mark.req("R219", "R276")
@pytest.mark.parametrize("tracking", [True, False])
def test_get_records_only_when_asked(sqlite_registry: Registry, tmp_path: Path, tracking: bool) -> None:
    asked, _, named = (save(tmp_path, name) for name in ("a.csv", "b.csv", "c.csv"))
    other = ln.track("other")
    ln.finish()
    ln.settings.track_run_inputs = tracking
    run = ln.track("reader")
    ln.Artifact.get(key="a.csv", is_run_input=True)
    ln.Artifact.get(key="b.csv")
    ln.Artifact.get(named.uid, is_run_input=other)
    ln.finish()
    assert run.input_artifacts.to_list() == [asked]
    assert other.input_artifacts.to_list() == [named]


@pytest.mark.req("R277")
def test_inputs_are_recorded_once_however_many_read_at_once(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "a.csv")
    run = ln.track("reader")
    ln.finish()
    code = """
run = registry.Run.get(arguments["run"])
artifact = registry.Artifact.get(arguments["artifact"])
ready()
for _ in range(5):
    artifact.cache(is_run_input=run)
tell(1)
"""
    run_together(registry, code, 2, run=run.uid, artifact=artifact.uid)
    assert artifact.input_of_runs.to_list() == [run]


@pytest.mark.req("R276", "R277")
def test_what_a_run_read_does_not_become_its_output(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "a.csv")
    run = ln.track("reader")
    artifact.load()
    assert ln.Artifact(tmp_path / "a.csv", key="a.csv").save() == artifact
    assert ln.Artifact.get(artifact.uid).run is None
    assert create(registry, tmp_path / "a.csv", key="a.csv", run=run).artifact == artifact
    assert ln.Artifact.get(artifact.uid).run is None
    assert run.input_artifacts.to_list() == [artifact]
    ln.finish()
    maker = ln.track("maker")
    again = ln.Artifact(tmp_path / "a.csv", key="a.csv").save()
    assert again.run == maker
    assert ln.Artifact.get(artifact.uid).run == maker
    again.load()
    assert maker.input_artifacts.count() == 0
    ln.finish()


@pytest.mark.req("R277")
def test_lookup_order_of_the_run(sqlite_registry: Registry, tmp_path: Path) -> None:
    outer = ln.track("script")

    @ln.flow("inner")
    def inner() -> ln.Run:
        assert ln.Artifact(write(tmp_path / "1.txt", "1"), key="1.txt").save().run == ln.context.run
        return ln.context.run

    assert inner() != outer
    assert ln.Artifact(write(tmp_path / "2.txt", "2"), key="2.txt").save().run == outer
    ln.finish()


def warnings_of(caplog: pytest.LogCaptureFixture, work: Callable[[], Any]) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="lamart"):
        work()
    return [record.getMessage() for record in caplog.records if "no run" in record.getMessage()]


@pytest.mark.req("R25")
def test_an_artifact_without_a_run_is_warned_about(
    sqlite_registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def artifact(name: str, **how: Any) -> ln.Artifact:
        return ln.Artifact(write(tmp_path / name, name), key=name, **how).save()

    [message] = warnings_of(caplog, lambda: artifact("a.txt"))
    assert "a.txt" in message
    assert "track()" in message
    frame = pd.DataFrame({"a": [1]})
    assert len(warnings_of(caplog, lambda: ln.Artifact.from_dataframe(frame, key="t.parquet").save())) == 1
    assert warnings_of(caplog, lambda: artifact("a.txt")) == []
    assert warnings_of(caplog, lambda: artifact("b.txt", run=False)) == []
    assert warnings_of(caplog, lambda: create(sqlite_registry, tmp_path / "a.txt", key="c.txt")) == []
    run = ln.track("script")
    assert warnings_of(caplog, lambda: artifact("d.txt")) == []
    ln.finish()
    assert warnings_of(caplog, lambda: artifact("e.txt", run=run)) == []
    ln.settings.creation.artifact_silence_missing_run_warning = True
    assert warnings_of(caplog, lambda: artifact("f.txt")) == []


@pytest.mark.req("R25")
def test_the_run_of_an_artifact(registry: Registry, tmp_path: Path) -> None:
    def run_of(name: str, **how: Any) -> ln.Run | None:
        return ln.Artifact(write(tmp_path / name, name), key=name, **how).save().run

    given = ln.track("given")
    ln.finish()
    outer = ln.track("outer")

    @ln.step("inner")
    def inner() -> list[ln.Run | None]:
        return [run_of("1"), run_of("2", run=None), run_of("3", run=False), run_of("4", run=given), ln.context.run]

    *made, step = inner()
    assert made == [step, step, None, given]
    assert run_of("5") == outer
    ln.finish()
    assert run_of("6") is None


@pytest.mark.req("R207", "R210")
def test_runs_and_artifacts_know_each_other(registry: Registry, tmp_path: Path) -> None:
    first = ln.track("first")
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt").save()
    ln.finish()
    second = ln.track("second")
    again = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt").save()
    ln.finish()
    third = ln.track("third")
    artifact.load()
    ln.finish()
    assert again == artifact
    fresh = ln.Artifact.get(artifact.uid)
    assert (fresh.run, first.output_artifacts.to_list()) == (first, [artifact])
    assert (fresh.recreating_runs.to_list(), second.recreated_artifacts.to_list()) == ([second], [artifact])
    assert (fresh.input_of_runs.to_list(), third.input_artifacts.to_list()) == ([third], [artifact])
    assert fresh.transform == first.transform
    with pytest.raises(AttributeError):
        fresh.transform = second.transform
    fresh.run = second
    assert fresh.save().transform == second.transform
    assert ln.Artifact.filter(transform=second.transform).one() == fresh
    assert ln.Artifact.filter(transform__key__startswith="sec").one() == fresh
