"""MuData in h5mu and zarr: round trips, equal bytes, foreign and damaged files, lazy access."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamart_core import errors
from lamart_core.formats import UnreadableContent, for_object, for_path
from tests.formats.format_samples import assert_same, fingerprint, frame, write
from tests.formats.mudata_samples import assert_same_mudata, matrix, mudata

SUFFIXES = [".h5mu", ".zarr", ".mudata.zarr"]
WRITERS = [".h5mu", ".zarr"]

pytestmark = pytest.mark.filterwarnings("ignore:.*will not pull obs/var columns:FutureWarning")


def load(path: Path, suffix: str, **options: Any) -> Any:
    return for_path(path, suffix).load(path, suffix=suffix, **options)


@st.composite
def modalities(draw: st.DrawFn) -> dict[str, ad.AnnData]:
    cells = draw(st.lists(st.text("abö测-", min_size=1, max_size=4), max_size=4, unique=True))
    names = draw(st.lists(st.text("ab größe测.:", min_size=1, max_size=5), max_size=3, unique=True))
    found: dict[str, ad.AnnData] = {}
    for number, name in enumerate(name for name in names if name.strip(".")):
        shown = draw(st.lists(st.sampled_from(cells), unique=True)) if cells else []
        sparse, n_vars = draw(st.booleans()), draw(st.integers(0, 3))
        found[name] = matrix(shown, [f"v{number}{n}" for n in range(n_vars)], sparse=sparse)
    return found


def check_round_trip(obj: md.MuData, path: Path, suffix: str) -> None:
    obj.uns = {"größe": {"b": 1, "a": "text"}, "empty": {}}
    write(obj, path, suffix)
    loaded = load(path, suffix)
    assert_same_mudata(loaded, obj)
    assert for_path(path, suffix).count_observations(path, suffix=suffix) == obj.n_obs
    assert_equal_files(write(loaded, path.with_name(f"again{suffix}"), suffix), path)


@pytest.mark.req("R142")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=modalities())
def test_any_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, parts: dict[str, ad.AnnData]) -> None:
    check_round_trip(md.MuData(parts), tmp_path_factory.mktemp("a") / "x.h5mu", ".h5mu")


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"rna": matrix([], ["g"]), "b": matrix([], [])},
        {"größe 测:.": matrix(["c 测"], ["g"]), "..b": matrix(["d"], [])},
    ],
    ids=["nothing", "no observations", "names"],
)
def test_edges_come_back_equal_from_zarr(parts: dict[str, ad.AnnData], tmp_path: Path) -> None:
    check_round_trip(md.MuData(parts), tmp_path / "x.zarr", ".zarr")


def assert_equal_files(left: Path, right: Path) -> None:
    names = ("", "") if left.is_file() else (left.name, right.name)
    assert list(fingerprint(left).items()) == list(fingerprint(right).items()), names


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_slots_come_back(suffix: str, tmp_path: Path) -> None:
    path = write(mudata(), tmp_path / "x", suffix)
    assert_same_mudata(load(path, suffix), mudata(text="category"))
    assert for_path(path, suffix) is for_object(mudata(), suffix)
    assert for_path(path, suffix).otype == "MuData"


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("axis", [1, -1])
def test_what_modalities_share_comes_back(axis: int, suffix: str, tmp_path: Path) -> None:
    genes, cells = ["g1", "g2"], ["c1", "c2", "c3"]
    obj = md.MuData({"a": matrix(cells, genes), "b": matrix(cells if axis == -1 else ["d1"], genes)}, axis=axis)
    path = write(obj, tmp_path / "x", suffix)
    loaded = load(path, suffix)
    assert (loaded.axis, loaded.shape) == (axis, obj.shape)
    assert_same_mudata(loaded, obj)
    with for_path(path, suffix).open(path, suffix=suffix) as store:
        assert (store.axis, store.shape, store.to_memory().axis) == (axis, obj.shape, axis)


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_object_is_left_as_it_was(suffix: str, tmp_path: Path) -> None:
    obj = mudata()
    obj["rna"].obs["late"] = 1  # the whole is not told
    view = obj[["c1", "c3"]]
    before = (list(obj.obs), list(obj["rna"].obs), [str(d) for d in obj["rna"].obs.dtypes])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(obj, tmp_path / "x", suffix)
        write(view, tmp_path / "view", suffix)
    assert (list(obj.obs), list(obj["rna"].obs), [str(d) for d in obj["rna"].obs.dtypes]) == before
    assert obj["rna"].raw.var["symbol"].dtype == object
    assert view.is_view
    assert view["rna"].is_view
    assert load(tmp_path / "view", suffix).obs_names.tolist() == ["c1", "c3"]


def test_a_backed_object_can_be_saved_and_stays_where_it_is(tmp_path: Path) -> None:
    path = write(mudata(), tmp_path / "x.h5mu", ".h5mu")
    backed = load(path, ".h5mu", backed="r")
    write(backed, tmp_path / "y.h5mu", ".h5mu")
    write(backed, tmp_path / "y.zarr", ".zarr")
    assert Path(str(backed.filename)) == path
    assert backed["rna"].isbacked
    backed.file.close()
    assert_equal_files(tmp_path / "y.h5mu", path)  # the raw matrix included
    assert_equal_files(tmp_path / "y.zarr", write(mudata(), tmp_path / "x.zarr", ".zarr"))


@pytest.mark.req("R142")
def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    other = mudata()
    other.obsm = dict(reversed(list(other.obsm.items())))  # which was first is no content
    other.uns = {"params": {"a": "text", "b": 1}, "colors": other.uns["colors"]}
    for suffix in WRITERS:
        first = write(mudata(), tmp_path / f"here{suffix}", suffix)
        assert_equal_files(write(other, tmp_path / f"other{suffix}", suffix), first)


def as_the_library_writes_zarr(path: Path) -> None:
    with ad.settings.override(zarr_write_format=2), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        md.write_zarr(path, mudata())


def as_early_versions(path: Path) -> None:
    """Without the mark at the beginning of the file, the order and the axis; modalities marked otherwise."""
    with h5py.File(path, "w") as file:
        md.write_h5mu(path.with_suffix(".new"), mudata())
        with h5py.File(path.with_suffix(".new")) as new:
            for name in new:
                new.copy(new[name], file, name=name)
        del file["mod"].attrs["mod-order"]
        file.attrs["encoding-type"] = "MuData"
        for adata in file["mod"].values():
            adata.attrs["encoding-type"] = "AnnData"


@pytest.mark.parametrize(
    ("suffix", "make"), [(".zarr", as_the_library_writes_zarr), (".h5mu", as_early_versions)], ids=["v2", "early"]
)
@pytest.mark.filterwarnings("ignore:The HDF5 file was not created by muon/mudata")
def test_foreign_files(suffix: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    make(path)
    found = for_path(path, suffix)
    assert (found.otype, found.count_observations(path, suffix=suffix)) == ("MuData", 4)
    assert set(load(path, suffix).mod) == {"rna", "größe 测"}
    with found.open(path, suffix=suffix) as store:
        assert store["rna"].obs["label"].tolist() == list("abab")
        assert set(store.to_memory().mod) == {"rna", "größe 测"}


@pytest.mark.parametrize("suffix", WRITERS)
def test_damaged_content_is_told(suffix: str, tmp_path: Path) -> None:
    path = write(mudata(), tmp_path / f"x{suffix}", suffix)
    missing_parts = ("obs", "mod", "var", "mod/rna/obs")
    damaged = [tmp_path / f"{number}{suffix}" for number in range(len(missing_parts) + 1)]
    write(matrix(["c"], ["g"]), damaged[-1], ".h5ad" if suffix == ".h5mu" else suffix)
    for number, missing in enumerate(missing_parts):
        if suffix == ".h5mu":
            shutil.copy(path, damaged[number])
            with h5py.File(damaged[number], "r+") as file:
                del file[missing]
        else:
            shutil.copytree(path, damaged[number])
            shutil.rmtree(damaged[number] / missing)
            root = json.loads((path / "zarr.json").read_text())
            del root["consolidated_metadata"]
            (damaged[number] / "zarr.json").write_text(json.dumps(root))
    found = for_object(mudata(), suffix)
    for each in damaged:
        for use in (found.load, found.count_observations, found.open, found.preview):
            with pytest.raises(UnreadableContent):
                use(each, suffix=suffix)


def test_pickled_chunks_are_never_loaded(tmp_path: Path) -> None:
    path = write(mudata(), tmp_path / "x.zarr", ".zarr")
    file = path / "mod/rna/X/zarr.json"
    metadata = json.loads(file.read_text()) | {"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]}
    file.write_text(json.dumps(metadata))
    found = for_path(path, ".zarr")
    for use in (found.load, found.open, found.count_observations):
        with pytest.raises(UnreadableContent, match="pickle"):
            use(path, suffix=".zarr")


def test_options_reach_the_writer(tmp_path: Path) -> None:
    write(mudata(), tmp_path / "x.h5mu", ".h5mu", h5mu_kwargs={"compression": "gzip"})
    with h5py.File(tmp_path / "x.h5mu") as file:
        assert file["mod/rna/layers/log"].compression == "gzip"
    write(mudata(), tmp_path / "x.zarr", ".zarr", zarr_kwargs={"zarr_format": 2})
    assert json.loads((tmp_path / "x.zarr/.zgroup").read_text())["zarr_format"] == 2
    assert_same_mudata(load(tmp_path / "x.zarr", ".zarr"), load(tmp_path / "x.h5mu", ".h5mu"))
    with pytest.raises(errors.InvalidArgument, match="mask"):
        load(tmp_path / "x.zarr", ".zarr", mask=1)


@pytest.mark.parametrize(
    ("suffix", "options", "named"),
    [
        (".h5mu", {"h5mu_kwargs": {"compresion": "gzip"}}, "compresion"),
        (".h5mu", {"h5ad_kwargs": {"compression": "gzip"}}, "h5mu_kwargs"),
        (".zarr", {"zarr_kwargs": {"write_data": False}}, "write_data"),
        (".zarr", {"zarr_kwargs": {"zarr_format": 4}}, "zarr_format"),
    ],
)
def test_options_that_do_not_fit_are_refused(suffix: str, options: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match=named):
        write(mudata(), tmp_path / "x", suffix, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("name", ["a/b", "", ".."])
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(name: str, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedObject, match="mod has the key"):
        write(md.MuData({name: matrix(["c"], ["g"])}), tmp_path / "x", suffix)
    obj = mudata()
    obj["rna"].uns["model"] = object()
    with pytest.raises(errors.UnsupportedObject, match="MuData"):
        write(obj, tmp_path / "x", suffix)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(errors.UnsupportedObject, match=r"mudata\.MuData"):
        for_object(obj, suffix).write(frame(), tmp_path / "x", suffix=suffix)


@pytest.mark.parametrize("suffix", WRITERS)
def test_open_reads_slices_of_modalities(suffix: str, tmp_path: Path) -> None:
    obj = mudata()
    path = write(obj, tmp_path / "x", suffix)
    with for_path(path, suffix).open(path, suffix=suffix) as store:
        assert store.shape == obj.shape
        assert list(store.mod) == ["rna", "größe 测"]
        assert (store.obs_names.tolist(), store.var_names.tolist()) == (list(obj.obs_names), list(obj.var_names))
        assert not isinstance(store["rna"].X, np.ndarray | sp.spmatrix)
        assert_same(store["rna"].X[1:3], obj["rna"].X[1:3])
        assert_same(store["rna"][store["rna"].obs["label"] == "a"].to_memory().X, obj["rna"].X[::2])
        assert_same(dict(store.obsm)["umap"], obj.obsm["umap"])
        assert_same(dict(store.obsmap)["rna"], np.asarray(obj.obsmap["rna"]))
        assert store.uns["params"]["a"] == "text"
        assert set(store.varm) == {"rna", "größe 测"}
        assert set(store.obsp) == set(store.varp) == set()
        assert "adt" not in store.mod
        with pytest.raises(KeyError, match="größe"):
            _ = store["adt"]
        assert_same_mudata(store.to_memory(), load(path, suffix))
    assert "closed" in repr(store)
    assert store.n_obs == 4
    for use in (lambda: store["rna"], store.to_memory, lambda: store.uns):
        with pytest.raises(errors.InvalidArgument, match="closed"):
            use()
    store.close()
    with pytest.raises(errors.InvalidArgument, match="mode"):
        for_path(path, suffix).open(path, suffix=suffix, mode="w")


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("name", [None, "cell"])
def test_names_of_an_open_store_are_those_of_its_annotation(name: str | None, suffix: str, tmp_path: Path) -> None:
    obj = mudata()
    obj.obs.index.name = name
    path = write(obj, tmp_path / "x", suffix)
    with for_path(path, suffix).open(path, suffix=suffix) as store:
        found = store.obs_names
        assert "obs" not in vars(store), "the names are read alone"
        pd.testing.assert_index_equal(found, store.obs.index)


@pytest.mark.parametrize("suffix", WRITERS)
def test_preview(suffix: str, tmp_path: Path) -> None:
    path = write(mudata(), tmp_path / "x", suffix)
    for shown in (for_object(mudata(), suffix).preview(mudata()), for_path(path, suffix).preview(path)):
        assert (shown.row_count, shown.shape) == (4, (4, 5))
        assert "donor" in [column.name for column in shown.columns]
        assert [column.name for column in shown.slots["rna:obs"]] == ["label"]
        assert [column.name for column in shown.slots["rna:layers"]] == ["log"]
        assert "`größe 测`: 3 × 2" in shown.markdown
        assert "| c1 |" in shown.markdown
