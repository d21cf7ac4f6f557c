"""Runs that cover several partitions."""

import weakref
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from lamart_core.errors import InvalidArgument
from lamart_dagster import SeveralPartitions
from tests.dagster.conftest import Lab

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-05")
KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
SINGLE = dg.BackfillPolicy.single_run()


def _range(first: str = KEYS[0], last: str = KEYS[-1]) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def _events(lab: Lab, asset: str) -> dict[str, Any]:
    """The latest materialization of each partition."""
    records = lab.instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
    return {str(record.partition_key): record.asset_materialization for record in reversed(records)}


@pytest.mark.req("D14")
@pytest.mark.parametrize("form", ["dict", "iterator", "generator"])
def test_each_partition_is_an_artifact_of_its_own(lab: Lab, form: str) -> None:
    state = {"2024-01-02": 0}
    alive: list[int] = []
    made: list[weakref.ref[pd.DataFrame]] = []

    def pairs(keys: Any) -> Iterator[tuple[str, pd.DataFrame]]:
        for key in reversed(list(keys)):
            alive.append(sum(ref() is not None for ref in made))
            table = pd.DataFrame({"day": [key] * 2, "n": [state.get(key, 1)] * 2})
            made.append(weakref.ref(table))
            yield key, table
            del table

    @dg.asset(partitions_def=DAYS, backfill_policy=SINGLE)
    def days(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        keys = context.partition_keys
        if form == "dict":
            return dict(pairs(keys))
        if form == "iterator":
            return iter(list(pairs(keys)))
        return dg.Output(pairs(keys))

    seen: list[Any] = []

    @dg.asset(partitions_def=DAYS, backfill_policy=SINGLE)
    def reads(days: dict[str, pd.DataFrame]) -> dict[str, int]:
        seen.append(list(days))
        return {key: int(table["n"].sum()) for key, table in days.items()}

    result = lab.run(days, reads, tags=_range())
    assert lab.latest("reads/date=2024-01-02.json").load() == 0
    assert lab.latest("reads/date=2024-01-03.json").load() == 2
    assert seen == [KEYS]
    if form == "generator":
        assert max(alive) <= 1  # no more than what was given last
    run = lab.step_run(result, "days")
    assert (run.output_artifacts.count(), run.status) == (3, "completed")
    assert lab.step_run(result, "reads").input_artifacts.count() == 3

    events = _events(lab, "days")
    assert set(events) == set(KEYS)
    uids = {key: event.metadata["lamart/uid"].value for key, event in events.items()}
    assert uids == {key: lab.latest(f"days/date={key}.parquet").uid for key in KEYS}
    assert {event.metadata["dagster/partition_row_count"].value for event in events.values()} == {2}
    before = lab.data_version("days")
    lab.run(days, tags=_range())
    assert lab.data_version("days") == before
    state["2024-01-02"] = 5
    lab.run(days, tags=_range())
    outcome = {key: event.metadata["lamart/outcome"].value for key, event in _events(lab, "days").items()}
    assert outcome == {KEYS[0]: "re-created", KEYS[1]: "new version", KEYS[2]: "re-created"}
    assert lab.data_version("days") != before
    # A range of one is no other case.
    lab.run(days, reads, tags=_range(KEYS[1], KEYS[1]))
    assert seen[-1] == [KEYS[1]]
    assert lab.latest("reads/date=2024-01-02.json").load() == 10


@pytest.mark.req("D15")
def test_partitions_that_lack_or_are_too_many_are_refused(lab: Lab) -> None:
    given: dict[str, Any] = {}

    @dg.asset(partitions_def=DAYS, backfill_policy=SINGLE)
    def days(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        return given["value"]

    ok = [(key, 1) for key in KEYS]
    for value, error, message in (
        (5, SeveralPartitions, r"3 partitions of days.*one int.*dict"),
        (dict(ok[:2]), InvalidArgument, r"lacks '2024-01-03'"),
        ({**dict(ok), "2024-01-04": 1, "x": 1}, InvalidArgument, r"not of this run: '2024-01-04', 'x'"),
        (iter([("x", 1)]), InvalidArgument, r"not of this run: 'x'"),
        (iter([5]), InvalidArgument, "pair"),
    ):
        given["value"] = value
        with pytest.raises(error, match=message):
            lab.run(days, tags=_range())
        assert lab.registry.Artifact.filter().count() == 0
    for value, message in ((iter(ok[:2]), "lacks"), (iter([ok[0], ok[0]]), "repeats '2024-01-01'")):
        given["value"] = value
        with pytest.raises(InvalidArgument, match=message):
            lab.run(days, tags=_range())


@pytest.mark.req("D14")
def test_several_dimensions_come_in_any_order_and_as_text(lab: Lab) -> None:
    both = dg.MultiPartitionsDefinition({"day": DAYS, "tissue": dg.StaticPartitionsDefinition(["lung", "skin"])})

    @dg.asset(partitions_def=both, backfill_policy=SINGLE)
    def cells(context: dg.AssetExecutionContext) -> dict[str, Any]:
        return {str(key): str(key) for key in reversed(context.partition_keys)}

    lab.run(cells, tags=_range("2024-01-01|lung", "2024-01-01|skin"))
    assert lab.latest("cells/day=2024-01-01/tissue=skin.txt").load() == "2024-01-01|skin"


@pytest.mark.req("D16")
def test_contexts_made_by_hand_need_not_tell_the_partitions(lab: Lab) -> None:
    io = lab.io()
    day = "2024-01-02"
    multi = dg.MultiPartitionKey({"day": day, "tissue": "lung"})
    for number, (key, definition) in enumerate(
        ((day, DAYS), ("a", dg.StaticPartitionsDefinition(["a"])), (multi, None))
    ):
        with dg.build_output_context(asset_key="thing", partition_key=key) as output:
            io.handle_output(output, {"n": number})
        with dg.build_input_context(asset_key="thing", partition_key=key) as context:
            assert io.load_input(context) == {"n": number}
        if definition is not None:  # a run finds it

            @dg.asset(partitions_def=definition)
            def thing() -> None: ...

            @dg.asset(partitions_def=definition)
            def reads(thing: dict[str, int]) -> dict[str, int]:
                return thing

            result = lab.run(thing, reads, only="reads", partition=key)
            assert result.output_for_node("reads") == {"n": number}
    keys = dg.PartitionKeyRange("2024-01-01", "2024-01-02")
    with dg.build_output_context(asset_key="more", asset_partition_key_range=keys, asset_partitions_def=DAYS) as output:
        io.handle_output(output, {"2024-01-01": 1, "2024-01-02": 2})
    assert output.get_logged_metadata()["lamart/outcome"].value == "2 created"
    assert lab.latest("more/date=2024-01-02.json").load() == 2


@pytest.mark.req("D10")
def test_a_key_that_is_too_long_is_refused_before_the_asset_computes(lab: Lab) -> None:
    computed: list[str] = []
    long = "x" * 1100

    @dg.asset
    def raw() -> int:
        return 1

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition([long]))
    def parts(raw: int) -> int:
        computed.append("parts")
        return raw

    lab.run(raw)
    with pytest.raises(InvalidArgument, match="characters, and can have 1024"):
        lab.run(raw, parts, only="parts", partition=long)
    assert not computed


@pytest.mark.req("D17")
def test_pins_that_name_nothing_are_refused(lab: Lab) -> None:
    parts_def = dg.StaticPartitionsDefinition(["A", "B"])

    @dg.asset
    def raw() -> int:
        return 1

    @dg.asset(partitions_def=parts_def)
    def part() -> int:
        return 1

    @dg.asset
    def use(raw: int) -> int:
        return raw

    def pinned(name: str, pin: Any) -> Any:
        @dg.asset(name=f"pinned_{name}", ins={name: dg.AssetIn(metadata={"lamart/version": pin})})
        def asset(**inputs: Any) -> None: ...

        return asset

    lab.run(raw)
    lab.run(part, partition="A")
    with pytest.raises(InvalidArgument, match=r"'rwa'.*there are: raw"):
        lab.run(raw, use, only="use", io={"pins": {"rwa": "0000"}})
    with pytest.raises(InvalidArgument, match="no partitions"):
        lab.run(raw, pinned("raw", {"A": "0000"}), only="pinned_raw")
    with pytest.raises(InvalidArgument, match="partition 'a', which it does not have"):
        lab.run(part, pinned("part", {"a": "0000"}), only="pinned_part")
