"""The run that new artifacts belong to and that loads are inputs of."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from lamart_core.db import Registry
from lamart_core.records import Run

# The innermost run of this thread or task; tuples, because tasks share what they inherit.
_runs: ContextVar[tuple[Run, ...]] = ContextVar("lamart_runs", default=())


def innermost_run(registry: Registry) -> Run | None:
    """Return the run of the innermost `run_context` of this registry in this thread or task."""
    return next((run for run in reversed(_runs.get()) if run.registry == registry), None)


def current_run(registry: Registry) -> Run | None:
    """Return the run of the innermost `run_context` of this registry, else the global one that `track` started."""
    return innermost_run(registry) or registry.global_run


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
    before = _runs.get()
    _runs.set((*before, run))
    try:
        yield run
    finally:
        _runs.set(before)
