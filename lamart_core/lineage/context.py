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
