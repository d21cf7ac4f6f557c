"""The steps that a process executes, as open runs of the registry."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import dagster as dg

from lamart_core.db import Registry
from lamart_core.lineage import add_inputs, close_runs, find_run, open_run, snapshot_of
from lamart_core.records import Run, RunStatus
from lamart_dagster.dagster_internals import awaited_outputs, continued_runs
from lamart_dagster.lineage import Step, record_ends, run_spec, step_of
from lamart_dagster.metadata import InputUse
from lamart_dagster.snapshot import View

if TYPE_CHECKING:
    from lamart_dagster.dagster_internals import StepContext

CHECK = "check"


@dataclass
class OpenStep:
    """A step under way, and its run in the registry.

    Attributes:
        step: The step.
        run: Its registry run.
        view: What it sees of the registry.
        uses: What it read, in order.
        has_dependencies: Whether what it depends on without loading is among them.
        handled: Names of the outputs that were stored.
        is_checked: Whether the names of its outputs and its pins were looked at.
        is_entered: Whether its body uses the registry itself, so that the run has inputs that are not among `uses`.
        is_completed: Whether its run was called complete.
    """

    step: Step
    run: Run
    view: View
    uses: list[InputUse] = field(default_factory=list[InputUse])
    has_dependencies: bool = False
    handled: set[str] = field(default_factory=set[str])
    is_completed: bool = False
    is_entered: bool = False
    is_checked: bool = False

    def record_uses(self, registry: Registry, uses: Iterable[InputUse]) -> None:
        """Record artifacts as inputs of the step; one that it read already is recorded once."""
        known = {use.artifact.id for use in self.uses}
        new = [use for use in uses if use.artifact.id not in known]
        if new:
            add_inputs(registry, self.run, [use.artifact for use in new], kind=CHECK if self.step.is_check else None)
            self.uses += new

    def all_uses(self) -> list[InputUse]:
        """Return what it read: for an input, as a dependency, or in its body."""
        if not self.is_entered:
            return self.uses
        known = {use.artifact.id for use in self.uses}
        others = (artifact for artifact in self.run.input_artifacts.all() if artifact.id not in known)
        return [*self.uses, *(InputUse(artifact.key or artifact.uid, artifact) for artifact in others)]


class StepRuns:
    """The steps that a process opened with one registry, until the resources of their run are torn down.

    All resources and IO managers of the process that use the registry share it: see `step_runs_of`.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], OpenStep] = {}
        self._views: dict[str, View] = {}

    def open(self, registry: Registry, context: StepContext, *, ui_url: str | None = None) -> OpenStep:
        """Return the run of a step, opening it when the step is first met, and again for each retry.

        Args:
            registry: Registry of the run.
            context: The step.
            ui_url: Address of the Dagster UI, for links.
        """
        name = (context.run_id, context.step.key)
        known = self._open.get(name)
        if known is not None and known.step.attempt == context.previous_attempt_count + 1:
            return known
        step = step_of(context)
        run = open_run(registry, run_spec(step, ui_url=ui_url))
        if step.run_id not in self._views:
            self._views[step.run_id] = _view(registry, context, run)
        opened = OpenStep(step, run, self._views[step.run_id])
        self._open[name] = opened
        return opened

    def stored(self, registry: Registry, opened: OpenStep, context: dg.OutputContext) -> None:
        """Note that an output was stored; after the last one of its step, the run is complete.

        Which output is the last is only known when all are required and none is dynamic. Otherwise, and when the
        step fails after it, `record_ends` corrects the status.
        """
        opened.handled.add(context.name)
        awaited = awaited_outputs(context.step_context)
        if awaited is not None and awaited <= opened.handled:
            close_runs(registry, {opened.run.id: RunStatus.COMPLETED})
            opened.is_completed = True

    def record_ends(self, registry: Registry, instance: dg.DagsterInstance, run_id: str) -> None:
        """Record how the steps of a run ended, when the resources of the process are torn down."""
        steps = [opened for (of_run, _), opened in self._open.items() if of_run == run_id]
        if not steps:
            return
        for opened in steps:
            del self._open[run_id, opened.step.step_key]
        self._views.pop(run_id, None)
        runs = {opened.step.step_key: opened.run for opened in steps}
        completed = {opened.step.step_key for opened in steps if opened.is_completed}
        record_ends(registry, instance, run_id, runs, completed=completed)


# Held by the resources alone: when they are gone, nothing of their runs stays in the process.
_shared: WeakValueDictionary[tuple[int, str], StepRuns] = WeakValueDictionary()
_lock = Lock()


def step_runs_of(registry: Registry) -> StepRuns:
    """Return the steps that this process opened with a registry, whichever resource asks."""
    with _lock:
        name = (os.getpid(), registry.url.render_as_string(hide_password=True))
        found = _shared.get(name)
        if found is None:
            found = _shared[name] = StepRuns()
        return found


def _view(registry: Registry, context: StepContext, run: Run) -> View:
    """Return what the steps of a Dagster run see: the state that the first of the runs that it continues saw."""
    of_dagster: Run | None = run.initiated_by_run
    continued = continued_runs(context)
    # The runs before may have stored and loaded nothing; then the registry does not know them.
    known = (find_run(registry, run_id) for run_id in reversed(continued))
    first = next((run for run in known if run is not None), of_dagster)
    return View((context.run_id, *continued), snapshot_of(first) if first is not None else None)
