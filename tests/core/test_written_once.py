"""An object from memory is written once: in the storage itself where that is local, so that saving renames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.formats.format_samples import adata, frame

CONSTRUCTORS: dict[str, Callable[[], ln.Artifact]] = {
    "parquet": lambda: ln.Artifact.from_dataframe(frame(), key="a.parquet", run=False),
    "csv": lambda: ln.Artifact.from_dataframe(frame(), key="a.csv.gz", run=False),
    "h5ad": lambda: ln.Artifact.from_anndata(adata(), key="a.h5ad", run=False),
    "anndata.zarr": lambda: ln.Artifact.from_anndata(adata(), key="a.zarr", run=False),
    "h5mu": lambda: ln.Artifact.from_mudata(ln.examples.datasets.mudata_papalexi21_subset(), key="a.h5mu", run=False),
}


def inodes(path: Path) -> dict[str, int]:
    found = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return {item.relative_to(path).as_posix(): item.stat().st_ino for item in found}


@pytest.mark.req("R134")
@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_saving_renames(registry: Registry, name: str) -> None:
    artifact = CONSTRUCTORS[name]()
    root = Path(ln.settings.storage.root)
    written = artifact.path
    assert isinstance(written, Path)
    assert written.is_relative_to(root)
    before = inodes(written)
    artifact.save()
    assert not written.exists()
    after = inodes(Path(artifact.path))
    assert after.keys() == before.keys()
    assert set(after.values()) <= set(before.values())  # files of equal content become one
    assert not list((root / ".lamart" / "tmp").iterdir())
