"""The run that new artifacts belong to and that loads are inputs of."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from lamart_core.db import Registry
from lamart_core.records import Run

# The innermost run of this thread or task; tuples, because tasks share what they inherit.
_runs: ContextVar[tuple[Run, ...]] = ContextVar("lamart_runs", default=())


def current_run(registry: Registry) -> Run | None:
    """Return the run of the innermost `run_context` of this registry, else the global one that `track` started."""
    for run in reversed(_runs.get()):
        if run.registry == registry:
            return run
    return registry.global_run


def run_for(registry: Registry, run: Run | bool | None) -> Run | None:
    """Return the run that an argument `run` means: the given one, none for False, else the current one."""
    if isinstance(run, Run):
        return run
    return None if run is False else current_run(registry)


@contextmanager
def run_context(run: Run) -> Generator[Run, None, None]:
    """Make a run current for this thread or task: artifacts made inside are its outputs, artifacts read its inputs."""
    _runs.set((*_runs.get(), run))
    try:
        yield run
    finally:
        _runs.set(_runs.get()[:-1])
