"""MuData as artifacts: on each database and storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mudata as md
import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.formats.format_samples import adata, assert_same, frame, write
from tests.formats.mudata_samples import assert_same_mudata, mudata
from tests.registries import lab, sqlite_registry

__all__ = ["lab", "sqlite_registry"]

pytestmark = pytest.mark.filterwarnings("ignore:.*will not pull obs/var columns:FutureWarning")


@pytest.mark.req("R142", "R240", "R284")
def test_the_example_of_the_documents(lab: Registry) -> None:
    mdata = ln.examples.datasets.mudata_papalexi21_subset()
    assert list(mdata.mod) == ["rna", "adt", "hto", "gdo"]
    assert {"perturbation", "replicate", "orig.ident"} <= set(mdata.obs)
    artifact = ln.Artifact.from_mudata(mdata, key="mudata_papalexi21_subset.h5mu").save()
    assert (artifact.otype, artifact.suffix, artifact.n_observations) == ("MuData", ".h5mu", 200)
    assert artifact.kind == "dataset"
    again = ln.examples.datasets.mudata_papalexi21_subset()
    assert ln.Artifact.from_mudata(again, key="mudata_papalexi21_subset.h5mu") == artifact
    found = ln.Artifact.get(key="mudata_papalexi21_subset.h5mu")
    with found.open() as store:
        assert (store.shape, store["gdo"].shape) == ((200, 300), (200, 111))
        knocked_out = store["rna"][(store.obs["gene_target"] == "STAT1").to_numpy()].to_memory()
        assert 0 < knocked_out.n_obs < 200
    assert_same_mudata(found.load(), mdata)
    assert found.verify()
    check_a_zarr_folder()


def check_a_zarr_folder() -> None:
    artifact = ln.Artifact.from_mudata(mudata(), key="m.zarr").save()
    assert (artifact.otype, artifact.n_observations) == ("MuData", 4)
    assert artifact.n_files
    assert ln.Artifact.from_mudata(mudata(), key="m.zarr") == artifact
    found = ln.Artifact.get(key="m.zarr")
    with found.open() as store:
        assert_same(store["rna"].X[1:3], mudata()["rna"].X[1:3])
        assert store.obs["donor"].tolist() == list("xyxy")
    assert_same_mudata(found.load(), mudata(text="category"))


@pytest.mark.req("R9", "R142", "R231")
def test_other_ways_in(sqlite_registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for suffix in (".h5mu", ".zarr"):
        path = write(mudata(), tmp_path / f"own{suffix}", suffix)
        artifact = ln.Artifact.from_mudata(path, key=f"own{suffix}").save()
        assert (artifact.otype, artifact.n_observations) == ("MuData", 4)
        assert ln.Artifact(path, key=f"other{suffix}").n_observations == 4
    assert ln.Artifact.from_mudata(mudata(), description="unnamed").suffix == ".h5mu"
    assert "from_mudata" not in caplog.text
    plain = ln.Artifact(mudata(), key="plain.mudata.zarr")
    assert (plain.otype, plain.n_observations) == ("MuData", 4)
    assert "from_mudata" in caplog.text
    artifact.replace(mudata()[["c1", "c2"]])
    artifact.save()
    found = ln.Artifact.get(key="own.zarr")
    assert (found.n_observations, found.load().n_obs, found.version) == (2, 2, artifact.version)
    refused: list[tuple[Any, str]] = [
        (frame(), "t.h5mu"), (adata(), "a.h5mu"), (5, "n.h5mu"), (mudata(), "m.h5ad"), (mudata(), "m.parquet"),
        (write(adata(), tmp_path / "a.h5ad", ".h5ad"), "a.h5ad"),
    ]  # fmt: skip
    for data, key in refused:
        with pytest.raises(ValueError, match="MuData"):
            ln.Artifact.from_mudata(data, key=key)
    with pytest.raises(ValueError, match="schema"):
        ln.Artifact.from_mudata(mudata(), key="s.h5mu", schema=object())
    with pytest.raises(ValueError, match="h5mu_kwargs"):
        ln.Artifact.from_mudata(tmp_path / "own.h5mu", key="k.h5mu", h5mu_kwargs={"compression": "gzip"})
    small = ln.Artifact.from_mudata(mudata(), key="k.h5mu", h5mu_kwargs={"compression": "gzip"}).save()
    assert isinstance(small.load(), md.MuData)
