from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamart_core.errors import InvalidArgument
from lamart_core.storage import check_key, suffix_of
from lamart_dagster.keys import AssetPartition, asset_name, escape, run_output_name

# Asset parts as Dagster allows them and beyond, and values with everything that separates anything in a key.
PARTS = st.text(alphabet="ab_.-=%/|1A", min_size=1, max_size=6)
VALUES = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("%/\\|.= \n\x00.")), max_size=12)
DIMENSIONS = st.dictionaries(st.text(alphabet="abd=/.%", min_size=1, max_size=4), VALUES, max_size=3)
TARGETS = st.builds(AssetPartition.of, st.lists(PARTS, min_size=1, max_size=3), DIMENSIONS)
SUFFIXES = st.sampled_from(["", ".parquet", ".anndata.zarr", ".csv.gz"])


@given(TARGETS, TARGETS, SUFFIXES, SUFFIXES)
def test_distinct_assets_and_partitions_never_share_a_key(
    one: AssetPartition, other: AssetPartition, suffix: str, other_suffix: str
) -> None:
    key = asset_name(one, prefix="lab").key_for(suffix)
    assert asset_name(one, prefix="lab").matches(key)
    assert asset_name(other, prefix="lab").matches(key) == (one == other)
    assert (asset_name(other, prefix="lab").key_for(other_suffix) == key) == (one == other and suffix == other_suffix)


@given(TARGETS, SUFFIXES)
def test_keys_of_assets_are_clean_and_show_their_suffix(target: AssetPartition, suffix: str) -> None:
    key = asset_name(target).key_for(suffix)
    check_key(key)
    assert suffix_of(key) == suffix


@given(TARGETS, st.text(alphabet="ab/.|", min_size=1, max_size=5), st.text(alphabet="ab[]./", min_size=1, max_size=5))
def test_outputs_of_runs_never_share_a_key_with_an_asset(target: AssetPartition, job: str, step: str) -> None:
    name = run_output_name(job, "run", step, "result")
    assert asset_name(target).stem != name.stem
    check_key(name.key_for(".json"))


@given(VALUES, VALUES)
def test_escaping_keeps_different_values_different(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


def test_an_asset_named_like_the_folder_of_run_outputs_keeps_out_of_it() -> None:
    asset = asset_name(AssetPartition.of(["__runs__", "job", "run", "step", "result"]))
    assert asset.stem != run_output_name("job", "run", "step", "result").stem


@pytest.mark.parametrize(
    ("template", "stem", "suffix"),
    [
        ("sc/{name}/{batch}.csv", "sc/cells/b%2E1", ".csv"),
        ("sc/{asset}/{partition}", "sc/lab/cells/batch=b%2E1/date=2024-01-01", None),
        ("v1.2/{batch}/{date}/table.anndata.zarr", "v1.2/b%2E1/2024-01-01/table", ".anndata.zarr"),
        ("{{x}}/{batch}-{date}", "{x}/b%2E1-2024-01-01", None),
    ],
)
def test_templates_place_fields_and_choose_the_format(template: str, stem: str, suffix: str | None) -> None:
    target = AssetPartition.of(["lab", "cells"], {"batch": "b.1", "date": "2024-01-01"})
    if "{date}" not in template and "{partition}" not in template:
        target = AssetPartition.of(["lab", "cells"], {"batch": "b.1"})
    name = asset_name(target, prefix="ignored", template=template)
    assert (name.stem, name.suffix) == (stem, suffix)


def test_a_template_can_name_one_fixed_key() -> None:
    name = asset_name(AssetPartition.of(["cells"]), template="shared/reference.h5ad")
    assert name.key == "shared/reference.h5ad"
    with pytest.raises(InvalidArgument, match=r"\.h5ad.*\.csv"):
        name.key_for(".csv")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{nothing}/{batch}", r"unknown fields \['nothing'\].*asset, batch, name, partition"),
        ("fixed.csv", "several partitions under one key: add {batch}"),
        ("{batch!r}", "plain fields"),
        ("{batch:>3}", "plain fields"),
        ("{", "not a format string"),
    ],
)
def test_templates_that_cannot_be_right_are_refused(template: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        asset_name(AssetPartition.of(["cells"], {"batch": "b"}), template=template)
