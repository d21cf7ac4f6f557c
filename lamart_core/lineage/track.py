"""`track` and `finish`: the run of a script, a notebook or an interactive session."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamart_core import errors, source_code, uids
from lamart_core.db import Registry, current_registry
from lamart_core.lineage.params import json_params
from lamart_core.lineage.redact import redacted_arguments
from lamart_core.lineage.runs import RunSpec, TransformSpec, continue_run, finish_run, open_run, set_transform
from lamart_core.logging import logger
from lamart_core.records import Run, RunStatus, Transform
from lamart_core.records.kinds.current_run import innermost_run
from lamart_core.source_code import Source

_PREFIX = "track/"


@dataclass(frozen=True)
class _Tracked:
    """A run that this process started and has not finished."""

    registry: Registry
    run: Run
    pid: int
    transform: TransformSpec | Transform
    source: Source
    path: Path | None


_open: dict[Run, _Tracked] = {}


def track(
    key: str | Transform | None = None,
    *,
    transform: Transform | None = None,
    params: Mapping[str, Any] | None = None,
    name: str | None = None,
    description: str | None = None,
    new_run: bool | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Run:
    """Start a run in the current registry: what is saved from now on is its output, what is loaded its input.

    The code is stored with it, and a change of the code is a new version of the transform: the file of the running
    script; the cells of the notebook or the lines of the interactive session, as they are when the run ends.
    A run that is not ended by `finish()` is *errored* when an exception ended the script, else *aborted*, as soon
    as the interpreter exits or another run is tracked; one whose process is killed stays *started*.

    Args:
        key: Name of the code, the same for all its versions. Default: the file name of the script or notebook, or
            `interactive`.
        transform: The code as a record, instead of a key.
        params: Parameters of the run. They are stored as JSON, without secrets.
        name: Name of the run.
        description: What the code does.
        new_run: False continues your latest run of the same version of the code, as *restarted*. None makes a new
            run, but continues the one under way when a notebook or session calls `track` again.
        path: File of the code, where it is not the running script or notebook.

    Returns:
        The run; `finish()` ends it.

    Raises:
        InvalidArgument: Both a key and a transform were passed, the transform is not saved, or the parameters have
            no names.
        PathNotFound: There is no file at `path`.

    Examples:
        >>> import lamart_core as ln
        >>> run = ln.track("analysis.py", params={"resolution": 0.5, "api_key": "8d3f"})
        >>> run.params
        {'resolution': 0.5, 'api_key': '***'}
        >>> ln.finish()
        >>> run.refresh().status
        'completed'
    """
    if isinstance(key, Transform):
        key, transform = None, transform or key
    file = _check(key, transform, params, path)
    registry = current_registry()
    code = source_code.of_file(file) if file is not None else source_code.running()
    source_code.begin_session()
    spec: TransformSpec | Transform = transform or _spec_of(code, key, description)
    run_spec = RunSpec(
        f"{_PREFIX}{uids.base62(16)}",
        spec,
        params=json_params(params) if params is not None else None,
        name=name,
        entrypoint=code.entrypoint,
        cli_args=_cli_args(code),
        parent=innermost_run(registry),
    )
    under_way = _under_way(registry)
    is_same = under_way is not None and under_way.run.transform.key == spec.key
    if new_run is False or (new_run is None and code.grows and is_same):
        run = continue_run(registry, run_spec, prefix=_PREFIX, run=under_way.run if under_way and is_same else None)
    else:
        run = open_run(registry, run_spec)
    if under_way is not None and under_way.run != run:
        logger.warning("the run %s was not finished before another was tracked: aborted", under_way.run.uid)
        _end(under_way, RunStatus.ABORTED)
    _open[run] = _Tracked(registry, run, os.getpid(), spec, code, file)
    registry.global_run = run
    return run


def finish(status: RunStatus = RunStatus.COMPLETED) -> None:
    """End the run that `track` started.

    Args:
        status: How it ended.

    Raises:
        MissingRunContext: No run was started.
    """
    registry = current_registry()
    run: Run | None = registry.global_run
    if run is None:
        raise errors.MissingRunContext("there is no run to finish; start one with track()")
    tracked = _open.get(run)
    if tracked is None:
        finish_run(run, status)
    else:
        _end(tracked, status)
    registry.global_run = None


def _check(key: Any, transform: Any, params: Any, path: Any) -> Path | None:
    if key is not None and transform is not None:
        raise errors.InvalidArgument("pass either a key or a transform, not both")
    if key is not None and (not isinstance(key, str) or not key.strip()):
        raise errors.InvalidArgument(f"the key of a transform is a text, got {key!r}")
    if transform is not None and not (isinstance(transform, Transform) and transform.is_saved):
        raise errors.InvalidArgument(f"transform= takes a saved Transform, got {transform!r}")
    if params is not None and not isinstance(params, Mapping):
        raise errors.InvalidArgument(f"params= takes names and values, for example {{'n': 5}}, got {params!r}")
    if path is None:
        return None
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise errors.PathNotFound(f"path= takes the file of a script or notebook; there is none at {file}")
    return file


def _spec_of(code: Source, key: str | None, description: str | None) -> TransformSpec:
    # The lines of a session are known when it ends; until then it is of the version without code.
    text = None if code.grows and code.kind == "script" else code.code
    return TransformSpec(key or code.key, kind=code.kind, source_code=text, description=description)


def _cli_args(code: Source) -> str | None:
    is_script = not code.grows and source_code.running_script() is not None
    return redacted_arguments(sys.argv[1:]) or None if is_script else None


def _under_way(registry: Registry) -> _Tracked | None:
    run: Run | None = registry.global_run
    return _open.get(run) if run is not None else None


def _end(tracked: _Tracked, status: RunStatus, error: BaseException | None = None) -> None:
    _open.pop(tracked.run, None)
    if tracked.source.grows and isinstance(tracked.transform, TransformSpec):
        _take_final_code(tracked, tracked.transform)
    finish_run(tracked.run, status, error=error)


def _take_final_code(tracked: _Tracked, spec: TransformSpec) -> None:
    """Give the run the version of the code that the notebook or session has come to."""
    try:
        code = source_code.of_file(tracked.path) if tracked.path is not None else source_code.running()
    except OSError as error:
        logger.warning("the code of the run %s cannot be read any more: %s", tracked.run.uid, error)
        return
    if code.code is not None and code.code != spec.source_code:
        final = TransformSpec(spec.key, kind=spec.kind, source_code=code.code, description=spec.description)
        set_transform(tracked.registry, tracked.run, final)


def _end_at_exit() -> None:
    """Record how the runs ended that nobody finished.

    The interpreter keeps the exception that ended a script in `sys.last_exc` (`last_value` before Python 3.12), so
    nobody's `sys.excepthook` is touched. At a prompt an exception ends nothing.
    """
    last: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for tracked in list(_open.values()):
        if tracked.pid != os.getpid():  # of the process that this one was forked from
            continue
        is_prompt = tracked.source.grows or hasattr(sys, "ps1")
        error = last if isinstance(last, Exception) and not is_prompt else None
        status = RunStatus.ERRORED if error is not None else RunStatus.ABORTED
        try:
            _end(tracked, status, error)
        except Exception as failure:  # the database may be gone; the exit goes on
            logger.warning("how the run %s ended could not be recorded: %s", tracked.run.uid, failure)


atexit.register(_end_at_exit)
