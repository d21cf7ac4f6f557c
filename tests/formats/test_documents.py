"""JSON, YAML, text, pages, pictures and other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamart_core import errors
from lamart_core.formats import for_path, for_suffix
from tests.formats.format_samples import write

text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load(path: Path, suffix: str, as_type: Any = None, **options: Any) -> Any:
    return for_path(path, suffix).load(path, suffix=suffix, as_type=as_type, **options)


@pytest.mark.req("R246")
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@quick
@given(value=values.filter(lambda v: v is not None))
def test_any_json_value_comes_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, value: Any) -> None:
    if suffix == ".yaml" and isinstance(value, str):
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


@quick
@given(value=text)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = write(value, tmp_path_factory.mktemp("d") / "x.txt", ".txt")
    assert load(path, ".txt") == value
    assert load(path, ".txt", as_type=bytes) == value.encode()


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
    ("suffix", "content"), [(".html", "<p>"), (".svg", "<svg/>"), (".png", b"\x89PNG"), (".jpg", b"\xff\xd8")]
)
def test_pages_and_pictures_load_as_paths(suffix: str, content: str | bytes, tmp_path: Path) -> None:
    path = write(content, tmp_path / f"x{suffix}", suffix)
    raw = content.encode() if isinstance(content, str) else content
    assert load(path, suffix) == path
    assert load(path, suffix, as_type=bytes) == raw
    if isinstance(content, str):
        assert load(path, suffix, as_type=str) == content


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
