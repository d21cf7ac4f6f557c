import random
from typing import Any

import dagster as dg
import pytest

from lamart_dagster.dagster_internals import BaseMultiPartitionMapping
from lamart_dagster.mappings import gives_several
from lamart_dagster.partitions import in_order
from tests.dagster.conftest import Lab

HOURS = dg.HourlyPartitionsDefinition("2024-01-01-00:00", end_date="2024-01-03-00:00")
DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-20")
DAYS_AT_6 = dg.DailyPartitionsDefinition("2024-01-01", hour_offset=6)
DAYS_ELSEWHERE = dg.DailyPartitionsDefinition("2024-01-01", timezone="Asia/Kolkata")
WEEKS = dg.WeeklyPartitionsDefinition("2024-01-01")
MONTHS = dg.MonthlyPartitionsDefinition("2024-01-01")
TISSUES = dg.StaticPartitionsDefinition(["lung", "liver", "skin"])
SAMPLES = dg.DynamicPartitionsDefinition(name="samples")
BOTH = dg.MultiPartitionsDefinition({"tissue": TISSUES, "day": DAYS})
WITH_SAMPLES = dg.MultiPartitionsDefinition({"sample": SAMPLES, "tissue": TISSUES})


class Custom(dg.IdentityPartitionMapping.__base__):  # type: ignore[misc, name-defined]  # an author's own
    description = "custom"

    def validate_partition_mapping(self, *_: Any) -> None: ...
    def get_downstream_partitions_for_partitions(self, *_: Any, **__: Any) -> Any: ...
    def get_upstream_mapped_partitions_result_for_partitions(self, *_: Any, **__: Any) -> Any: ...


Window = dg.TimeWindowPartitionMapping
Dimension = dg.DimensionPartitionMapping


@pytest.mark.req("D1")
@pytest.mark.parametrize(
    ("mapping", "upstream", "downstream", "expected"),
    [
        (dg.IdentityPartitionMapping(), SAMPLES, SAMPLES, False),
        (dg.AllPartitionMapping(), TISSUES, None, True),
        (dg.LastPartitionMapping(), DAYS, None, False),
        (dg.SpecificPartitionsPartitionMapping(["lung"]), TISSUES, None, False),
        (dg.SpecificPartitionsPartitionMapping(["lung", "skin"]), TISSUES, None, True),
        (dg.StaticPartitionMapping({"lung": "a", "skin": "b"}), TISSUES, TISSUES, False),
        (dg.StaticPartitionMapping({"lung": ["a", "b"]}), TISSUES, TISSUES, False),
        (dg.StaticPartitionMapping({"lung": "a", "skin": ["b", "a"]}), TISSUES, TISSUES, True),
        (Window(), DAYS, DAYS, False),
        (Window(start_offset=-1, end_offset=-1), DAYS, DAYS, False),
        (Window(start_offset=-1), DAYS, DAYS, True),
        (Window(), DAYS, HOURS, False),
        (Window(), HOURS, DAYS, True),
        (Window(), WEEKS, DAYS, False),
        (Window(), MONTHS, DAYS, False),
        (Window(), MONTHS, WEEKS, True),  # a week may begin in one month and end in another
        (Window(), DAYS, DAYS_AT_6, True),
        (Window(), DAYS_AT_6, HOURS, False),
        (Window(), DAYS, DAYS_ELSEWHERE, True),
        (dg.MultiToSingleDimensionPartitionMapping(), BOTH, DAYS, True),
        (dg.MultiToSingleDimensionPartitionMapping(), DAYS, BOTH, False),
        (dg.MultiPartitionMapping({"day": Dimension("day", Window(start_offset=-1, end_offset=-1)),
                                   "tissue": Dimension("tissue", dg.IdentityPartitionMapping())}), BOTH, BOTH, False),
        (dg.MultiPartitionMapping({"day": Dimension("day", Window(start_offset=-1)),
                                   "tissue": Dimension("tissue", dg.IdentityPartitionMapping())}), BOTH, BOTH, True),
        (dg.MultiPartitionMapping({"day": Dimension("day", dg.IdentityPartitionMapping())}), BOTH, BOTH, True),
        (Custom(), TISSUES, TISSUES, True),
    ],
    ids=str,
)  # fmt: skip
def test_whether_a_mapping_can_give_several_follows_from_its_definition(
    mapping: Any, upstream: Any, downstream: Any, expected: bool
) -> None:
    assert gives_several(mapping, upstream, downstream) is expected


def test_every_mapping_of_dagster_is_known() -> None:
    """A mapping that Dagster adds is taken for one that gives several until it is looked at here."""
    from dagster._core.definitions.partitions.utils.mapping import get_builtin_partition_mapping_types

    known = {
        dg.AllPartitionMapping,
        dg.IdentityPartitionMapping,
        dg.LastPartitionMapping,
        dg.SpecificPartitionsPartitionMapping,
        dg.StaticPartitionMapping,
        dg.TimeWindowPartitionMapping,
    }
    left = {each for each in get_builtin_partition_mapping_types() if each not in known}
    assert all(issubclass(each, BaseMultiPartitionMapping) for each in left)


@pytest.mark.req("D2")
def test_partitions_come_in_the_order_of_their_definition(lab: Lab) -> None:
    lab.instance.add_dynamic_partitions("samples", ["z", "a", "m"])
    for definition in (HOURS, DAYS, TISSUES, SAMPLES, BOTH, WITH_SAMPLES):
        keys = list(definition.get_partition_keys(dynamic_partitions_store=lab.instance))
        shuffled = random.Random(1).sample(keys, len(keys))
        assert shuffled != keys
        assert in_order(shuffled, definition, lab.instance) == keys
        assert in_order([str(key) for key in shuffled], definition, lab.instance) == keys
    assert in_order(["unknown", "skin", "lung"], TISSUES) == ["lung", "skin", "unknown"]
    assert in_order(["m", "a"], SAMPLES) == ["a", "m"]


@pytest.mark.req("D1", "D2")
def test_one_today_and_several_tomorrow_is_a_dict_both_days(lab: Lab) -> None:
    seen: list[Any] = []
    chosen = dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping(["lung"]))
    previous = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True)

    @dg.asset(partitions_def=dg.MultiPartitionsDefinition({"day": DAYS, "sample": SAMPLES}))
    def n_cells(context: dg.AssetExecutionContext) -> int:
        return 7

    @dg.asset(partitions_def=DAYS)
    def annotated(n_cells: dict[str, int]) -> None:
        seen.append(n_cells)

    @dg.asset(partitions_def=DAYS)
    def plain(n_cells) -> None:  # type: ignore[no-untyped-def]
        seen.append(n_cells)

    @dg.asset(partitions_def=TISSUES)
    def counts(context: dg.AssetExecutionContext) -> dict[str, int]:
        return {"n": 1}

    @dg.asset(ins={"counts": chosen})
    def of_lung(counts: dict[str, int]) -> None:
        seen.append(counts)

    @dg.asset(partitions_def=DAYS, ins={"state": dg.AssetIn(partition_mapping=previous)})
    def state(context: dg.AssetExecutionContext, state: dict[str, Any] | None) -> dict[str, Any]:
        return {"n": (state or {}).get("n", 0) + 1}

    expected: dict[str, int] = {}
    for sample in ("z", "a"):
        lab.instance.add_dynamic_partitions("samples", [sample])
        lab.run(n_cells, partition=f"2024-01-01|{sample}")
        lab.run(n_cells, annotated, plain, only=["annotated", "plain"], partition="2024-01-01")
        expected[f"2024-01-01|{sample}"] = 7
        assert seen[-2:] == [expected, expected]
        assert list(seen[-1]) == list(expected)
    lab.run(counts, partition="lung")
    lab.run(counts, of_lung, only="of_lung")
    assert seen[-1] == {"n": 1}
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        lab.run(state, partition=day)
    assert lab.latest("state/date=2024-01-03.json").load() == {"n": 3}
