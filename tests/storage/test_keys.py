from __future__ import annotations

import re

import pytest

from lamart_core import errors
from lamart_core.storage import RESERVED, check_key, is_reserved, object_path, register_suffixes, suffix_of


@pytest.mark.req("R10")
@pytest.mark.parametrize(
    "key", ["a", "raw/counts.parquet", "Ünï code/数据.csv", "a b/c", "...", "x" * 1024, "lamart/x"]
)
def test_clean_relative_paths_are_keys(key: str) -> None:
    check_key(key)


@pytest.mark.req("R11", "R12", "R62")
@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("//host/x", "is absolute"),
        ("a//b", "empty segment"),
        ("a/", "empty segment"),
        ("s3://bucket/x", "empty segment"),
        ("a/../b", "'..'"),
        ("..", "'..'"),
        ("./a", "'.'"),
        ("a/.", "'.'"),
        ("a/b\\c/d", repr("b\\c")),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\x7f", "control character"),
        ("a\x85", "control character"),
        ("a\udc80", "half a character"),
        ("x" * 1025, "1,025 characters"),
        (".lamart/x", ".lamart/"),
        (".LamArt/x", ".lamart/"),
        ("a/.lamart/x", ".lamart/"),
        (".lamart", ".lamart/"),
    ],
)
def test_other_keys_are_refused_and_say_why(key: str, named: str) -> None:
    with pytest.raises(errors.InvalidKey, match=re.escape(named)) as caught:
        check_key(key)
    assert isinstance(caught.value, ValueError)


@pytest.mark.req("R66", "R67", "R68")
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.csv", ".csv"),
        ("a", ""),
        ("dir.d/a", ""),
        ("A.PNG", ".png"),
        ("x.2022.csv", ".csv"),
        ("x.anndata.zarr", ".anndata.zarr"),
        ("x.v2.anndata.zarr", ".anndata.zarr"),
        ("x.ome.zarr", ".ome.zarr"),
        ("x.ome.h5", ".ome.h5"),
        ("x.ome.hdf5", ".ome.hdf5"),
        ("x.vitessce.json", ".vitessce.json"),
        ("x.tar.gz", ".tar.gz"),
        ("x.csv.gz", ".csv.gz"),
        ("x.h5ad.tar.gz", ".h5ad.tar.gz"),
        ("x.fastq.bz2", ".fastq.bz2"),
        ("x.json.xz", ".json.xz"),
        ("x.tsv.zst", ".tsv.zst"),
        ("x.2022.gz", ".gz"),
        ("x.2022.tar.gz", ".tar.gz"),
        ("x.unknown", ".unknown"),
        ("x.my-own_1", ".my-own_1"),
        (".bashrc", ""),
        (".hidden.csv", ".csv"),
        ("x.", ""),
        ("Dr. Smith", ""),
        ("x." + "y" * 29, "." + "y" * 29),
        ("x." + "y" * 30, ""),
        ("数据.csv", ".csv"),
    ],
)
def test_suffixes_of_files(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix
    assert suffix_of(f"folder/{name}") == suffix


@pytest.mark.req("R67", "R68")
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("x.zarr", ".zarr"),
        ("x.anndata.zarr/", ".anndata.zarr"),
        ("x.tiledbsoma", ".tiledbsoma"),
        ("x.parquet", ".parquet"),
        ("run.2024.01", ""),
        ("plain", ""),
    ],
)
def test_suffixes_of_folders(name: str, suffix: str) -> None:
    assert suffix_of(name, is_folder=True) == suffix


@pytest.mark.req("R68")
def test_suffixes_can_be_registered() -> None:
    assert suffix_of("x.mine.zarr") == ".zarr"
    assert suffix_of("x.minetoo", is_folder=True) == ""
    register_suffixes(".mine.zarr", ".minetoo")
    assert suffix_of("x.mine.zarr") == ".mine.zarr"
    assert suffix_of("x.minetoo", is_folder=True) == ".minetoo"
    assert suffix_of("x.minetoo.gz") == ".minetoo.gz"
    for wrong in ("csv", ".CSV", ".", ".a/b", ".a b", "." + "x" * 30):
        with pytest.raises(errors.InvalidArgument):
            register_suffixes(wrong)


def test_objects_get_names_that_nobody_else_chooses() -> None:
    stem = "9Kq3mZ0aBcDeFgHi"
    paths = {object_path(stem, ".csv.gz") for _ in range(100)}
    assert len(paths) == 100
    assert all(re.fullmatch(rf"\.lamart/{stem}[0-9A-Za-z]{{8}}\.csv\.gz", path) for path in paths)
    assert all(is_reserved(path) for path in paths)
    assert not is_reserved(f"a/b{RESERVED}/c")
