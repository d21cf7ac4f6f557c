"""Partition keys of Dagster as values by dimension."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

# Directives of `strftime` that are finer than a day.
_CLOCK_DIRECTIVES = ("%H", "%I", "%M", "%S", "%f", "%s", "%T", "%R", "%X", "%c")


def dimensions_of(key: str, definition: dg.PartitionsDefinition | None) -> Mapping[str, str]:
    """Return the values of a partition key by the name of their dimension.

    The dimension of partitions that have only one is called `date` (time windows of a day and longer), `datetime`
    (shorter ones) or `partition` (static and dynamic ones).

    Args:
        key: A partition key; for several dimensions a `MultiPartitionKey` or the text that Dagster makes of it.
        definition: The partitions that the key belongs to; None where Dagster does not tell.

    Example:
        >>> dimensions_of("2024-01-01", dg.DailyPartitionsDefinition("2024-01-01"))
        {'date': '2024-01-01'}
    """
    if isinstance(definition, dg.MultiPartitionsDefinition) and not isinstance(key, dg.MultiPartitionKey):
        key = definition.get_partition_key_from_str(key)
    if isinstance(key, dg.MultiPartitionKey):
        return dict(sorted(key.keys_by_dimension.items()))
    return {dimension_name(definition): str(key)}


def dimension_name(definition: dg.PartitionsDefinition | None) -> str:
    """Return the name of the only dimension of these partitions."""
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        has_clock = any(directive in definition.fmt for directive in _CLOCK_DIRECTIVES)
        return "datetime" if has_clock else "date"
    return "partition"
