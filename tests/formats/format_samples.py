"""One or more objects for each format and suffix of the registry: the parameter list of the tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import scipy.sparse as sp
import zarr
import zarr.storage

from lamart_core.formats import Format, all_formats, for_object
from lamart_core.testing import FormatSample as Sample

# Any bytes are the content of these formats; the beginning of a file of those is a file too.
ANY_CONTENT = ("text", "page", "image", "archive", "rds", "file", "hdf5")
ANY_BEGINNING = ("csv", "tsv", "yaml", "jsonl")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
# Of formats that do the same for many suffixes.
CHOSEN_SUFFIXES = {
    "text": (".txt", ".md", ".fasta"),
    "image": (".png", ".ome.tif"),
    "page": (".html", ".svg"),
    "hdf5": (".h5", ".ome.h5"),
    "jsonl": (".jsonl",),
}


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell": pd.Categorical(["T", "B", "T", None], categories=["NK", "B", "T"], ordered=True),
            "count": pd.array([1, None, 3, 4], dtype="Int64"),
            "score": [0.5, np.nan, -1.0, 1e300],
            "when": pd.to_datetime(["2024-01-01", None, "2024-03-31", "2024-10-27"]).tz_localize("Europe/Berlin"),
            "größe 测": ["a,b", 'say "x"', "line\nbreak", ""],
        },
        index=pd.Index(["AAAC", "AAAG", "AACA", "AACC"], name="barcode"),
    )


def adata(*, sparse: bool = True) -> ad.AnnData:
    random = np.random.default_rng(0)
    dense = random.poisson(0.5, (40, 12)).astype("float32")
    result = ad.AnnData(
        sp.csr_matrix(dense) if sparse else dense,
        obs=pd.DataFrame({"label": ["T", "B"] * 20, "n": range(40)}, index=[f"c{i}" for i in range(40)]),
        var=pd.DataFrame({"symbol": [f"s{i}" for i in range(12)]}, index=[f"ENSG{i}" for i in range(12)]),
        layers={"log": np.log1p(dense)},
        obsm={"X_pca": dense[:, :2]},
        obsp={"near": sp.csr_matrix(np.eye(40))},
        uns={"params": {"b": 1, "a": "text"}, "colors": np.array(["red", "blue"])},
    )
    result.raw = result.copy()
    return result


def zarr_group(version: int = 3) -> Any:
    """A group in memory, with an array that is written in part, text, and a group within a group."""
    group = zarr.create_group(zarr.storage.MemoryStore(), zarr_format=cast(Any, version), attributes={"é": [1, "x"]})
    counts = group.create_array("counts", shape=(6, 4), chunks=(2, 4), dtype="float32", fill_value=np.nan)
    counts[:2] = 1.5
    counts.attrs["unit"] = "µm"
    inner = group.create_group("größe/测").create_array("flags", shape=(3,), dtype="bool")
    inner[:] = [True, False, True]
    return group


def hdf5_group() -> Any:
    """A file in memory whose groups and datasets were made in no order."""
    file = h5py.File.in_memory(track_order=True)
    group = file.create_group("größe")
    group["text"] = ["x", "测"]
    file.create_dataset("counts", data=np.arange(24).reshape(6, 4), chunks=(2, 4), compression="gzip")
    group["alias"] = file["counts"]
    group.attrs["levels"] = ["low", "high"]
    ragged = file.create_dataset("ragged", (2,), dtype=h5py.vlen_dtype("int32"))
    ragged[0], ragged[1] = [1, 2], [3]
    file.attrs["empty"] = h5py.Empty("float32")
    return file


def archive(members: dict[str, bytes], suffix: str) -> bytes:
    """A zip or tar archive."""
    file = io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in members.items():
                zipped.writestr(zipfile.ZipInfo(name), content)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0) if suffix.endswith("gz") else file.getvalue()


def samples() -> list[Sample]:
    text, value, raw = "größe\r\nline\n", {"b": [1, 2.5, None, True], "a": {"x": "größe"}}, b"\x89PNG\x00\xff"
    numbers = [np.int32(3), np.float32(0.1), np.bool_(True)]
    by_format: dict[str, list[Any]] = {
        "h5ad": [adata(), adata(sparse=False)],
        "anndata.zarr": [adata(), adata(sparse=False)],
        "zarr": [zarr_group(), zarr_group(2), zarr_group()["counts"]],
        "hdf5": [hdf5_group(), hdf5_group()["counts"]],
        "json": [value, [1, "a"], 3, 2.5, True, *numbers],
        "yaml": [value, [1, "a"], 3, 2.5, True, *numbers],
        "text": [text],
        "page": ["<html>é</html>", b"<html/>"],
        "image": [raw],
        "rds": [raw],
        "file": [raw, text],
        "npy": [
            np.arange(6, dtype="int32").reshape(2, 3),
            np.zeros((0, 4)),
            np.array(["größe", "b"]),
            np.complex64(1j),
        ],
        "npz": [sp.csr_matrix(np.eye(3)), sp.coo_array(np.eye(3)), sp.csr_matrix((0, 4))],
    }
    columns = {"a": [1, None], "b": ["x", "y"]}
    lazy = [pl.LazyFrame(columns), ds.dataset(pa.table(columns))]
    tables = [frame(), pa.table(columns), pl.DataFrame(columns), *lazy]
    for name in ("parquet", "csv", "tsv", "ipc", "orc", "jsonl"):
        by_format[name] = tables
    found: list[Sample] = []
    for each in all_formats():
        for number, obj in enumerate(by_format.get(each.name, [])):
            for suffix in _suffixes(each, is_first=number == 0):
                kind = f"{type(obj).__module__.partition('.')[0]}.{type(obj).__name__}"
                found.append(Sample(f"{each.name}-{suffix}-{kind}-{len(found)}", obj, suffix))
    found += [Sample("text-.json", "text", ".json"), Sample("text-.yaml", "text", ".yaml")]
    found += [Sample("text-.vcf", "text", ".vcf"), Sample("text-.fastq.gz", "text", ".fastq.gz")]
    found += [Sample(f"archive-{suffix}", archive({"a.txt": b"a"}, suffix), suffix) for suffix in (".zip", ".tar.gz")]
    return [_with_flags(sample) for sample in found]


def _suffixes(each: Format, *, is_first: bool) -> list[str]:
    """The suffixes to try: all plain ones, the compressed forms of the default one for the first object."""
    plain = [s for s in (*each.suffixes, *each.shared_suffixes) if not s.endswith(COMPRESSED)]
    chosen = list(CHOSEN_SUFFIXES.get(each.name, plain))
    packed = [plain[0] + c for c in COMPRESSED if is_first and plain[0] + c in each.suffixes]
    return [*chosen, *packed]


def _with_flags(sample: Sample) -> Sample:
    name = for_object(sample.obj, sample.suffix).name
    # What compresses notices damage, but does not where it stores bytes as they came.
    is_any = name in ANY_CONTENT and not (isinstance(sample.obj, str) and sample.suffix.endswith(COMPRESSED))
    is_any_beginning = name in ANY_BEGINNING and not sample.suffix.endswith(COMPRESSED)
    # The beginning of a number is a number.
    is_number = name == "json" and isinstance(sample.obj, int | float) and not isinstance(sample.obj, bool)
    return replace(sample, any_content=is_any, any_beginning=is_any_beginning or is_number)


# Formats with many parts, or of libraries that take long to import, are tested in files of their own.
ELSEWHERE = ("h5mu", "mudata.zarr", "spatialdata.zarr", "tiledbsoma")
WRITABLE = [f for f in all_formats() if f.accepts and f.name not in ELSEWHERE]
SAMPLES = samples()


def write(obj: Any, path: Path, suffix: str, **options: Any) -> Path:
    for_object(obj, suffix).write(obj, path, suffix=suffix, options=options)
    return path


def fingerprint(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {p.relative_to(path).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def assert_same(left: Any, right: Any) -> None:
    """Equal values and types: matrices, tables, and AnnData with all its slots."""
    if isinstance(right, ad.AnnData):
        pd.testing.assert_frame_equal(left.obs, right.obs)
        pd.testing.assert_frame_equal(left.var, right.var)
        assert_same(left.X, right.X)
        for slot in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
            assert_same(dict(getattr(left, slot)), dict(getattr(right, slot)))
        assert (left.raw is None) == (right.raw is None)
        if right.raw is not None:
            assert_same(left.raw.to_adata(), right.raw.to_adata())
    elif isinstance(right, dict):
        assert left.keys() == right.keys()
        for key, value in right.items():
            assert_same(left[key], value)
    elif sp.issparse(right):
        assert (left.format, left.dtype, left.shape) == (right.format, right.dtype, right.shape)
        np.testing.assert_array_equal(left.toarray(), right.toarray())
    elif isinstance(right, np.ndarray):
        assert left.dtype.kind == right.dtype.kind or {left.dtype.kind, right.dtype.kind} <= set("OUT")
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right


def assert_loaded(loaded: Any, sample: Sample) -> None:
    """What was loaded is the object of the sample, as far as its format can hold that."""
    obj = sample.obj
    if sample.suffix.startswith((".csv", ".tsv", ".jsonl", ".ndjson", ".orc")) and isinstance(obj, pd.DataFrame):
        # These have fewer types, and no index: the tests of tables say what comes back.
        assert type(loaded) is type(obj)
        assert loaded.shape[0] == obj.shape[0]
    elif isinstance(obj, pd.DataFrame):
        pd.testing.assert_frame_equal(loaded, obj)
    elif isinstance(obj, ad.AnnData):
        expected = obj.copy()
        expected.strings_to_categoricals()  # as its writers do
        assert_same(loaded, expected)
    elif isinstance(obj, pa.Table | pl.DataFrame):
        assert loaded.equals(obj)
    elif isinstance(obj, pl.LazyFrame):
        assert loaded.collect().equals(obj.collect())
    elif isinstance(obj, ds.Dataset):
        pd.testing.assert_frame_equal(loaded, obj.to_table().to_pandas(), check_dtype=False)
    elif isinstance(obj, zarr.Group | zarr.Array | h5py.Group | h5py.Dataset):
        assert _bytes_of(loaded, sample.suffix) == _bytes_of(obj, sample.suffix)
    elif isinstance(obj, np.generic):  # a number of Python, or an array without dimensions
        assert loaded == obj
    else:
        assert type(loaded) is type(obj)
        assert_same(loaded, obj)


def _bytes_of(obj: Any, suffix: str) -> dict[str, str]:
    """What is written of an array or group: equal content is equal bytes."""
    with TemporaryDirectory() as folder:
        return fingerprint(write(obj, Path(folder, "written"), suffix))
