from typing import Any

import dagster as dg
import pytest

from lamart_dagster import NoValue
from tests.dagster.conftest import Lab

state: dict[str, Any] = {}


@dg.asset
def maybe():  # type: ignore[no-untyped-def]
    return state["value"]


@dg.asset
def lenient(maybe: dict[str, int] | None):  # type: ignore[no-untyped-def]
    state["seen"].append(maybe)


@dg.asset
def plain(maybe):  # type: ignore[no-untyped-def]
    state["seen"].append(maybe)


@dg.asset
def strict(maybe: dict[str, int]) -> None:
    raise AssertionError("an older value must not stand in")


@pytest.mark.req("D3")
def test_none_is_a_value_in_time(lab: Lab) -> None:
    """What was None last is None in the same run and later, in any format, until a value is made."""
    state["value"], state["seen"] = None, []
    lab.run(maybe, plain)
    assert lab.registry.Artifact.filter().count() == 0  # where there never was a value, nothing is stored
    state["seen"], one = [], {"a": 1}
    versions: list[str] = []
    for value in (one, None, one, "text", None):
        state["value"] = value
        lab.run(maybe)
        versions.append(lab.data_version("maybe"))
        lab.run(maybe, plain, only="plain")
    assert state["seen"] == [one, None, one, "text", None]
    assert versions[1] == versions[4] != versions[0] == versions[2] != versions[3]
    assert [artifact.version for artifact in lab.versions("maybe.json")] == ["0000"]
    assert lab.metadata("plain")["lamart/inputs"].records[0].data["key"] == "maybe.none"
    for options in ({}, {"only": "strict"}):
        with pytest.raises(NoValue, match=r"maybe returned None.*T \| None"):
            lab.run(maybe, strict, **options)
    lab.run(maybe, lenient)
    lab.run(maybe, lenient, only="lenient")
    assert state["seen"][-2:] == [None, None]
    state["value"] = one  # the values that others have seen are still there
    lab.run(maybe, lenient)
    assert state["seen"][-1] == one


@pytest.mark.req("D3")
def test_a_retry_takes_back_what_the_attempt_before_made(lab: Lab) -> None:
    made: list[Any] = []

    @dg.multi_asset(outs={"one": dg.AssetOut(), "two": dg.AssetOut()}, retry_policy=dg.RetryPolicy(max_retries=2))
    def both(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        yield dg.Output(made[context.retry_number], "one")
        if context.retry_number < 2:
            raise ValueError("between the outputs")
        yield dg.Output(2, "two")

    seen: list[Any] = []

    @dg.asset
    def use(one: str | None, two: int) -> None:
        seen.append(one)

    for attempts in (["a", "b", None], ["a", None, "a"], [None, "c", None], [None, None, "c"]):
        made[:] = attempts
        lab.run(both, use)
        lab.run(both, use, only="use")
        assert seen[-2:] == [attempts[-1]] * 2


@pytest.mark.req("D4")
def test_ops_in_a_row_by_none_and_lists_of_none(lab: Lab) -> None:
    seen: list[Any] = []

    @dg.op
    def first():  # type: ignore[no-untyped-def]
        pass

    @dg.op
    def second(first):  # type: ignore[no-untyped-def]
        seen.append(first)

    @dg.op
    def gather(all_of_them):  # type: ignore[no-untyped-def]
        seen.append(all_of_them)

    @dg.op
    def wants(n: int) -> None:
        pass

    @dg.job(resource_defs={"io_manager": lab.io()})
    def job():  # type: ignore[no-untyped-def]
        second(first())
        gather([first.alias("a")(), first.alias("b")()])

    @dg.job(resource_defs={"io_manager": lab.io()})
    def refused():  # type: ignore[no-untyped-def]
        wants(first())

    job.execute_in_process(instance=lab.instance)
    assert sorted(seen, key=str) == [None, [None, None]]
    with pytest.raises(NoValue, match="Nothing"):
        refused.execute_in_process(instance=lab.instance)
