"""Generic arrays: zarr, HDF5 and TileDB, opened where they lie, copied from memory, and never led elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tiledb
import zarr
import zarr.storage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.formats import BackedAccessor, Format, UnreadableContent, for_object, for_path, for_suffix
from tests.formats.format_samples import adata, fingerprint, hdf5_group, write, zarr_group
from tests.formats.mudata_samples import mudata
from tests.registries import lab, sqlite_registry
from tests.storage.proxy import proxied
from tests.storage.s3_server import S3Server, s3

__all__ = ["lab", "s3", "sqlite_registry"]

COUNTS = np.arange(24, dtype="int32").reshape(6, 4)


def of(suffix: str) -> Format:
    found = for_suffix(suffix)
    assert found is not None
    return found


def make(kind: str, path: Path) -> Path:
    """Write an array or a group of arrays with the library itself, in one of the forms that people have."""
    if kind.startswith("hdf5"):
        with h5py.File(path, "w", libver=kind.removeprefix("hdf5-")) as file:
            file["counts"] = COUNTS
    elif kind == "tiledb":
        tiledb.from_numpy(str(path), COUNTS)
    elif kind == "tiledb-group":
        tiledb.Group.create(str(path))
        tiledb.from_numpy(str(path / "counts"), COUNTS)
        with tiledb.Group(str(path), "w") as group:
            group.add("counts", "counts", relative=True)
    elif kind.startswith("zarr-array"):
        zarr.save_array(str(path), COUNTS, zarr_format=3 if kind.endswith("3") else 2)  # type: ignore[arg-type]
    else:
        group = zarr.open_group(str(path), mode="w", zarr_format=3 if kind.endswith("3") else 2)
        group.create_array("counts", data=COUNTS, chunks=(2, 4))
        if kind.endswith("2"):
            zarr.consolidate_metadata(group.store)
    return path


KINDS = {
    "hdf5-earliest": ".h5",
    "hdf5-latest": ".ome.hdf5",
    "tiledb": ".tiledb",
    "tiledb-group": ".tiledb",
    "zarr-array-2": ".zarr",
    "zarr-array-3": ".zarr",
    "zarr-2": ".zarr",
    "zarr-3": ".ome.zarr",
}
ROWS = {"hdf5-earliest": 6, "hdf5-latest": 6, "tiledb": 6, "zarr-array-2": 6, "zarr-array-3": 6}


def counts_of(storage: Any) -> Any:
    if isinstance(storage, tiledb.Group):
        with tiledb.open(storage["counts"].uri) as array:
            return array[:]
    return (storage["counts"] if isinstance(storage, h5py.File | zarr.Group) else storage)[:]


@pytest.mark.req("R38", "R39", "R67", "R109", "R110", "R240")
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_registered_counted_and_opened(kind: str, sqlite_registry: Registry, tmp_path: Path) -> None:
    suffix = KINDS[kind]
    artifact = ln.Artifact(make(kind, tmp_path / f"x{suffix}"), key=f"x{suffix}").save()
    assert (artifact.suffix, artifact.otype, artifact.n_observations) == (suffix, None, ROWS.get(kind))
    assert (artifact.n_files is None) == kind.startswith("hdf5")
    with artifact.open() as store:
        assert isinstance(store, BackedAccessor)
        assert store.connection is not None
        np.testing.assert_array_equal(counts_of(store.storage), COUNTS)
    store.close()
    assert repr(store) == "BackedAccessor(closed)"
    shown = of(suffix).preview(Path(artifact.path))
    if kind in ("tiledb", "zarr-array-2", "zarr-array-3"):
        assert (shown.row_count, shown.shape) == (6, (6, 4))
    else:
        assert "counts" in shown.markdown


@pytest.mark.req("R240", "R241", "R243", "R244")
@pytest.mark.parametrize("kind", ["hdf5-latest", "tiledb", "zarr-3"])
def test_arrays_are_opened_in_every_storage_and_database(kind: str, lab: Registry, tmp_path: Path) -> None:
    suffix = KINDS[kind]
    artifact = ln.Artifact(make(kind, tmp_path / f"x{suffix}"), key=f"x{suffix}").save()
    with artifact.open() as store:
        np.testing.assert_array_equal(counts_of(store.storage), COUNTS)
    option: dict[str, Any] = {
        "hdf5": {"rdcc_nbytes": 4096},
        "tiledb": {"timestamp": (0, 1)},
        "zarr": {"path": "counts"},
    }
    with artifact.open(**option[kind.partition("-")[0]]) as store:
        if kind.startswith("hdf5"):
            assert store.storage.id.get_access_plist().get_cache()[2] == 4096
        elif kind == "tiledb":
            assert store.storage.nonempty_domain() is None
        else:
            assert isinstance(store.storage, zarr.Array)
    with pytest.raises(ValueError, match="'r'"):
        artifact.open("r+")
    with pytest.raises(errors.InvalidArgument, match="nonsense"):
        artifact.open(nonsense=1)
    if kind != "zarr-3":
        with pytest.raises(NotImplementedError, match=r"\.cache\(\)"):
            artifact.load()


@pytest.mark.req("R240")
@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_opening_in_a_bucket_reads_headers_only(
    suffix: str, sqlite_registry: Registry, s3: S3Server, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 2**62, (400, 5000))  # 16 MB that cannot be compressed
    path = tmp_path / f"x{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("a", data=values, chunks=(10, 5000))
    else:
        zarr.open_group(str(path), mode="w").create_array("a", data=values, chunks=(10, 5000))
    with proxied(s3.endpoint_url) as proxy:
        storage = ln.Storage(f"s3://{s3.new_bucket()}/lab?endpoint_url={proxy.endpoint_url}").save()
        artifact = ln.Artifact(path, key=path.name, storage=storage).save()
        proxy.sent = 0
        with artifact.open() as store:
            opened = proxy.sent
            np.testing.assert_array_equal(store.storage["a"][7], values[7])
            read = proxy.sent - opened
    assert opened < 2**21 + 2**16
    assert read < 2**22


# ---------------------------------------------------------------------- from memory


@settings(max_examples=20, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["<f4", "<i8", "|b1", "|u1"]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    ),
    st.dictionaries(st.text("aäß测", min_size=1, max_size=3), st.integers() | st.text("aä測", max_size=3), max_size=3),
)
def test_what_is_copied_from_memory_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, values: Any, attributes: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("copied")
    group = zarr.create_group(zarr.storage.MemoryStore(), attributes=attributes)
    group.create_array("é/a", data=values, chunks=tuple(max(1, n) for n in values.shape))
    copy = of(".zarr").load(write(group, folder / "z", ".zarr"), suffix=".zarr")
    assert dict(copy.attrs) == attributes
    assert (copy["é/a"].dtype, copy["é/a"].chunks) == (values.dtype, group["é/a"].chunks)  # type: ignore[union-attr]
    np.testing.assert_array_equal(copy["é/a"][:], values)
    with h5py.File.in_memory() as file:
        file["é/a"] = values
        small = {name: value for name, value in attributes.items() if isinstance(value, str) or abs(value) < 2**63}
        file.attrs.update(small)
        write(file, folder / "h", ".h5")
    with h5py.File(folder / "h") as stored:
        assert {name: stored.attrs[name] for name in stored.attrs} == small
        assert stored["é/a"].dtype == values.dtype  # type: ignore[union-attr]
        np.testing.assert_array_equal(stored["é/a"][()], values)  # type: ignore[index]


def test_names_aliases_and_ragged_values_are_copied(tmp_path: Path) -> None:
    source = hdf5_group()
    source["größe/nowhere"] = h5py.SoftLink("/not there")
    source["größe/up"] = h5py.SoftLink("/")
    with h5py.File(write(source, tmp_path / "x", ".h5")) as file:
        copy: Any = file
        assert sorted(copy["größe"]) == ["alias", "nowhere", "text", "up"]
        assert copy["größe/alias"] == copy["counts"]
        assert copy["größe/up"] == copy["/"]
        assert copy["größe"].get("nowhere", getlink=True).path == "/not there"
        assert copy["größe/text"].asstr()[:].tolist() == ["x", "测"]
        assert [row.tolist() for row in copy["ragged"]] == [[1, 2], [3]]
        assert copy["counts"].compression == "gzip"
        assert copy["größe"].attrs["levels"].tolist() == ["low", "high"]
    inner = source["größe"]
    assert fingerprint(write(inner, tmp_path / "a", ".h5")) == fingerprint(write(inner, tmp_path / "b", ".h5"))


def test_the_order_in_which_members_were_made_does_not_matter(tmp_path: Path) -> None:
    for number, names in enumerate((("a", "b/c", "d"), ("d", "b/c", "a"))):
        group = zarr.create_group(zarr.storage.MemoryStore())
        with h5py.File.in_memory(track_order=number == 0) as file:
            for name in names:
                group.create_array(name, data=np.arange(ord(name[0])))
                file[name] = np.arange(ord(name[0]))
            write(group, tmp_path / f"{number}.zarr", ".zarr")
            write(file, tmp_path / f"{number}.h5", ".h5")
    for suffix in (".zarr", ".h5"):
        assert fingerprint(tmp_path / f"0{suffix}") == fingerprint(tmp_path / f"1{suffix}")


@pytest.mark.req("R110")
def test_objects_are_counted_and_shown() -> None:
    array, file = zarr_group()["counts"], hdf5_group()
    assert for_object(array).n_observations(array) == for_object(file).n_observations(file["counts"]) == 6
    assert for_object(file).n_observations(file) is None
    assert for_object(array).n_observations(zarr_group()) is None
    assert for_object(array).preview(array).shape == (6, 4)
    assert "counts  6 × 4  float32" in for_object(array).preview(zarr_group()).markdown
    assert "ragged  2  object" in for_object(file).preview(file).markdown


def test_references_are_refused_when_an_object_is_copied(tmp_path: Path) -> None:
    with h5py.File.in_memory() as file:
        file["a"] = [1, 2]
        for build in (
            lambda: file.attrs.create("to", file["a"].ref, dtype=h5py.ref_dtype),
            lambda: file.create_dataset("to", data=[file["a"].ref], dtype=h5py.ref_dtype),
        ):
            build()
            with pytest.raises(errors.UnsupportedObject, match="references"):
                write(file, tmp_path / "x", ".h5")
            assert not (tmp_path / "x").exists()
            file.attrs.pop("to", None)


# ---------------------------------------------------------------------- hostile and damaged


def lead_outside(path: Path, how: str, secret: Path) -> None:
    with h5py.File(path, "a") as file:
        file["fine"] = [1]
        group = file.create_group("deep/er")
        if how == "link":
            group["x"] = h5py.ExternalLink(str(secret), "/a")
        elif how == "values":
            group.create_dataset("x", shape=(4,), dtype="u1", external=[(str(secret), 0, 4)])
        else:
            layout = h5py.VirtualLayout(shape=(2,), dtype="i8")
            layout[:] = h5py.VirtualSource(str(secret), "a", shape=(2,))
            group.create_virtual_dataset("x", layout)


@pytest.mark.parametrize("how", ["link", "values", "virtual"])
def test_hdf5_files_that_lead_to_other_files_are_never_opened(how: str, tmp_path: Path) -> None:
    secret, path = tmp_path / "secret", tmp_path / "x.h5"
    with h5py.File(secret, "w") as file:
        file["a"] = [1, 2]
    lead_outside(path, how, secret)
    for use in (of(".h5").open, of(".h5").count_observations, of(".h5").preview):
        with pytest.raises(UnreadableContent, match="another file"):
            use(path, suffix=".h5")
    with h5py.File(path) as file, pytest.raises(errors.UnsupportedObject, match="another file"):
        write(file, tmp_path / "copy", ".h5")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("how", ["link", "values", "virtual"])
@pytest.mark.parametrize("suffix", [".h5ad", ".h5mu"])
def test_matrices_that_lead_to_other_files_are_never_read(suffix: str, how: str, tmp_path: Path) -> None:
    secret, path = tmp_path / "secret", tmp_path / f"x{suffix}"
    with h5py.File(secret, "w") as file:
        file["a"] = [1, 2]
    write(adata() if suffix == ".h5ad" else mudata(), path, suffix)
    lead_outside(path, how, secret)
    for use in (of(suffix).load, of(suffix).open, of(suffix).count_observations, of(suffix).preview):
        with pytest.raises(UnreadableContent, match="another file"):
            use(path, suffix=suffix)


def test_links_within_a_file_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["a"] = [1, 2]
        file["soft"] = h5py.SoftLink("/a")
        file["loop"] = h5py.SoftLink("/loop")
        file["self"] = file["/"]
        layout = h5py.VirtualLayout(shape=(2,), dtype="i8")
        layout[:] = h5py.VirtualSource(".", "a", shape=(2,))
        file.create_virtual_dataset("virtual", layout)
    with of(".h5").open(path, suffix=".h5") as store:
        assert store.storage["soft"][:].tolist() == store.storage["virtual"][:].tolist() == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_arrays_are_typed_errors(kind: str, tmp_path: Path) -> None:
    suffix = KINDS[kind]
    path = make(kind, tmp_path / f"x{suffix}")
    damages: list[bytes] = [b"", b"{", b"\x00" * 40]
    if path.is_file():
        damages.append(path.read_bytes()[: path.stat().st_size // 2])
    for damage in damages:
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        for file in files:
            file.write_bytes(damage)
        # TileDB tells groups from arrays by the names of their files alone.
        for use in (of(suffix).open, of(suffix).preview):
            if kind == "tiledb-group" and damage == b"":
                continue
            with pytest.raises(UnreadableContent):
                use(path, suffix=suffix)
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
        with pytest.raises(UnreadableContent):
            of(suffix).open(path, suffix=suffix)


def test_a_tiledb_group_that_refers_to_arrays_elsewhere_is_refused(tmp_path: Path) -> None:
    make("tiledb", tmp_path / "other")
    path = tmp_path / "x.tiledb"
    tiledb.Group.create(str(path))
    with tiledb.Group(str(path), "w") as group:
        group.add(str(tmp_path / "other"), "a", relative=False)
    with pytest.raises(UnreadableContent, match=r"'a'.*relative=True"):
        for_path(path, ".tiledb").open(path, suffix=".tiledb")
