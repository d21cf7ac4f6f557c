"""Partition keys of Dagster: their values by dimension, and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

# Directives of `strftime` that are finer than a day.
_CLOCK_DIRECTIVES = ("%H", "%I", "%M", "%S", "%f", "%s", "%T", "%R", "%X", "%c")


def dimensions_of(key: str, definition: dg.PartitionsDefinition | None) -> Mapping[str, str]:
    """Return the values of a partition key by the name of their dimension.

    The dimension of partitions that have only one is called `date` (time windows of a day and longer), `datetime`
    (shorter ones) or `partition` (static and dynamic ones). Contexts that are made by hand, those of
    `migrate_io_storage` too, do not tell the definition; then it is a date or time if it is written as Dagster does.

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
    return {dimension_name(definition) if definition is not None else _likely_dimension(str(key)): str(key)}


def dimension_name(definition: dg.PartitionsDefinition | None) -> str:
    """Return the name of the only dimension of these partitions."""
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        has_clock = any(directive in definition.fmt for directive in _CLOCK_DIRECTIVES)
        return "datetime" if has_clock else "date"
    return "partition"


def _likely_dimension(key: str) -> str:
    for name, format_ in (("date", "%Y-%m-%d"), ("datetime", "%Y-%m-%d-%H:%M")):
        if _parsed(key, format_) is not None:
            return name
    return "partition"


def _parsed(key: str, format_: str) -> datetime | None:
    try:
        return datetime.strptime(key, format_).replace(tzinfo=None)  # only compared with its like
    except ValueError:
        return None


def in_order(
    keys: Sequence[str], definition: dg.PartitionsDefinition | None, instance: dg.DagsterInstance | None = None
) -> list[str]:
    """Return partition keys in the order of their definition; those that it does not have come last, sorted.

    Dagster hands out several partitions as a set, whose order is another one in each process.

    Args:
        keys: Partition keys.
        definition: The partitions that they belong to; without one they keep their order.
        instance: Where dynamic partitions are known.

    Example:
        >>> in_order(["liver", "lung"], dg.StaticPartitionsDefinition(["lung", "liver"]))
        ['lung', 'liver']
    """
    if len(keys) < 2 or definition is None:
        return list(keys)
    if isinstance(definition, dg.MultiPartitionsDefinition):
        parsed = {key: definition.get_partition_key_from_str(str(key)).keys_by_dimension for key in keys}
        ranks = [
            (each.name, _ranks({values[each.name] for values in parsed.values()}, each.partitions_def, instance))
            for each in definition.partitions_defs
        ]
        return sorted(keys, key=lambda key: tuple(rank[parsed[key][name]] for name, rank in ranks))
    rank = _ranks(set(keys), definition, instance)
    return sorted(keys, key=rank.__getitem__)


def is_partition(key: str, definition: dg.PartitionsDefinition, instance: dg.DagsterInstance | None) -> bool:
    """Return whether a definition has a partition key; what nobody can tell, it has."""
    if isinstance(definition, dg.MultiPartitionsDefinition):
        try:
            values = definition.get_partition_key_from_str(key).keys_by_dimension
        except dg.DagsterError:
            return False
        return all(
            is_partition(values[each.name], each.partitions_def, instance) for each in definition.partitions_defs
        )
    if isinstance(definition, dg.DynamicPartitionsDefinition):
        return instance is None or definition.name is None or instance.has_dynamic_partition(definition.name, key)
    return definition.has_partition_key(key)


def _ranks(
    keys: set[str], definition: dg.PartitionsDefinition, instance: dg.DagsterInstance | None
) -> Mapping[str, tuple[Any, ...]]:
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return {key: _time_rank(key, definition.fmt) for key in keys}
    is_unknown = instance is None and isinstance(definition, dg.DynamicPartitionsDefinition)
    known = [] if is_unknown else definition.get_partition_keys(dynamic_partitions_store=instance)
    place = {key: number for number, key in enumerate(known)}
    return {key: (place.get(key, len(place)), key) for key in keys}


def _time_rank(key: str, format_: str) -> tuple[Any, ...]:
    when = _parsed(key, format_)
    # The hour that a change of the clocks repeats has its offset added.
    return (1, key) if when is None else (0, when, key)
