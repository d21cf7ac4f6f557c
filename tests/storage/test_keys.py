from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamart_core import errors
from lamart_core.formats import COMPRESSIONS, known_suffixes
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


COMPOSITE = (
    ".anndata.zarr", ".mudata.zarr", ".spatialdata.zarr", ".ome.zarr", ".ome.h5", ".ome.hdf5", ".ome.tif", ".ome.tiff",
    ".vitessce.json",
)  # fmt: skip
COMPRESSED = [f"{inner}{c}" for inner in (".csv", ".h5ad", ".fasta", ".vcf", ".log", ".tar") for c in COMPRESSIONS]
PACKED = [f"{inner}.tar{c}" for inner in (".h5ad", ".csv", ".ome.tif", ".anndata.zarr") for c in COMPRESSIONS]
kept = st.sampled_from([*COMPOSITE, *COMPRESSED, *PACKED, *(s + c for s in COMPOSITE for c in COMPRESSIONS)])
# Words that are no suffix of a format, so that none of them belongs to what follows.
words = st.lists(st.text("abC09é_- ", min_size=1, max_size=5), min_size=1, max_size=3).map(lambda w: ".".join(w) + "1")


@pytest.mark.req("R67")
@settings(max_examples=30, deadline=None)
@given(stem=words, suffix=kept, is_upper=st.booleans(), is_folder=st.booleans())
def test_what_says_one_thing_together_stays_whole(stem: str, suffix: str, is_upper: bool, is_folder: bool) -> None:
    name = f"folder.d/{stem}{suffix.upper() if is_upper else suffix}"
    assert suffix_of(name, is_folder=is_folder) == suffix
    assert suffix_of(f"{stem}.2022{suffix}") == suffix


@pytest.mark.req("R67")
def test_every_suffix_of_a_format_stays_whole() -> None:
    for suffix in known_suffixes():
        assert suffix_of(f"a.b{suffix}") == suffix
    for suffix in known_suffixes(of_folders=True):
        assert suffix_of(f"a.b{suffix}", is_folder=True) == suffix


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
