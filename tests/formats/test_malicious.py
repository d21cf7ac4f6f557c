"""Files made to do harm: no code of theirs runs, and they end in a typed error in bounded time and memory.

The memory of this process says nothing about a single file: where memory is the matter, a process of its own, with a
limit, does the reading.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lamart_core import errors
from lamart_core.formats import UnreadableContent, for_path
from tests.formats.format_samples import adata, archive, write

MIB = 1 << 20


def load(path: Path, suffix: str, **options: Any) -> Any:
    return for_path(path, suffix).load(path, suffix=suffix, **options)


def preview(path: Path, suffix: str) -> str:
    return for_path(path, suffix).preview(path, suffix=suffix).markdown


class _Payload:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


# Bombs


def zeros(n_mib: int, suffix: str) -> bytes:
    """A compressed file that expands to zeros."""
    block = bytes(MIB)
    if suffix == ".gz":
        return gzip.compress(block) * n_mib  # members follow each other
    if suffix == ".bz2":
        return bz2.compress(block) * n_mib
    if suffix == ".xz":
        return lzma.compress(block, preset=1) * n_mib
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(block)
    return sink.getvalue().to_pybytes() * n_mib


BOMBS = [f"{inner}{suffix}" for inner in (".json", ".h5ad", ".csv") for suffix in (".gz", ".bz2", ".xz", ".zst")]


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What became of each bomb of 1.5 GiB in a process that has no 1 GiB to spare."""
    folder = tmp_path_factory.mktemp("bombs")
    for suffix in BOMBS:
        (folder / f"bomb{suffix}").write_bytes(zeros(1536, "." + suffix.rpartition(".")[2]))
    lines = [
        "import json, resource, sys, time, pathlib",
        "import pyarrow.csv, pyarrow.dataset, h5py, anndata, upath",
        "from lamart_core.formats import for_path",
        "from lamart_core.errors import LamartError",
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()",
        "resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)",
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))",
        "found = {}",
        "for suffix in sys.argv[2:]:",
        "    path = pathlib.Path(sys.argv[1], 'bomb' + suffix)",
        "    uses = [lambda: for_path(path, suffix).load(path, suffix=suffix, max_bytes=64 << 20),",
        "            lambda: for_path(path, suffix).preview(path, suffix=suffix)]",
        "    for use in uses:",
        "        try:",
        "            use()",
        "            result = 'fine'",
        "        except Exception as error:",
        "            result = f'{type(error).__name__}: {error}'",
        "        found.setdefault(suffix, []).append(result)",
        "print(json.dumps(found))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), str(folder), *BOMBS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("suffix", BOMBS)
def test_compressed_bombs_are_refused_before_they_fill_memory(suffix: str, tried: dict[str, list[str]]) -> None:
    loaded, previewed = tried[suffix]
    assert loaded.startswith("UnreadableContent: ")
    assert "expands to more than 67,108,864" in loaded
    assert "max_bytes" in loaded
    assert previewed == "fine" or (suffix.startswith(".csv") and previewed.startswith("UnreadableContent: "))


def test_the_usual_bound_grows_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lamart_core.formats import compression

    monkeypatch.setattr(compression, "ALWAYS_ALLOWED", MIB)
    (tmp_path / "x.txt.gz").write_bytes(zeros(3, ".gz"))
    with pytest.raises(UnreadableContent, match="expands to more than 1,048,576"):
        load(tmp_path / "x.txt.gz", ".txt.gz")
    assert len(load(tmp_path / "x.txt.gz", ".txt.gz", max_bytes=3 * MIB)) == 3 * MIB
    noise = np.random.default_rng(0).bytes(2 * MIB).hex()
    (tmp_path / "y.txt.gz").write_bytes(gzip.compress(noise.encode()))
    assert load(tmp_path / "y.txt.gz", ".txt.gz") == noise


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.Table, pl.DataFrame], ids=lambda kind: kind.__module__)
@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.zst", ".jsonl.xz", ".ndjson.bz2"])
def test_tables_are_bounded_whatever_they_are_loaded_as(suffix: str, kind: type, tmp_path: Path) -> None:
    path = write(pd.DataFrame({"a": ["x" * 100] * 100}), tmp_path / f"x{suffix}", suffix)
    with pytest.raises(UnreadableContent, match="expands to more than 9,000"):
        load(path, suffix, as_type=kind, max_bytes=9_000)
    assert len(load(path, suffix, as_type=kind, max_bytes=20_000)) == 100


@pytest.mark.parametrize("value", [-1, "1", 1.5, True])
def test_a_bound_is_a_number_of_bytes(value: Any, tmp_path: Path) -> None:
    write("text", tmp_path / "x.txt.gz", ".txt.gz")
    with pytest.raises(errors.InvalidArgument, match="max_bytes"):
        load(tmp_path / "x.txt.gz", ".txt.gz", max_bytes=value)
    with pytest.raises(errors.InvalidArgument, match="not compressed"):
        load(write("text", tmp_path / "x.txt", ".txt"), ".txt", max_bytes=10)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)),
        "a: &a {x: 1}\n"
        + "".join(
            f"{b}: &{b} {{<<: [{','.join(['*' + a] * 9)}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
    ],
    ids=["sequences", "merged mappings"],
)
def test_yaml_that_grows_by_its_aliases_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UnreadableContent, match="aliases"):
        load(tmp_path / "x.yaml", ".yaml")


def test_yaml_that_contains_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("&a [*a]")
    with pytest.raises(UnreadableContent, match="contains itself"):
        load(tmp_path / "x.yaml", ".yaml")


def test_plain_aliases_of_yaml_are_fine(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("base: &base {n: 1}\nother: {<<: *base, m: 2}\nlist: [*base, *base]\n")
    assert load(tmp_path / "x.yaml", ".yaml") == {
        "base": {"n": 1},
        "other": {"n": 1, "m": 2},
        "list": [{"n": 1}, {"n": 1}],
    }


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".json", "[" * 100_000 + "]" * 100_000),
        (".json", '{"a":' * 100_000 + "1" + "}" * 100_000),
        (".json", "9" * 100_000),
        (".yaml", "[" * 2_000 + "]" * 2_000),
        (".yaml", "9" * 100_000),
    ],
    ids=["lists", "mappings", "number", "yaml lists", "yaml number"],
)
def test_nesting_and_numbers_without_end_are_damage(suffix: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_text(text)
    with pytest.raises(UnreadableContent):
        load(path, suffix)
    assert len(preview(path, suffix)) < 3000


def test_a_preview_of_a_large_text_reads_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(b"first line\n") + b"no gzip from here on")
    (tmp_path / "y.txt.gz").write_bytes(gzip.compress(b"line\n" * 100_000)[:-20])
    with pytest.raises(UnreadableContent):
        preview(tmp_path / "x.txt.gz", ".txt.gz")
    assert preview(tmp_path / "y.txt.gz", ".txt.gz").startswith("```\nline\n")


# Archives


def hostile_tar(suffix: str) -> bytes:
    """Members that lead elsewhere: upwards, to the root, over a link, into a device."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz" if suffix.endswith("gz") else "w") as tar:
        for name, kind, target in (
            ("../up.txt", tarfile.REGTYPE, ""),
            ("/tmp/absolute.txt", tarfile.REGTYPE, ""),
            ("link", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard", tarfile.LNKTYPE, "../up.txt"),
            ("device", tarfile.CHRTYPE, ""),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".zip"])
def test_archives_are_listed_and_never_unpacked(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "in" / f"x{suffix}"
    path.parent.mkdir()
    path.write_bytes(
        archive({"../up.txt": b"x", "/root.txt": b"x"}, suffix) if suffix == ".zip" else hostile_tar(suffix)
    )
    assert "../up.txt" in preview(path, suffix)
    with pytest.raises(errors.NoLoader, match=r"\.cache\(\)"):
        load(path, suffix)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["in", f"in/x{suffix}"]


@pytest.mark.parametrize(
    "members", [{}, {"a": b"1", "b": b"2"}, "link", "hostile"], ids=["none", "two", "link", "hostile"]
)
def test_a_packed_file_is_the_only_one_in_its_archive(members: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad.tar.gz"
    if isinstance(members, dict):
        path.write_bytes(archive(members, ".tar.gz"))
    elif members == "hostile":
        path.write_bytes(hostile_tar(".tar.gz"))
    else:
        with tarfile.open(path, "w:gz") as tar:
            link = tarfile.TarInfo("x.h5ad")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    with pytest.raises(UnreadableContent, match=r"single file|no file"):
        load(path, ".h5ad.tar.gz")
    assert list(tmp_path.iterdir()) == [path]


def test_a_listing_stops_where_an_archive_becomes_large(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, n_mib in (("first", 1), ("bomb", 100), ("last", 1)):
            member = tarfile.TarInfo(name)
            member.size = n_mib * MIB
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    text = preview(path, ".tar.gz")
    assert "first" in text
    assert "last" not in text
    assert "64 MiB" in text


def test_a_header_that_claims_terabytes_takes_no_memory(tmp_path: Path) -> None:
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 4 << 40
    (tmp_path / "x.tar").write_bytes(long_name.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(UnreadableContent):
        preview(tmp_path / "x.tar", ".tar")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 45,)})
    (tmp_path / "x.npy").write_bytes(header.getvalue() + bytes(64))
    with pytest.raises(UnreadableContent):
        load(tmp_path / "x.npy", ".npy")


def test_a_zip_of_many_names_has_a_short_listing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        for number in range(2000):
            zipped.writestr(f"{'n' * 200}{number}", b"")
    text = preview(tmp_path / "x.zip", ".zip")
    assert "… and 1,950 more" in text
    assert len(text) < 10_000


# Code in disguise


def evil_array(folder: Path, version: int, marker: Path) -> None:
    """An array whose only chunk is a pickle."""
    folder.mkdir(parents=True)
    if version == 2:
        metadata = {
            "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "order": "C", "fill_value": 0,
            "compressor": None, "filters": [{"id": "pickle", "protocol": 5}],
        }  # fmt: skip
        (folder / ".zarray").write_text(json.dumps(metadata))
        (folder / ".zattrs").write_text(json.dumps({"encoding-type": "array", "encoding-version": "0.2.0"}))
        (folder / "0").write_bytes(pickle.dumps([np.array([_Payload(marker)], dtype=object)]))
        return
    metadata = {
        "zarr_format": 3, "node_type": "array", "shape": [1], "data_type": "uint8", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "numcodecs.pickle", "configuration": {}}],
        "attributes": {"encoding-type": "array", "encoding-version": "0.2.0"},
    }  # fmt: skip
    (folder / "zarr.json").write_text(json.dumps(metadata))
    (folder / "c").mkdir()
    (folder / "c" / "0").write_bytes(pickle.dumps(_Payload(marker)))


def without_consolidated(store: Path) -> None:
    for file in store.rglob("zarr.json"):
        metadata = json.loads(file.read_text())
        metadata.pop("consolidated_metadata", None)
        file.write_text(json.dumps(metadata))
    (store / ".zmetadata").unlink(missing_ok=True)


@pytest.mark.req("R115")
@pytest.mark.parametrize("where", ["evil", ".evil", "nothing/evil", "decoy", "consolidated", "consolidated attributes"])
@pytest.mark.parametrize("version", [2, 3])
def test_pickled_chunks_of_zarr_are_never_loaded(
    version: int, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numcodecs.pickles

    # Current numcodecs refuses by itself; older ones, and this switch, do not.
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    marker = tmp_path / "executed"
    store = write(adata(), tmp_path / "x.zarr", ".zarr", zarr_kwargs={"zarr_format": version})
    without_consolidated(store)
    uns = store / "uns"
    if where == "decoy":
        evil_array(uns / "evil", version, marker)
        (uns / (".zarray" if version == 3 else "zarr.json")).write_text(json.dumps({"node_type": "array"}))
    elif where.startswith("consolidated"):
        array = uns / ("attributes" if where.endswith("attributes") else "evil")
        evil_array(array, version, marker)
        name = "zarr.json" if version == 3 else ".zarray"
        evil = json.loads((array / name).read_text())
        (array / name).unlink()
        if version == 3:
            root = json.loads((uns / "zarr.json").read_text())
            root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": {array.name: evil}}
            (uns / "zarr.json").write_text(json.dumps(root))
        else:
            found = {p.relative_to(store).as_posix(): json.loads(p.read_text()) for p in store.rglob(".z*")}
            found[f"uns/{array.name}/.zarray"] = evil
            (store / ".zmetadata").write_text(json.dumps({"zarr_consolidated_format": 1, "metadata": found}))
    else:
        evil_array(uns / where, version, marker)
    found = for_path(store, ".zarr")
    for read in (found.load, found.open, found.count_observations):
        with pytest.raises(UnreadableContent, match="pickle"):
            read(store, suffix=".zarr")
    assert not marker.exists()


@pytest.mark.req("R115")
def test_metadata_are_looked_at_whatever_way_leads_to_them(tmp_path: Path) -> None:
    store = write(adata(), tmp_path / "x.zarr", ".zarr")
    without_consolidated(store)
    with for_path(store, ".zarr").open(store, suffix=".zarr") as opened:
        evil_array(store / "uns" / "late", 3, tmp_path / "executed")
        with pytest.raises(UnreadableContent, match="pickle"):
            _ = opened.uns


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_that_only_mention_pickle_are_fine(version: int, tmp_path: Path) -> None:
    import zarr

    obj = adata()
    obj.uns["name"] = "pickle"
    obj.obs["pickle"] = "pickle"
    path = write(obj, tmp_path / "x.zarr", ".zarr", zarr_kwargs={"zarr_format": version})
    group = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    group.attrs["note"] = {"name": "pickle"}
    zarr.consolidate_metadata(group.store)
    assert load(path, ".zarr").uns["name"] == "pickle"


@pytest.mark.req("R115")
def test_arrays_of_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "x.npy"
    for values in (np.array([_Payload(marker)], dtype=object), np.zeros(2, dtype=[("a", "i4"), ("b", "O")])):
        with pytest.raises(errors.UnsupportedObject, match="pickle"):
            write(values, path, ".npy")
        assert not path.exists()
    found = for_path(path, ".npy")
    for shape in ((1,), (0,)):  # nothing is mapped of an array without values
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": shape})
        path.write_bytes(header.getvalue() + pickle.dumps(np.array([_Payload(marker)], dtype=object)))
        for read in (found.load, found.open, found.preview):
            with pytest.raises(UnreadableContent):
                read(path, suffix=".npy")
    with pytest.raises(errors.InvalidArgument, match="allow_pickle"):
        found.load(path, suffix=".npy", allow_pickle=True)
    assert not marker.exists()


@pytest.mark.req("R115")
def test_pickles_in_hdf5_attributes_are_bytes(tmp_path: Path) -> None:
    import h5py

    marker = tmp_path / "executed"
    path = write(adata(), tmp_path / "x.h5ad", ".h5ad")
    with h5py.File(path, "r+") as file:
        file["uns"].attrs["evil"] = np.void(pickle.dumps(_Payload(marker)))
        evil = file["uns"].create_dataset("evil", data=np.void(pickle.dumps(_Payload(marker))))
        evil.attrs["encoding-type"], evil.attrs["encoding-version"] = "pickle", "0.1.0"
    with pytest.raises(UnreadableContent):
        load(path, ".h5ad")
    assert not marker.exists()


@pytest.mark.req("R115")
@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_arrow_extension_types_that_unpickle_are_plain_storage(suffix: str, tmp_path: Path) -> None:
    from pyarrow import feather, parquet

    marker, path = tmp_path / "executed", tmp_path / f"x{suffix}"
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(_Payload(marker)),
    }
    table = pa.table([pa.array([1, 2])], schema=pa.schema([pa.field("a", pa.int64(), metadata=metadata)]))
    if suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        feather.write_feather(table, path)
    found = for_path(path, suffix)
    for use in (found.load, found.open, found.preview, found.count_observations):
        try:
            use(path, suffix=suffix)
        except errors.LamartError:
            continue
    assert not marker.exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir ['{}']", "!!python/object/new:os.system ['touch {}']"])
def test_yaml_tags_construct_nothing(tag: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(tag.format(tmp_path / "executed"))
    with pytest.raises(UnreadableContent):
        load(tmp_path / "x.yaml", ".yaml")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".joblib", ".pt"])
def test_pickles_by_name_have_no_loader(suffix: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / f"x{suffix}"
    path.write_bytes(pickle.dumps(_Payload(marker)))
    with pytest.raises(errors.NoLoader, match="cache"):
        load(path, suffix)
    preview(path, suffix)
    assert not marker.exists()
