"""Flows and steps: each call a run, whatever kind of function it is and wherever it runs."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import multiprocessing
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core.db import Registry, set_default_registry
from tests.registries import fresh_registry, write


def save(folder: Path, name: str) -> ln.Artifact:
    return ln.Artifact(write(folder / name, name), key=name).save()


def only_run(key: str) -> ln.Run:
    return ln.Run.get(transform__key=key)


@ln.step("double")
def double(n: int, *, scale: float = 1.0) -> float:
    """Twice a number.

    Not of the summary.
    """
    return 2 * n * scale


@pytest.mark.req("R276", "R278")
def test_a_flow_and_its_steps(registry: Registry, tmp_path: Path) -> None:
    source = save(tmp_path, "in.txt")
    other = save(tmp_path, "other.txt")

    @ln.step("clean")
    def clean(sources: list[ln.Artifact], label: str, token: str = "x") -> ln.Artifact:
        assert ln.context.run.name == "clean"
        other.load()
        return save(tmp_path, "out.txt")

    @ln.flow("pipeline", name="nightly")
    def pipeline(artifact: ln.Artifact) -> ln.Artifact:
        result = clean([artifact], label="a")
        assert ln.context.run.name == "nightly"
        assert ln.context.params == {"artifact": f"Artifact[{source.uid}]"}
        double(1)
        return result

    out = pipeline(source)
    assert ln.context.run is None
    flow, step = only_run("pipeline"), only_run("clean")
    assert (flow.status, step.status) == ("completed", "completed")
    assert len(step.uid) == 16
    assert step.initiated_by_run == flow
    assert flow.initiated_by_run is None
    assert set(flow.initiated_runs.to_list()) == {step, only_run("double")}
    assert step.params == {"sources": [f"Artifact[{source.uid}]"], "label": "a", "token": "***"}
    assert only_run("double").params == {"n": 1, "scale": 1.0}
    assert flow.input_artifacts.to_list() == [source]
    assert set(step.input_artifacts.to_list()) == {source, other}
    assert out.run == step
    assert step.finished_at >= step.started_at
    transform = step.transform
    assert transform.kind == "function"
    assert len(transform.uid) == 16
    assert transform.source_code.startswith('@ln.step("clean")\ndef clean(')
    assert step.entrypoint.endswith("test_functions:test_a_flow_and_its_steps.<locals>.clean")
    assert only_run("double").transform.description == "Twice a number."
    assert source.run is None


@pytest.mark.req("R278")
def test_a_step_needs_a_run_around_it(registry: Registry) -> None:
    with pytest.raises(RuntimeError, match=r"double.*@flow"):
        double(1)
    assert ln.Run.filter().count() == 0
    run = ln.track("script")
    assert double(3) == 6
    ln.finish()
    assert only_run("double").initiated_by_run == run
    with pytest.raises(ln.errors.MissingRunContext):
        double(1)


@pytest.mark.req("R278")
def test_a_decorated_function_is_still_that_function(sqlite_registry: Registry) -> None:
    assert double.__name__ == "double"
    assert double.__doc__.startswith("Twice")
    assert list(inspect.signature(double).parameters) == ["n", "scale"]
    with pytest.raises(ln.errors.InvalidArgument, match="decorates functions"):
        ln.flow(int)
    with pytest.raises(ln.errors.InvalidArgument, match="key"):
        ln.step(3)
    with pytest.raises(ln.errors.InvalidArgument, match="global_run"):
        ln.flow(global_run="always")

    class Worker:
        @ln.flow
        def work(self, n: int) -> int:
            return n + 1

        @staticmethod
        @ln.flow
        def static(n: int) -> int:
            return n + 2

    assert Worker().work(1) == 2
    assert Worker.static(1) == 3
    run = ln.Run.filter(name="work").one()
    assert run.params["n"] == 1
    assert run.transform.key.endswith(
        "test_functions.test_a_decorated_function_is_still_that_function.<locals>.Worker.work"
    )
    with pytest.raises(ln.errors.InvalidArgument, match="below @staticmethod"):
        ln.flow(staticmethod(double))


class OwnError(Exception):
    pass


@pytest.mark.req("R278")
def test_exceptions_pass_through_and_are_recorded(registry: Registry) -> None:
    error = OwnError("no password='x1' here")

    @ln.step("failing")
    def failing(n: int) -> None:
        raise error

    @ln.flow("interrupted")
    def interrupted() -> None:
        raise KeyboardInterrupt

    @ln.flow("outer")
    def outer() -> str:
        with pytest.raises(OwnError) as caught:
            failing(1)
        assert caught.value is error
        return "went on"

    assert outer() == "went on"
    assert only_run("outer").status == "completed"
    failed = only_run("failing")
    assert failed.status == "errored"
    assert failed.extra_data["error"] == "OwnError: no password='***' here"
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert only_run("interrupted").status == "aborted"
    assert ln.context.run is None

    @ln.flow("called wrongly")
    def called_wrongly(n: int) -> None: ...

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'n'"):
        called_wrongly()
    assert only_run("called wrongly").status == "errored"


@pytest.mark.req("R278")
def test_a_registry_that_fails_at_the_end_hides_neither_result_nor_exception(
    sqlite_registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    @ln.flow
    def drop(fail: bool) -> int:
        with sqlite_registry.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE lamart_run RENAME TO gone")
        if fail:
            raise OwnError
        return 7

    def repair() -> None:
        with sqlite_registry.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO lamart_run")

    assert drop(False) == 7
    assert "could not be recorded" in caplog.text
    repair()
    with pytest.raises(OwnError):
        drop(True)
    repair()


@pytest.mark.req("R278")
def test_code_that_changes_is_a_new_version(registry: Registry, tmp_path: Path) -> None:
    def load(code: str) -> Any:
        namespace: dict[str, Any] = {"ln": ln, "__name__": "written"}
        path = write(tmp_path / f"{len(code)}.py", code)
        exec(compile(code, str(path), "exec"), namespace)
        return namespace["work"]

    first = "@ln.flow('work')\ndef work():\n    return 1\n"
    second = first.replace("1", "22")
    for code in (first, first, second, first):
        load(code)()
    versions = ln.Transform.filter(key="work").order_by("uid").to_list()
    assert [item.source_code for item in versions] == [first, second]
    assert [item.is_latest for item in versions] == [True, False]
    assert [item.runs.count() for item in versions] == [3, 1]


@pytest.mark.req("R278")
def test_recursion_nests(registry: Registry) -> None:
    @ln.flow("factorial")
    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(3) == 6
    runs = {run.params["n"]: run for run in ln.Run.filter(transform__key="factorial").to_list()}
    assert [runs[n].initiated_by_run for n in (3, 2, 1, 0)] == [None, runs[3], runs[2], runs[1]]


@ln.step("count")
def count(n: int) -> Generator[int, int | None, str]:
    for i in range(n):
        assert ln.context.run.name == "count"
        sent = yield i
        if sent is not None:
            yield -sent
    return "end"


@pytest.mark.req("R278")
def test_generators(registry: Registry, tmp_path: Path) -> None:
    @ln.flow("producer")
    def producer() -> Generator[ln.Artifact, None, None]:
        for name in ("1.txt", "2.txt"):
            yield save(tmp_path, name)

    made = []
    for artifact in producer():
        # The consumer is not a part of the producer.
        assert ln.context.run is None
        made.append(
            (artifact, ln.Artifact(write(tmp_path / f"of {artifact.key}", artifact.uid), key="x.txt", run=None))
        )
    assert [artifact.run for artifact, _ in made] == [only_run("producer")] * 2
    assert all(consumed.run_id is None for _, consumed in made)
    assert only_run("producer").status == "completed"

    run = ln.track("script")
    generator = count(3)
    assert inspect.isgenerator(generator)
    assert ln.Run.filter(transform__key="count").count() == 0
    assert next(generator) == 0
    assert ln.context.run == run
    assert only_run("count").status == "started"
    assert generator.send(5) == -5
    assert next(generator) == 1
    with pytest.raises(OwnError):
        generator.throw(OwnError())
    assert only_run("count").status == "errored"
    assert only_run("count").params == {"n": 3}

    def whole() -> Generator[int, None, str]:
        return (yield from count(2))

    iterator = whole()
    assert [next(iterator), next(iterator)] == [0, 1]
    with pytest.raises(StopIteration) as stopped:
        next(iterator)
    assert stopped.value.value == "end"
    early = count(9)
    next(early)
    early.close()
    assert [r.status for r in ln.Run.filter(transform__key="count").order_by("id")] == [
        *("errored", "completed", "aborted")
    ]
    ln.finish()
    with pytest.raises(ln.errors.MissingRunContext):
        next(count(1))


@pytest.mark.req("R278")
def test_interleaved_generators_do_not_mix(registry: Registry) -> None:
    @ln.flow("who")
    def who(name: str) -> Generator[str, None, None]:
        while True:
            yield ln.context.params["name"]

    first, second = who("a"), who("b")
    assert [next(first), next(second), next(first), next(second)] == ["a", "b", "a", "b"]
    first.close()
    assert next(second) == "b"
    assert ln.context.run is None
    second.close()


@ln.step("fetch")
async def fetch(n: int) -> int:
    await asyncio.sleep(0)
    assert ln.context.params == {"n": n}
    if n < 0:
        raise OwnError
    await asyncio.sleep(0.001 * (5 - n))
    assert ln.context.params == {"n": n}
    return n * n


@ln.step("stream")
async def stream(n: int) -> AsyncGenerator[int, None]:
    for i in range(n):
        await asyncio.sleep(0)
        assert ln.context.run.name == "stream"
        yield i


@pytest.mark.req("R277", "R278")
def test_coroutines_and_tasks(registry: Registry) -> None:
    @ln.flow("gather")
    async def gather(n: int) -> list[int]:
        results = await asyncio.gather(*(fetch(i) for i in range(n)))
        assert ln.context.run.name == "gather"
        async with asyncio.TaskGroup() as group:
            late = group.create_task(fetch(5))
        results.append(late.result())
        results.append(await asyncio.to_thread(double, 4))
        return results

    assert inspect.iscoroutinefunction(gather)
    assert asyncio.run(gather(5)) == [0, 1, 4, 9, 16, 25, 8]
    flow = only_run("gather")
    steps = ln.Run.filter(transform__key="fetch").to_list()
    assert sorted(step.params["n"] for step in steps) == [0, 1, 2, 3, 4, 5]
    assert {step.status for step in steps} == {"completed"}
    assert {step.initiated_by_run for step in [*steps, only_run("double")]} == {flow}
    assert len({step.transform_id for step in steps}) == 1

    @ln.flow("failing")
    async def failing() -> None:
        await fetch(-1)

    with pytest.raises(OwnError):
        asyncio.run(failing())
    assert only_run("failing").status == "errored"

    @ln.flow("slow")
    async def slow() -> None:
        await asyncio.sleep(100)

    async def cancel() -> None:
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert only_run("slow").status == "aborted"


@pytest.mark.req("R278")
def test_asynchronous_generators(registry: Registry) -> None:
    @ln.flow("reader")
    async def reader() -> list[int]:
        seen = []
        async for i in stream(3):
            assert ln.context.run.name == "reader"
            seen.append(i)
        early = stream(9)
        assert await anext(early) == 0
        await early.aclose()
        thrown = stream(9)
        await anext(thrown)
        with pytest.raises(OwnError):
            await thrown.athrow(OwnError())
        return seen

    assert inspect.isasyncgenfunction(stream)
    assert asyncio.run(reader()) == [0, 1, 2]
    runs = ln.Run.filter(transform__key="stream").order_by("id").to_list()
    assert [run.status for run in runs] == ["completed", "aborted", "errored"]
    assert {run.initiated_by_run for run in runs} == {only_run("reader")}


@pytest.mark.req("R277", "R278")
def test_threads(registry: Registry, tmp_path: Path) -> None:
    """A flow's run is not inherited by threads: each gets what it is handed, and never the run of another flow."""

    @ln.step("part")
    def part(name: str) -> ln.Artifact:
        return save(tmp_path, name)

    @ln.flow("parallel")
    def parallel(prefix: str) -> list[ln.Artifact]:
        with ThreadPoolExecutor(4) as pool:
            with pytest.raises(ln.errors.MissingRunContext, match="run_context"):
                pool.submit(part, "x").result()
            waiting = [pool.submit(contextvars.copy_context().run, part, f"{prefix}{n}.txt") for n in range(6)]
            return [item.result() for item in waiting]

    with ThreadPoolExecutor(2) as flows:
        made = dict(zip("ab", flows.map(parallel, "ab"), strict=True))
    for prefix, artifacts in made.items():
        run = next(run for run in ln.Run.filter(transform__key="parallel") if run.params == {"prefix": prefix})
        assert {artifact.run.initiated_by_run for artifact in artifacts} == {run}
    assert ln.Run.filter(transform__key="part").count() == 12
    assert ln.Transform.filter(key="part").count() == 1
    tracked = ln.track("script")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(part, "y.txt").result().run.initiated_by_run == tracked
    ln.finish()


@pytest.mark.req("R278")
def test_a_flow_that_lends_its_run_to_the_process(sqlite_registry: Registry) -> None:
    def in_thread() -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(double, 1).result()

    clearing = ln.flow("clearing", global_run="clear")(in_thread)
    assert clearing() == 2
    assert only_run("double").initiated_by_run == only_run("clearing")
    assert ln.context.run is None
    remembering = ln.flow("remembering", global_run="memorize")(in_thread)
    remembering()
    assert ln.context.run == only_run("remembering")
    ln.finish()
    assert ln.context.run is None
    assert only_run("remembering").status == "completed"


def in_child(run: ln.Run, n: int) -> float:
    with run.registry, ln.run_context(run):
        return double(n)


@pytest.mark.req("R278")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_child_processes(registry: Registry, method: str) -> None:
    """A run is handed to a process as a value, with its registry; a fork inherits both."""

    @ln.flow("spread")
    def spread() -> list[float]:
        run = ln.context.run
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            results = list(pool.map(in_child, [run] * 2, range(2)))
            if method == "fork":
                results.append(pool.submit(double, 9).result())
        return results

    assert spread() == [0, 2, *([18] if method == "fork" else [])]
    runs = ln.Run.filter(transform__key="double").to_list()
    assert {run.initiated_by_run for run in runs} == {only_run("spread")}
    assert {run.status for run in runs} == {"completed"}
    assert len({run.transform_id for run in runs}) == 1


@pytest.mark.req("R277", "R288")
def test_two_registries_have_their_own_runs(sqlite_registry: Registry, tmp_path: Path) -> None:
    first = ln.track("first")
    with fresh_registry("sqlite", tmp_path / "second") as second:
        assert ln.context.run is None
        with pytest.raises(ln.errors.MissingRunContext):
            double(1)

        @ln.flow("both")
        def both() -> tuple[Any, Any]:
            with sqlite_registry:
                return ln.context.run, double(1)

        assert both() == (first, 2)
        assert [run.transform.key for run in second.Run.filter()] == ["both"]
    set_default_registry(sqlite_registry)
    assert only_run("double").initiated_by_run == first
    ln.finish()


@pytest.mark.req("R250", "R277")
def test_arguments_are_inputs_as_reading_is(registry: Registry, tmp_path: Path) -> None:
    source = save(tmp_path, "a.txt")

    @ln.flow("use")
    def use(options: dict[str, Any]) -> ln.Artifact:
        options["deep"][0].load()
        made = save(tmp_path, "made.txt")
        again(made)
        made.load()
        return made

    @ln.step("again")
    def again(artifact: ln.Artifact) -> None: ...

    ln.track("script")
    made = use({"deep": [source, source]})
    assert only_run("use").input_artifacts.to_list() == [source]
    assert only_run("again").input_artifacts.to_list() == [made]
    collection = ln.Collection([source], key="all").save()
    again(collection)
    with_collection = ln.Run.filter(transform__key="again").order_by("-id").first()
    assert with_collection.input_collections.to_list() == [collection]
    assert with_collection.params == {"artifact": f"Collection[{collection.uid}]"}
    registry.settings.track_run_inputs = False
    use({"deep": [source]})
    latest = ln.Run.filter(transform__key="use").order_by("-id").first()
    assert latest.input_artifacts.count() == 0
    ln.finish()
