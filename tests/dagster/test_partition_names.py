from __future__ import annotations

from datetime import datetime

import dagster as dg
import pytest

from lamart_dagster.partitions import dimension_name, dimensions_of

STATIC = dg.StaticPartitionsDefinition(["a", "b"])
DAILY = dg.DailyPartitionsDefinition("2024-01-01")
BOTH = dg.MultiPartitionsDefinition({"tissue": STATIC, "day": DAILY})


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        (STATIC, "partition"),
        (dg.DynamicPartitionsDefinition(name="samples"), "partition"),
        (DAILY, "date"),
        (dg.WeeklyPartitionsDefinition("2024-01-01"), "date"),
        (dg.MonthlyPartitionsDefinition("2024-01-01"), "date"),
        (dg.HourlyPartitionsDefinition(datetime(2024, 1, 1)), "datetime"),
        (dg.TimeWindowPartitionsDefinition(start="2024-01-01", fmt="%Y-%m-%d", cron_schedule="0 0 * * 1"), "date"),
        (None, "partition"),
    ],
)
def test_the_only_dimension_is_named_after_what_it_counts(
    definition: dg.PartitionsDefinition | None, name: str
) -> None:
    assert dimension_name(definition) == name


def test_several_dimensions_keep_their_names_sorted() -> None:
    key = dg.MultiPartitionKey({"tissue": "a", "day": "2024-01-01"})
    assert list(dimensions_of(key, BOTH).items()) == [("day", "2024-01-01"), ("tissue", "a")]


def test_the_text_of_a_key_with_several_dimensions_means_the_same() -> None:
    key = dg.MultiPartitionKey({"tissue": "a", "day": "2024-01-01"})
    assert dimensions_of(str(key), BOTH) == dimensions_of(key, BOTH)
    assert dimensions_of(key, None) == dimensions_of(key, BOTH)
