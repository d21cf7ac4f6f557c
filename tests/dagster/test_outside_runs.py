"""Loading and storing without a Dagster run: notebooks, scripts, tests of IO managers."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import lamart_core as ln
from lamart_core.saving.create import create
from lamart_dagster import MissingMaterialization
from tests.dagster.conftest import Lab

LETTERS = dg.StaticPartitionsDefinition(["a", "b"])


@dg.asset
def raw() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2]})


@dg.asset(partitions_def=LETTERS)
def part(context: dg.AssetExecutionContext) -> str:
    return context.partition_key


def test_definitions_load_values_by_the_same_rules(lab: Lab) -> None:
    lab.run(raw)
    for letter in "ab":
        lab.run(part, partition=letter)
    defs = dg.Definitions(assets=[raw, part], resources={"io_manager": lab.io()})
    n_runs = lab.registry.Run.filter().count()
    assert len(defs.load_asset_value("raw")) == 2  # type: ignore[arg-type]
    assert isinstance(defs.load_asset_value("raw", python_type=Path), Path)
    assert defs.load_asset_value("raw", python_type=ln.Artifact) == lab.latest("raw.parquet")
    assert defs.load_asset_value("part", partition_key="b") == "b"
    with defs.get_asset_value_loader(instance=lab.instance) as loader:
        window = dg.PartitionKeyRange("a", "b")
        assert loader.load_asset_value("part", partition_key_range=window) == {"a": "a", "b": "b"}
        create(lab.registry, "c", key="part/partition=b.txt")
        old = {"lamart/version": "0000"}
        assert loader.load_asset_value("part", partition_key="b") == "c"
        assert loader.load_asset_value("part", partition_key="b", input_definition_metadata=old) == "b"
    assert lab.registry.Run.filter().count() == n_runs


def test_a_value_loaded_in_the_body_of_a_step_is_an_input_of_its_run(lab: Lab) -> None:
    loaders: list[Any] = []

    @dg.asset(deps=[raw])
    def body(context: dg.AssetExecutionContext) -> int:
        return len(loaders[0].load_asset_value("raw"))

    lab.run(raw)
    with dg.Definitions(assets=[raw, body], resources={"io_manager": lab.io()}).get_asset_value_loader() as loader:
        loaders.append(loader)
        result = lab.run(raw, body, only="body")
    assert lab.latest("body.json").load() == 2
    assert lab.step_run(result, "body").input_artifacts.to_list() == [lab.latest("raw.parquet")]


def test_contexts_made_by_hand_store_and_load(lab: Lab) -> None:
    io = lab.io()
    with dg.build_output_context(asset_key="thing", partition_key="a", asset_partitions_def=LETTERS) as output:
        io.handle_output(output, {"n": 1})
    assert output.get_logged_metadata()["lamart/outcome"].value == "created"
    with dg.build_input_context(
        asset_key="thing", partition_key="a", asset_partitions_def=LETTERS, upstream_output=output
    ) as context:
        assert io.load_input(context) == {"n": 1}
    assert lab.latest("thing/partition=a.json").run is None


def test_what_was_never_made_is_an_error_outside_of_a_run_too(lab: Lab) -> None:
    defs = dg.Definitions(assets=[raw], resources={"io_manager": lab.io()})
    with pytest.raises(MissingMaterialization, match="raw"):
        defs.load_asset_value("raw")
