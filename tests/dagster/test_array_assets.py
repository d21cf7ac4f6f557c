"""Arrays and TileDB-SOMA stores as assets: out and in by annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import h5py
import numpy as np
import pytest
import tiledbsoma
import zarr

from tests.dagster.conftest import Lab
from tests.formats.format_samples import hdf5_group, zarr_group
from tests.formats.soma_stores import write

FOLDER: list[Path] = []


@dg.asset(name="group")
def zarr_group_asset() -> zarr.Group:
    return zarr_group()


@dg.asset(name="group_user")
def zarr_group_user(group: zarr.Group) -> float:
    return float(np.nansum(group["counts"][:]))  # type: ignore[index, arg-type]


@dg.asset(name="array")
def zarr_array_asset() -> zarr.Array:  # type: ignore[type-arg]
    return zarr_group()["counts"]


@dg.asset(name="array_user")
def zarr_array_user(array: zarr.Array) -> float:  # type: ignore[type-arg]
    return float(np.nansum(array[:]))  # type: ignore[arg-type]


@dg.asset(name="hdf5")
def hdf5_asset() -> h5py.File:
    return hdf5_group()


@dg.asset(name="hdf5_user")
def hdf5_user(hdf5: h5py.File) -> float:
    with hdf5:
        return float(hdf5["counts"][:].sum())  # type: ignore[index, union-attr]


@dg.asset(name="experiment")
def experiment_asset() -> tiledbsoma.Experiment:
    return tiledbsoma.Experiment.open(str(write(FOLDER[-1] / "x.tiledbsoma")))


@dg.asset(name="experiment_user")
def experiment_user(experiment: tiledbsoma.Experiment) -> float:
    with experiment:
        return float(experiment.obs.count)


@pytest.mark.parametrize(
    ("asset", "user", "key", "expected", "shown"),
    [
        (zarr_group_asset, zarr_group_user, "group.zarr", 12.0, "counts  6 × 4  float32"),
        (zarr_array_asset, zarr_array_user, "array.zarr", 12.0, "6 × 4  float32"),
        (hdf5_asset, hdf5_user, "hdf5.h5", 276.0, "counts  6 × 4  int64"),
        (experiment_asset, experiment_user, "experiment.tiledbsoma", 6.0, "data 10 × 4 float"),
    ],
    ids=["zarr-group", "zarr-array", "hdf5", "soma"],
)
def test_arrays_are_assets(
    asset: Any, user: Any, key: str, expected: float, shown: str, lab: Lab, tmp_path: Path
) -> None:
    FOLDER.append(tmp_path / "1")
    assert lab.run(asset, user).success
    name = asset.key.to_user_string()
    assert lab.latest(f"{name}_user.json").load() == expected
    assert shown in lab.metadata(name)["lamart/preview"]
    # Made again, a day later or in another run, equal content is the same version.
    FOLDER.append(tmp_path / "2")
    lab.run(asset)
    assert len(lab.versions(key)) == 1
    assert lab.metadata(name)["lamart/outcome"] == "re-created"
