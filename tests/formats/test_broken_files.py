"""What is damaged, cut off, empty, hostile or wrongly named is a typed error; a failed write leaves nothing."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamart_core import errors
from lamart_core.formats import UnreadableContent, all_formats, for_object, for_path, for_suffix
from tests.formats.format_samples import SAMPLES, Sample, adata, write

OPAQUE = ("text", "page", "image", "file")  # any bytes are their content
STRUCTURED = [s for s in SAMPLES if for_object(s.obj, s.suffix).name not in OPAQUE]
FILES = [s for s in {s.suffix: s for s in STRUCTURED}.values() if not s.suffix.endswith("zarr")]
CHECKED = [s for s in FILES if s.suffix not in (".csv", ".tsv", ".yaml", ".yml")]  # any beginning of text is text


def load(path: Path, suffix: str) -> Any:
    return for_path(path, suffix).load(path, suffix=suffix)


@pytest.mark.parametrize("sample", FILES, ids=lambda s: s.suffix)
def test_empty_files(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UnreadableContent):
        load(tmp_path / "x", sample.suffix)


@pytest.mark.parametrize("sample", CHECKED, ids=lambda s: s.suffix)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_files_that_are_cut_off(sample: Sample, share: float, tmp_path: Path) -> None:
    obj = [1, 2, {"a": "b"}] if for_object(sample.obj, sample.suffix).name == "json" else sample.obj
    path = write(obj, tmp_path / "x", sample.suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableContent):
        load(path, sample.suffix)


@pytest.mark.parametrize("sample", FILES, ids=lambda s: s.suffix)
@pytest.mark.parametrize("content", [bytes(range(256)) * 20, b"\xff\xfe" * 50, b"PK\x03\x04" + b"\xff" * 90])
def test_files_with_another_content(sample: Sample, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UnreadableContent):
        load(tmp_path / "x", sample.suffix)


@pytest.mark.parametrize("claimed", FILES, ids=lambda s: s.suffix)
def test_files_under_the_name_of_another_format(claimed: Sample, tmp_path: Path) -> None:
    for actual in (".parquet", ".h5ad", ".feather", ".csv.gz"):
        if for_suffix(actual) is for_suffix(claimed.suffix) or (actual, claimed.suffix) == (".csv.gz", ".tsv.gz"):
            continue  # text with commas is text with tabs, of one column
        sample = next(s for s in SAMPLES if s.suffix == actual)
        path = write(sample.obj, tmp_path / f"{actual}-as-{claimed.suffix}", actual)
        with pytest.raises(UnreadableContent):
            load(path, claimed.suffix)


@pytest.mark.parametrize("suffix", [".parquet", ".h5ad", ".feather", ".orc", ".zarr", ".anndata.zarr"])
def test_counting_and_previews_of_damaged_content(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if suffix.endswith("zarr"):
        write(adata(), path, suffix)
        shutil.rmtree(path / "obs")
        root = {"zarr_format": 3, "node_type": "group", "attributes": {"encoding-type": "anndata"}}
        (path / "zarr.json").write_text(json.dumps(root))
    else:
        path.write_bytes(b"damaged" * 100)
    found = for_path(path, suffix)
    with pytest.raises(UnreadableContent):
        found.count_observations(path, suffix=suffix)
    with pytest.raises(UnreadableContent):
        found.preview(path, suffix=suffix)
    with pytest.raises(UnreadableContent):
        found.open(path, suffix=suffix)
    with pytest.raises(UnreadableContent):
        found.load(path, suffix=suffix)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "x.anndata.zarr").write_text("no folder")
    zarr, parquet = for_suffix(".anndata.zarr"), for_suffix(".parquet")
    assert zarr is not None
    assert parquet is not None
    with pytest.raises(UnreadableContent, match="expected a folder"):
        zarr.load(tmp_path / "x.anndata.zarr", suffix=".anndata.zarr")
    with pytest.raises(UnreadableContent, match="expected a file"):
        parquet.load(tmp_path, suffix=".parquet")


def test_a_zarr_folder_that_is_no_anndata(tmp_path: Path) -> None:
    import zarr

    zarr.open_group(str(tmp_path / "x.anndata.zarr"), mode="w")
    with pytest.raises(UnreadableContent, match="encoding-type"):
        load(tmp_path / "x.anndata.zarr", ".anndata.zarr")


def test_an_hdf5_file_that_is_no_anndata(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file["a"] = [1, 2]
    found = for_path(tmp_path / "x.h5ad", ".h5ad")
    for read in (found.load, found.open, found.count_observations):
        with pytest.raises(UnreadableContent):
            read(tmp_path / "x.h5ad", suffix=".h5ad")


class _Payload:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.req("R115")
@pytest.mark.parametrize("version", [2, 3])
def test_pickled_chunks_of_zarr_are_never_loaded(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numcodecs.pickles

    # Current numcodecs refuses by itself; older ones, and this switch, do not.
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    marker = tmp_path / "executed"
    store = write(adata(), tmp_path / "x.zarr", ".zarr", zarr_kwargs={"zarr_format": version})
    array = store / "uns" / "evil"
    array.mkdir()
    if version == 2:
        metadata = {
            "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "order": "C", "fill_value": 0,
            "compressor": None, "filters": [{"id": "pickle", "protocol": 5}],
        }  # fmt: skip
        (array / ".zarray").write_text(json.dumps(metadata))
        (array / ".zattrs").write_text(json.dumps({"encoding-type": "array", "encoding-version": "0.2.0"}))
        (store / ".zmetadata").unlink()
        (array / "0").write_bytes(pickle.dumps([np.array([_Payload(marker)], dtype=object)]))
    else:
        metadata = {
            "zarr_format": 3, "node_type": "array", "shape": [1], "data_type": "uint8", "fill_value": 0,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "numcodecs.pickle", "configuration": {}}],
            "attributes": {"encoding-type": "array", "encoding-version": "0.2.0"},
        }  # fmt: skip
        (array / "zarr.json").write_text(json.dumps(metadata))
        (array / "c").mkdir()
        (array / "c" / "0").write_bytes(pickle.dumps(_Payload(marker)))
    found = for_path(store, ".zarr")
    for read in (found.load, found.open, found.count_observations):
        with pytest.raises(UnreadableContent, match="pickle"):
            read(store, suffix=".zarr")
    assert not marker.exists()


def test_metadata_that_only_mention_pickle_are_fine(tmp_path: Path) -> None:
    obj = adata()
    obj.uns["name"] = "pickle"
    obj.obs["pickle"] = "pickle"
    assert load(write(obj, tmp_path / "x.zarr", ".zarr"), ".zarr").uns["name"] == "pickle"


@pytest.mark.parametrize("suffix", sorted({s for f in all_formats() for s in f.suffixes}))
def test_pickles_under_any_name_are_never_loaded(suffix: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / f"x{suffix}"
    path.write_bytes(pickle.dumps(_Payload(marker)))
    with contextlib.suppress(errors.LamartError):
        load(path, suffix)
    assert not marker.exists()


def test_yaml_tags_construct_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"!!python/object/apply:os.mkdir ['{tmp_path}/executed']")
    with pytest.raises(UnreadableContent):
        load(tmp_path / "x.yaml", ".yaml")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "suffix",
    [
        ".parquet",
        ".csv",
        ".csv.gz",
        ".csv.zst",
        ".feather",
        ".orc",
        ".jsonl",
        ".h5ad",
        ".zarr",
        ".json",
        ".txt",
        ".bin",
    ],
)
def test_a_full_disk_is_told_and_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    lines = [
        "import resource, sys",
        "from pathlib import Path",
        "import numpy as np, pandas as pd, anndata as ad",
        "from lamart_core import errors",
        "from lamart_core.formats import for_object",
        f"suffix, path = {suffix!r}, Path({str(tmp_path)!r}) / 'x'",
        "noise = np.random.default_rng(0).random((2000, 40))",
        "frame = pd.DataFrame(noise).rename(columns=str)",
        "text = frame.to_csv()",
        "objects = {'.h5ad': ad.AnnData(noise), '.zarr': ad.AnnData(noise), '.json': [text], '.txt': text,",
        "           '.bin': text.encode()}",
        "obj = objects.get(suffix, frame)",
        "format = for_object(obj, suffix)",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))",
        "try:",
        "    format.write(obj, path, suffix=suffix)",
        "except errors.StorageFull as error:",
        "    print('full', error.errno is not None, path.exists())",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["full", "True", "False"]
