from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select

from lamart_core.connect import connect
from lamart_core.lineage import RunSpec, Snapshot, TransformSpec, close_runs, find_run, open_run, snapshot_of
from lamart_core.models import RunInput
from lamart_core.records import RunStatus
from lamart_core.saving.create import create
from lamart_dagster import LamartIOManager, LamartRegistry, settle_runs
from tests.dagster.conftest import Lab, a_lab
from tests.dagster.project import everything, reads_outside
from tests.databases import BACKENDS


@dg.asset
def raw() -> int:
    return 1


# ---------------------------------------------------------------------- steps and attempts


def test_a_run_knows_its_job_config_and_dagster_run(lab: Lab) -> None:
    class Settings(dg.Config):
        n: int = 1
        api_token: str = "secret"

    @dg.asset(code_version="v7")
    def configured(config: Settings) -> int:
        return config.n

    config = {"ops": {"configured": {"config": {"n": 5}}}}
    result = lab.run(configured, run_config=config, io={"dagster_url": "http://localhost:3000/"})
    run = lab.step_run(result, "configured")
    assert run.params == {"n": 5, "api_token": "***"}
    assert run.reference == f"http://localhost:3000/runs/{result.run_id}"
    assert run.extra_data["code_version"] == "v7"
    parent = run.initiated_by_run
    assert (parent.external_id, parent.transform.kind) == (result.run_id, "pipeline")
    assert (run.status, parent.status) == ("completed", "completed")
    assert run.finished_at >= run.started_at


def test_a_retry_is_the_same_run_and_counts(lab: Lab) -> None:
    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
    def flaky(context: dg.AssetExecutionContext, raw: int) -> int:
        run = find_run(lab.registry, f"{context.run_id}/flaky")
        assert run is not None
        states.append((run.status, run.extra_data["attempts"]))
        if context.retry_number < 2:
            raise ValueError("not yet")
        return raw

    states: list[tuple[str, int]] = []
    result = lab.run(raw, flaky)
    assert states == [("started", 1), ("restarted", 2), ("restarted", 3)]
    run = lab.step_run(result, "flaky")
    assert (run.status, run.extra_data["attempts"]) == ("completed", 3)
    assert run.output_artifacts.to_list() == [lab.latest("flaky.json")]
    assert run.input_artifacts.to_list() == [lab.latest("raw.json")]
    assert lab.registry.Run.filter(name="flaky").count() == 1


def test_an_output_that_a_retry_makes_again_is_still_created_by_the_run(lab: Lab) -> None:
    @dg.multi_asset(outs={"one": dg.AssetOut(), "two": dg.AssetOut()}, retry_policy=dg.RetryPolicy(max_retries=1))
    def both(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        yield dg.Output(1, "one")
        if context.retry_number == 0:
            raise ValueError("between the outputs")
        yield dg.Output(2, "two")

    result = lab.run(both)
    (artifact,) = lab.versions("one.json")
    assert artifact.recreating_runs.count() == 0
    assert lab.metadata("one")["lamart/outcome"] == "created"
    assert {artifact.key for artifact in lab.step_run(result, "both").output_artifacts} == {"one.json", "two.json"}


def test_a_step_that_fails_is_an_errored_run(lab: Lab) -> None:
    @dg.asset
    def broken(raw: int) -> int:
        raise ValueError("no")

    result = lab.run(raw, broken, raise_on_error=False)
    run = lab.step_run(result, "broken")
    assert run.status == "errored"
    assert lab.step_run(result, "raw").status == "completed"
    assert run.initiated_by_run.status == "errored"
    assert run.output_artifacts.count() == 0


def test_a_step_that_fails_after_its_last_output_is_an_errored_run(lab: Lab) -> None:
    @dg.asset
    def late():  # type: ignore[no-untyped-def]
        yield dg.Output(1)
        raise ValueError("too late")

    result = lab.run(late, raise_on_error=False)
    assert lab.latest("late.json").load() == 1
    assert lab.step_run(result, "late").status == "errored"


def test_runs_whose_process_was_killed_are_settled_later(lab: Lab) -> None:
    result = lab.run(raw)
    registry = lab.registry
    spec = RunSpec(
        "00000000-dead",
        TransformSpec("job"),
        extra_data={"dagster_run_id": "00000000-dead"},
        reference_type="dagster",
    )
    unknown = open_run(registry, spec)  # a run of another Dagster instance
    run = lab.step_run(result, "raw")
    close_runs(registry, {run.id: RunStatus.STARTED, run.initiated_by_run_id: RunStatus.STARTED})
    assert settle_runs(registry, lab.instance) == 2
    assert lab.step_run(result, "raw").status == "completed"
    assert find_run(registry, result.run_id).status == "completed"  # type: ignore[union-attr]
    assert unknown.refresh().status == "started"
    assert settle_runs(registry, lab.instance) == 0


@pytest.mark.req("D18")
def test_runs_are_settled_however_many_of_others_never_end(lab: Lab) -> None:
    result = lab.run(raw)
    step = lab.step_run(result, "raw")
    close_runs(lab.registry, {step.id: RunStatus.STARTED, step.initiated_by_run_id: RunStatus.STARTED})
    for number in range(60):
        facts = {"dagster_run_id": f"dead-{number}", "step_key": "s"}
        open_run(
            lab.registry, RunSpec(f"dead-{number}", TransformSpec("j"), extra_data=facts, reference_type="dagster")
        )
    for _ in range(300):  # a few at a time, as runs end: none waits for ever
        if settle_runs(lab.registry, lab.instance, limit=40):
            break
    assert lab.step_run(result, "raw").status == "completed"
    close_runs(lab.registry, {step.id: RunStatus.STARTED})
    assert settle_runs(lab.registry, lab.instance) == 1
    assert lab.registry.Run.filter(external_id__startswith="dead-", _status_code=int(RunStatus.STARTED)).count() == 60


# ---------------------------------------------------------------------- code


def test_a_change_of_the_code_is_a_new_version_of_the_transform(lab: Lab) -> None:
    def version_one() -> Any:
        @dg.asset
        def thing() -> int:
            return 1

        return thing

    def version_two() -> Any:
        @dg.asset
        def thing() -> int:
            return 2

        return thing

    uids = []
    for make in (version_one, version_one, version_two, version_one):
        result = lab.run(make())
        uids.append(lab.step_run(result, "thing").transform.uid)
    assert uids[0] == uids[1] == uids[3]
    assert uids[2] == uids[0][:-4] + "0001"
    transforms = lab.registry.Transform.filter(key="thing").order_by("uid").to_list()
    assert "return 1" in transforms[0].source_code
    assert "return 2" in transforms[1].source_code
    assert [transform.is_latest for transform in transforms] == [True, False]  # the code was taken back


def test_a_change_of_the_code_version_is_a_new_version_of_the_transform(lab: Lab) -> None:
    def make(version: str) -> Any:
        @dg.asset(code_version=version)
        def thing() -> int:
            return 1

        return thing

    for version in ("1", "2"):
        lab.run(make(version))
    assert lab.registry.Transform.filter(key="thing").count() == 2
    assert lab.latest("thing.json").transform.version_tag == "1"
    assert lab.latest("thing.json").recreating_runs.to_list()[0].transform.version_tag == "2"


# ---------------------------------------------------------------------- ops


@dg.op(out=dg.DynamicOut())
def fan_out():  # type: ignore[no-untyped-def]
    for index in range(3):
        yield dg.DynamicOutput(index, mapping_key=f"k{index}")


@dg.op
def square(number: int) -> int:
    return number**2


@dg.op
def total(numbers: list[int]) -> int:
    return sum(numbers)


def test_op_jobs_and_dynamic_outputs(lab: Lab) -> None:
    @dg.job(resource_defs={"io_manager": lab.io()})
    def squares() -> None:
        total(fan_out().map(square).collect())

    result = squares.execute_in_process(instance=lab.instance)
    assert result.output_for_node("total") == 5
    folder = f"__runs__/squares/{result.run_id}"
    assert lab.latest(f"{folder}/total/result.json").load() == 5
    assert lab.latest(f"{folder}/fan_out/result/k2.json").load() == 2
    inputs = lab.step_run(result, "total").input_artifacts.to_list()
    assert {artifact.key for artifact in inputs} == {f"{folder}/square[k{index}]/result.json" for index in range(3)}
    assert {run.status for run in lab.registry.Run.filter()} == {"completed"}
    again = squares.execute_in_process(instance=lab.instance)
    assert lab.latest(f"__runs__/squares/{again.run_id}/total/result.json").load() == 5


def test_loads_of_checks_are_marked(lab: Lab) -> None:
    @dg.asset_check(asset=raw)
    def is_positive(raw: int) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=raw > 0)

    result = lab.run(raw, is_positive)
    run = lab.step_run(result, "raw_is_positive")
    assert run.extra_data["is_check"] is True
    assert run.input_artifacts.to_list() == [lab.latest("raw.json")]
    with lab.registry.read() as session:
        (link,) = session.scalars(select(RunInput).where(RunInput.run_id == run.id))
    assert link.kind == "check"
    assert run.status == "completed"


# ---------------------------------------------------------------------- other processes


@pytest.fixture(params=BACKENDS)
def lab_on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with a_lab(request.param, tmp_path, on_disk=True) as lab:
        yield lab
    # The next server of forked steps must see the variables of its own test. There is no public way to end one.
    forkserver._forkserver._stop()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.slow
def test_every_step_in_its_own_process_and_a_re_execution_from_failure(
    lab_on_disk: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_on_disk
    monkeypatch.setenv("LAB_FOLDER", str(lab.folder))
    monkeypatch.setenv("LAB_URL", str(lab.resource.url))
    monkeypatch.setenv("LAB_STORAGE", str(lab.resource.storage))
    recipe = dg.reconstructable(everything)

    with dg.execute_job(recipe, instance=lab.instance) as failed:
        assert not failed.success
    statuses = {run.name: run.status for run in lab.registry.Run.filter()}
    assert statuses == {
        "everything": "errored",
        "start": "completed",
        "flaky": "completed",
        "table": "completed",
        "fails": "errored",
    }
    made = lab.latest("start.json")
    for value in (100, 200):  # others go on meanwhile
        create(lab.registry, value, key="start.json")

    (lab.folder / "repaired").touch()
    options = dg.ReexecutionOptions.from_failure(failed.run_id, lab.instance)
    with dg.execute_job(recipe, instance=lab.instance, reexecution_options=options) as repaired:
        assert repaired.success
    assert lab.latest("fails.json").load() == 5
    assert lab.latest("end.json").load() == 10
    run = lab.step_run(repaired, "end")
    assert made in run.input_artifacts.to_list()
    assert (run.extra_data["parent_run_id"], run.extra_data["root_run_id"]) == (failed.run_id, failed.run_id)
    assert {run.status for run in run.initiated_by_run.initiated_runs} == {"completed"}
    assert run.initiated_by_run.status == "completed"
    assert run.initiated_by_run != lab.step_run(failed, "fails").initiated_by_run


@pytest.mark.req("D5")
def test_a_run_that_continues_another_reads_what_that_one_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_lab("sqlite", tmp_path, on_disk=True) as lab:
        monkeypatch.setenv("LAB_FOLDER", str(lab.folder))
        monkeypatch.setenv("LAB_URL", str(lab.resource.url))
        monkeypatch.setenv("LAB_STORAGE", str(lab.resource.storage))
        recipe = dg.reconstructable(reads_outside)

        def run(parent: str | None = None, *, part: bool = True) -> str:
            options = None
            if parent is not None:
                options = dg.ReexecutionOptions.from_failure(parent, lab.instance) if part else _whole(parent)
            with dg.execute_job(recipe, instance=lab.instance, reexecution_options=options) as result:
                return result.run_id

        create(lab.registry, 1, key="outside.json")
        first = run()
        create(lab.registry, 2, key="outside.json")
        create(lab.registry, "in another format", key="outside.txt")
        again = run(first)
        (lab.folder / "repaired").touch()
        last = run(again)
        assert [lab.latest(f"{name}.json").load() for name in ("early", "late")] == [1, 1]
        assert find_run(lab.registry, f"{last}/late").extra_data["parent_run_id"] == again  # type: ignore[union-attr]
        create(lab.registry, 3, key="outside.json")
        run(first, part=False)
        assert [lab.latest(f"{name}.json").load() for name in ("early", "late")] == [3, 3]


def _whole(parent: str) -> dg.ReexecutionOptions:
    return dg.ReexecutionOptions(parent_run_id=parent)


# ---------------------------------------------------------------------- runs in the registry


def test_opening_a_run_again_changes_only_what_is_new(tmp_path: Path) -> None:
    registry = connect(f"sqlite:///{tmp_path}/x.db", storage=tmp_path / "s", make_default=False)
    parent = RunSpec("R", TransformSpec("job"), takes_snapshot=True)
    spec = RunSpec("R/a", TransformSpec("a", source_code="x"), parent=parent, extra_data={"a": 1}, params={"n": 1})
    first = open_run(registry, spec)
    again = open_run(
        registry,
        RunSpec(
            "R/a", TransformSpec("a", source_code="other"), RunStatus.RESTARTED, extra_data={"b": 2}, parent=parent
        ),
    )
    assert again == first
    assert (again.status, again.extra_data, again.params) == ("restarted", {"a": 1, "b": 2}, {"n": 1})
    assert again.transform == first.transform
    assert snapshot_of(again.initiated_by_run) == Snapshot(0, 0)
    assert registry.Run.filter().count() == 2


def test_ids_that_are_too_long_for_the_column_stay_apart(tmp_path: Path) -> None:
    registry = connect(f"sqlite:///{tmp_path}/x.db", storage=tmp_path / "s", make_default=False)
    runs = [open_run(registry, RunSpec("x" * 600 + end, TransformSpec("a"))) for end in ("1", "2", "1")]
    assert runs[0] == runs[2] != runs[1]
    assert find_run(registry, "x" * 600 + "2") == runs[1]


def test_the_resource_connects_only_when_it_is_used(tmp_path: Path) -> None:
    io = LamartIOManager(registry=LamartRegistry(url="postgresql://nobody@127.0.0.1:1/none"))

    @dg.asset
    def nothing() -> None: ...

    assert dg.materialize([nothing], resources={"io_manager": io}).success
