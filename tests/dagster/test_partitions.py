import re
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from lamart_core.errors import PathNotFound
from lamart_dagster import MissingMaterialization, SeveralPartitions
from tests.dagster.conftest import Lab

STATIC = dg.StaticPartitionsDefinition(["a", "b", "c/d", "e.1", "..", "T cell"])
DAILY = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-05")
BOTH = dg.MultiPartitionsDefinition({"tissue": dg.StaticPartitionsDefinition(["lung", "skin"]), "day": DAILY})


@dg.asset(partitions_def=STATIC)
def by_type(context: dg.AssetExecutionContext) -> pd.DataFrame:
    return pd.DataFrame({"type": [context.partition_key]})


@dg.asset(partitions_def=DAILY)
def daily(context: dg.AssetExecutionContext) -> str:
    return context.partition_key


@dg.asset(partitions_def=BOTH)
def measured(context: dg.AssetExecutionContext) -> dict[str, str]:
    key = context.partition_key
    assert isinstance(key, dg.MultiPartitionKey)
    return dict(key.keys_by_dimension)


@pytest.mark.parametrize(
    ("partition", "key"),
    [
        ("a", "by_type/partition=a.parquet"),
        ("c/d", "by_type/partition=c%2Fd.parquet"),
        ("e.1", "by_type/partition=e%2E1.parquet"),
        ("..", "by_type/partition=%2E%2E.parquet"),
        ("T cell", "by_type/partition=T cell.parquet"),
    ],
)
def test_each_partition_is_a_family_of_its_own(lab: Lab, partition: str, key: str) -> None:
    result = lab.run(by_type, partition=partition)
    artifact = lab.latest(key)
    assert artifact.load()["type"].tolist() == [partition]
    assert artifact.run.extra_data["partition"] == partition
    assert lab.metadata("by_type")["dagster/partition_row_count"] == 1
    assert result.success


def test_a_partition_is_loaded_by_the_same_partition_of_another_asset(lab: Lab) -> None:
    @dg.asset(partitions_def=STATIC)
    def rows(by_type: pd.DataFrame) -> list:
        return by_type["type"].tolist()

    for partition in ("a", "c/d"):
        lab.run(by_type, rows, partition=partition)
    lab.run(by_type, rows, only="rows", partition="a")
    assert lab.latest("rows/partition=a.json").load() == ["a"]
    assert lab.latest("rows/partition=c%2Fd.json").load() == ["c/d"]


def test_all_partitions_are_loaded_as_a_dict(lab: Lab) -> None:
    @dg.asset
    def all_types(by_type: dict[str, pd.DataFrame]) -> dict[str, int]:
        return {key: len(table) for key, table in by_type.items()}

    for partition in STATIC.get_partition_keys():
        lab.run(by_type, partition=partition)
    result = lab.run(by_type, all_types, only="all_types")
    assert lab.latest("all_types.json").load() == dict.fromkeys(STATIC.get_partition_keys(), 1)
    assert lab.step_run(result, "all_types").input_artifacts.count() == 6
    inputs = lab.metadata("all_types")["lamart/inputs"].records
    assert [row.data["partition"] for row in inputs] == list(STATIC.get_partition_keys())


def test_one_partition_can_be_asked_for_as_a_dict(lab: Lab) -> None:
    seen: list[Any] = []

    @dg.asset(partitions_def=STATIC)
    def one(by_type: dict[str, pd.DataFrame]) -> None:
        seen.append(list(by_type))

    lab.run(by_type, one, partition="a")
    assert seen == [["a"]]


def test_a_json_object_of_one_partition_is_no_dict_of_partitions(lab: Lab) -> None:
    seen: list[Any] = []

    @dg.asset(partitions_def=BOTH)
    def same(measured: dict[str, str]) -> None:
        seen.append(measured)

    @dg.asset(partitions_def=DAILY)
    def by_day(measured: dict[str, dict[str, str]]) -> None:
        seen.append(measured)

    lab.run(measured, same, partition="2024-01-01|lung")
    lab.run(measured, partition=dg.MultiPartitionKey({"tissue": "skin", "day": "2024-01-01"}))
    lab.run(measured, by_day, only="by_day", partition="2024-01-01")
    lung, skin = ({"tissue": tissue, "day": "2024-01-01"} for tissue in ("lung", "skin"))
    assert seen == [lung, {"2024-01-01|lung": lung, "2024-01-01|skin": skin}]


def test_dimensions_are_sorted_by_name_however_the_key_is_given(lab: Lab) -> None:
    lab.run(measured, partition="2024-01-01|lung")
    lab.run(measured, partition=dg.MultiPartitionKey({"tissue": "lung", "day": "2024-01-01"}))
    (artifact,) = lab.versions("measured/day=2024-01-01/tissue=lung.json")
    assert artifact.recreating_runs.count() == 1
    assert artifact.run.extra_data["partition"] == "2024-01-01|lung"


def test_a_window_of_days_is_loaded_by_a_mapping(lab: Lab) -> None:
    @dg.asset(
        partitions_def=DAILY,
        ins={
            "daily": dg.AssetIn(
                partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1),
                metadata={"allow_missing_partitions": True},
            )
        },
    )
    def two_days(daily: dict[str, str]) -> list:
        return sorted(daily.values())

    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        lab.run(daily, two_days, partition=day)
    assert lab.latest("two_days/date=2024-01-01.json").load() == ["2024-01-01"]
    assert lab.latest("two_days/date=2024-01-03.json").load() == ["2024-01-02", "2024-01-03"]


def test_an_asset_can_build_on_its_previous_partition(lab: Lab) -> None:
    @dg.asset(
        partitions_def=DAILY,
        ins={
            "total": dg.AssetIn(
                partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1),
                metadata={"allow_missing_partitions": True},
            )
        },
    )
    def total(total: int | None) -> int:
        return (total or 0) + 1

    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        result = lab.run(total, partition=day)
    assert lab.latest("total/date=2024-01-03.json").load() == 3
    (previous,) = lab.step_run(result, "total").input_artifacts
    assert previous.key == "total/date=2024-01-02.json"


def test_hourly_partitions_have_a_dimension_of_time(lab: Lab) -> None:
    @dg.asset(partitions_def=dg.HourlyPartitionsDefinition("2024-01-01-00:00"))
    def hourly() -> int:
        return 1

    lab.run(hourly, partition="2024-01-01-07:00")
    assert lab.latest("hourly/datetime=2024-01-01-07:00.json").load() == 1


def test_dynamic_partitions(lab: Lab) -> None:
    samples = dg.DynamicPartitionsDefinition(name="samples")

    @dg.asset(partitions_def=samples)
    def sample() -> int:
        return 1

    @dg.asset
    def total(sample: dict[str, int]) -> int:
        return sum(sample.values())

    lab.instance.add_dynamic_partitions("samples", ["s1", "s2"])
    for partition in ("s1", "s2"):
        lab.run(sample, partition=partition)
    lab.run(sample, total, only="total")
    assert lab.latest("total.json").load() == 2


def test_a_backfill_makes_new_versions_only_of_what_changed(lab: Lab) -> None:
    state = {"suffix": ""}

    @dg.asset(partitions_def=STATIC)
    def upper(context: dg.AssetExecutionContext) -> str:
        return context.partition_key + (state["suffix"] if context.partition_key == "b" else "")

    for state["suffix"] in ("", "!"):
        for partition in ("a", "b"):
            lab.run(upper, partition=partition, tags={"dagster/backfill": "bf"})
    assert len(lab.versions("upper/partition=a.txt")) == 1
    assert len(lab.versions("upper/partition=b.txt")) == 2
    assert lab.latest("upper/partition=b.txt").run.extra_data["backfill"] == "bf"


def test_dependencies_without_loading_follow_the_partition_mapping(lab: Lab) -> None:
    @dg.asset(partitions_def=STATIC, deps=[by_type])
    def note() -> str:
        return "x"

    for partition in ("a", "b"):
        result = lab.run(by_type, note, partition=partition)
    (used,) = lab.step_run(result, "note").input_artifacts
    assert used.key == "by_type/partition=b.parquet"


def test_a_partition_that_is_not_there_is_named_with_what_exists(lab: Lab) -> None:
    @dg.asset
    def all_types(by_type: dict[str, pd.DataFrame]) -> int:
        return len(by_type)

    lab.run(by_type, partition="a")
    with pytest.raises(MissingMaterialization) as caught:
        lab.run(by_type, all_types, only="all_types")
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, PathNotFound)
    text = str(caught.value)
    for part in (
        "by_type[partition=b]",
        "4 more",
        "by_type/partition=b.*",
        "branch 'main'",
        "by_type/partition=a.parquet",
    ):
        assert part in text


def test_an_asset_that_was_never_made_is_named(lab: Lab) -> None:
    @dg.asset
    def raw() -> int:
        return 1

    @dg.asset
    def reader(raw: int) -> int:
        return raw

    with pytest.raises(
        MissingMaterialization, match=re.escape("for raw under the key 'raw.*'") + ".*materialize it first"
    ):
        lab.run(raw, reader, only="reader")


def test_missing_partitions_can_be_allowed(lab: Lab) -> None:
    @dg.asset(ins={"by_type": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def some(by_type: dict[str, pd.DataFrame]) -> list:
        return list(by_type)

    @dg.asset
    def by_annotation(by_type: dict[str, pd.DataFrame | None]) -> list:  # type: ignore[type-arg]
        return list(by_type)

    lab.run(by_type, partition="b")
    lab.run(by_type, some, only="some")
    assert lab.latest("some.json").load() == ["b"]


def test_several_partitions_do_not_fit_one_object(lab: Lab) -> None:
    @dg.asset
    def wrong(by_type: pd.DataFrame) -> int:
        return 1

    for partition in STATIC.get_partition_keys():
        lab.run(by_type, partition=partition)
    with pytest.raises(SeveralPartitions, match=r"6 partitions.*dict\[str"):
        lab.run(by_type, wrong, only="wrong")


def test_a_template_without_the_partition_is_refused(lab: Lab) -> None:
    @dg.asset(partitions_def=STATIC, metadata={"lamart/key": "fixed.json"})
    def fixed() -> int:
        return 1

    with pytest.raises(ValueError, match="several partitions under one key"):
        lab.run(fixed, partition="a")
