"""What steps do themselves, and which code and inputs their runs name."""

import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import lamart_core as ln
from lamart_core.db import current_registry
from lamart_core.db.registry import _hosts
from lamart_core.lineage import current_run
from lamart_core.saving.create import create
from lamart_dagster import LamartIOManager, LamartRegistry
from tests.dagster.conftest import Lab

TABLE = pd.DataFrame({"n": [1]})


def _shown(lab: Lab, asset: str) -> list[str]:
    inputs = lab.metadata(asset).get("lamart/inputs")
    return [row.data["key"] for row in inputs.records] if inputs is not None else []


@pytest.mark.req("D11")
@pytest.mark.parametrize("by", ["resource", "nothing"])
def test_what_a_step_saves_and_loads_itself_belongs_to_its_run(lab: Lab, by: str) -> None:
    """With the resource, and with nothing but `ln`; what it made is seen by the rest of the same run."""
    create(lab.registry, TABLE.rename(columns={"n": "s"}), key="src.parquet")
    create(lab.registry, 5, key="other.json")
    value = {"n": 0}

    def work() -> None:
        table = ln.Artifact.get(key="src.parquet").load()
        ln.Artifact.from_dataframe(table.assign(n=value["n"]), key="own.parquet").save()

    @dg.asset
    def first() -> int:
        return value["n"]

    if by == "resource":

        @dg.asset(deps=[first])
        def own(lamart: LamartRegistry) -> dg.MaterializeResult[Any]:
            with lamart.connect():
                work()
            return dg.MaterializeResult()

    else:

        @dg.asset(deps=[first])
        def own() -> dg.MaterializeResult[Any]:
            work()
            return dg.MaterializeResult()

    @dg.asset
    def last(own: pd.DataFrame) -> int:
        ln.Artifact.get(key="other.json").load()
        return int(own["n"][0])

    for value["n"] in (1, 2, 3):
        resources = {"io_manager": lab.io(), "lamart": lab.resource}
        result = dg.materialize([first, own, last], instance=lab.instance, resources=resources)
        assert result.output_for_node("last") == value["n"]
    run = lab.step_run(result, "own")
    assert lab.latest("own.parquet").run == run
    assert sorted(run.input_artifacts.to_list("key")) == ["src.parquet"]
    assert (run.status, run.transform.key) == ("completed", "own")
    assert _shown(lab, "last") == ["own.parquet", "other.json"]
    assert lab.latest("first.json").run == lab.step_run(result, "first")
    assert current_run(lab.registry) is None  # nothing of the run is left in the process
    assert not _hosts


@pytest.mark.req("D11")
def test_track_and_threads_in_a_step_belong_to_its_run(lab: Lab) -> None:
    @dg.asset
    def raw() -> int:
        return 1

    @dg.asset
    def own(raw: int) -> ln.Artifact:
        ln.track("inner.py")
        made = ln.Artifact.from_dataframe(TABLE, key="own.parquet").save()
        ln.finish()
        return made

    @dg.asset
    def threaded(lamart: LamartRegistry) -> int:
        registry = lamart.connect()
        made: list[Any] = []

        def work() -> None:
            made.append(registry.Artifact.from_dataframe(TABLE + 1, key="t.parquet").save())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return len(made)

    resources = {"io_manager": lab.io(), "lamart": lab.resource}
    result = dg.materialize([raw, own, threaded], instance=lab.instance, resources=resources)
    assert lab.metadata("own")["lamart/outcome"] == "created"
    assert lab.latest("own.parquet").run == lab.step_run(result, "own")
    assert lab.latest("t.parquet").run == lab.step_run(result, "threaded")


@pytest.mark.req("D12")
def test_several_io_managers_share_the_run_of_a_step(lab: Lab) -> None:
    @dg.asset(io_manager_key="bronze")
    def raw() -> int:
        return 1

    @dg.asset(io_manager_key="silver", ins={"again": dg.AssetIn("raw", input_manager_key="bronze")})
    def loads(again: int) -> int:
        return again

    @dg.asset(io_manager_key="silver", deps=[raw])
    def depends() -> int:
        return 3

    resources = {name: lab.io(key_prefix=name) for name in ("bronze", "silver")}
    result = dg.materialize([raw, loads, depends], instance=lab.instance, resources=resources)
    for step in ("loads", "depends"):
        assert lab.step_run(result, step).input_artifacts.to_list("key") == ["bronze/raw.json"]
        assert _shown(lab, step) == ["bronze/raw.json"]
    assert {run.status for run in lab.registry.Run.filter()} == {"completed"}


@pytest.mark.req("D13")
def test_a_subset_of_assets_is_one_transform_and_reads_what_it_depends_on(lab: Lab) -> None:
    names = ["a", "b", "c"]

    @dg.multi_asset(
        outs={name: dg.AssetOut(is_required=False) for name in names},
        can_subset=True,
        internal_asset_deps={"a": set(), "b": {dg.AssetKey("a")}, "c": {dg.AssetKey("b")}},
    )
    def abc(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        for name in sorted(context.op_execution_context.selected_output_names):
            yield dg.Output(int(context.run.tags["n"]), name)

    expected: list[list[str]] = [[], [], [], ["b.json"]]
    for number, (chosen, inputs) in enumerate(zip([names, names, ["a"], ["c"]], expected, strict=True)):
        run = lab.step_run(lab.run(abc, only=chosen, tags={"n": str(number)}), "abc")
        assert run.transform.key == "abc"
        assert run.input_artifacts.to_list("key") == inputs
    assert lab.registry.Transform.filter(kind="function").count() == 1


@pytest.mark.req("D13")
def test_ops_and_assets_of_one_name_are_several_transforms(lab: Lab) -> None:
    def job_of(number: int) -> Any:
        @dg.op(name="load")
        def one() -> int:
            return 1

        @dg.op(name="load")
        def two() -> int:
            return 2 + 0

        @dg.job(name=f"job{number}", resource_defs={"io_manager": lab.io()})
        def job():  # type: ignore[no-untyped-def]
            (one if number == 1 else two)()

        return job

    for number in (1, 2, 1):
        job_of(number).execute_in_process(instance=lab.instance)

    @dg.asset
    def load() -> int:
        return 3

    @dg.op
    def half() -> int:
        return 2

    @dg.graph_asset
    def graph() -> int:
        return half()

    lab.run(load, graph)
    found = lab.registry.Transform.filter(kind="function").to_list("key")
    assert sorted(found) == ["graph:half", "job1:load", "job2:load", "load"]
    assert "job:job1" in lab.registry.Transform.filter(kind="pipeline").to_list("key")


@pytest.mark.req("D11")
def test_without_a_step_the_default_registry_stays_what_it_is(tmp_path: Path, lab: Lab) -> None:
    resource = lab.resource
    with dg.build_resources({"io": LamartIOManager(registry=resource), "lamart": resource}) as resources:
        assert resources.lamart.connect() == lab.registry
        with ln.connect(f"sqlite:///{tmp_path}/mine.db", storage=tmp_path / "mine", make_default=False) as mine, mine:
            assert current_registry() == mine
