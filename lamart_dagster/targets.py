"""What a step stores or loads: the contexts of Dagster as names of artifacts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from lamart_core.errors import InvalidArgument
from lamart_dagster.dagster_internals import (
    dependencies_of,
    dependency_of_input,
    instance_of,
    io_setting,
    known_assets,
    made_assets,
)
from lamart_dagster.keys import ArtifactName, AssetPartition, asset_name, run_output_name
from lamart_dagster.ownership import check_owner
from lamart_dagster.partitions import dimensions_of, in_order, is_partition

if TYPE_CHECKING:
    from lamart_dagster.dagster_internals import StepContext

KEY_METADATA = "lamart/key"
FORMER_NAME = "lamart/former_name"


@dataclass(frozen=True)
class Target:
    """One thing that is stored as one artifact.

    Attributes:
        label: Name for messages: the asset with its partition, or the output of an op.
        name: Name of its artifact.
        partition: Partition key as Dagster has it; None without partitions.
        asset: The asset; None for the output of an op.
        owner: The asset and partition that its key belongs to; None for the output of an op.
        former: Names that the asset had before.
    """

    label: str
    name: ArtifactName
    partition: str | None = None
    asset: dg.AssetKey | None = None
    owner: AssetPartition | None = None
    former: tuple[str, ...] = ()

    def check_owner(self, extra_data: Mapping[str, Any] | None, key: str | None) -> None:
        """Raise SharedKey for a version that belongs to another asset or partition."""
        if self.owner is not None:
            check_owner(self.owner, extra_data, key=key, former=self.former)


def asset_targets(
    asset: dg.AssetKey,
    partitions: Sequence[str] | None,
    definition: dg.PartitionsDefinition | None,
    metadata: Mapping[str, Any] | None,
    *,
    prefix: str = "",
) -> list[Target]:
    """Return the targets of an asset: one per partition, or one when it has none.

    Args:
        asset: Key of the asset.
        partitions: Partition keys; None when the asset has no partitions.
        definition: Partitions of the asset, where Dagster tells.
        metadata: Metadata of the asset's definition; `lamart/key` is a template for the key.
        prefix: Folder that all keys lie in.

    Raises:
        InvalidArgument: The template cannot be right.
    """
    template = _text(metadata, KEY_METADATA, asset)
    former_name = _text(metadata, FORMER_NAME, asset)
    former = (former_name,) if former_name is not None else ()
    keys: Sequence[str | None] = [None] if partitions is None else partitions

    def target(partition: str | None) -> Target:
        dimensions = {} if partition is None else dimensions_of(partition, definition)
        identity = AssetPartition.of(asset.path, dimensions)
        name = asset_name(identity, prefix=prefix, template=template)
        return Target(identity.label, name, partition, asset, identity, former)

    return [target(key) for key in keys]


def output_targets(context: dg.OutputContext, *, prefix: str = "") -> list[Target]:
    """Return what an output is stored as: one target, or one per partition that the run covers.

    Raises:
        InvalidArgument: The key template of the asset cannot be right.
    """
    if not context.has_asset_key:
        return [op_target(context, prefix=prefix)]
    partitions = list(context.asset_partition_keys) if context.has_asset_partitions else None
    definition = _partitions_def(context) if partitions is not None else None
    return asset_targets(context.asset_key, partitions, definition, context.definition_metadata, prefix=prefix)


def input_targets(context: dg.InputContext, *, prefix: str = "") -> list[Target]:
    """Return what an input is loaded from: one target, or one per partition of the upstream asset.

    Raises:
        InvalidArgument: The input names neither an asset nor the output of a step.
    """
    upstream = context.upstream_output
    if not context.has_asset_key:
        if upstream is None:
            raise InvalidArgument(
                f"the input {context.name!r} comes from no step and names no asset; "
                "set the asset with dg.In(asset_key=…)"
            )
        return [op_target(upstream, prefix=prefix)]
    metadata = upstream.definition_metadata if upstream is not None else {}
    partitions = list(context.asset_partition_keys) if context.has_asset_partitions else None
    definition = _partitions_def(context) if partitions is not None else None
    if partitions is not None:
        partitions = in_order(partitions, definition, instance_of(context))
    return asset_targets(context.asset_key, partitions, definition, metadata, prefix=prefix)


def dependency_targets(context: StepContext, *, prefix: str = "") -> dict[dg.AssetKey, list[Target]]:
    """Return what a step depends on without loading it: its `deps=[…]`.

    Args:
        context: The step.
        prefix: Folder that the keys of assets lie in whose IO manager names none.

    Returns:
        The artifacts that may hold each asset, one per partition that the step depends on.
    """
    found: dict[dg.AssetKey, list[Target]] = {}
    depends_on = dependencies_of(context)
    for definition in context.op_def.input_defs:
        if not definition.dagster_type.is_nothing:
            continue
        dependency = dependency_of_input(context, definition.name)
        if dependency is None:
            continue
        asset, partitions = dependency
        if depends_on is not None and asset not in depends_on:
            continue
        node = context.job_def.asset_layer.get(asset)
        its_own = io_setting(context, asset, "key_prefix")
        where = its_own if isinstance(its_own, str) else prefix
        found[asset] = asset_targets(asset, partitions, node.partitions_def, node.metadata, prefix=where)
    return found


def check_outputs(context: StepContext, *, prefix: str = "") -> None:
    """Check the names of what a step is going to store, before it computes anything.

    Args:
        context: The step.
        prefix: Folder that the keys of assets lie in whose IO manager names none.

    Raises:
        InvalidArgument: A key is too long, or the template of an asset cannot be right.
    """
    partition = context.dagster_run.tags.get("dagster/partition")
    for asset in made_assets(context):
        node = context.job_def.asset_layer.get(asset)
        its_own = io_setting(context, asset, "key_prefix")
        keys = None if node.partitions_def is None else [partition] if partition is not None else []
        where = its_own if isinstance(its_own, str) else prefix
        asset_targets(asset, keys, node.partitions_def, node.metadata, prefix=where)


def check_pins(pins: Mapping[str, str], context: StepContext) -> None:
    """Check that pins name assets of the code location.

    Raises:
        InvalidArgument: One does not; the message names those that are like it.
    """
    known = [key.to_user_string() for key in known_assets(context)]
    for name in pins:
        if name not in known:
            like = difflib.get_close_matches(name, known) or sorted(known)[:3]
            raise InvalidArgument(f"pins has {name!r}, and there is no such asset; there are: {', '.join(like)}")


def check_pinned_partitions(pin: Mapping[str, str], context: dg.InputContext, asset: str) -> None:
    """Check that a pin by partition names partitions of the asset.

    Raises:
        InvalidArgument: The asset has no partitions, or not that one.
    """
    if not context.has_asset_key or not context.has_asset_partitions:
        raise InvalidArgument(f"{asset} is pinned by partition, {dict(pin)!r}, and the input has no partitions")
    definition = _partitions_def(context)
    for key in pin:
        if definition is not None and not is_partition(key, definition, instance_of(context)):
            raise InvalidArgument(f"the pin of {asset} names the partition {key!r}, which it does not have")


def op_target(context: dg.OutputContext, *, prefix: str = "") -> Target:
    """Return what the output of an op is stored as: it belongs to its run."""
    try:
        job = context.job_name
    except dg.DagsterInvariantViolationError:  # a context made by hand
        job = "none"
    parts = (job, context.run_id, context.step_key, context.name)
    name = run_output_name(*parts, context.mapping_key, prefix=prefix)
    mapped = f"[{context.mapping_key}]" if context.mapping_key else ""
    return Target(f"output {context.name!r}{mapped} of step {context.step_key!r} in run {context.run_id}", name)


def _partitions_def(context: dg.InputContext | dg.OutputContext) -> dg.PartitionsDefinition | None:
    try:
        return context.asset_partitions_def
    except dg.DagsterInvariantViolationError:  # a context made by hand may not tell
        return None


def _text(metadata: Mapping[str, Any] | None, name: str, asset: dg.AssetKey) -> str | None:
    value: Any = (metadata or {}).get(name)
    if isinstance(value, dg.MetadataValue):
        value = cast("Any", value).value
    if value is not None and not isinstance(value, str):
        raise InvalidArgument(f"the metadata {name!r} of {asset.to_user_string()} must be text, not {value!r}")
    return value
