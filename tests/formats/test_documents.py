"""JSON, YAML, text, pages, pictures, archives, arrays, packed and other files."""

from __future__ import annotations

import base64
import bz2
import gzip
import html
import json
import lzma
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lamart_core import errors
from lamart_core.formats import BackedAnnData, UnreadableContent, all_formats, for_path, for_suffix
from tests.formats.format_samples import adata, assert_same, write

text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load(path: Path, suffix: str, as_type: Any = None, **options: Any) -> Any:
    return for_path(path, suffix).load(path, suffix=suffix, as_type=as_type, **options)


@pytest.mark.req("R246")
@pytest.mark.parametrize("suffix", [".json", ".yaml", ".json.zst", ".yaml.xz"])
@quick
@given(value=values.filter(lambda v: v is not None))
def test_any_json_value_comes_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, value: Any) -> None:
    if suffix.startswith(".yaml") and isinstance(value, str):
        value = [value]  # text is text: .yaml is for structures
    loaded = load(write(value, tmp_path_factory.mktemp("d") / "x", suffix), suffix)
    assert loaded == value
    assert type(loaded) is type(value)


@pytest.mark.parametrize(
    "text", ["\x85", "a\u2028b", "\u2029", "\ufeff", "a\r\nb", " a ", "\t", "no", "1e3", "~", "a: b"]
)
def test_text_that_yaml_could_mistake(text: str, tmp_path: Path) -> None:
    value = {text: text, "long": text * 100}
    assert load(write(value, tmp_path / "x", ".yaml"), ".yaml") == value


@pytest.mark.req("R246")
@pytest.mark.parametrize("suffix", [".txt", ".fasta", ".md.gz", ".fa.bz2", ".log.xz", ".txt.zst"])
@quick
@given(value=text)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, value: str) -> None:
    path = write(value, tmp_path_factory.mktemp("d") / f"x{suffix}", suffix)
    assert load(path, suffix) == value
    assert load(path, suffix, as_type=bytes) == path.read_bytes()


FOREIGN = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("compression", sorted(FOREIGN))
def test_what_other_tools_compressed_is_read(compression: str, tmp_path: Path) -> None:
    for inner, content, expected in (
        (".json", b"[1, 2]", [1, 2]),
        (".txt", b"a\nb", "a\nb"),
        (".yml", b"a: 1", {"a": 1}),
    ):
        path = tmp_path / f"x{inner}{compression}"
        path.write_bytes(FOREIGN[compression](content))
        assert load(path, f"{inner}{compression}") == expected
    reads = tmp_path / f"x.fastq{compression}"
    reads.write_bytes(FOREIGN[compression](b"@r1") + FOREIGN[compression](b"\nACGT"))  # as bgzip and cat leave them
    assert load(reads, f".fastq{compression}", as_type=str) == "@r1\nACGT"
    assert load(reads, f".fastq{compression}", as_type=bytes) == reads.read_bytes()
    assert "@r1\nACGT" in for_path(reads, f".fastq{compression}").preview(reads, suffix=f".fastq{compression}").markdown


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_equal_mappings_are_equal_bytes(suffix: str, tmp_path: Path) -> None:
    write({"a": 1, "b": {"x": 1, "y": 2}}, tmp_path / "1", suffix)
    write({"b": {"y": 2, "x": 1}, "a": 1}, tmp_path / "2", suffix)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_numpy_scalars_and_tuples_are_taken(tmp_path: Path) -> None:
    value = {"n": np.int64(3), "x": np.float32(0.5), "b": np.bool_(True), "t": (1, 2)}
    assert load(write(value, tmp_path / "x", ".json"), ".json") == {"n": 3, "x": 0.5, "b": True, "t": [1, 2]}


@pytest.mark.req("R115")
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": {"b": [object()]}}, r"\['a'\]\['b'\]\[0\]"),
        ({1: "a"}, "keys must be text"),
        ({"a": {1, 2}}, "set"),
        ({"when": pd.Timestamp("2024-01-01")}, "Timestamp"),
    ],
)
def test_other_values_are_refused_by_their_place(suffix: str, value: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedObject, match=named):
        write(value, tmp_path / "x", suffix)
    assert list(tmp_path.iterdir()) == []


def test_nan_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedObject, match="None for missing"):
        write({"loss": float("nan")}, tmp_path / "x", ".json")


def test_a_value_that_refers_to_itself_is_refused(tmp_path: Path) -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    with pytest.raises(errors.UnsupportedObject):
        write(value, tmp_path / "x", ".json")
    assert list(tmp_path.iterdir()) == []


def test_the_type_asked_for(tmp_path: Path) -> None:
    path = write({"a": 1}, tmp_path / "x.json", ".json")
    assert load(path, ".json", as_type=dict[str, int]) == {"a": 1}
    assert load(path, ".json", as_type=bytes) == b'{"a": 1}\n'
    with pytest.raises(errors.UnsupportedObject, match="holds a dict"):
        load(path, ".json", as_type=list)
    with pytest.raises(errors.UnsupportedObject, match="dict, list"):
        load(path, ".json", as_type=pd.DataFrame)
    number = write(3, tmp_path / "n.json", ".json")
    assert type(load(number, ".json", as_type=float)) is float
    assert load(number, ".json", as_type=int) == 3
    truth = write(True, tmp_path / "t.json", ".json")
    with pytest.raises(errors.UnsupportedObject):
        load(truth, ".json", as_type=int)


def test_options_are_refused(tmp_path: Path) -> None:
    path = write({"a": 1}, tmp_path / "x.json", ".json")
    with pytest.raises(errors.InvalidArgument, match="cls"):
        load(path, ".json", cls=dict)


@pytest.mark.req("R246")
@pytest.mark.parametrize(
    ("suffix", "content"),
    [(".html", "<p>"), (".svg", "<svg/>"), (".png", b"\x89PNG"), (".jpg", b"\xff\xd8"), (".rds", b"X\n")],
)
def test_pages_and_pictures_load_as_paths(suffix: str, content: str | bytes, tmp_path: Path) -> None:
    path = write(content, tmp_path / f"x{suffix}", suffix)
    raw = content.encode() if isinstance(content, str) else content
    assert load(path, suffix) == path
    assert load(path, suffix, as_type=bytes) == raw
    if isinstance(content, str):
        assert load(path, suffix, as_type=str) == content


@pytest.mark.req("R246")
def test_an_object_of_r_comes_with_a_hint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(b"X\n", tmp_path / "x.rds", ".rds")
    assert load(path, ".rds") == path
    assert "readRDS" in caplog.text


PAGE = '<b>"quoted" & größe</b><script>parent.document.title = 1</script>'
IN_A_NOTEBOOK = """
import base64, html, json, pathlib, sys
from ipykernel.zmqshell import ZMQInteractiveShell
shown = []
class Shell(ZMQInteractiveShell):
    kernel = object()
shell = Shell.instance()
shell.display_pub.publish = lambda data, **_: shown.append(data)
from lamart_core.formats import for_path
for name in ("x.html", "x.svg", "x.png", "x.ome.tif"):
    path = pathlib.Path(sys.argv[1], name)
    suffix = name[1:]
    assert for_path(path, suffix).load(path, suffix=suffix) == path
    for_path(path, suffix).load(path, suffix=suffix, as_type=bytes)
print(json.dumps([bundle["text/html"] for bundle in shown]))
"""


@pytest.mark.req("R246")
def test_pages_and_pictures_are_shown_in_a_notebook(tmp_path: Path) -> None:
    write(PAGE, tmp_path / "x.html", ".html")
    write("<svg/>", tmp_path / "x.svg", ".svg")
    write(b"\x89PNG", tmp_path / "x.png", ".png")
    write(b"II*\x00", tmp_path / "x.ome.tif", ".ome.tif")
    program = [sys.executable, "-c", IN_A_NOTEBOOK, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page, drawing, picture = json.loads(done.stdout.splitlines()[-1])
    # In frames and pictures: no script of theirs reaches the notebook.
    assert page.startswith('<iframe sandbox="allow-scripts"')
    assert "<script>" not in page
    assert html.unescape(page.partition('srcdoc="')[2]).startswith(PAGE)
    for shown, kind, content in ((drawing, "svg+xml", b"<svg/>"), (picture, "png", b"\x89PNG")):
        assert shown.startswith("<img ")
        assert f'src="data:image/{kind};base64,{base64.b64encode(content).decode()}"' in shown


@pytest.mark.req("R246")
@pytest.mark.parametrize(
    "suffix", [".pdf", ".fastq", ".fastq.gz", ".vcf.gz", ".bam", ".zip", ".tar", ".tgz", ".tar.zst", ".gz"]
)
def test_other_files_have_no_loader(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"\x00")
    with pytest.raises(NotImplementedError, match=r"\.cache\(\)"):
        load(path, suffix)
    assert load(path, suffix, as_type=Path) == path
    assert load(path, suffix, as_type=bytes) == b"\x00"
    assert for_path(path, suffix).otype is None


@pytest.mark.req("R38")
def test_documents_have_no_otype() -> None:
    documents = [f for f in all_formats() if type(f).__module__.endswith((".documents", ".plain"))]
    assert len(documents) == 8
    assert [f.otype for f in documents] == [None] * 8


@pytest.mark.req("R246")
def test_files_without_a_loader_say_so(tmp_path: Path) -> None:
    path = tmp_path / "x.fastq"
    path.write_text("@r1")
    with pytest.raises(NotImplementedError, match=r"\.cache\(\)"):
        load(path, ".fastq")
    assert load(path, ".fastq", as_type=Path) == path
    assert load(path, ".fastq", as_type=str) == "@r1"
    assert load(write(b"\x00", tmp_path / "x.bin", ".bin"), ".bin") == b"\x00"


@pytest.mark.req("R243")
def test_documents_cannot_be_opened(tmp_path: Path) -> None:
    path = write({"a": 1}, tmp_path / "x.json", ".json")
    with pytest.raises(ValueError, match=r"\.h5ad.*\.parquet"):
        for_path(path, ".json").open(path, suffix=".json")


def test_missing_paths(tmp_path: Path) -> None:
    for suffix in (".json", ".txt", ".parquet", ".h5ad", ".zarr", ""):
        with pytest.raises(errors.PathNotFound):
            load(tmp_path / f"none{suffix}", suffix, as_type=Path)
    parquet = for_suffix(".parquet")
    assert parquet is not None
    with pytest.raises(errors.PathNotFound):
        parquet.open(tmp_path / "none.parquet", suffix=".parquet")


def test_previews(tmp_path: Path) -> None:
    path = write({"a": 1}, tmp_path / "x.json", ".json")
    assert for_path(path, ".json").preview(path).markdown == '```json\n{"a": 1}\n\n```'
    assert for_path(path, ".json").preview({"a": 1}).markdown == '```json\n{"a": 1}\n\n```'
    note = write("# Title\n```", tmp_path / "x.md", ".md")
    assert for_path(note, ".md").preview(note, suffix=".md").markdown == "# Title\n```"
    assert for_path(note, ".txt").preview("a\n```\nb").markdown == "````\na\n```\nb\n````"
    assert "x.fastq" in for_path(tmp_path / "x.fastq", ".fastq").preview(tmp_path / "x.fastq").markdown


@pytest.mark.req("R246")
@pytest.mark.parametrize("suffix", [".h5ad", ".parquet", ".csv", ".tsv"])
@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz", ".tar.gz", ".tar.xz"])
def test_packed_files_load_as_what_they_hold(suffix: str, packing: str, tmp_path: Path) -> None:
    obj = adata() if suffix == ".h5ad" else pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    inner = write(obj, tmp_path / f"inner{suffix}", suffix)
    path = tmp_path / f"x{suffix}{packing}"
    if packing.startswith(".tar"):
        with tarfile.open(path, f"w:{packing.rpartition('.')[2]}") as tar:
            tar.add(tmp_path, "folder", recursive=False)
            tar.add(inner, f"folder/some name{suffix}")
    else:
        path.write_bytes(FOREIGN[packing](inner.read_bytes()))
    found = for_path(path, f"{suffix}{packing}")
    expected = for_path(inner, suffix)
    assert found.otype == expected.otype
    loaded = found.load(path, suffix=f"{suffix}{packing}")
    if suffix == ".h5ad":
        assert_same(loaded, expected.load(inner, suffix=suffix))
        with pytest.raises(errors.UnsupportedObject, match="AnnData"):
            found.load(path, suffix=f"{suffix}{packing}", as_type=BackedAnnData)
        with pytest.raises(errors.InvalidArgument, match="opened lazily"):
            found.open(path, suffix=f"{suffix}{packing}")
    else:
        pd.testing.assert_frame_equal(loaded, obj)
    if packing.startswith(".tar") or suffix == ".h5ad":
        with pytest.raises(UnreadableContent, match="expands to more than 10"):
            load(path, f"{suffix}{packing}", max_bytes=10)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([inner.name, path.name])


arrays = npst.arrays(
    npst.integer_dtypes() | npst.floating_dtypes() | npst.boolean_dtypes() | npst.unicode_string_dtypes(max_len=4),
    npst.array_shapes(min_dims=0, min_side=0, max_side=3),
)


@quick
@given(value=arrays)
def test_any_array_comes_back(tmp_path_factory: pytest.TempPathFactory, value: np.ndarray) -> None:
    path = write(value, tmp_path_factory.mktemp("d") / "x.npy", ".npy")
    for loaded in (load(path, ".npy"), for_path(path, ".npy").open(path, suffix=".npy")):
        assert (loaded.dtype, loaded.shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(loaded, value)
    assert type(load(path, ".npy")) is np.ndarray
    assert for_path(path, ".npy").preview(path).shape == value.shape


def test_an_opened_array_stays_on_disk(tmp_path: Path) -> None:
    path = write(np.asfortranarray(np.arange(6).reshape(2, 3)), tmp_path / "x.npy", ".npy")
    opened = for_path(path, ".npy").open(path, suffix=".npy")
    assert isinstance(opened, np.memmap)
    assert not opened.flags.writeable
    assert load(path, ".npy").flags.f_contiguous
