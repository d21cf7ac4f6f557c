"""What Dagster itself says is stale."""

from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from tests.dagster.conftest import Lab


def _statuses(lab: Lab, *assets: Any) -> dict[str, str]:
    graph = dg.Definitions(assets=list(assets)).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(lab.instance, graph, LoadingContextForTest(lab.instance))
    return {asset.key.to_user_string(): resolver.get_status(asset.key).value for asset in assets}


FRESH, STALE = StaleStatus.FRESH.value, StaleStatus.STALE.value


def test_what_is_made_again_makes_nothing_stale(lab: Lab) -> None:
    state = {"value": 1}

    @dg.asset(code_version="1")
    def source() -> int:
        return state["value"]

    @dg.asset(code_version="1")
    def middle(source: int) -> int:
        return source // 2

    @dg.asset(code_version="1")
    def end(middle: int) -> int:
        return middle

    assets = (source, middle, end)
    lab.run(*assets)
    assert _statuses(lab, *assets) == {"source": FRESH, "middle": FRESH, "end": FRESH}

    lab.run(*assets, only="source")
    assert lab.metadata("source")["lamart/outcome"] == "re-created"
    assert _statuses(lab, *assets) == {"source": FRESH, "middle": FRESH, "end": FRESH}

    state["value"] = 0
    lab.run(*assets, only="source")
    assert _statuses(lab, *assets) == {"source": FRESH, "middle": STALE, "end": FRESH}

    lab.run(*assets, only="middle")  # 0 // 2 == 1 // 2
    assert _statuses(lab, *assets) == {"source": FRESH, "middle": FRESH, "end": FRESH}


def test_the_data_version_is_the_content_hash_and_has_its_provenance(lab: Lab) -> None:
    @dg.asset
    def source() -> int:
        return 1

    @dg.asset
    def end(source: int) -> int:
        return source

    lab.run(source, end)
    tags = lab.materialization("end").tags
    assert tags["dagster/data_version"] == lab.latest("end.json").hash
    assert tags["dagster/data_version_is_user_provided"] == "true"
    assert tags["dagster/input_data_version/source"] == lab.latest("source.json").hash


def test_loading_leaves_no_observation_of_the_upstream(lab: Lab) -> None:
    @dg.asset
    def source() -> int:
        return 1

    @dg.asset
    def end(source: int) -> int:
        return source

    lab.run(source, end)
    assert lab.instance.fetch_observations(dg.AssetKey("source"), limit=10).records == []
    assert len(lab.instance.fetch_materializations(dg.AssetKey("source"), limit=10).records) == 1


def test_one_changed_partition_makes_only_what_uses_it_stale(lab: Lab) -> None:
    letters = dg.StaticPartitionsDefinition(["a", "b"])
    state = {"a": 1, "b": 1}

    @dg.asset(partitions_def=letters, code_version="1")
    def source(context: dg.AssetExecutionContext) -> int:
        return state[context.partition_key]

    @dg.asset(partitions_def=letters, code_version="1")
    def end(source: int) -> int:
        return source

    for letter in "ab":
        lab.run(source, end, partition=letter)
    state["b"] = 2
    for letter in "ab":
        lab.run(source, end, only="source", partition=letter)
    graph = dg.Definitions(assets=[source, end]).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(lab.instance, graph, LoadingContextForTest(lab.instance))
    status = {letter: resolver.get_status(end.key, letter).value for letter in "ab"}
    assert status == {"a": FRESH, "b": STALE}
