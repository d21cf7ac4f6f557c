"""The run that new artifacts belong to and that loads are inputs of."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from lamart_core.db import Registry
from lamart_core.records import Run
from lamart_core.records.kinds.current_run import current_run, entered_runs


def run_for(registry: Registry, run: Run | bool | None) -> Run | None:
    """Return the run that an argument `run` means: the given one, none for False, else the current one."""
    if isinstance(run, Run):
        return run
    return None if run is False else current_run(registry)


@contextmanager
def run_context(run: Run) -> Generator[Run, None, None]:
    """Make a run current for this thread or task: artifacts made inside are its outputs, artifacts read its inputs.

    Threads and processes that are started inside do not inherit it (tasks, and children by fork, do): hand the run
    to them and enter it there, `with run.registry, run_context(run): …`.
    """
    before = entered_runs.get()
    entered_runs.set((*before, run))
    try:
        yield run
    finally:
        entered_runs.set(before)


def enter_run(run: Run) -> None:
    """Make a run current until `leave_runs`, for code that another system calls between two calls of ours.

    Unlike that of `run_context`, it is also the run of threads that have none of their own. Runs that were entered
    since stay the inner ones.
    """
    if run in entered_runs.get():
        return
    leave_runs(run.registry)
    entered_runs.set((*entered_runs.get(), run))
    run.registry.global_run = run


def leave_runs(registry: Registry) -> None:
    """Let no run of a registry be current any more."""
    entered_runs.set(tuple(run for run in entered_runs.get() if run.registry != registry))
    registry.global_run = None
