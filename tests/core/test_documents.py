"""Documents as artifacts: what they are called, and what loading gives, on every database."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.errors import NoLoader
from lamart_core.formats import UnreadableContent
from tests.registries import write


@pytest.mark.req("R38", "R67", "R246")
def test_documents_are_stored_as_they_are_and_loaded(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "x.Fasta.GZ").write_bytes(gzip.compress(b">a\nACGT\n"))
    (tmp_path / "x.vitessce.json").write_text('{"version": 1}')
    (tmp_path / "x.ome.tif").write_bytes(b"II*\0")
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    ad.AnnData(np.ones((2, 3), dtype="float32")).write_h5ad(tmp_path / "x.h5ad")
    (tmp_path / "y.h5ad.gz").write_bytes(gzip.compress((tmp_path / "x.h5ad").read_bytes()))
    np.save(tmp_path / "x.npy", np.arange(3))
    saved = {path.name: ln.Artifact(path, key=f"in/{path.name}").save() for path in sorted(tmp_path.glob("[xy].*"))}
    found = {name: ln.Artifact.get(artifact.uid) for name, artifact in saved.items()}
    assert {name: (artifact.suffix, artifact.otype) for name, artifact in found.items()} == {
        "x.Fasta.GZ": (".fasta.gz", None),
        "x.vitessce.json": (".vitessce.json", None),
        "x.ome.tif": (".ome.tif", None),
        "x.pdf": (".pdf", None),
        "x.h5ad": (".h5ad", "AnnData"),
        "y.h5ad.gz": (".h5ad.gz", "AnnData"),
        "x.npy": (".npy", None),
    }
    assert found["x.Fasta.GZ"].load() == ">a\nACGT\n"
    assert found["x.vitessce.json"].load() == {"version": 1}
    assert found["x.ome.tif"].load() == found["x.ome.tif"].cache()
    assert found["y.h5ad.gz"].load().shape == (2, 3)
    assert found["x.npy"].load().tolist() == [0, 1, 2]
    with pytest.raises(NoLoader, match="cache"):
        found["x.pdf"].load()


def test_what_a_document_may_expand_to_is_said_when_it_is_loaded(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "zeros.txt.gz"
    path.write_bytes(gzip.compress(bytes(1000)))
    artifact = ln.Artifact(path, key="zeros.txt.gz").save()
    with pytest.raises(UnreadableContent, match="more than 999"):
        artifact.load(max_bytes=999)
    assert len(artifact.load(max_bytes=1000)) == 1000
    assert len(artifact.load()) == 1000


def test_a_damaged_document_is_told(tmp_path: Path, registry: Registry) -> None:
    artifact = ln.Artifact(write(tmp_path / "x.json", '{"a": '), key="x.json").save()
    with pytest.raises(UnreadableContent, match="json"):
        artifact.load()
