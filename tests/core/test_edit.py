"""Opening for writing: a private copy becomes the next version, and no byte of the old one changes."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import collect_garbage
from lamart_core.db import Registry
from lamart_core.formats import for_object
from tests.processes import start
from tests.registries import contents

KEY = "cells.anndata.zarr"


def cells(rows: int = 4) -> ad.AnnData:
    obs = pd.DataFrame({"cell_type": pd.Categorical(["T", "B"] * (rows // 2))}, index=[f"c{i}" for i in range(rows)])
    return ad.AnnData(np.eye(rows, 3, dtype="float32"), obs=obs)


def saved(key: str = KEY, rows: int = 4, **fields: Any) -> ln.Artifact:
    return ln.Artifact.from_anndata(cells(rows), key=key, **{"overwrite_versions": False, **fields}).save()


def scored(artifact: ln.Artifact, value: float = 1.0, **options: Any) -> ln.Artifact:
    with artifact.open("r+", **options) as store:
        store.set_column("obs", "score", [value] * store.n_obs)
    return ln.Artifact.get(artifact.stem_uid)


@pytest.mark.req("R241", "R242", "R240")
def test_closing_makes_the_next_version(lab: Registry) -> None:
    first = saved(description="blood", kind="dataset")
    run = ln.track("edit.py", new_run=True)
    with first.open("r+") as store:
        assert not hasattr(store.X, "toarray")
        store.set_column("obs", "score", range(4))
        # Nothing is visible before it is closed.
        assert first.versions.count() == 1
    ln.finish()
    second = ln.Artifact.get(key=KEY)
    assert (second.uid[:-4], second.is_latest, second.run) == (first.uid[:-4], True, run)
    assert (second.otype, second.n_observations, second.description, second.kind) == ("AnnData", 4, "blood", "dataset")
    assert second.load().obs["score"].tolist() == [0, 1, 2, 3]
    assert run.input_artifacts.to_list() == [first]
    # The object in hand stays the version that it was, and so do its bytes.
    assert first.refresh().is_latest is False
    assert (first.verify(), second.verify()) == (True, True)
    assert first.load().obs.columns.tolist() == ["cell_type"]
    assert not [name for name in contents(lab).files if "tmp" in name or name.startswith("staged/")]
    assert collect_garbage(lab, grace=timedelta(0)) == []


@pytest.mark.req("R242")
def test_values_of_the_matrix_are_written_too(sqlite_registry: Registry) -> None:
    first = saved()
    with first.open("r+") as store:
        store.X[0, 0] = 7
    assert (first.load().X[0, 0], ln.Artifact.get(key=KEY).load().X[0, 0]) == (1, 7)
    assert first.versions.count() == 2


@pytest.mark.req("R242")
def test_equal_content_makes_none(lab: Registry) -> None:
    for version in (2, 3):
        artifact = saved(f"v{version}.zarr", rows=2 * version, zarr_kwargs={"zarr_format": version})
        before = contents(lab)
        store = artifact.open("r+")
        store.set_column("obs", "cell_type", store.obs["cell_type"])
        store.close()
        store.close()
        assert contents(lab) == before


@pytest.mark.req("R241", "R242")
def test_what_was_registered_where_it_lies_is_not_written_to(lab: Registry, tmp_path: Path) -> None:
    backend = lab.Storage.get(lab.storage_id).backend
    for_object(cells(), ".zarr").write(cells(), tmp_path / "x.zarr", suffix=".zarr")
    for file in (item for item in (tmp_path / "x.zarr").rglob("*") if item.is_file()):
        target = backend.path(f"in_place.zarr/{file.relative_to(tmp_path / 'x.zarr').as_posix()}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    in_place = ln.Artifact(backend.path("in_place.zarr"), overwrite_versions=False).save()
    assert (in_place.otype, in_place.n_observations) == ("AnnData", 4)
    # What a server says of it is no digest of its content.
    in_place.open("r+").close()
    assert in_place.versions.count() == 1
    assert scored(in_place).load().obs["score"].tolist() == [1.0] * 4
    assert in_place.verify()
    with in_place.open() as store:
        assert store.obs.columns.tolist() == ["cell_type"]


@pytest.mark.req("R242")
def test_an_exception_discards_what_was_written(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    def fail(store: Any) -> None:
        store.set_column("obs", "score", range(4))
        raise ZeroDivisionError

    artifact = saved()
    before = contents(registry)
    with pytest.raises(ZeroDivisionError), artifact.open("r+") as store:
        fail(store)
    assert "discarded" in caplog.text
    assert contents(registry) == before
    caplog.clear()
    store = artifact.open("r+")
    assert contents(registry) != before
    del store
    gc.collect()
    assert "never closed" in caplog.text
    assert contents(registry) == before


@pytest.mark.req("R242")
def test_of_two_editors_the_second_one_keeps_a_copy(registry: Registry, tmp_path: Path) -> None:
    artifact = saved()
    first, second, third = (artifact.open("r+") for _ in range(3))
    first.set_column("obs", "score", range(4))
    second.set_column("obs", "other", range(4))
    third.set_column("obs", "score", range(4))
    first.close()
    # The same content again is what is there.
    third.close()
    assert artifact.versions.count() == 2
    with pytest.raises(errors.EditNotSaved, match="cannot revise the non-latest record") as caught:
        second.close()
    assert isinstance(caught.value.__cause__, errors.IntegrityError)
    gc.collect()
    assert artifact.versions.count() == 2
    shutil.move(caught.value.copy, tmp_path / KEY)
    saved_copy = ln.Artifact(tmp_path / KEY, key=KEY).save()
    assert "other" in saved_copy.load().obs
    assert artifact.versions.count() == 3
    with pytest.raises(errors.InvalidArgument, match=f"open {saved_copy.uid}"):
        artifact.refresh().open("r+")
    assert collect_garbage(registry, grace=timedelta(0)) == []


@pytest.mark.req("R242")
def test_the_next_version_follows_where_the_family_moved(registry: Registry, tmp_path: Path) -> None:
    artifact = saved()
    store = artifact.open("r+")
    store.set_column("obs", "score", range(4))
    moved = ln.Artifact.get(artifact.uid)
    moved.storage = ln.Storage(root=tmp_path / "second").save()
    moved.save()
    store.close()
    assert [item.storage for item in artifact.versions] == [moved.storage] * 2
    assert ln.Artifact.get(key=KEY).load().obs["score"].tolist() == [0, 1, 2, 3]
    assert not [name for name in contents(registry).files if "tmp" in name]


@pytest.mark.req("R242")
def test_a_deleted_artifact_has_no_next_version(registry: Registry) -> None:
    artifact = saved()
    store = artifact.open("r+")
    store.set_column("obs", "score", range(4))
    ln.Artifact.get(artifact.uid).delete(permanent=True)
    with pytest.raises(errors.EditNotSaved, match="kept at") as caught:
        store.close()
    gc.collect()
    assert ad.read_zarr(caught.value.copy).obs["score"].tolist() == [0, 1, 2, 3]
    assert ln.Artifact.filter(branch=None).count() == 0


@pytest.mark.req("R242")
def test_a_killed_editor_leaves_the_old_version_and_garbage(registry: Registry) -> None:
    artifact = saved()
    before = contents(registry)
    code = f"""
import os, signal
store = ln.Artifact.get(key={KEY!r}).open("r+")
store.set_column("obs", "score", range(4))
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = start(registry, code)
    process.communicate(timeout=100)
    assert process.returncode == -9
    assert len(contents(registry).files) > len(before.files)
    assert (contents(registry).artifacts, artifact.verify()) == (1, True)
    assert [found.reason for found in collect_garbage(registry, grace=timedelta(0), dry_run=False)] == ["staging"]
    assert contents(registry) == before
    assert scored(artifact).load().obs["score"].tolist() == [1.0] * 4


@pytest.mark.req("R241")
def test_what_may_not_be_written_to(registry: Registry, tmp_path: Path) -> None:
    artifact = saved()
    table = ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="t.parquet").save()
    h5ad = ln.Artifact.from_anndata(cells(), key="c.h5ad").save()
    before = contents(registry)
    opened: list[Callable[[], Any]] = [
        lambda: table.open("r+"),
        lambda: h5ad.open("r+"),
        lambda: artifact.open("w"),
        lambda: artifact.open("a"),
    ]
    for each in opened:
        with pytest.raises(ValueError, match=r"'r\+' for anndata.zarr"):
            each()
    with pytest.raises(errors.InvalidArgument, match="save"):
        ln.Artifact.from_anndata(cells(2), key="d.anndata.zarr").open("r+")
    readers = ln.DB(registry.url.render_as_string(hide_password=False))
    with pytest.raises(errors.ReadOnlyRegistry):
        readers.Artifact.get(artifact.uid).open("r+")
    assert contents(registry) == before
    artifact.delete()
    with pytest.raises(errors.InvalidArgument, match="trash"):
        artifact.open("r+")


@pytest.mark.req("R241", "R242")
def test_overwritten_versions_and_real_keys(lab: Registry) -> None:
    for fields in ({"overwrite_versions": True}, {"key_is_virtual": False}):
        artifact = saved(f"{next(iter(fields))}.zarr", **fields)
        after = scored(artifact)
        assert after.overwrite_versions is artifact.overwrite_versions
        assert after.load().obs["score"].tolist() == [1.0] * 4
        if artifact.overwrite_versions:
            with pytest.raises(errors.OutdatedVersion):
                artifact.load()
        else:
            assert artifact.verify()
            assert artifact.load().obs.columns.tolist() == ["cell_type"]
