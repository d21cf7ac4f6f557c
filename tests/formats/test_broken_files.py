"""What is wrongly named, or damaged in a way of its own; `test_contract` damages every format in the common ways."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lamart_core.formats import UnreadableContent, for_path, for_suffix
from tests.formats.format_samples import SAMPLES, Sample, adata, write

CHECKED = {s.suffix: s for s in SAMPLES if not s.any_content and for_suffix(s.suffix) is not None}
# What an HDF5 file holds is told by a mark inside of it, and not by its name.
FILES = [s for s in CHECKED.values() if not s.suffix.endswith(("zarr", ".h5", ".hdf5"))]


def load(path: Path, suffix: str) -> Any:
    return for_path(path, suffix).load(path, suffix=suffix)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".yaml", ".json"])
def test_empty_files(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UnreadableContent):
        load(tmp_path / "x", suffix)


@pytest.mark.parametrize("claimed", FILES, ids=lambda s: s.suffix)
def test_files_under_the_name_of_another_format(claimed: Sample, tmp_path: Path) -> None:
    texts = (".tsv.gz", ".yaml.gz", ".txt.gz")  # text with commas is any of these
    for actual in (".parquet", ".h5ad", ".feather", ".csv.gz"):
        if for_suffix(actual) is for_suffix(claimed.suffix) or (actual == ".csv.gz" and claimed.suffix in texts):
            continue
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
