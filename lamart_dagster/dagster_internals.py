"""Names of Dagster that are not public, each with what it is for and the public name that is missing.

All that this package imports of `dagster._…`, and the methods that Dagster does not mark as public, are here. What is
read of a `StepExecutionContext` elsewhere is as little promised: no public context is complete (an `OutputContext`
knows neither its attempt nor the other outputs of its step), so it is handed around under the name that stands here.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg
from dagster._core.definitions.partitions.mapping.multi.base import BaseMultiPartitionMapping, DimensionDependency
from dagster._core.execution.plan.inputs import FromMultipleSources
from dagster._core.execution.stats import StepEventStatus
from dagster._core.storage.tags import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG

if TYPE_CHECKING:
    from dagster._core.execution.context.system import StepExecutionContext as _StepExecutionContext

    StepContext: TypeAlias = _StepExecutionContext  # heavy to import, and not needed at run time


def step_context_of(context: dg.InputContext | dg.OutputContext) -> StepContext | None:
    """Return the step that loads or stores; None for a context made by hand, and for a load outside of a step.

    Missing: a public way from an `InputContext` or `OutputContext` to its step. They name the run and the step, but
    neither the attempt nor the definition.
    """
    try:
        return context.step_context
    except dg.DagsterInvariantViolationError:
        return None


def instance_of(context: dg.InputContext) -> dg.DagsterInstance | None:
    """Return the instance that an input is loaded with; None for a context made by hand.

    Missing: an `InputContext` raises where it has none.
    """
    try:
        return context.instance
    except dg.DagsterInvariantViolationError:
        return None


def current_step_context() -> StepContext | None:
    """Return the step whose body runs, for `context.load_asset_value(…)` in it; None outside of any run.

    Missing: the context of an input that is loaded by a call knows its step neither publicly nor otherwise.
    """
    try:
        return dg.OpExecutionContext.get()._step_execution_context  # pyright: ignore[reportPrivateUsage]
    except dg.DagsterInvariantViolationError:
        return None


def collects_outputs(step: StepContext, input_name: str) -> bool:
    """Return whether an input is a list that Dagster makes of several outputs, each loaded by itself.

    Missing: `InputContext` says which output is loaded, and not that the annotation means the list of them.
    """
    return isinstance(step.step.step_input_named(input_name).source, FromMultipleSources)


def continued_runs(step: StepContext) -> list[str]:
    """Return the ids of the runs that a run continues, the last one first: it executes again what they left.

    A run that executes everything again continues none.

    Missing: a `DagsterRun` names its parent and root, and not whether it executes a part of it only.
    """
    run, found = step.dagster_run, list[str]()
    while run is not None and run.parent_run_id is not None and _is_a_part(step.instance, run):
        found.append(run.parent_run_id)
        run = step.instance.get_run_by_id(run.parent_run_id)
    return found


def _is_a_part(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether a re-execution is one from failure, or one of selected steps.

    Missing: the tags that tell it are not public, and nothing tells that some steps were selected.
    """
    if any(run.tags.get(tag) == "true" for tag in (RESUME_RETRY_TAG, ASSET_RESUME_RETRY_TAG)):
        return True
    # In process, the steps that are executed are also named when they are all.
    if run.step_keys_to_execute is None or run.execution_plan_snapshot_id is None:
        return False
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    return len(run.step_keys_to_execute) < len(plan.steps)


def awaited_outputs(step: StepContext) -> frozenset[str] | None:
    """Return the names of the outputs that a step hands to IO managers; None where some are optional or dynamic.

    Missing: an `OutputContext` knows itself only, so an IO manager cannot tell which output is the last.
    """
    outputs = step.step.step_outputs
    if any(output.is_dynamic or not output.is_required for output in outputs):
        return None
    return frozenset(output.name for output in outputs if output.properties.asset_check_key is None)


def dependency_of_input(step: StepContext, name: str) -> tuple[dg.AssetKey, Sequence[str] | None] | None:
    """Return the asset that an input names, with the partitions that the step depends on; None for no known asset.

    Missing: an IO manager never sees `deps=[…]`. Public contexts know partitions by asset key, but raise where some of
    them do not exist.
    """
    asset = step.job_def.asset_layer.get_asset_key_for_node_input(step.node_handle, name)
    if asset is None or not step.job_def.asset_layer.has(asset):
        return None
    if not step.has_asset_partitions_for_input(name):
        return asset, None
    subset = step.asset_partitions_subset_for_input(name, require_valid_partitions=False)
    return asset, list(subset.get_partition_keys())


def mapping_of_input(
    step: StepContext, asset: dg.AssetKey
) -> tuple[dg.PartitionMapping, dg.PartitionsDefinition | None, dg.PartitionsDefinition | None] | None:
    """Return how partitions of an asset are mapped to those of the step, with both; None where no asset loads it.

    Missing: a mapping that is not spelled out follows from both definitions, and no public name tells which.
    """
    layer = step.job_def.asset_layer
    assets = step.assets_def
    if assets is None or not layer.has(asset):
        return None
    loading = next(iter(assets.keys), None)
    if loading is None:
        return None
    upstream = layer.get(asset).partitions_def
    return assets.infer_partition_mapping(loading, asset, upstream), upstream, assets.partitions_def


def takes_several_partitions(step: StepContext) -> bool:
    """Return whether one run of an asset can be of several partitions, by its definition or as it is.

    Missing: an `InputContext` knows the upstream partitions only.
    """
    assets = step.assets_def
    policy = assets.backfill_policy if assets is not None else None
    return policy is not None and policy.max_partitions_per_run != 1


def dimension_dependencies(
    mapping: dg.PartitionMapping,
    upstream: dg.PartitionsDefinition | None,
    downstream: dg.PartitionsDefinition | None,
) -> Sequence[DimensionDependency] | None:
    """Return what a mapping between several dimensions does in each of them; None for any other mapping.

    Missing: the two mappings of several dimensions have no public base, and do not tell what they map in public.
    """
    if not isinstance(mapping, BaseMultiPartitionMapping) or upstream is None or downstream is None:
        return None
    return mapping.get_dimension_dependencies(upstream, downstream)


def set_data_version(context: dg.OutputContext, version: str) -> None:
    """Make a text the data version of a materialization, unless the asset set one itself.

    Missing: an IO manager can say everything about a materialization but its data version.
    """
    step = step_context_of(context)
    if step is not None and context.has_asset_key and not step.has_data_version(context.asset_key):
        step.set_data_version(context.asset_key, dg.DataVersion(version))


def add_partition_metadata(context: dg.OutputContext, partition: str, metadata: Mapping[str, Any]) -> None:
    """Show metadata with the materialization of one partition, where the run covers several.

    Missing: `add_output_metadata` is for all partitions, and `AssetExecutionContext.get()` raises in check steps.
    """
    step = step_context_of(context)
    if step is not None:
        step.add_asset_metadata(metadata, asset_key=context.asset_key, partition_key=partition)


def step_ends(
    instance: dg.DagsterInstance, run_id: str, step_keys: Sequence[str] | None
) -> dict[str, StepEventStatus | None]:
    """Return how steps of a run ended, by their keys; None for those that have not.

    Missing: no public method of an instance tells of steps; their events would have to be read one by one.
    """
    return {item.step_key: item.status for item in instance.get_run_step_stats(run_id, step_keys)}


def planned_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Sequence[str] | None:
    """Return the keys of the steps that a run executes; None where they are not known.

    Missing: a `DagsterRun` has what was asked for (`step_keys_to_execute`), which is None for all steps of a job.
    """
    if run.execution_plan_snapshot_id is None:
        return None
    return instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).step_keys_to_execute


def decorated_function(op: dg.OpDefinition) -> object | None:
    """Return the function behind an asset or op; None for an op that is made without a decorator.

    Missing: definitions do not give the function back.
    """
    return getattr(op.compute_fn, "decorated_fn", None)


def made_assets(step: StepContext) -> list[dg.AssetKey]:
    """Return the assets that a step makes, those that were selected, in the order of their names.

    Missing: public contexts know the assets of an `AssetsDefinition`, which ops in jobs do not have.
    """
    return sorted(step.get_output_asset_keys(), key=lambda key: key.to_user_string())


def known_assets(step: StepContext) -> list[dg.AssetKey]:
    """Return the assets of the code location, those too that the job does not make.

    Missing: public contexts know the assets of the step and of the job.
    """
    return list(step.job_def.asset_layer.asset_graph.get_all_asset_keys())


def code_name(step: StepContext) -> str:
    """Return a name for the function of a step that does not depend on how it is run, or what of it was selected.

    It is that of the asset; of several assets, that of their op. An op of a job or graph is named under it, after a
    colon, which no asset key has: so ops of one name in two jobs are two, and none is an asset.

    Missing: public contexts know the op and the step, and not what makes the name of an op its own.
    """
    handle, assets = step.node_handle, step.assets_def
    outer, *inner = handle.path
    if assets is None:
        return f"{step.job_def.name}:{'.'.join(handle.path)}"
    keys = list(assets.node_keys_by_output_name.values())
    name = "/".join(keys[0].path) if len(keys) == 1 else outer
    return f"{name}:{'.'.join(inner)}" if inner else name


def dependencies_of(step: StepContext) -> frozenset[dg.AssetKey] | None:
    """Return the assets that those which a step makes depend on, without each other; None for a step that makes none.

    Missing: the inputs of an op are those of all its assets, of which only some may be selected.
    """
    made = step.get_output_asset_keys()
    if not made:
        return None
    graph = step.job_def.asset_layer.asset_graph
    return frozenset(
        parent for key in made for parent in graph.get(key).parent_keys if parent == key or parent not in made
    )


def io_setting(step: StepContext, asset: dg.AssetKey, name: str) -> object | None:
    """Return a setting of the IO manager of an asset, as the run is configured; None where it has no such setting.

    Missing: an IO manager sees its own settings only, and none that are those of another asset's.
    """
    graph = step.job_def.asset_layer.asset_graph
    assets = graph.get(asset).assets_def if graph.has(asset) else None
    if assets is None:
        return None
    resource = step.resolved_run_config.resources.get(assets.get_io_manager_key_for_asset_key(asset))
    config = getattr(resource, "config", None)
    return config.get(name) if isinstance(config, Mapping) else None


def op_version(op: dg.OpDefinition) -> str | None:
    """Return the code version that an op declares.

    Missing: ops take a `code_version`, and give it back under the deprecated name `version` only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return op.version
