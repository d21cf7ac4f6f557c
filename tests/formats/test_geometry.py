"""Frames of geopandas as GeoParquet and Feather."""

from __future__ import annotations

import sys
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal

from lamart_core import errors
from lamart_core.formats import for_object
from tests.formats.format_samples import write
from tests.formats.test_tables import of, round_trip


def places() -> gpd.GeoDataFrame:
    points = [shapely.Point(10.7, 59.9), None, shapely.Point(5.3, 60.4)]
    squares = gpd.GeoSeries([shapely.box(0, 0, 1, 1)] * 3, crs="EPSG:25832")
    data = {"n": [1, 2, 3], "kind": pd.Categorical([1, None, 2], categories=[2, 1]), "square": squares.to_numpy()}
    frame = gpd.GeoDataFrame(data, geometry=points, crs="EPSG:4326", index=pd.Index(["a", "b", "c"], name="place"))
    frame["square"] = gpd.GeoSeries(squares.to_numpy(), index=frame.index, crs="EPSG:25832")
    frame.attrs = {"source": "survey"}
    return frame


@pytest.mark.req("R313")
@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_geometries_come_back_with_their_reference_systems(suffix: str, tmp_path: Path) -> None:
    frame = places()
    assert for_object(frame).name == "parquet"
    loaded = round_trip(frame, suffix, tmp_path)
    assert_geodataframe_equal(loaded, frame, check_crs=True)
    assert loaded["square"].crs == frame["square"].crs
    assert loaded.geometry.name == "geometry"
    assert loaded.attrs == frame.attrs
    assert isinstance(round_trip(frame, suffix, tmp_path, gpd.GeoDataFrame), gpd.GeoDataFrame)
    assert round_trip(frame, suffix, tmp_path, pa.Table)["geometry"][0].as_py() == shapely.Point(10.7, 59.9).wkb
    assert_geodataframe_equal(round_trip(frame.iloc[:0], suffix, tmp_path), frame.iloc[:0])
    without = frame.set_crs(None, allow_override=True)
    assert round_trip(without, suffix, tmp_path).crs is None


@pytest.mark.req("R313")
def test_others_read_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    frame = places()
    path = write(frame, tmp_path / "ours.parquet", ".parquet")
    assert_geodataframe_equal(gpd.read_parquet(path).drop(columns="kind"), frame.drop(columns="kind"), check_crs=True)
    frame = frame.drop(columns="kind")  # categories of numbers come back with our reader only
    frame.to_parquet(tmp_path / "theirs.parquet")
    assert_geodataframe_equal(of(".parquet").load(tmp_path / "theirs.parquet", suffix=".parquet"), frame)
    some = of(".parquet").load(path, suffix=".parquet", columns=["n"])
    assert not isinstance(some, gpd.GeoDataFrame)
    assert of(".parquet").load(path, suffix=".parquet", columns=["n", "geometry"]).crs == "EPSG:4326"


@pytest.mark.req("R313")
def test_what_holds_no_geometry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".csv", ".jsonl", ".orc"):
        with pytest.raises(errors.UnsupportedObject, match=r"square|geometry"):
            write(places(), tmp_path / "x", suffix)
    with pytest.raises(errors.UnsupportedObject, match="geometry"):
        write(gpd.GeoDataFrame({"n": [1]}), tmp_path / "x", ".parquet")
    path = write(pd.DataFrame({"n": [1]}), tmp_path / "plain.parquet", ".parquet")
    with pytest.raises(errors.UnsupportedObject, match="no geometries"):
        of(".parquet").load(path, suffix=".parquet", as_type=gpd.GeoDataFrame)
    path = write(places(), tmp_path / "places.parquet", ".parquet")
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(errors.MissingExtra, match=r"\[geo\]"):
        of(".parquet").load(path, suffix=".parquet")
