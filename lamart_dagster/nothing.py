"""None as a value in time: a step that returned None last, where there was a value before.

What follows a value is stored as a version of its own, under the key with the suffix `.none`. So it is found, seen by
some runs and not by others, and overtaken by the next value, like any other version. Where there was no value, the run
of the step notes it, and nothing is stored: most steps that return None have nothing to store.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lamart_core.db import Registry
from lamart_core.lineage import annotate_run
from lamart_core.records import Run
from lamart_core.saving.create import create
from lamart_dagster.keys import NONE_SUFFIX
from lamart_dagster.ownership import owner_data
from lamart_dagster.snapshot import resolve
from lamart_dagster.targets import Target

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact

NONE_OUTPUTS = "none_outputs"


def store_none(registry: Registry, target: Target, run: Run | None) -> None:
    """Record that None was made of a target.

    Args:
        registry: Where it is recorded.
        target: What was made.
        run: The run that made it.
    """
    if run is not None and not returned_none(run, target):
        annotate_run(registry, run, {NONE_OUTPUTS: [*_noted(run), target.name.stem]})
    if resolve(registry, [target.name]):
        with tempfile.TemporaryDirectory(prefix="lamart-") as folder:
            path = Path(folder, f"none{NONE_SUFFIX}")
            path.write_text("null")
            owner = owner_data(target.owner) if target.owner is not None else None
            create(registry, path, key=target.name.none_key, run=run, suffix=NONE_SUFFIX, extra_data=owner)


def forget_none(registry: Registry, target: Target, run: Run) -> None:
    """Take back the None of an earlier attempt of the same run: a retry made a value."""
    if not returned_none(run, target):
        return
    annotate_run(registry, run, {NONE_OUTPUTS: [stem for stem in _noted(run) if stem != target.name.stem]})
    for artifact in registry.Artifact.filter(key=target.name.none_key, is_latest=True, branch_id=registry.branch_id):
        if artifact.run_id == run.id:
            artifact.delete()
        else:
            artifact.recreating_runs.remove(run)


def returned_none(run: Run, target: Target) -> bool:
    """Return whether a run returned None for a target."""
    return target.name.stem in _noted(run)


def is_none(artifact: Artifact) -> bool:
    """Return whether an artifact stands for a None."""
    return artifact.suffix == NONE_SUFFIX and (artifact.key or "").endswith(NONE_SUFFIX)


def _noted(run: Run) -> list[str]:
    return (run.extra_data or {}).get(NONE_OUTPUTS, [])
