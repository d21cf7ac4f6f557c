"""The steps of Dagster runs as runs of the registry: what executed, with which code, and how it ended.

A registry run is one step of one Dagster run, so a retry of the step is the same run and a re-execution is a new one.
The Dagster run itself is the parent of its steps. How a step ended is read from Dagster's own records.
"""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from lamart_core.db import Registry, batches
from lamart_core.lineage import RunSpec, TransformSpec, close_runs, redacted
from lamart_core.records import Run, RunStatus
from lamart_dagster import dagster_internals as internals

if TYPE_CHECKING:
    from lamart_dagster.dagster_internals import StepContext

REFERENCE_TYPE = "dagster"
BACKFILL_TAG = "dagster/backfill"
# Keys of assets have no colon: so a job is no asset of its name.
JOB = "job:"
_UNFINISHED = (RunStatus.SCHEDULED, RunStatus.RESTARTED, RunStatus.STARTED)
# How many unfinished runs are looked at when one ends.
_SETTLED_AT_ONCE = 40
# How many an instance is asked for in one query.
_ASKED_AT_ONCE = 200
# Above this, asking after each step how all others ended would cost more than it tells; `settle_runs` finds it out.
_MANY_STEPS = 200


@dataclass(frozen=True)
class Step:
    """One step of one Dagster run.

    Attributes:
        run_id: Id of the Dagster run.
        step_key: Key of the step in it.
        job: Name of the job.
        code: Name of the code, the same by whatever way it is run: see `internals.code_name`.
        attempt: 1 for the first attempt, and one more for each retry.
        source_code: Source of the decorated function, where it can be read.
        code_version: Version that the asset or op declares.
        description: What the asset or op says it does.
        config: Configuration of the step.
        code_location: Name of the code location, where Dagster knows it.
        partition: Partition key or range of the Dagster run.
        backfill: Id of the backfill that the run belongs to.
        parent_run_id: The Dagster run that this one re-executes.
        root_run_id: The first of the re-executed runs.
        is_check: Whether the step only checks assets.
    """

    run_id: str
    step_key: str
    job: str
    code: str
    attempt: int = 1
    source_code: str | None = None
    code_version: str | None = None
    description: str | None = None
    config: Any = None
    code_location: str | None = None
    partition: str | None = None
    backfill: str | None = None
    parent_run_id: str | None = None
    root_run_id: str | None = None
    is_check: bool = False

    @property
    def external_id(self) -> str:
        """Id of the registry run of this step."""
        return step_id(self.run_id, self.step_key)


def step_id(run_id: str, step_key: str) -> str:
    """Return the external id of the registry run of a step; that of the Dagster run is its own id."""
    return f"{run_id}/{step_key}"


def run_spec(step: Step, *, ui_url: str | None = None) -> RunSpec:
    """Return the registry run of a step, with the Dagster run as its parent.

    Args:
        step: The step.
        ui_url: Address of the Dagster UI, for links to the run.
    """
    reference = f"{ui_url.rstrip('/')}/runs/{step.run_id}" if ui_url else step.run_id
    of_run = {
        "dagster_run_id": step.run_id,
        "job": step.job,
        "code_location": step.code_location,
        "partition": step.partition,
        "backfill": step.backfill,
        "parent_run_id": step.parent_run_id,
        "root_run_id": step.root_run_id,
    }
    of_step = {
        "step_key": step.step_key,
        "code_version": step.code_version,
        "attempts": step.attempt,
        "is_check": step.is_check or None,
    }
    parent = RunSpec(
        step.run_id,
        TransformSpec(f"{JOB}{step.job}", kind="pipeline"),
        name=step.job,
        extra_data=_known(of_run),
        reference=reference,
        reference_type=REFERENCE_TYPE,
        takes_snapshot=True,
    )
    return RunSpec(
        step.external_id,
        TransformSpec(
            step.code,
            kind="function",
            source_code=step.source_code,
            code_version=step.code_version,
            description=step.description,
        ),
        status=RunStatus.STARTED if step.attempt == 1 else RunStatus.RESTARTED,
        name=step.step_key,
        params=_json_of(step.config),
        extra_data=_known({**of_run, **of_step}),
        reference=reference,
        reference_type=REFERENCE_TYPE,
        parent=parent,
    )


def step_of(context: StepContext) -> Step:
    """Return the step that is being executed."""
    run = context.dagster_run
    tags = run.tags
    origin = run.remote_job_origin
    assets = internals.made_assets(context)
    op = context.op_def
    start, end = tags.get("dagster/asset_partition_range_start"), tags.get("dagster/asset_partition_range_end")
    return Step(
        run_id=run.run_id,
        step_key=context.step.key,
        job=run.job_name,
        code=internals.code_name(context),
        attempt=context.previous_attempt_count + 1,
        source_code=source_of(op),
        code_version=_code_version(context, assets),
        description=op.description,
        config=context.op_config,
        code_location=origin.repository_origin.code_location_origin.location_name if origin is not None else None,
        partition=tags.get("dagster/partition") or (f"{start}...{end}" if start and end else None),
        backfill=tags.get(BACKFILL_TAG),
        parent_run_id=run.parent_run_id,
        root_run_id=run.root_run_id,
        is_check=context.is_asset_check_step and not assets,
    )


def source_of(op: dg.OpDefinition) -> str | None:
    """Return the source of the function behind an asset or op; None where there is none to read."""
    function: Any = internals.decorated_function(op)
    if function is None:
        return None
    try:
        return inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):  # defined interactively, or not in Python
        return None


def record_ends(
    registry: Registry,
    instance: dg.DagsterInstance,
    run_id: str,
    steps: Mapping[str, Run],
    *,
    completed: Collection[str] = (),
) -> None:
    """Record how steps of a Dagster run ended, and the run itself when nothing is left to do.

    An IO manager sees a step only when it loads and stores, and never how it ends: so this is called when the
    resources of the process are torn down, by which time Dagster knows.

    Args:
        registry: Registry of the runs.
        instance: The Dagster instance that executed them.
        run_id: The Dagster run.
        steps: Registry runs of the steps that this process executed, by step key.
        completed: Keys of the steps whose runs are called complete already.
    """
    dagster_run = instance.get_run_by_id(run_id)
    if dagster_run is None or not steps:
        return
    planned = _planned_steps(instance, dagster_run)
    ended = _ended_steps(instance, run_id, list(steps) if planned is None else None)
    statuses: dict[int, RunStatus] = {}
    for key, run in steps.items():
        status = ended.get(key)
        if status is not None and not (status is RunStatus.COMPLETED and key in completed):
            statuses[run.id] = status
    of_run = _RUN_STATUS.get(dagster_run.status)
    if of_run is None and planned is not None:
        of_run = _status_so_far(planned, ended)
    parent_id = next(iter(steps.values())).initiated_by_run_id
    if of_run is not None and parent_id is not None:
        statuses[parent_id] = of_run
    close_runs(registry, statuses)
    if of_run is not None:
        settle_runs(registry, instance, limit=_SETTLED_AT_ONCE)


def settle_runs(registry: Registry, instance: dg.DagsterInstance, *, limit: int | None = None) -> int:
    """Finish registry runs whose Dagster run is over, because their process was killed for example.

    Called for some runs at the end of every Dagster run that stores or loads; it can be called at any time.

    Args:
        registry: Registry of the runs.
        instance: The Dagster instance that executed them; runs of others are left alone.
        limit: How many unfinished Dagster runs to look at: half of them the newest, half of them any others, so that
            none waits for ever behind runs that never end. All, if not given.

    Returns:
        How many registry runs got a final status.
    """
    unfinished = registry.Run.filter(reference_type=REFERENCE_TYPE, _status_code__in=[int(s) for s in _UNFINISHED])
    # Of a step whose parent is finished already: it was, before the step started again and was killed.
    waiting = dict.fromkeys(
        (external_id or "").partition("/")[0]
        for external_id in unfinished.order_by("-id").values_list("external_id", flat=True)
    )
    settled = 0
    for run_ids in batches(_some(list(waiting), limit), _ASKED_AT_ONCE):
        settled += _settle(registry, instance, unfinished, run_ids)
    return settled


def _some(items: list[str], limit: int | None) -> list[str]:
    if limit is None or len(items) <= limit:
        return items
    newest = limit - limit // 2
    return [*items[:newest], *random.sample(items[newest:], limit // 2)]


def _settle(registry: Registry, instance: dg.DagsterInstance, unfinished: Any, run_ids: Sequence[str]) -> int:
    over = instance.get_runs(dg.RunsFilter(run_ids=list(run_ids), statuses=list(_RUN_STATUS)))
    statuses: dict[int, RunStatus] = {}
    for dagster_run in over:
        steps = unfinished.filter(initiated_by_run__external_id=dagster_run.run_id).to_list()
        ended = _ended_steps(instance, dagster_run.run_id, [run.extra_data["step_key"] for run in steps])
        for run in steps:
            status = ended.get(run.extra_data["step_key"])
            # A step without an end in a run that has ended was interrupted.
            statuses[run.id] = status if status is not None else RunStatus.ABORTED
        for parent in unfinished.filter(external_id=dagster_run.run_id):
            statuses[parent.id] = _RUN_STATUS[dagster_run.status]
    close_runs(registry, statuses)
    return len(statuses)


_STEP_STATUS = {
    internals.StepEventStatus.SUCCESS: RunStatus.COMPLETED,
    internals.StepEventStatus.SKIPPED: RunStatus.ABORTED,
    internals.StepEventStatus.FAILURE: RunStatus.ERRORED,
}
_RUN_STATUS = {
    dg.DagsterRunStatus.SUCCESS: RunStatus.COMPLETED,
    dg.DagsterRunStatus.FAILURE: RunStatus.ERRORED,
    dg.DagsterRunStatus.CANCELED: RunStatus.ABORTED,
}


def _ended_steps(
    instance: dg.DagsterInstance, run_id: str, step_keys: Sequence[str] | None
) -> dict[str, RunStatus | None]:
    """Return how steps ended; None for those that did not."""
    if step_keys is not None and not step_keys:
        return {}
    ends = internals.step_ends(instance, run_id, step_keys)
    return {key: _STEP_STATUS.get(status) if status else None for key, status in ends.items()}


def _planned_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Sequence[str] | None:
    """Return the keys of the steps that a run executes; None where there are many, or it is not known."""
    planned = internals.planned_steps(instance, run)
    return planned if planned is not None and len(planned) <= _MANY_STEPS else None


def _status_so_far(planned: Sequence[str], ended: Mapping[str, RunStatus | None]) -> RunStatus | None:
    """Return how a run ends if no other step starts; one that does opens it again.

    The resources of the last step are torn down before Dagster calls the run finished.
    """
    if None in ended.values():
        return None
    if RunStatus.ERRORED in ended.values():
        return RunStatus.ERRORED
    # The keys of dynamic steps are only known when they start.
    is_complete = all(key in ended for key in planned if "[?]" not in key)
    return RunStatus.COMPLETED if is_complete else None


def _code_version(context: StepContext, assets: Iterable[dg.AssetKey]) -> str | None:
    versions = {context.job_def.asset_layer.get(asset).code_version for asset in assets}
    if not versions:
        versions = {internals.op_version(context.op_def)}
    return ",".join(sorted(version for version in versions if version is not None)) or None


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _json_of(config: Any) -> dict[str, Any] | None:
    if config is None:
        return None
    plain = json.loads(json.dumps(config, default=str))
    return redacted(plain if isinstance(plain, dict) else {"config": plain})
