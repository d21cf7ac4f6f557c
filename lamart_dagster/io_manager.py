"""The IO manager: what assets return becomes artifacts, what they load becomes lineage."""

# No `from __future__ import annotations` here: Dagster reads the annotation of a nested resource as an object.

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import InitResourceContext, ResourceDependency
from pydantic import Field

from lamart_core.db import MAIN_BRANCH_ID, Registry
from lamart_dagster import metadata, nothing, reading, several, storing, targets
from lamart_dagster.dagster_internals import (
    add_partition_metadata,
    collects_outputs,
    current_step_context,
    mapping_of_input,
    set_data_version,
    step_context_of,
    takes_several_partitions,
)
from lamart_dagster.lineage import step_id
from lamart_dagster.loading import LoadRequest, item_request_of, request_of
from lamart_dagster.mappings import gives_several
from lamart_dagster.resources import LamartRegistry
from lamart_dagster.snapshot import View
from lamart_dagster.steps import OpenStep

if TYPE_CHECKING:
    from lamart_dagster.dagster_internals import StepContext

# The data version of an asset that is None: what depends on it is stale when it gets a value, and the other way round.
_NONE_VERSION = "none"


class LamartIOManager(dg.ConfigurableIOManager):
    """Stores what assets and ops return as versioned artifacts, and loads the version that a run should see.

    An asset may return a table, an annotated matrix, JSON-like values, text, bytes, a `Path` to a file or folder, or
    an `Artifact`. What its inputs are loaded as follows their annotation: `pd.DataFrame`, `pa.Table`, `ad.AnnData`,
    `Path`, `ln.Artifact`, `dict[str, T]` for several partitions, `T | None`, …

    Equal content is not stored again: the materialization says `re-created`, its data version stays the same, and
    nothing downstream becomes stale.

    Examples:
        >>> import dagster as dg
        >>> defs = dg.Definitions(
        ...     resources={"io_manager": LamartIOManager(registry=LamartRegistry(storage="s3://bucket/lab"))}
        ... )
    """

    registry: ResourceDependency[LamartRegistry]
    key_prefix: str = Field(default="", description="Folder that the keys of all artifacts lie in.")
    pins: dict[str, str] = Field(
        default_factory=dict,
        description="Versions to load instead of the latest: version, uid or hash by asset key.",
    )
    allow_pickle: bool = Field(
        default=False, description="Whether objects that no format takes are pickled. Loading them runs code."
    )
    dagster_url: str | None = Field(default=None, description="Address of the Dagster UI, for links to runs.")
    draw_lineage: bool = Field(
        default=False, description="Whether each materialization shows a picture of its lineage."
    )

    @classmethod
    def input_config_schema(cls) -> dict[str, Any]:
        """Return the configuration of an input: the version to load, where the input names this IO manager."""
        return {"version": dg.Field(str, is_required=False, description="Version, uid or hash to load.")}

    # ------------------------------------------------------------------ storing

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store an output as the next version of its artifact, unless the latest one equals it.

        Raises:
            SeveralPartitions: The run covers several partitions, and the step returned one object.
            SharedKey: The key belongs to another asset or partition.
            UnsupportedObject: No format takes the object.
            StorageError: The storage refused the bytes.
        """
        registry = self.registry.open()
        wanted = targets.output_targets(context, prefix=self.key_prefix)
        context_of_step = step_context_of(context)
        step = self._open_step(registry, context_of_step)
        if step is not None:
            self._record_dependencies(registry, step, context.step_context)
        can_be_several = context_of_step is not None and takes_several_partitions(context_of_step)
        if several.has_parts(obj, wanted, can_be_several=can_be_several):
            self._store_parts(registry, context, several.parts_of(obj, wanted, context.asset_key), step)
        else:
            version, shown = self._store(registry, context, wanted[0], obj, step)
            set_data_version(context, version)
            context.add_output_metadata(shown)
        if step is not None:
            self.registry.steps.stored(registry, step, context)

    def _store_parts(
        self,
        registry: Registry,
        context: dg.OutputContext,
        parts: Iterator[tuple[targets.Target, Any]],
        step: OpenStep | None,
    ) -> None:
        versions: dict[str, str] = {}
        outcomes: list[str] = []
        for target, obj in parts:
            partition = str(target.partition)
            versions[partition], shown = self._store(registry, context, target, obj, step)
            outcomes.append(str(getattr(shown["lamart/outcome"], "value", shown["lamart/outcome"])))
            add_partition_metadata(context, partition, shown)
            del obj
        set_data_version(context, several.data_version(versions))
        if step is None:  # a context made by hand has no metadata of partitions
            context.add_output_metadata({"lamart/outcome": several.outcomes(outcomes)})

    def _store(
        self, registry: Registry, context: dg.OutputContext, target: targets.Target, obj: Any, step: OpenStep | None
    ) -> tuple[str, dict[str, Any]]:
        """Store one artifact; return its data version, and what is shown of it."""
        run = step.run if step is not None else None
        if obj is None:
            nothing.store_none(registry, target, run)
            shown = metadata.inputs_metadata(step.all_uses() if step is not None else [])
            return _NONE_VERSION, {"lamart/outcome": "nothing: it returned None", **shown}
        description = _description(context)
        stored = storing.store(registry, obj, target, run, description=description, allow_pickle=self.allow_pickle)
        if run is not None:
            nothing.forget_none(registry, target, run)
        return stored.artifact.hash or stored.artifact.uid, self._metadata(context, stored, step)

    def _metadata(self, context: dg.OutputContext, stored: storing.Stored, step: OpenStep | None) -> dict[str, Any]:
        uses = step.all_uses() if step is not None else []
        given = {**context.definition_metadata, **context.output_metadata}
        shown = metadata.artifact_metadata(
            stored.artifact,
            stored.outcome,
            preview=metadata.preview_of(stored.data, stored.artifact),
            is_partition=context.has_asset_key and context.has_asset_partitions,
        )
        shown |= metadata.inputs_metadata(uses)
        shown |= metadata.column_lineage_metadata(given, uses)
        if self.draw_lineage:
            shown |= metadata.lineage_picture(stored.artifact)
        # What the asset says itself wins.
        return {key: value for key, value in shown.items() if key not in context.output_metadata}

    # ------------------------------------------------------------------ loading

    def load_input(self, context: dg.InputContext) -> Any:
        """Load an input in the version that the run sees, as the type that its annotation names.

        Raises:
            MissingMaterialization: There is no artifact to load; a `FileNotFoundError`.
            SeveralPartitions: There are several partitions, and the annotation wants one object.
            UnsupportedObject: The format cannot return the annotated type.
        """
        registry = self.registry.open()
        wanted = targets.input_targets(context, prefix=self.key_prefix)
        request = _request(context)
        step = self._open_step(registry, _current_context(context))
        asset = context.asset_key.to_user_string() if context.has_asset_key else None
        pin = reading.pin_of(context.config, context.definition_metadata, self.pins, asset)
        if isinstance(pin, Mapping):
            targets.check_pinned_partitions(pin, context, str(asset))
        upstream = _upstream_step(context)
        found = reading.find(registry, wanted, _view(context, step), upstream=upstream, pin=pin)
        as_dict = reading.is_collection(request, len(wanted), can_be_several=lambda: _can_be_several(context))
        each = (request.values or LoadRequest()) if as_dict else request
        may_be_missing = request.is_optional or each.is_optional or _allows_missing(context)
        if found.missing and not may_be_missing:
            raise reading.missing_error(registry, found, self._branch(registry))
        if found.none and not (may_be_missing or each.takes_none):
            raise reading.none_error(found.none[0])
        if step is not None:
            step.record_uses(registry, found.uses.values())

        def load(target: targets.Target) -> Any:
            none = target in found.none or target in found.missing
            return None if none else reading.hand_over(found.uses[target], each, allow_pickle=self.allow_pickle)

        if not as_dict:
            return load(wanted[0]) if wanted else None
        # What was never made is left out, and so is a None, unless the annotation has a place for it.
        left_out = {*found.missing, *(() if each.takes_none else found.none)}
        return {str(target.partition): load(target) for target in wanted if target not in left_out}

    # ------------------------------------------------------------------ steps

    def _open_step(self, registry: Registry, context: "StepContext | None") -> OpenStep | None:
        if context is None:
            return None
        step = self.registry.steps.open(registry, context, ui_url=self.dagster_url)
        if not step.is_checked:
            step.is_checked = True
            targets.check_outputs(context, prefix=self.key_prefix)
            targets.check_pins(self.pins, context)
        return step

    def _record_dependencies(self, registry: Registry, step: OpenStep, context: "StepContext") -> None:
        """Record what the step depends on without loading it, as far as it is in the registry."""
        if step.has_dependencies:
            return
        step.has_dependencies = True
        for wanted in targets.dependency_targets(context, prefix=self.key_prefix).values():
            step.record_uses(registry, reading.find(registry, wanted, step.view).uses.values())

    def _branch(self, registry: Registry) -> str:
        return self.registry.branch or ("main" if registry.branch_id == MAIN_BRANCH_ID else str(registry.branch_id))

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Record how the steps ended."""
        self.registry.record_ends(context)


def _current_context(context: dg.InputContext) -> "StepContext | None":
    return step_context_of(context) or current_step_context()


def _upstream_step(context: dg.InputContext) -> str | None:
    """Return the external id of the step that made an input, when it is a step of a real run."""
    upstream = context.upstream_output
    if upstream is None:
        return None
    try:
        run_id, step_key = upstream.run_id, upstream.step_key
    except dg.DagsterInvariantViolationError:  # never made in a run, or in one that is not known
        return None
    return None if run_id.startswith("__") or step_key == "none" else step_id(run_id, step_key)


def _request(context: dg.InputContext) -> LoadRequest:
    """Return what the annotation of an input asks for; collected outputs are loaded one by one."""
    try:
        annotation = context.dagster_type.typing_type
    except dg.DagsterInvariantViolationError:  # a context made by hand
        annotation = None
    step = step_context_of(context)
    if step is not None and collects_outputs(step, context.name):
        return item_request_of(annotation)
    return request_of(annotation)


def _allows_missing(context: dg.InputContext) -> bool:
    """Return whether the input says that partitions may be missing."""
    is_allowed = bool((context.definition_metadata or {}).get("allow_missing_partitions"))
    return is_allowed and context.has_asset_key and context.has_asset_partitions


def _view(context: dg.InputContext, step: OpenStep | None) -> View:
    # Outside of a run everything is seen; and the output of an op is named by its run.
    return step.view if step is not None and context.has_asset_key else View()


def _can_be_several(context: dg.InputContext) -> bool:
    """Return whether the definitions let an input have several upstream partitions."""
    step = _current_context(context)
    if step is None or not context.has_asset_key or not context.has_asset_partitions:
        return False
    mapping = mapping_of_input(step, context.asset_key)
    return mapping is None or gives_several(*mapping) or takes_several_partitions(step)


def _description(context: dg.OutputContext) -> str | None:
    try:
        return context.asset_spec.description
    except dg.DagsterInvariantViolationError:
        return None
