import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lamart_core import uids
from lamart_core.errors import InvalidArgument, MultipleObjectsReturned, ObjectDoesNotExist
from lamart_core.lineage import RunSpec, Snapshot, TransformSpec, open_run, snapshot_of
from lamart_core.saving.create import create
from lamart_dagster.keys import ArtifactName
from lamart_dagster.snapshot import View, pinned, resolve
from tests.dagster.conftest import Lab, a_lab
from tests.databases import BACKENDS


@pytest.fixture(params=BACKENDS)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with a_lab(request.param, tmp_path) as lab:
        yield lab


@dg.asset
def raw() -> int:
    return 1


@dg.asset
def reader(raw: int) -> int:
    return raw


def test_what_others_write_meanwhile_is_not_seen(lab: Lab) -> None:
    """Three steps of one run read an asset that the run does not make, while somebody else makes new versions."""
    seen: list[int] = []

    def write(value: int) -> None:
        create(lab.registry, value, key="raw.json")

    @dg.asset
    def first(raw: int) -> int:
        seen.append(raw)
        write(raw + 1)
        return raw

    @dg.asset
    def second(first: int, raw: int) -> int:
        seen.append(raw)
        write(raw + 2)
        return raw

    @dg.asset
    def third(second: int, raw: int) -> int:
        seen.append(raw)
        return raw

    lab.run(raw)
    lab.run(raw, first, second, third, only=["first", "second", "third"])
    assert seen == [1, 1, 1]
    assert lab.latest("raw.json").load() == 3
    lab.run(raw, first, second, third, only=["third"])
    assert seen[-1] == 3


def test_a_step_loads_what_its_own_run_made(lab: Lab) -> None:
    seen: list[int] = []

    @dg.asset
    def between(raw: int) -> int:
        create(lab.registry, 99, key="raw.json")
        return raw

    @dg.asset
    def late(between: int, raw: int) -> None:
        seen.append(raw)

    lab.run(raw, between, late)
    assert seen == [1]


def test_a_step_loads_what_its_own_run_made_again(lab: Lab) -> None:
    seen: list[str] = []

    @dg.asset
    def constant() -> str:
        return "A"

    @dg.asset
    def between(constant: str) -> int:
        create(lab.registry, "B", key="constant.txt")
        return 1

    @dg.asset
    def late(between: int, constant: str) -> None:
        seen.append(constant)

    lab.run(constant)
    lab.run(constant, between, late)
    assert seen == ["A"]
    assert lab.latest("constant.txt").load() == "B"


# ---------------------------------------------------------------------- pins


@pytest.fixture
def history(lab: Lab) -> Lab:
    for value in (10, 20, 30):
        create(lab.registry, value, key="raw.json")
    return lab


def _value(lab: Lab, **options: Any) -> int:
    lab.run(raw, reader, only="reader", **options)
    return lab.latest("reader.json").load()


def test_a_version_is_pinned_by_the_metadata_of_the_input(history: Lab) -> None:
    old = history.versions("raw.json")[1]
    assert old.load() == 20
    for pin in (old.version, old.uid, old.hash, old.hash[:10]):

        @dg.asset(ins={"raw": dg.AssetIn(metadata={"lamart/version": pin})})
        def pinned_reader(raw: int) -> int:
            return raw

        result = history.run(raw, pinned_reader, only="pinned_reader")
        assert history.latest("pinned_reader.json").load() == 20
        assert history.step_run(result, "pinned_reader").input_artifacts.to_list() == [old]
        (row,) = history.metadata("pinned_reader")["lamart/inputs"].records
        assert (row.data["version"], row.data["pinned"]) == ("0001", True)


def test_a_version_is_pinned_at_launch(history: Lab) -> None:
    @dg.asset(ins={"raw": dg.AssetIn(input_manager_key="io_manager")})
    def configured(raw: int) -> int:
        return raw

    config = {"ops": {"configured": {"inputs": {"raw": {"version": "0000"}}}}}
    history.run(raw, configured, only="configured", run_config=config)
    assert history.latest("configured.json").load() == 10
    history.run(raw, configured, only="configured")
    assert history.latest("configured.json").load() == 30
    config = {"resources": {"io_manager": {"config": {"pins": {"raw": "0001"}}}}}
    assert _value(history, run_config=config) == 20
    assert _value(history) == 30


def test_a_pin_wins_over_what_the_run_makes(history: Lab) -> None:
    history.run(raw, reader, io={"pins": {"raw": "0000"}})
    assert history.latest("reader.json").load() == 10
    assert history.latest("raw.json").load() == 1


def test_partitions_are_pinned_one_by_one(lab: Lab) -> None:
    letters = dg.StaticPartitionsDefinition(["a", "b"])
    for value in (1, 2):
        for letter in "ab":
            create(lab.registry, value, key=f"part/partition={letter}.json")

    @dg.asset(partitions_def=letters)
    def part() -> int:
        return 0

    @dg.asset(ins={"part": dg.AssetIn(metadata={"lamart/version": {"a": "0000"}})})
    def both(part: dict[str, int]) -> dict[str, int]:
        return part

    lab.run(part, both, only="both")
    assert lab.latest("both.json").load() == {"a": 1, "b": 2}


def test_a_version_that_is_not_there_is_refused_with_those_that_are(history: Lab) -> None:
    with pytest.raises(ObjectDoesNotExist, match=r"no version '0009' of 'raw'.*0002.*0001.*0000"):
        history.run(raw, reader, only="reader", io={"pins": {"raw": "0009"}})


def test_a_pin_that_is_no_version_is_refused(history: Lab) -> None:
    @dg.asset(ins={"raw": dg.AssetIn(metadata={"lamart/version": 3})})
    def wrong(raw: int) -> int:
        return raw

    with pytest.raises(InvalidArgument, match="must be text"):
        history.run(raw, wrong, only="wrong")


def test_a_version_of_two_formats_needs_a_uid(history: Lab) -> None:
    create(history.registry, "text", key="raw.txt")
    with pytest.raises(MultipleObjectsReturned, match="pin a uid"):
        pinned(history.registry, ArtifactName("raw"), "0000")


# ---------------------------------------------------------------------- what is resolved


def test_names_are_told_apart_by_whole_keys(lab: Lab) -> None:
    keys = ["cells.json", "cells_old.json", "cells/date=1.json", "cells/date=10.json", "Cells.json"]
    made = {key: create(lab.registry, key, key=key).artifact for key in keys}
    names = [ArtifactName("cells"), ArtifactName("cells/date=1"), ArtifactName("cells/date=2")]
    found = resolve(lab.registry, names)
    assert found == {names[0]: made["cells.json"], names[1]: made["cells/date=1.json"]}


def test_what_is_in_the_trash_is_not_seen(lab: Lab) -> None:
    old = create(lab.registry, 1, key="cells.json").artifact
    new = create(lab.registry, 2, key="cells.json").artifact
    name = ArtifactName("cells")
    assert resolve(lab.registry, [name]) == {name: new}
    new.delete()
    assert resolve(lab.registry, [name], View(until=Snapshot(new.id))) == {name: old}


@pytest.mark.req("D6")
def test_of_several_formats_what_was_made_last_is_seen(lab: Lab) -> None:
    """Made again, made by no run, and seen as it was at any time before."""

    def put(value: Any, run: str | None = None) -> Snapshot:
        key = "cells.json" if isinstance(value, int) else "cells.txt"
        maker = open_run(lab.registry, RunSpec(f"{run}/s", TransformSpec("s"))) if run is not None else None
        create(lab.registry, value, key=key, run=maker)
        parent = open_run(lab.registry, RunSpec(uids.base62(8), TransformSpec("j"), takes_snapshot=True))
        snapshot = snapshot_of(parent)
        assert snapshot is not None
        return snapshot

    history = [(1, "r1"), ("a", "r2"), (1, "r3"), ("a", None), (2, None), ("b", "r4"), (3, "r5"), ("b", "r6")]
    snapshots = [put(value, run) for value, run in history]
    name = ArtifactName("cells")
    seen = [resolve(lab.registry, [name], View(until=until))[name].load() for until in snapshots]
    # "a" was not made again by a run, so that nothing tells of it
    assert seen == [1, "a", 1, 1, 2, "b", 3, "b"]
    assert resolve(lab.registry, [name, ArtifactName("other")])[name].load() == "b"


def test_reads_fall_back_to_main_and_writes_stay_on_the_branch(lab: Lab) -> None:
    lab.run(raw)
    resource = lab.resource.model_copy(update={"branch": "staging"})
    on_branch = type(lab.io())(registry=type(resource)(url=resource.url, storage=resource.storage, branch="staging"))

    @dg.asset
    def doubled(raw: int) -> int:
        return raw * 2

    def run(*only: str) -> None:
        dg.materialize(
            [raw, reader, doubled], selection=list(only), instance=lab.instance, resources={"io_manager": on_branch}
        )

    run("doubled")
    assert lab.registry.Artifact.filter(key="doubled.json").count() == 0  # main does not see the branch
    branch = on_branch.registry.connect()
    assert branch.Artifact.get(key="doubled.json").load() == 2
    create(branch, 7, key="raw.json")
    run("reader")
    assert branch.Artifact.get(key="reader.json").load() == 7
    lab.run(raw, reader, only="reader")
    assert lab.latest("reader.json").load() == 1


def _keep_writing(url: str, storage: str, stop: Any) -> None:
    from lamart_core.connect import connect

    registry = connect(url, storage=storage, make_default=False)
    value = 1000
    while not stop.is_set():
        value += 1
        create(registry, value, key="raw.json")


@pytest.mark.slow
def test_a_run_reads_one_version_while_another_process_writes(lab: Lab) -> None:
    """The guarantee against a process that writes all the time."""
    lab.run(raw)
    steps: list[Any] = []

    def make(index: int) -> Any:
        @dg.asset(name=f"step_{index}", deps=steps[-1:])
        def step(raw: int) -> int:
            return raw

        return step

    for index in range(10):
        steps.append(make(index))
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=_keep_writing, args=(lab.resource.url, lab.resource.storage, stop))
    writer.start()
    try:
        while len(lab.versions("raw.json")) < 5:
            pass
        lab.run(raw, *steps, only=[step.key.to_user_string() for step in steps])
    finally:
        stop.set()
        writer.join(30)
    assert len({lab.latest(f"step_{index}.json").load() for index in range(10)}) == 1
