"""Which format stores what: for objects, suffixes and paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lamart_core import errors
from lamart_core.formats import (
    Format,
    PythonType,
    all_formats,
    dispatch,
    for_object,
    for_path,
    for_suffix,
    known_suffixes,
)
from tests.formats.format_samples import adata, frame, write


@pytest.mark.req("R105", "R118", "R133")
def test_default_suffixes() -> None:
    def default(obj: object) -> str:
        return for_object(obj).default_suffix(obj)

    assert default(frame()) == ".parquet"
    assert default(adata()) == ".h5ad"
    assert default({"a": 1}) == default([1]) == default(1) == default(1.5) == default(True) == ".json"
    assert default("text") == ".txt"
    assert default(b"raw") == ".bin"


@pytest.mark.req("R38", "R39", "R106")
@pytest.mark.parametrize(
    ("suffix", "otype"),
    [
        (".parquet", "DataFrame"),
        (".csv", "DataFrame"),
        (".csv.gz", "DataFrame"),
        (".tsv", "DataFrame"),
        (".ipc", "DataFrame"),
        (".h5ad", "AnnData"),
        (".anndata.zarr", "AnnData"),
        (".zarr", None),
        (".json", None),
    ],
)
def test_otype_by_suffix(suffix: str, otype: str | None) -> None:
    found = for_suffix(suffix)
    assert found is not None
    assert found.otype == otype


@pytest.mark.req("R39")
def test_zarr_folders_are_told_by_their_content(tmp_path: Path) -> None:
    import zarr

    write(adata(), tmp_path / "a.zarr", ".zarr")
    write(adata(), tmp_path / "v2.zarr", ".zarr", zarr_kwargs={"zarr_format": 2})
    group = zarr.open_group(str(tmp_path / "plain.zarr"), mode="w")
    group["ones"] = np.ones(2, dtype=int)
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "odd.zarr").mkdir()
    (tmp_path / "odd.zarr" / "zarr.json").write_text("[1, 2")
    names = {p.name: for_path(p, ".zarr").otype for p in tmp_path.iterdir()}
    assert {name for name, otype in names.items() if otype == "AnnData"} == {"a.zarr", "v2.zarr"}
    assert {name for name, otype in names.items() if otype is None} == {"plain.zarr", "empty.zarr", "odd.zarr"}
    loaded = for_path(tmp_path / "plain.zarr", ".zarr").load(tmp_path / "plain.zarr", suffix=".zarr")
    assert loaded["ones"][:].tolist() == [1, 1]


def test_unknown_files_and_folders_have_a_format_too(tmp_path: Path) -> None:
    (tmp_path / "x.fastq").write_text("@")
    (tmp_path / "x.parquet").mkdir()
    assert for_suffix(".fastq") is None
    assert for_path(tmp_path / "x.fastq", ".fastq").name == "file"
    assert for_path(tmp_path, "").name == "folder"
    assert for_path(tmp_path / "x.parquet", ".parquet").name == "folder"
    assert for_path(tmp_path / "not there.parquet", ".parquet").name == "parquet"


@pytest.mark.req("R9")
@pytest.mark.parametrize(
    "obj", [object(), {1, 2}, None, lambda: 1, Path("x"), pd.Series([1])], ids=lambda obj: type(obj).__name__
)
def test_objects_of_unknown_types_are_refused(obj: object) -> None:
    with pytest.raises(errors.UnsupportedObject, match=type(obj).__qualname__) as caught:
        for_object(obj)
    assert isinstance(caught.value, TypeError)
    assert "pandas.DataFrame" in str(caught.value)
    assert "lamart_core.formats" in str(caught.value)


@pytest.mark.req("R118", "R133")
@pytest.mark.parametrize(
    ("obj", "suffix", "named"),
    [
        (frame(), ".h5ad", ".parquet"),
        (adata(), ".parquet", ".h5ad"),
        (adata(), ".loom", ".zarr"),
        ({}, ".csv", ".json"),
    ],
    ids=["table", "anndata", "anndata-unknown", "dict"],
)
def test_a_suffix_that_the_object_cannot_have_is_refused(obj: object, suffix: str, named: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=named) as caught:
        for_object(obj, suffix)
    assert isinstance(caught.value, ValueError)


def test_text_and_bytes_take_any_suffix_that_is_not_claimed(tmp_path: Path) -> None:
    write("@r1\nACGT", tmp_path / "f", ".fastq")
    assert (tmp_path / "f").read_bytes() == b"@r1\nACGT"
    assert for_object(b"x", ".pdf").name == "file"
    for claimed in (".parquet", ".h5ad", ".zarr"):
        with pytest.raises(errors.InvalidArgument):
            for_object(b"PAR1", claimed)


@pytest.mark.req("R67")
def test_composite_suffixes_are_known() -> None:
    assert {".anndata.zarr", ".csv.gz", ".tsv.gz", ".vitessce.json", ".parquet", ".zarr"} <= known_suffixes()


class _Toy(Format):
    name = "toy"
    suffixes = (".toy", ".ty")
    accepts = (PythonType("builtins", "bytearray"),)
    returns = (PythonType("builtins", "bytes"),)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        path.write_bytes(obj)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        return path.read_bytes()


class _Thief(_Toy):
    name = "thief"
    suffixes = (".csv",)


class _Namesake(_Toy):
    suffixes = (".other",)


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_formats", dispatch._Formats())


@pytest.mark.usefixtures("fresh_registry")
def test_registering_a_format(tmp_path: Path) -> None:
    toy = _Toy()
    dispatch.register(toy)
    dispatch.register(_Toy())  # again: nothing happens
    assert [f.name for f in all_formats()].count("toy") == 1
    assert for_suffix(".ty") is toy
    path = write(bytearray(b">a"), tmp_path / "x.ty", ".ty")
    assert for_path(path, ".ty").load(path, suffix=".ty") == b">a"
    with pytest.raises(errors.InvalidArgument, match="csv"):
        dispatch.register(_Thief())
    with pytest.raises(errors.InvalidArgument, match="toy"):
        dispatch.register(_Namesake())


@pytest.mark.usefixtures("fresh_registry")
def test_first_use_from_many_threads() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(for_object({"a": 1}).name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["json"] * 8


HEAVY = ("pandas", "pyarrow", "anndata", "zarr", "polars", "h5py", "numpy", "yaml", "tiledb", "tiledbsoma")


def test_no_heavy_library_is_imported_before_it_is_needed() -> None:
    lines = [
        "import sys, json, pathlib",
        "from lamart_core.formats import dispatch",
        "dispatch.for_object({'a': 1})",
        "dispatch.for_suffix('.parquet')",
        "dispatch.for_path(pathlib.Path('.'), '.zarr')",
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))",
    ]
    assert json.loads(_python("\n".join(lines))) == []


def test_a_missing_library_names_the_extra(tmp_path: Path) -> None:
    """Where `test_contract` does not look: engines, and formats that write nothing."""
    write(frame(), tmp_path / "t.parquet", ".parquet")
    write(frame(), tmp_path / "t.csv", ".csv")
    (tmp_path / "t.zarr").mkdir()
    (tmp_path / "t.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    (tmp_path / "t.tiledb").mkdir()
    (tmp_path / "t.tiledbsoma").mkdir()
    lines = [
        "import sys, pathlib",
        "for hidden in ('polars', 'zarr', 'tiledb', 'tiledbsoma'):",
        "    sys.modules[hidden] = None",
        "from lamart_core import errors",
        "from lamart_core.formats import for_path",
        "for suffix in ('.parquet', '.csv', '.zarr', '.tiledb', '.tiledbsoma'):",
        f"    path = pathlib.Path({str(tmp_path)!r}, f't{{suffix}}')",
        "    try:",
        "        for_path(path, suffix).open(path, suffix=suffix, engine='polars')",
        "    except errors.MissingExtra as error:",
        "        print(isinstance(error, ImportError), error)",
    ]
    shown = _python("\n".join(lines)).splitlines()
    for line, extra in zip(shown, ("polars", "polars", "zarr", "tiledb", "soma"), strict=True):
        assert line.startswith("True")
        assert f"pip install 'lamart-dagster[{extra}]'" in line


def _python(program: str, *paths: Path) -> str:
    path = os.pathsep.join([*map(str, paths), os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
