import unicodedata
from typing import Any

import dagster as dg
import pytest

from lamart_core.errors import InvalidArgument
from lamart_core.saving.create import create
from lamart_dagster import SharedKey, check_definitions
from lamart_dagster.keys import AssetPartition, asset_name, run_output_name
from tests.dagster.conftest import Lab

X = dg.StaticPartitionsDefinition(["x"])
TWO = dg.MultiPartitionsDefinition(
    {"sample": dg.StaticPartitionsDefinition(["x-y", "x"]), "batch": dg.StaticPartitionsDefinition(["z", "y-z"])}
)


def _asset(name: str, value: int, **options: Any) -> Any:
    @dg.asset(name=name, **options)
    def asset(context: dg.AssetExecutionContext) -> int:
        return value

    return asset


@pytest.mark.req("D7")
def test_what_another_asset_or_partition_owns_is_neither_overwritten_nor_read(lab: Lab) -> None:
    same = {"metadata": {"lamart/key": "days/{partition}"}, "partitions_def": X}
    raw, clean = _asset("raw", 1, **same), _asset("clean", 2, **same)
    lab.run(raw, partition="x")
    with pytest.raises(SharedKey, match=r"'days/x\.json' belongs to raw.*and clean"):
        lab.run(clean, partition="x")
    assert [artifact.load() for artifact in lab.versions("days/x.json")] == [1]

    @dg.asset(partitions_def=X)
    def reads(clean: int) -> int:
        return clean

    with pytest.raises(SharedKey, match="belongs to raw"):
        lab.run(clean, reads, only="reads", partition="x")

    cells = _asset("cells", 1, partitions_def=TWO, metadata={"lamart/key": "{name}/{sample}-{batch}"})
    lab.run(cells, partition="z|x-y")
    with pytest.raises(SharedKey, match=r"batch=z, sample=x-y.*batch=y-z, sample=x"):
        lab.run(cells, partition="y-z|x")

    lab.run(_asset("t", 1, key_prefix="lab"))
    with pytest.raises(SharedKey, match="belongs to lab/t, and t has"):
        lab.run(_asset("t", 2), io={"key_prefix": "lab"})
    assert lab.latest("lab/t.json").load() == 1


@pytest.mark.req("D7")
def test_a_renamed_asset_keeps_its_history_and_what_nobody_owns_is_taken(lab: Lab) -> None:
    key = {"lamart/key": "counts.json"}
    create(lab.registry, 0, key="counts.json")
    lab.run(_asset("counts", 1, metadata=key))
    lab.run(_asset("n", 2, metadata=key | {"lamart/former_name": "counts"}))
    assert [artifact.load() for artifact in lab.versions("counts.json")] == [0, 1, 2]
    with pytest.raises(SharedKey, match="belongs to n"):
        lab.run(_asset("counts", 1, metadata=key))


@pytest.mark.req("D8")
def test_assets_that_share_a_key_are_refused_when_they_are_defined(lab: Lab) -> None:
    key = {"lamart/key": "same.json"}
    io = lab.io()
    with pytest.raises(SharedKey, match=r"one and two have one key, 'same\.json'"):
        check_definitions(
            dg.Definitions(
                assets=[_asset("one", 1, metadata=key), _asset("two", 2, metadata=key)], resources={"io_manager": io}
            )
        )
    under = lab.io(key_prefix="lab")
    assets = [_asset("t", 1, key_prefix="lab"), _asset("t", 2, io_manager_key="lab_io")]
    with pytest.raises(SharedKey, match="lab/t and t"):
        check_definitions(dg.Definitions(assets=assets, resources={"io_manager": io, "lab_io": under}))
    other = dg.FilesystemIOManager()
    fine = dg.Definitions(
        assets=[*assets, _asset("parts", 1, partitions_def=TWO)], resources={"io_manager": io, "lab_io": other}
    )
    assert check_definitions(fine) is fine


@pytest.mark.req("D9")
def test_names_are_found_whatever_their_normal_form(lab: Lab) -> None:
    part = _asset("part", 1, partitions_def=dg.DynamicPartitionsDefinition(name="any"))

    @dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name="any"))
    def reads(part: int) -> int:
        return part

    for name in (unicodedata.normalize("NFD", "zürich"), "5 \N{ANGSTROM SIGN}", "1 k\N{OHM SIGN}", ".\u0308"):
        lab.instance.add_dynamic_partitions("any", [name])
        lab.run(part, reads, partition=name, io={"key_prefix": "e\u0301"})
    assert lab.registry.Artifact.filter(key__startswith="\xe9/reads/").count() == 4
    lab.instance.add_dynamic_partitions("any", ["zürich"])
    with pytest.raises(SharedKey, match=r"z\\xfcrich.*zu\\u0308rich|zu\\u0308rich.*z\\xfcrich"):
        lab.run(part, partition="zürich", io={"key_prefix": "e\u0301"})
    assert unicodedata.is_normalized("NFC", run_output_name("job", "r", "s", "e\u0301").stem)


@pytest.mark.req("D10")
def test_keys_that_cannot_be_right_are_refused_with_a_way_out() -> None:
    with pytest.raises(InvalidArgument, match=r"1\d\d\d characters.*lamart/key"):
        asset_name(AssetPartition.of(["a"], {"partition": "x" * 1100}))
    for template in ("", " ", "{name}/"):
        with pytest.raises(InvalidArgument, match="does not name a file"):
            asset_name(AssetPartition.of(["a"]), template=template)
    with pytest.raises(InvalidArgument, match="partition_key="):
        asset_name(AssetPartition.of(["m"]), template="t/{a}/{b}")
