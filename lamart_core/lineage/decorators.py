"""`flow` and `step`: each call of a function as a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast, overload

from lamart_core import errors, source_code, uids
from lamart_core.db import Registry, current_registry
from lamart_core.lineage.context import current_run, run_context
from lamart_core.lineage.edges import add_inputs, track_collection_input
from lamart_core.lineage.params import json_params, records_in
from lamart_core.lineage.runs import RunSpec, TransformSpec, finish_run, open_run
from lamart_core.logging import logger
from lamart_core.records import ArtifactRecord, CollectionRecord, Run, RunStatus

F = TypeVar("F", bound=Callable[..., Any])
GlobalRun = Literal["memorize", "clear", "none"]


@overload
def flow(key: F, /) -> F: ...
@overload
def flow(key: str | None = None, *, name: str | None = None, global_run: GlobalRun = "none") -> Callable[[F], F]: ...
def flow(key: Any = None, *, name: str | None = None, global_run: GlobalRun = "none") -> Any:
    """Record each call of a function as a run, the start of a workflow.

    The run is of kind `function` and has the arguments as parameters (records by uid, without secrets), the artifacts
    and collections among them as inputs, what is saved inside as outputs, and the current run, if there is one, as the
    run that initiated it. Functions, coroutine functions, generators and asynchronous generators; results and
    exceptions pass through unchanged. A generator runs from its first value to its last, or until it is closed.

    Args:
        key: Name of the code. Default: module and name of the function.
        name: Name of the runs. Default: the name of the function.
        global_run: Whether threads that the function starts, which do not inherit its run, find it as the run of the
            process: `none`; `clear`, until the call ends; `memorize`, until another run is tracked. Not for
            calls that run at the same time.

    Examples:
        >>> import lamart_core as ln
        >>> @ln.step
        ... def double(n: int) -> int:
        ...     return 2 * n
        >>> @ln.flow("examples/pipeline")
        ... def pipeline(n: int) -> int:
        ...     return double(n) + double(n + 1)
        >>> pipeline(3)
        14
        >>> run = ln.Run.get(transform__key="examples/pipeline")
        >>> run.status, run.params, run.initiated_runs.count()
        ('completed', {'n': 3}, 2)
    """
    if global_run not in ("memorize", "clear", "none"):
        raise errors.InvalidArgument(f"global_run={global_run!r} is none of 'memorize', 'clear', 'none'")
    return _decorator("flow", key, name, global_run)


@overload
def step(key: F, /) -> F: ...
@overload
def step(key: str | None = None, *, name: str | None = None) -> Callable[[F], F]: ...
def step(key: Any = None, *, name: str | None = None) -> Any:
    """Record each call of a function as a run that is a part of the current one; see `flow`.

    Args:
        key: Name of the code. Default: module and name of the function.
        name: Name of the runs. Default: the name of the function.

    Raises:
        MissingRunContext: By the call, when no run is current: neither `track` nor a flow around it started one.
    """
    return _decorator("step", key, name, "none")


@dataclass(frozen=True)
class _Code:
    """A decorated function: what all its calls have in common."""

    function: Callable[..., Any]
    role: str
    name: str
    transform: TransformSpec
    entrypoint: str | None
    signature: inspect.Signature | None
    global_run: GlobalRun

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        """Return the arguments of a call by name, defaults included."""
        try:
            if self.signature is not None:
                bound = self.signature.bind(*args, **kwargs)
                bound.apply_defaults()
                return bound.arguments
        except TypeError:  # the call will fail, with Python's own words
            pass
        return {"args": list(args), "kwargs": kwargs}


@dataclass(frozen=True)
class _Call:
    """A call under way, and its run."""

    registry: Registry
    run: Run
    frees_global_run: bool

    def end(self, error: BaseException | None = None) -> None:
        """Record how the call ended. What cannot be recorded takes away neither a result nor an exception."""
        if self.frees_global_run and self.registry.global_run == self.run:
            self.registry.global_run = None
        status = RunStatus.COMPLETED
        if error is not None:
            # Cancelled, interrupted, closed: nothing failed.
            status = RunStatus.ERRORED if isinstance(error, Exception) else RunStatus.ABORTED
        try:
            finish_run(self.run, status, error=error if status is RunStatus.ERRORED else None)
        except Exception as failure:
            logger.warning("how the run %s ended could not be recorded: %s", self.run.uid, failure)


def _decorator(role: str, key: Any, name: str | None, global_run: GlobalRun) -> Any:
    if isinstance(key, staticmethod | classmethod):
        raise errors.InvalidArgument(f"put @{role} below @{type(cast('Any', key)).__name__}")
    if callable(key):
        return _decorated(key, role, None, name, global_run)
    if key is not None and (not isinstance(key, str) or not key.strip()):
        raise errors.InvalidArgument(f"@{role} takes the key of the transform, a text, got {key!r}")
    return functools.partial(_decorated, role=role, key=key, name=name, global_run=global_run)


def _decorated(function: Any, role: str, key: str | None, name: str | None, global_run: GlobalRun) -> Any:
    if not inspect.isroutine(function):
        raise errors.InvalidArgument(f"@{role} decorates functions, got {function!r}")
    of_function = source_code.of_function(function)
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    spec = TransformSpec(
        key or of_function.key, kind="function", source_code=of_function.code, description=summary or None
    )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # not in Python
        signature = None
    code = _Code(function, role, name or function.__name__, spec, of_function.entrypoint, signature, global_run)
    return functools.wraps(function)(_wrapper(code))


def _wrapper(code: _Code) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(code.function):
        return _async_generator(code)
    if inspect.isgeneratorfunction(code.function):
        return _generator(code)
    if inspect.iscoroutinefunction(code.function):

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with _recorded(code, args, kwargs) as call, run_context(call.run):
                return await code.function(*args, **kwargs)

        return call_async

    def call(*args: Any, **kwargs: Any) -> Any:
        with _recorded(code, args, kwargs) as call, run_context(call.run):
            return code.function(*args, **kwargs)

    return call


def _generator(code: _Code) -> Callable[..., Any]:
    """The run is current while the function computes a value, and not while its caller uses it."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with _recorded(code, args, kwargs) as call:
            generator = code.function(*args, **kwargs)
            advance, value = generator.send, None
            while True:
                try:
                    with run_context(call.run):
                        item = advance(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    advance, value = generator.send, (yield item)
                except GeneratorExit:
                    with run_context(call.run):
                        generator.close()
                    raise
                except BaseException as error:
                    advance, value = generator.throw, error

    return call


def _async_generator(code: _Code) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with _recorded(code, args, kwargs) as call:
            generator = code.function(*args, **kwargs)
            advance, value = generator.asend, None
            while True:
                try:
                    with run_context(call.run):
                        item = await advance(value)
                except StopAsyncIteration:
                    return
                try:
                    advance, value = generator.asend, (yield item)
                except GeneratorExit:
                    with run_context(call.run):
                        await generator.aclose()
                    raise
                except BaseException as error:
                    advance, value = generator.athrow, error

    return call


@contextmanager
def _recorded(code: _Code, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[_Call, None, None]:
    """Start the run of a call, and record how it ends."""
    call = _start(code, args, kwargs)
    try:
        yield call
    except BaseException as error:
        call.end(error)
        raise
    call.end()


def _start(code: _Code, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    registry = current_registry()
    parent = current_run(registry)
    if parent is None and code.role == "step":
        raise errors.MissingRunContext(
            f"the step {code.transform.key!r} was called without a run around it: call it in a function decorated with "
            "@flow, or after track(). Threads and new processes do not inherit the run of a flow: hand it to them, "
            "and enter it there with run_context(run)"
        )
    arguments = code.arguments(args, kwargs)
    spec = RunSpec(
        f"{code.role}/{uids.base62(16)}",
        code.transform,
        name=code.name,
        params=json_params(arguments),
        entrypoint=code.entrypoint,
        parent=parent,
    )
    run = open_run(registry, spec)
    if registry.settings.track_run_inputs:
        _record_inputs(registry, run, arguments)
    takes_global_run = code.global_run != "none" and registry.global_run is None
    if takes_global_run:
        registry.global_run = run
    return _Call(registry, run, frees_global_run=takes_global_run and code.global_run == "clear")


def _record_inputs(registry: Registry, run: Run, arguments: Mapping[str, Any]) -> None:
    read = [item for item in records_in(arguments) if item.is_saved and item.registry == registry]
    add_inputs(registry, run, [item for item in read if isinstance(item, ArtifactRecord)])
    for item in read:
        if isinstance(item, CollectionRecord):
            track_collection_input(item, run)
