"""Lazy access to AnnData: equal to AnnData's own indexing, little read from afar, and files that others wrote."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.sparse as sp
import zarr
from anndata.tests.helpers import assert_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from lamart_core import errors
from lamart_core.formats import AnnDataAccessor, Format, UnreadableContent, for_path, for_remote, for_suffix
from tests.formats.format_samples import adata, write
from tests.storage.s3_server import S3Server

EARLY = Path(scanpy.__file__).parent / "datasets/10x_pbmc68k_reduced.h5ad"


def format_of(path: Path) -> Format:
    return for_path(path, path.suffix)


def opened(path: Path, **options: Any) -> AnnDataAccessor:
    return format_of(path).open(path, suffix=path.suffix, **options)


def cells(layout: Any = sp.csr_matrix, rows: int = 60) -> ad.AnnData:
    """An AnnData with something in every slot."""
    random = np.random.default_rng(1)
    values = random.poisson(0.7, (rows, 9)).astype("float32")
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(random.choice(["T", "B", "größe 测"], rows)),
            "n": pd.array(range(rows), dtype="Int64"),
        },
        index=pd.Index([f"c{i}" for i in range(rows)], name="barcode"),
    )
    result = ad.AnnData(
        layout(values),
        obs=obs,
        var=pd.DataFrame({"high": [True, False, True] * 3}, index=[f"g{i}" for i in range(9)]),
        layers={"csc": sp.csc_matrix(values), "dense": values * 2},
        obsm={"X_pca": values[:, :2], "table": pd.DataFrame({"a": range(rows)}, index=obs.index)},
        varm={"PCs": np.ones((9, 3))},
        obsp={"near": sp.csr_matrix(np.eye(rows))},
        uns={
            "kind_colors": np.array(["red", "blue", "green"], dtype=object),
            "nested": {"测": {"x": [1, 2], "y": "t"}},
        },
    )
    result.raw = result[:, :].copy()
    return result


LAYOUTS = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "array": sp.csr_array, "dense": np.asarray}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("stores")
    return [
        write(cells(layout), folder / f"{name}{suffix}", suffix)
        for name, layout in LAYOUTS.items()
        for suffix in (".h5ad", ".zarr")
    ]


def axes(size: int, prefix: str) -> st.SearchStrategy[Any]:
    places = st.integers(0, size - 1)
    return st.one_of(
        st.lists(st.booleans(), min_size=size, max_size=size).map(np.array),
        st.lists(places, max_size=6).map(lambda found: np.array(found, dtype=int)),
        st.lists(places.map(lambda n: f"{prefix}{n}"), min_size=1, max_size=4, unique=True),
        st.slices(size),
        places.map(lambda n: f"{prefix}{n}"),
        places,
    )


@pytest.mark.req("R240")
@pytest.mark.filterwarnings("ignore:.*names are not unique")
@settings(max_examples=30, deadline=None)
@given(rows=axes(60, "c"), columns=axes(9, "g"), number=st.integers(0, 7))
def test_parts_are_those_that_anndata_gives(stores: list[Path], rows: Any, columns: Any, number: int) -> None:
    whole = format_of(stores[number]).load(stores[number], suffix=stores[number].suffix)
    with opened(stores[number]) as store:
        part = store[rows, columns]
        # One axis after the other: scipy gives wrong values for some rows of every other column.
        expected = whole[rows].copy()[:, columns].copy()
        del expected.raw
        assert part.shape == expected.shape
        found = part.to_memory()
        assert_equal(found, expected, exact=True)
        assert type(found.X) is type(expected.X) or not found.n_obs or not found.n_vars
        assert_equal(part.X, expected.X)
        assert part[:2].obs_names.tolist() == expected.obs_names[:2].tolist()


@pytest.mark.req("R240")
def test_large_parts_are_read_in_pieces(stores: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamart_core.formats.anndata.subset._PIECE", 40)
    monkeypatch.setattr("lamart_core.formats.anndata.subset._GAP", 2)
    for path in stores:
        whole = format_of(path).load(path, suffix=path.suffix)
        with opened(path) as store:
            for rows in (slice(None), slice(55, 3, -7), [5, 50, 5], whole.obs["kind"] == "T"):
                assert_equal(store[rows, ["g8", "g1"]].X, whole[rows, ["g8", "g1"]].X)


@pytest.mark.req("R240")
def test_an_accessor_has_everything(stores: list[Path]) -> None:
    for path in stores:
        whole = format_of(path).load(path, suffix=path.suffix)
        with format_of(path).load(path, suffix=path.suffix, as_type=AnnDataAccessor) as store:
            assert_equal(store.to_memory(), whole)
            assert_equal(store.to_memory().raw.to_adata(), whole.raw.to_adata())
            assert_equal(store.raw[:5].to_memory().X, whole.raw[:5].X)
            assert_equal(store.lazy().to_memory().obs, whole.obs)
            assert (sorted(store.layers), len(store.obsm)) == (["csc", "dense"], 2)
            assert_equal(store.obsm["X_pca"][3:5], whole.obsm["X_pca"][3:5])
            assert_equal(store.layers["csc"][:, 2:4], whole.layers["csc"][:, 2:4])
            assert_equal(store.uns, dict(whole.uns))
            assert "60 × 9" in repr(store[:])
            layers = store.layers
        assert len(store.obs_names) == 60  # what was read stays
        with pytest.raises(errors.InvalidArgument, match="closed"):
            store.to_memory()
        with pytest.raises(errors.InvalidArgument, match="closed"):
            len(layers)


# ---------------------------------------------------------------------- files of others


@pytest.mark.req("R132", "R240")
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::anndata.OldFormatWarning")
def test_a_file_of_an_early_anndata() -> None:
    h5ad = for_suffix(".h5ad")
    assert h5ad is not None
    assert h5ad.count_observations(EARLY, suffix=".h5ad") == 700
    whole = h5ad.load(EARLY, suffix=".h5ad")
    with h5ad.open(EARLY, suffix=".h5ad") as store:
        assert_equal(store.to_memory(), whole)
        assert store.raw[:3].X.shape == (3, 765)
        expected = whole[whole.obs["phase"] == "S", whole.var_names[[3, 1]]].copy()
        del expected.raw
        assert_equal(store[store.obs["phase"] == "S", whole.var_names[[3, 1]]].to_memory(), expected)
        with pytest.raises(errors.InvalidArgument, match="before its version"):
            store.lazy()
    shown = h5ad.preview(EARLY)
    assert (shown.shape, len(shown.columns)) == ((700, 765), 8)
    remote = UPath("memory://early/x.h5ad")
    remote.write_bytes(EARLY.read_bytes())
    assert h5ad.count_observations(remote, suffix=".h5ad") == 700
    with pytest.raises(errors.InvalidArgument, match="load it"):
        h5ad.open(remote, suffix=".h5ad")


@pytest.mark.req("R132", "R240")
@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_stores_of_other_versions(tmp_path: Path) -> None:
    whole = cells()
    # anndata 0.7: no mark at the root, categories beside the columns, sparse matrices without a version.
    write(whole, tmp_path / "x.h5ad", ".h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        for name in ("encoding-type", "encoding-version"):
            del file.attrs[name]
        column: Any = file["obs/kind"]
        codes, categories = column["codes"][:], column["categories"][:]
        del file["obs/kind"], file["raw"]
        file["obs/__categories/kind"] = categories
        file["obs/kind"] = codes
        file["obs/kind"].attrs["categories"] = file["obs/__categories/kind"].ref
        file["obs"].attrs["encoding-version"] = "0.1.0"
    # zarr version 2, without consolidated metadata.
    write(whole, tmp_path / "x.zarr", ".zarr", zarr_kwargs={"zarr_format": 2})
    (tmp_path / "x.zarr/.zmetadata").unlink()
    for path in (tmp_path / "x.h5ad", tmp_path / "x.zarr"):
        assert format_of(path).count_observations(path, suffix=path.suffix) == 60
        loaded = format_of(path).load(path, suffix=path.suffix)
        pd.testing.assert_series_equal(loaded.obs["kind"], whole.obs["kind"])
        with opened(path) as store:
            assert_equal(store.to_memory().X, whole.X)
            pd.testing.assert_series_equal(store.obs["kind"], whole.obs["kind"])


# ---------------------------------------------------------------------- from afar


@dataclass
class Traffic:
    """What was asked of an object store."""

    requests: int = 0
    bytes: int = 0


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    from aiobotocore.httpsession import AIOHTTPSession

    counted, send = Traffic(), AIOHTTPSession.send

    async def watched(session: Any, request: Any) -> Any:
        answer = await send(session, request)
        counted.requests += 1
        counted.bytes += int(answer.headers.get("Content-Length", 0)) if request.method == "GET" else 0
        return answer

    monkeypatch.setattr(AIOHTTPSession, "send", watched)
    return counted


@pytest.fixture
def bucket(s3: S3Server) -> UPath:
    return UPath(f"s3://{s3.new_bucket()}", endpoint_url=s3.endpoint_url)


def put(path: Path, bucket: UPath) -> UPath:
    """Upload a file or folder."""
    bucket.fs.put(str(path), f"{bucket.path.rstrip('/')}/{path.name}", recursive=path.is_dir())
    bucket.fs.invalidate_cache()
    return bucket / path.name


@pytest.mark.req("R39", "R132", "R240")
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_little_is_read_from_afar(suffix: str, bucket: UPath, traffic: Traffic, tmp_path: Path) -> None:
    rows = 20_000
    random = np.random.default_rng(0)
    obs = pd.DataFrame({f"q{i}": random.random(rows) for i in range(40)}, index=[f"c{i}" for i in range(rows)])
    whole = ad.AnnData(random.random((rows, 100), dtype="float32"), obs=obs)
    local = write(whole, tmp_path / f"x{suffix}", suffix)
    size = sum(file.stat().st_size for file in [local, *local.rglob("*")] if file.is_file())
    remote = put(local, bucket)
    traffic.requests = traffic.bytes = 0
    found = for_remote(remote, suffix, is_folder=suffix == ".zarr")
    assert found.otype == "AnnData"
    assert found.count_observations(remote, suffix=suffix) == rows
    with found.open(remote, suffix=suffix) as store:
        assert (store.shape, sorted(store.obsm), store.X.shape) == ((rows, 100), [], (rows, 100))
        assert traffic.requests < 60
        assert traffic.bytes < 3_000_000 < size / 4
        part = store[100:110, ["5", "3"]]
        assert_equal(part.X, whole[100:110, ["5", "3"]].X)
        # The names are read, other annotations and the rest of the matrix are not.
        assert traffic.bytes < size / 2
        assert_equal(store.obs, whole.obs)


def test_a_remote_pickle_is_refused(bucket: UPath, tmp_path: Path) -> None:
    local = write(adata(), tmp_path / "x.zarr", ".zarr", zarr_kwargs={"zarr_format": 2})
    for name in ("X/data/.zarray", ".zmetadata"):
        text = (local / name).read_text()
        (local / name).write_text(text.replace('"filters": null', '"filters": [{"id": "pickle"}]'))
    (local / ".zmetadata").rename(tmp_path / "consolidated")
    plain = put(local, bucket)
    zarr_format = for_suffix(".anndata.zarr")
    assert zarr_format is not None
    with zarr_format.open(plain, suffix=".zarr") as store, pytest.raises(UnreadableContent, match="pickle"):
        _ = store.X[:]
    shutil.copy(tmp_path / "consolidated", local / ".zmetadata")
    (bucket / "x.zarr/.zmetadata").write_bytes((local / ".zmetadata").read_bytes())
    with pytest.raises(UnreadableContent, match="pickle"):
        zarr_format.open(plain, suffix=".zarr")


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_previews_name_categories(suffix: str, tmp_path: Path) -> None:
    path = write(cells(), tmp_path / f"x{suffix}", suffix)
    for shown in (format_of(path).preview(path), format_of(path).preview(cells())):
        assert shown.columns[0].type == "category of 3: B, T, größe 测"
        assert [column.name for column in shown.slots["layers"]] == ["csc", "dense"]
        assert "`kind` (`category of 3: B, T, größe 测`)" in shown.markdown
        assert "| c0 |" in shown.markdown
    assert zarr.__version__.startswith("3")
