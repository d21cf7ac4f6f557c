"""AnnData in h5ad and zarr: round trips, options, counting, lazy access."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.tests.helpers import assert_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lamart_core import errors
from lamart_core.formats import BackedAnnData, Format, for_object, for_path, for_suffix
from tests.formats.format_samples import adata, assert_same, frame, write

SUFFIXES = [".h5ad", ".zarr", ".anndata.zarr"]


def format_of(suffix: str) -> Format:
    return for_object(adata(), suffix)


def load(path: Path, suffix: str, as_type: Any = None, **options: Any) -> Any:
    return for_path(path, suffix).load(path, suffix=suffix, as_type=as_type, **options)


@st.composite
def annotated(draw: st.DrawFn) -> ad.AnnData:
    shape = draw(st.tuples(st.integers(0, 5), st.integers(0, 4)))
    kind = draw(st.sampled_from(["float32", "float64", "int64", "bool"]))
    # What is compared is not equal to itself if it is not a number.
    x: Any = draw(hnp.arrays(kind, shape, elements={"allow_nan": False} if kind.startswith("float") else None))
    layout = draw(st.sampled_from([np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array]))
    text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)
    obs_names = draw(st.lists(text, min_size=shape[0], max_size=shape[0], unique=True))
    obs = pd.DataFrame(
        {
            "größe": pd.array(draw(st.lists(st.integers(0, 9), min_size=shape[0], max_size=shape[0])), dtype="Int64"),
            "kind": pd.Categorical(
                draw(st.lists(st.sampled_from(["a", "b", None]), min_size=shape[0], max_size=shape[0])),
                categories=["c", "b", "a"],
                ordered=draw(st.booleans()),
            ),
        },
        index=pd.Index(obs_names, dtype=object),
    )
    result = ad.AnnData(layout(x), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(shape[1])]))
    scalars = st.one_of(st.integers(-9, 9), st.floats(allow_nan=False), text, st.booleans())
    names = st.text("abcß测 ", min_size=1, max_size=4)
    result.uns = draw(
        st.recursive(st.dictionaries(names, scalars, max_size=2), lambda d: st.dictionaries(names, d), max_leaves=3)
    )
    if draw(st.booleans()):
        result.layers["x"] = sp.csc_matrix(x) if kind != "bool" else x
        result.obsm["m"] = np.ones((shape[0], 2))
        result.raw = result.copy()
    return result[draw(hnp.arrays(bool, shape[0]))] if draw(st.booleans()) else result


@pytest.mark.req("R131", "R246")
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(obj=annotated())
def test_any_matrix_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, suffix: str, obj: ad.AnnData) -> None:
    path = write(obj, tmp_path_factory.mktemp("a") / f"x{suffix}", suffix)
    assert_equal(load(path, suffix), obj.copy(), exact=True)
    assert for_path(path, suffix).count_observations(path, suffix=suffix) == obj.n_obs


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("sparse", [True, False])
def test_all_slots_come_back(suffix: str, sparse: bool, tmp_path: Path) -> None:
    obj = adata(sparse=sparse)
    loaded = load(write(obj, tmp_path / "x", suffix), suffix)
    expected = obj.copy()
    expected.strings_to_categoricals()
    expected.strings_to_categoricals(expected.raw.var)
    assert_same(loaded, expected)
    assert loaded.raw.shape == obj.raw.shape


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_object_is_left_as_it_was(suffix: str, tmp_path: Path) -> None:
    obj = adata()
    labels, columns = obj.obs["label"], obj.obs.columns.tolist()
    view = obj[:10]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(obj, tmp_path / "x", suffix)
        write(view, tmp_path / "view", suffix)
    assert obj.obs["label"].dtype == labels.dtype == object
    assert obj.obs.columns.tolist() == columns
    assert obj.raw.var["symbol"].dtype == object
    assert view.is_view
    assert load(tmp_path / "view", suffix).shape == (10, 12)


@pytest.mark.req("R131")
def test_a_backed_object_can_be_saved_and_stays_where_it_is(tmp_path: Path) -> None:
    write(adata(), tmp_path / "x.h5ad", ".h5ad")
    before = (tmp_path / "x.h5ad").read_bytes()
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    write(backed, tmp_path / "y.h5ad", ".h5ad")
    write(backed, tmp_path / "y.zarr", ".zarr")
    assert Path(backed.filename) == tmp_path / "x.h5ad"
    assert backed.X[:2].shape == (2, 12)
    backed.file.close()
    assert (tmp_path / "x.h5ad").read_bytes() == before
    for name in ("y.h5ad", "y.zarr"):
        assert_same(load(tmp_path / name, Path(name).suffix), load(tmp_path / "x.h5ad", ".h5ad"))


@pytest.mark.req("R135")
def test_h5ad_kwargs_reach_the_writer(tmp_path: Path) -> None:
    import h5py

    write(adata(sparse=False), tmp_path / "x.h5ad", ".h5ad", h5ad_kwargs={"compression": "gzip"})
    with h5py.File(tmp_path / "x.h5ad") as file:
        assert file["X"].compression == "gzip"


@pytest.mark.req("R133", "R135")
@pytest.mark.parametrize("sparse", [True, False])
def test_zarr_kwargs_reach_the_writer(sparse: bool, tmp_path: Path) -> None:
    import zarr

    obj = adata(sparse=sparse)
    write(obj, tmp_path / "x.zarr", ".zarr", zarr_kwargs={"chunks": [10, 10]})
    assert_same(load(tmp_path / "x.zarr", ".zarr").X, obj.X)
    write(obj, tmp_path / "large.zarr", ".zarr", zarr_kwargs={"chunks": [1024, 1024]})
    assert_same(load(tmp_path / "large.zarr", ".zarr").X, obj.X)
    if not sparse:
        assert zarr.open(str(tmp_path / "x.zarr"), mode="r")["X"].chunks == (10, 10)


def test_chunks_and_a_sparse_array(tmp_path: Path) -> None:
    obj = ad.AnnData(sp.csr_array(np.eye(4, dtype="float32")))
    write(obj, tmp_path / "x.zarr", ".zarr", zarr_kwargs={"chunks": [2, 2]})
    assert_same(load(tmp_path / "x.zarr", ".zarr").X.toarray(), obj.X.toarray())


def test_zarr_version_3_unless_asked_otherwise(tmp_path: Path) -> None:
    write(adata(), tmp_path / "x.zarr", ".zarr")
    write(adata(), tmp_path / "y.zarr", ".zarr", zarr_kwargs={"zarr_format": 2})
    assert json.loads((tmp_path / "x.zarr" / "zarr.json").read_text())["zarr_format"] == 3
    assert json.loads((tmp_path / "y.zarr" / ".zgroup").read_text())["zarr_format"] == 2
    assert_same(load(tmp_path / "x.zarr", ".zarr"), load(tmp_path / "y.zarr", ".zarr"))


@pytest.mark.req("R135")
@pytest.mark.parametrize(
    ("suffix", "options", "named"),
    [
        (".h5ad", {"zarr_kwargs": {"chunks": [1, 1]}}, "h5ad_kwargs"),
        (".zarr", {"h5ad_kwargs": {"compression": "gzip"}}, "zarr_kwargs"),
        (".h5ad", {"h5ad_kwargs": {"compresion": "gzip"}}, "compresion"),
        (".zarr", {"zarr_kwargs": {"zarr_format": 4}}, "zarr_format"),
        (".zarr", {"zarr_kwargs": {"store": "elsewhere"}}, "store"),
        (".h5ad", {"parquet_kwargs": {}}, "parquet_kwargs"),
    ],
)
def test_options_that_do_not_fit_are_refused(suffix: str, options: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match=named):
        write(adata(), tmp_path / "x", suffix, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_content_that_does_not_fit_is_refused_and_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    obj = adata()
    obj.uns["model"] = object()
    with pytest.raises(errors.UnsupportedObject, match="AnnData"):
        write(obj, tmp_path / "x", suffix)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.req("R110", "R132")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_observations_are_counted(suffix: str, tmp_path: Path) -> None:
    path = write(adata(), tmp_path / "x", suffix)
    assert format_of(suffix).n_observations(adata()) == 40
    assert for_path(path, suffix).count_observations(path, suffix=suffix) == 40


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_backed(suffix: str, tmp_path: Path) -> None:
    path = write(adata(), tmp_path / "x", suffix)
    backed = load(path, suffix, as_type=BackedAnnData)
    assert isinstance(backed, ad.AnnData)
    assert not isinstance(backed.X, np.ndarray | sp.spmatrix)
    assert_same(backed[5:7].to_memory().X, adata()[5:7].X)
    if suffix == ".h5ad":
        assert backed.isbacked
        backed.file.close()


def test_a_zarr_store_is_opened_once_to_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zarr

    path = write(adata(), tmp_path / "x", ".zarr")
    opened: list[Any] = []
    really_open: Any = zarr.open

    def recorded(*args: Any, **kwargs: Any) -> Any:
        opened.append(args)
        return really_open(*args, **kwargs)

    monkeypatch.setattr(zarr, "open", recorded)
    for as_type in (None, BackedAnnData):
        assert load(path, ".zarr", as_type).n_obs == adata().n_obs
        assert len(opened) == 1
        opened.clear()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_types_are_refused(suffix: str, tmp_path: Path) -> None:
    path = write(adata(), tmp_path / "x", suffix)
    with pytest.raises(errors.UnsupportedObject, match=r"anndata\.AnnData"):
        load(path, suffix, as_type=pd.DataFrame)
    assert load(path, suffix, as_type=Path) == path


@pytest.mark.req("R240")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_open_reads_slices(suffix: str, tmp_path: Path) -> None:
    obj = adata()
    path = write(obj, tmp_path / "x", suffix)
    with for_path(path, suffix).open(path, suffix=suffix) as store:
        assert store.shape == (40, 12)
        assert store.obs_names.tolist() == obj.obs_names.tolist()
        assert store.var_names.tolist() == obj.var_names.tolist()
        assert not isinstance(store.X, np.ndarray | sp.spmatrix)
        assert_same(store.X[3:5], obj.X[3:5])
        assert_same(store.layers["log"][3:5], obj.layers["log"][3:5])
        assert_same(store.obsm["X_pca"][:2], obj.obsm["X_pca"][:2])
        assert store.obsp["near"].shape == (40, 40)
        assert dict(store.varm) == dict(store.varp) == {}
        assert store.uns["params"]["a"] == "text"
        picked = store[store.obs["label"] == "T", ["ENSG1"]].to_memory()
        assert_same(picked.X, obj[obj.obs["label"] == "T", ["ENSG1"]].X)
        assert store.to_memory().shape == (40, 12)
    assert "closed" in repr(store)
    assert len(store.obs) == 40
    with pytest.raises(errors.InvalidArgument, match="closed"):
        _ = store.X
    store.close()


@pytest.mark.req("R241")
def test_modes(tmp_path: Path) -> None:
    h5ad = write(adata(), tmp_path / "x.h5ad", ".h5ad")
    store = write(adata(), tmp_path / "x.zarr", ".zarr")
    for path, mode in ((h5ad, "r+"), (h5ad, "w"), (store, "w")):
        with pytest.raises(ValueError, match="mode"):
            for_path(path, path.suffix).open(path, suffix=path.suffix, mode=mode)
    with (
        for_path(store, ".zarr").open(store, suffix=".zarr") as readable,
        pytest.raises(errors.InvalidArgument, match=r"r\+"),
    ):
        readable.set_column("obs", "new", range(40))
    with for_path(store, ".zarr").open(store, suffix=".zarr", mode="r+") as writable:
        writable.set_column("obs", "new", range(40))
        assert writable.obs["new"].iloc[-1] == 39
    assert load(store, ".zarr").obs["new"].tolist() == list(range(40))


@pytest.mark.req("R240")
def test_open_on_remote_storage(tmp_path: Path) -> None:
    from upath import UPath

    remote = UPath("memory://lamart-anndata")
    remote.mkdir(exist_ok=True, parents=True)
    local = write(adata(), tmp_path / "x.h5ad", ".h5ad")
    (remote / "x.h5ad").write_bytes(local.read_bytes())
    h5ad = for_suffix(".h5ad")
    assert h5ad is not None
    assert h5ad.count_observations(remote / "x.h5ad", suffix=".h5ad") == 40
    with h5ad.open(remote / "x.h5ad", suffix=".h5ad") as store:
        assert_same(store.X[3:5], adata().X[3:5])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_preview(suffix: str, tmp_path: Path) -> None:
    path = write(adata(), tmp_path / "x", suffix)
    for shown in (format_of(suffix).preview(adata()), for_path(path, suffix).preview(path, suffix=suffix)):
        assert shown.row_count == 40
        assert shown.shape == (40, 12)
        assert [c.name for c in shown.columns] == ["label", "n"]
        assert [c.name for c in shown.slots["var"]] == ["symbol"]
        assert [c.name for c in shown.slots["layers"]] == ["log"]
        assert "40 observations × 12 variables" in shown.markdown


@pytest.mark.req("R136")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_anndata_is_taken(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedObject, match=r"anndata\.AnnData"):
        format_of(suffix).write(frame(), tmp_path / "x", suffix=suffix)
