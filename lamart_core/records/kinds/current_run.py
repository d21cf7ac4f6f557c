"""The run that is under way, which new records remember."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from lamart_core.db import Registry

if TYPE_CHECKING:
    from lamart_core.records.run import Run

# The innermost run of this thread or task is the last one; tuples, because tasks share what they inherit.
entered_runs: ContextVar[tuple[Run, ...]] = ContextVar("lamart_runs", default=())


def innermost_run(registry: Registry) -> Run | None:
    """Return the run of the innermost `run_context` of this registry in this thread or task."""
    return next((run for run in reversed(entered_runs.get()) if run.registry == registry), None)


def current_run(registry: Registry) -> Run | None:
    """Return the run of the innermost `run_context` of this registry, else the global one that `track` started."""
    return innermost_run(registry) or registry.global_run
