"""Arrays, sparse matrices and annotated matrices come back as they were saved, or are refused with the place named."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.formats import BackedAnnData, UnreadableContent, for_object, for_path, for_remote
from tests.formats.format_samples import adata, fingerprint, write
from tests.registries import lab, sqlite_registry

__all__ = ["lab", "sqlite_registry"]

EXAMPLES = int(os.environ.get("LAMART_EXAMPLES", "50"))
ANNDATA = [".h5ad", ".zarr"]


def small() -> ad.AnnData:
    cells, genes = pd.DataFrame(index=pd.Index(list("abc"))), pd.DataFrame(index=pd.Index(["g1", "g2"]))
    return ad.AnnData(np.ones((3, 2), dtype="float32"), obs=cells, var=genes)


def load(path: Path, suffix: str, as_type: Any = None) -> Any:
    return for_path(path, suffix).load(path, suffix=suffix, as_type=as_type)


def again(obj: Any, path: Path, suffix: str, as_type: Any = None) -> Any:
    return load(write(obj, path, suffix), suffix, as_type)


# Slots and keys


@pytest.mark.parametrize("suffix", ANNDATA)
@pytest.mark.parametrize(
    ("slot", "value"), [("obsm", np.ones((3, 1))), ("layers", np.ones((3, 2))), ("uns", 5)], ids=lambda v: str(v)[:4]
)
@pytest.mark.parametrize("key", ["X/pca", "", ".", "..", "a\0"])
def test_keys_that_no_reader_finds_are_refused(key: str, slot: str, value: Any, suffix: str, tmp_path: Path) -> None:
    obj = small()
    getattr(obj, slot)[key] = value
    with pytest.raises(errors.UnsupportedObject, match=rf"{slot} has the key {key!r}".replace("\\", "\\\\")):
        write(obj, tmp_path / "x", suffix)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "is_kept"), [(["G2/M"], True), (["a/b", "a"], False), (["/x"], False), (["a//b"], False)]
)
def test_slashes_in_columns_of_h5ad(columns: list[str], is_kept: bool, tmp_path: Path) -> None:
    obj = small()
    for name in columns:
        obj.obs[name] = [1, 2, 3]
    if is_kept:
        assert again(obj, tmp_path / "x", ".h5ad").obs[columns[0]].tolist() == [1, 2, 3]
    else:
        with pytest.raises(errors.UnsupportedObject, match="obs has a column"):
            write(obj, tmp_path / "x", ".h5ad")
    with pytest.raises(errors.UnsupportedObject, match="obs has a column"):
        write(obj, tmp_path / "y", ".zarr")


@pytest.mark.parametrize("suffix", ANNDATA)
def test_one_error_names_all_that_would_be_lost(suffix: str, tmp_path: Path) -> None:
    obj = small()
    obj.obs["donor"] = [1, "x", None]
    obj.uns["when"] = {"first": pd.Timestamp("2024-01-01")}
    obj.obsm["m"] = np.ma.array(np.ones((3, 2)), mask=np.eye(3, 2, dtype=bool))
    with pytest.raises(errors.UnsupportedObject) as caught:
        write(obj, tmp_path / "x", suffix)
    for named in ("obs['donor']", "uns['when']['first']", "isoformat", "obsm['m'] is a masked array", "filled"):
        assert named in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ANNDATA)
def test_what_only_the_library_refuses_is_named_too(suffix: str, tmp_path: Path) -> None:
    obj = small()
    obj.uns["model"] = {"fitted": object()}
    with pytest.raises(errors.UnsupportedObject, match=r"uns\['model'\]\['fitted'\]"):
        write(obj, tmp_path / "x", suffix)


@pytest.mark.req("R319")
@pytest.mark.parametrize("suffix", [*ANNDATA, ".h5mu", ".mudata.zarr", ".spatialdata.zarr"])
def test_the_order_of_keys_is_no_content(suffix: str, tmp_path: Path) -> None:
    def made(names: str) -> Any:
        obj = small()
        for name in names:
            obj.obsm[name], obj.layers[name], obj.uns[name] = np.ones((3, 1)), np.ones((3, 2)), {"x": 1, "y": {"z": 2}}
        obj.uns["a"] = {"y": {"z": 2}, "x": 1} if names == "ab" else {"x": 1, "y": {"z": 2}}
        return _in_container(obj, suffix)

    first, second = write(made("ab"), tmp_path / "x", suffix), write(made("ba"), tmp_path / "y", suffix)
    assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize("suffix", [".zarr", ".mudata.zarr", ".spatialdata.zarr", ".h5ad", ".h5mu"])
def test_missing_values_among_objects_never_become_text(suffix: str, tmp_path: Path) -> None:
    obj = small()
    obj.obs["kind"] = pd.Series(["x", None, "z"], dtype=object, index=obj.obs_names)
    obj.obs["nothing"] = pd.Series([None] * 3, dtype=object, index=obj.obs_names)
    loaded = _matrix_of(again(_in_container(obj, suffix), tmp_path / "x", suffix))
    assert loaded.obs["kind"].isna().tolist() == [False, True, False]
    assert loaded.obs["nothing"].isna().tolist() == [True] * 3
    assert obj.obs["kind"].dtype == object
    obj.obs["flag"] = pd.Series([True, None, False], dtype=object, index=obj.obs_names)
    with pytest.raises(errors.UnsupportedObject, match=r"obs\['flag'\].astype\('boolean'\)"):
        write(_in_container(obj, suffix), tmp_path / "y", suffix)
    assert not (tmp_path / "y").exists()


def test_a_column_that_is_set_comes_back_or_is_refused(sqlite_registry: Registry) -> None:
    artifact = ln.Artifact.from_anndata(small(), key="x.anndata.zarr").save()
    with artifact.open("r+") as store:
        with pytest.raises(errors.UnsupportedObject, match=r"obs\['ok'\]"):
            store.set_column("obs", "ok", [True, None, False])
        store.set_column("obs", "kind", ["x", None, "z"])
        assert store.obs["kind"].isna().tolist() == [False, True, False]
    assert ln.Artifact.get(key="x.anndata.zarr").load().obs["kind"].isna().tolist() == [False, True, False]


def _in_container(obj: ad.AnnData, suffix: str) -> Any:
    if "mu" in suffix:
        import mudata as md

        with md.set_options(pull_on_update=False):
            return md.MuData({"rna": obj})
    if "spatial" in suffix:
        import spatialdata as sd

        return sd.SpatialData(tables={"table": obj})
    return obj


def _matrix_of(container: Any) -> ad.AnnData:
    if hasattr(container, "mod"):
        return container.mod["rna"]
    return container.tables["table"] if hasattr(container, "tables") else container


# raw


@pytest.mark.parametrize("suffix", ANNDATA)
@pytest.mark.parametrize("n_obs", [40, 0])
def test_raw_comes_back_however_it_is_read(suffix: str, n_obs: int, tmp_path: Path) -> None:
    obj = adata()[:n_obs].copy()
    obj.raw = obj.copy()
    path = write(obj, tmp_path / "x", suffix)
    backed = load(path, suffix, BackedAnnData)
    for found in (load(path, suffix), backed):
        assert found.raw is not None
        assert found.raw.shape == obj.raw.shape
        assert found.raw.var.index.tolist() == obj.raw.var.index.tolist()
    with for_path(path, suffix).open(path, suffix=suffix) as store:
        assert store.raw.shape == obj.raw.shape
        assert store.to_memory().raw.shape == obj.raw.shape
    if suffix == ".h5ad":
        backed.file.close()


@pytest.mark.parametrize("suffix", ANNDATA)
def test_no_raw_is_none(suffix: str, tmp_path: Path) -> None:
    path = write(small(), tmp_path / "x", suffix)
    with for_path(path, suffix).open(path, suffix=suffix) as store:
        assert store.raw is None
        assert store.to_memory().raw is None
    assert load(path, suffix, BackedAnnData).raw is None


def test_raw_of_a_file_without_a_mark_comes_back(tmp_path: Path) -> None:
    path = write(adata(), tmp_path / "old.h5ad", ".h5ad")
    with h5py.File(path, "r+") as file:
        del file.attrs["encoding-type"], file.attrs["encoding-version"]  # as anndata 0.7 wrote it
    with for_path(path, ".h5ad").open(path, suffix=".h5ad") as store:
        assert store.to_memory().raw.shape == adata().raw.shape


# NumPy and SciPy


def test_masked_arrays_are_refused_and_unmasked_ones_are_plain(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedObject, match=r"1 values of the array are masked.*filled"):
        write(np.ma.array([1, 2], mask=[False, True]), tmp_path / "x.npy", ".npy")
    assert list(tmp_path.iterdir()) == []
    loaded = again(np.ma.array([1, 2]), tmp_path / "x.npy", ".npy")
    assert type(loaded) is np.ndarray
    assert loaded.tolist() == [1, 2]


def test_arrays_with_more_than_values_are_refused(tmp_path: Path) -> None:
    class Quantity(np.ndarray):
        unit = "m"

    with pytest.raises(errors.UnsupportedObject, match="Quantity is more than its values"):
        write(np.ones(2).view(Quantity), tmp_path / "x.npy", ".npy")


@pytest.mark.parametrize(
    ("value", "suffix"),
    [(np.int64(3), ".json"), (np.float32(0.1), ".json"), (np.bool_(True), ".json"), (np.datetime64("2024"), ".npy")],
)
def test_single_values_of_numpy_are_stored(value: Any, suffix: str, tmp_path: Path) -> None:
    assert for_object(value).default_suffix(value) == suffix
    assert again(value, tmp_path / f"x{suffix}", suffix) == value
    loaded = again(value, tmp_path / "x.npy", ".npy") if suffix != ".npy" else load(tmp_path / "x.npy", ".npy")
    assert (loaded.shape, loaded.dtype, loaded[()]) == ((), value.dtype, value)


def test_digits_that_json_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedObject, match="longdouble"):
        write(np.longdouble(1) / 3, tmp_path / "x.json", ".json")


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array", "bsr_array", "dia_matrix"])
@pytest.mark.parametrize("dtype", ["float32", "bool", "complex64"])
def test_sparse_matrices_come_back_in_their_form(kind: str, dtype: str, tmp_path: Path) -> None:
    matrix = getattr(sp, kind)(np.eye(4, 6).astype(dtype))
    loaded = again(matrix, tmp_path / "x.npz", ".npz")
    assert (type(loaded), loaded.dtype, loaded.shape) == (type(matrix), matrix.dtype, matrix.shape)
    assert (loaded != matrix).nnz == 0
    assert fingerprint(tmp_path / "x.npz") == fingerprint(write(matrix.copy(), tmp_path / "y.npz", ".npz"))
    assert "4 × 6" in for_path(tmp_path / "x.npz", ".npz").preview(tmp_path / "x.npz").markdown


def test_sparse_matrices_without_a_form_on_disk_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedObject, match="tocsr"):
        write(sp.lil_matrix(np.eye(3)), tmp_path / "x.npz", ".npz")
    assert list(tmp_path.iterdir()) == []


def test_archives_of_arrays_made_elsewhere_are_dictionaries(sqlite_registry: Registry, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.arange(3), b=np.array(["x"]))
    loaded = ln.Artifact(tmp_path / "x.npz", key="x.npz").save().load()
    assert loaded["a"].tolist() == [0, 1, 2]
    assert loaded["b"].tolist() == ["x"]


def test_hostile_archives_of_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(UnreadableContent):
        load(path, ".npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 45,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(UnreadableContent, match="claims to hold more"):
        load(path, ".npz")
    np.savez_compressed(path, a=np.zeros(1 << 20))
    with pytest.raises(UnreadableContent, match="max_bytes"):
        for_path(path, ".npz").load(path, suffix=".npz", max_bytes=1 << 20)
    matrix = sp.csr_matrix(np.eye(3))
    matrix.indices[0] = 1_000_000
    sp.save_npz(path, matrix)
    with pytest.raises(UnreadableContent, match="indices"):
        load(path, ".npz")
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UnreadableContent):
        load(path, ".npz")


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """Arrays of all types, structures among them; in any order of values, also none or a single one."""
    kinds = st.one_of(hnp.scalar_dtypes(), hnp.array_dtypes(allow_subarrays=True), hnp.nested_dtypes())
    kind = draw(kinds.filter(lambda k: k.subdtype is None))
    array = draw(hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), fill=st.nothing()))
    array = np.asfortranarray(array) if draw(st.booleans()) else array
    return array[::2] if array.ndim and draw(st.booleans()) else array


@pytest.mark.req("R319")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(array=arrays(), masked=st.sampled_from([None, False, True]))
def test_any_array_comes_back_equal(array: Any, masked: bool | None) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.npy")
        if masked and array.size and array.dtype.names != ():
            with pytest.raises(errors.UnsupportedObject, match="values of the array are masked"):
                write(np.ma.array(array, mask=True), path, ".npy")
            assert not path.exists()
            return
        loaded = again(array if masked is None else np.ma.array(array), path, ".npy")
        assert type(loaded) is np.ndarray
        assert (loaded.dtype, loaded.shape) == (array.dtype, array.shape)
        assert loaded.tobytes() == array.tobytes()
        assert loaded.flags.f_contiguous or not (array.flags.f_contiguous and array.size)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    dense=hnp.arrays(
        st.sampled_from(["f4", "f8", "i1", "u8", "bool", "c16"]), hnp.array_shapes(min_dims=2, max_dims=2, min_side=1)
    ),
    form=st.sampled_from(["csr", "csc", "coo", "bsr", "dia"]),
    kind=st.sampled_from(["matrix", "array"]),
)
def test_any_sparse_matrix_comes_back_equal(dense: Any, form: str, kind: str) -> None:
    matrix = getattr(sp, f"{form}_{kind}")(dense)
    with TemporaryDirectory() as folder:
        loaded = again(matrix, Path(folder, "x.npz"), ".npz")
    assert (type(loaded), loaded.dtype, loaded.shape) == (type(matrix), matrix.dtype, matrix.shape)
    np.testing.assert_array_equal(loaded.toarray(), matrix.toarray())


# Files of HDF5 by another name


@pytest.mark.req("R39")
@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_an_annotated_matrix_is_known_by_its_content(suffix: str, lab: Registry, tmp_path: Path) -> None:
    key = f"x{suffix}"
    artifact = ln.Artifact.from_anndata(adata(), key=key).save()
    assert (artifact.suffix, artifact.otype, artifact.n_observations) == (suffix, "AnnData", 40)
    assert isinstance(ln.Artifact.get(key=key).load(), ad.AnnData)
    adata().write_h5ad(tmp_path / key)
    again = ln.Artifact.from_anndata(tmp_path / key, key=f"other/{key}").save()
    assert again.load().shape == (40, 12)
    with again.open() as store:
        assert store.shape == (40, 12)


def test_a_remote_file_is_known_by_its_content(tmp_path: Path) -> None:
    from upath import UPath

    remote = UPath("memory://lamart-h5")
    remote.mkdir(exist_ok=True, parents=True)
    (remote / "x.h5").write_bytes(write(small(), tmp_path / "x.h5", ".h5").read_bytes())
    (remote / "y.h5").write_bytes(b"no HDF5")
    assert for_remote(remote / "x.h5", ".h5", is_folder=False).name == "h5ad"
    assert for_remote(remote / "y.h5", ".h5", is_folder=False).name == "hdf5"
