"""Which format stores what: the registry, for objects, suffixes and paths."""

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
from lamart_core.formats import Format, PythonType, all_formats, for_object, for_path, for_suffix, known_suffixes
from lamart_core.formats import registry as registry_module
from tests.formats.format_samples import SAMPLES, WRITABLE, Sample, adata, frame, write


def test_every_writable_format_has_a_sample() -> None:
    covered = {for_object(s.obj, s.suffix).name for s in SAMPLES}
    assert {f.name for f in WRITABLE} == covered


@pytest.mark.req("R38")
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_what_was_written_is_recognised_by_its_path(sample: Sample, tmp_path: Path) -> None:
    path = write(sample.obj, tmp_path / "staged", sample.suffix)
    found = for_path(path, sample.suffix)
    assert found is for_object(sample.obj, sample.suffix)
    assert found.is_folder == path.is_dir()


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


class _Fasta(Format):
    name = "fasta"
    suffixes = (".fasta", ".fa")
    accepts = (PythonType("builtins", "bytearray"),)
    returns = (PythonType("builtins", "bytes"),)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        path.write_bytes(obj)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        return path.read_bytes()


class _Thief(_Fasta):
    name = "thief"
    suffixes = (".csv",)


class _Namesake(_Fasta):
    suffixes = (".other",)


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_registry", registry_module._Registry())


@pytest.mark.usefixtures("fresh_registry")
def test_registering_a_format(tmp_path: Path) -> None:
    fasta = _Fasta()
    registry_module.register(fasta)
    registry_module.register(_Fasta())  # again: nothing happens
    assert [f.name for f in all_formats()].count("fasta") == 1
    assert for_suffix(".fa") is fasta
    path = write(bytearray(b">a"), tmp_path / "x.fa", ".fa")
    assert for_path(path, ".fa").load(path, suffix=".fa") == b">a"
    with pytest.raises(errors.InvalidArgument, match="csv"):
        registry_module.register(_Thief())
    with pytest.raises(errors.InvalidArgument, match="fasta"):
        registry_module.register(_Namesake())


def test_formats_of_other_distributions_are_found_by_entry_point(tmp_path: Path) -> None:
    package = tmp_path / "lamart_fasta-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: lamart-fasta\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[lamart_core.formats]\nfasta = tests.formats.test_format_registry:_Fasta\n"
    )
    program = "from lamart_core.formats import for_suffix; print(for_suffix('.fasta').name)"
    assert _python(program, tmp_path) == "fasta"


@pytest.mark.usefixtures("fresh_registry")
def test_first_use_from_many_threads() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(for_object({"a": 1}).name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["json"] * 8


HEAVY = ("pandas", "pyarrow", "anndata", "zarr", "polars", "h5py", "numpy", "yaml")


@pytest.mark.parametrize(
    "program",
    [
        "import lamart_core.formats",
        "from lamart_core.formats import registry; registry.for_object({'a': 1}); registry.for_suffix('.parquet')",
        "from lamart_core.formats import registry; registry.for_path(__import__('pathlib').Path('.'), '.zarr')",
    ],
)
def test_no_heavy_library_is_imported_before_it_is_needed(program: str) -> None:
    shown = _python(f"{program}; import sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))")
    assert json.loads(shown) == []


@pytest.mark.parametrize(
    ("hidden", "extra", "program"),
    [
        ("anndata", "anndata", "for_path(p, '.h5ad').load(p, suffix='.h5ad')"),
        ("anndata", "anndata", "for_path(p, '.h5ad').open(p, suffix='.h5ad')"),
        ("zarr", "zarr", "for_path(z, '.zarr').load(z, suffix='.zarr')"),
        ("polars", "polars", "for_path(t, '.parquet').open(t, suffix='.parquet', engine='polars')"),
        ("polars", "polars", "for_path(c, '.csv').open(c, suffix='.csv', engine='polars')"),
    ],
)
def test_a_missing_library_names_the_extra(tmp_path: Path, hidden: str, extra: str, program: str) -> None:
    write(adata(), tmp_path / "p.h5ad", ".h5ad")
    write(frame(), tmp_path / "t.parquet", ".parquet")
    write(frame(), tmp_path / "c.csv", ".csv")
    (tmp_path / "z.zarr").mkdir()
    (tmp_path / "z.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    lines = [
        "import sys",
        f"sys.modules[{hidden!r}] = None",
        "from pathlib import Path",
        "from lamart_core import errors",
        "from lamart_core.formats import for_path",
        f"root = Path({str(tmp_path)!r})",
        "p, t, c, z = root / 'p.h5ad', root / 't.parquet', root / 'c.csv', root / 'z.zarr'",
        "try:",
        f"    {program}",
        "except errors.MissingExtra as error:",
        "    print(isinstance(error, ImportError), error)",
    ]
    shown = _python("\n".join(lines))
    assert shown.startswith("True")
    assert f"lamart-dagster[{extra}]" in shown


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
