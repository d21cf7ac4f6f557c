"""Whether an input can have several partitions: by the definition of its mapping, not by how many there are today."""

from __future__ import annotations

import dagster as dg

from lamart_dagster.dagster_internals import dimension_dependencies

_Definition = dg.PartitionsDefinition | None
_NESTED = {("HOURLY", "DAILY"), ("HOURLY", "WEEKLY"), ("HOURLY", "MONTHLY"), ("DAILY", "WEEKLY"), ("DAILY", "MONTHLY")}


def gives_several(mapping: dg.PartitionMapping, upstream: _Definition, downstream: _Definition) -> bool:
    """Return whether any downstream partition can have several upstream ones.

    A mapping that is not one of Dagster's can.

    Args:
        mapping: How partitions are mapped.
        upstream: Partitions of the asset that is loaded.
        downstream: Partitions of the asset that loads it; None if it has none.

    Example:
        >>> days = dg.DailyPartitionsDefinition("2024-01-01")
        >>> gives_several(dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1), days, days)
        False
        >>> gives_several(dg.TimeWindowPartitionMapping(start_offset=-6), days, days)
        True
    """
    if isinstance(mapping, dg.IdentityPartitionMapping | dg.LastPartitionMapping):
        return False
    if isinstance(mapping, dg.SpecificPartitionsPartitionMapping):
        return len(set(mapping.partition_keys)) > 1
    if isinstance(mapping, dg.StaticPartitionMapping):
        return _is_many_to_one(mapping)
    if isinstance(mapping, dg.TimeWindowPartitionMapping):
        return mapping.start_offset != mapping.end_offset or not _is_within(downstream, upstream)
    by_dimension = dimension_dependencies(mapping, upstream, downstream)
    if by_dimension is None:
        return True
    if isinstance(upstream, dg.MultiPartitionsDefinition):
        mapped = {each.upstream_dimension_name for each in by_dimension}
        if any(each.name not in mapped for each in upstream.partitions_defs):
            return True
    return any(
        gives_several(
            each.partition_mapping,
            _dimension(upstream, each.upstream_dimension_name),
            _dimension(downstream, each.downstream_dimension_name),
        )
        for each in by_dimension
    )


def _is_many_to_one(mapping: dg.StaticPartitionMapping) -> bool:
    seen: set[str] = set()
    for keys in mapping.downstream_partition_keys_by_upstream_partition_key.values():
        for key in {keys} if isinstance(keys, str) else set(keys):
            if key in seen:
                return True
            seen.add(key)
    return False


def _is_within(inner: _Definition, outer: _Definition) -> bool:
    """Return whether each window of one definition lies in one window of the other."""
    if not isinstance(inner, dg.TimeWindowPartitionsDefinition) or not isinstance(
        outer, dg.TimeWindowPartitionsDefinition
    ):
        return False
    if inner.timezone != outer.timezone:
        return False
    if inner.cron_schedule == outer.cron_schedule:
        return True
    if inner.schedule_type is None or outer.schedule_type is None or inner.minute_offset != outer.minute_offset:
        return False
    if (inner.schedule_type.value, outer.schedule_type.value) not in _NESTED:
        return False
    return inner.schedule_type.value == "HOURLY" or inner.hour_offset == outer.hour_offset


def _dimension(definition: _Definition, name: str | None) -> _Definition:
    if isinstance(definition, dg.MultiPartitionsDefinition) and name is not None:
        return definition.get_partitions_def_for_dimension(name)
    return definition
