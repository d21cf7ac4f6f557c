"""`track` and `finish`: the run of a script or notebook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lamart_core import errors, uids
from lamart_core.db import current_registry
from lamart_core.lineage.runs import RunSpec, TransformSpec, finish_run, open_run
from lamart_core.records import Run, RunStatus, Transform


def track(
    key: str | None = None,
    *,
    transform: Transform | None = None,
    params: dict[str, Any] | None = None,
    name: str | None = None,
) -> Run:
    """Start a run in the current registry: what is saved from now on is its output, what is loaded its input.

    Args:
        key: Name of the code. Default: the file name of the running script.
        transform: The code, instead of a key.
        params: Parameters of the run as JSON.
        name: Name of the run.

    Returns:
        The run; `finish()` ends it.

    Examples:
        >>> import lamart_core as ln
        >>> run = ln.track("analysis.py", params={"resolution": 0.5})
        >>> ln.finish()
        >>> run.refresh().status
        'completed'
    """
    registry = current_registry()
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    code: Transform | TransformSpec | None = transform
    if code is None:
        source = script.read_text(errors="replace") if key is None and script is not None and script.is_file() else None
        named = key or (script.name if script is not None and script.name else "interactive")
        code = TransformSpec(named, kind="script", source_code=source)
    run = open_run(registry, RunSpec(f"track/{uids.base62(16)}", code, params=params, name=name))
    registry.global_run = run
    return run


def finish(status: RunStatus = RunStatus.COMPLETED) -> None:
    """End the run that `track` started.

    Raises:
        MissingRunContext: No run was started.
    """
    registry = current_registry()
    if registry.global_run is None:
        raise errors.MissingRunContext("there is no run to finish; start one with track()")
    finish_run(registry.global_run, status)
    registry.global_run = None
