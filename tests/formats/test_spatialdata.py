"""SpatialData: round trips, equal bytes, older and damaged stores, lazy access. One file: its import takes seconds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
from spatialdata._io.format import SpatialDataContainerFormatV01
from spatialdata.datasets import blobs
from spatialdata.models import Image2DModel, Labels2DModel, PointsModel, ShapesModel, TableModel
from spatialdata.testing import assert_spatial_data_objects_are_identical as assert_identical
from upath import UPath

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.formats import Format, UnreadableContent, for_object, for_path, for_suffix
from lamart_core.testing import FormatContract, FormatSample
from tests.formats.format_samples import fingerprint, frame, write
from tests.formats.mudata_samples import assert_same_mudata, mudata
from tests.registries import lab, sqlite_registry

__all__ = ["lab", "sqlite_registry"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:SpatialData is not stored in the most current format:UserWarning"),
]

SUFFIX = ".zarr"


def tiny(**changes: Any) -> sd.SpatialData:
    """One element of each kind; what is passed replaces elements by their kind, or the attributes."""
    image = np.arange(48, dtype="uint8").reshape(3, 4, 4)
    cells = pd.DataFrame({"region": pd.Categorical(["cells"] * 2), "instance": [1, 2], "kind": ["a", "a"]}, ["1", "2"])
    table = TableModel.parse(
        ad.AnnData(np.eye(2, dtype="float32"), obs=cells, uns={"größe": {"b": {"y": 1}, "a": "text"}}),
        region="cells",
        region_key="region",
        instance_key="instance",
    )
    spots = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0.0, 1.0, 1.0], "gene": pd.Categorical(["A", "B", "A"])})
    elements: dict[str, Any] = {
        "images": {"größe_测": Image2DModel.parse(image, dims=("c", "y", "x"), c_coords=["r", "g", "b"])},
        "labels": {"cells": Labels2DModel.parse(np.array([[0, 1], [2, 2]]), dims=("y", "x"))},
        "points": {"spots": PointsModel.parse(dd.from_pandas(spots, npartitions=2), feature_key="gene")},
        "shapes": {"circles": ShapesModel.parse(np.array([[1.0, 2.0], [3.0, 4.0]]), geometry=0, radius=1.5)},
        "tables": {"table": table},
        "attrs": {"tech": {"b": 1, "a": [1, 2]}, "bio": "liver"},
    }
    return sd.SpatialData(**(elements | changes))


class TestContract(FormatContract):
    """Of SpatialData and MuData together: the processes that it starts take seconds to import anything."""

    @classmethod
    def samples(cls) -> Sequence[FormatSample]:
        return [
            FormatSample("one of each kind", tiny(), SUFFIX),
            FormatSample("nothing", sd.SpatialData(), ".spatialdata.zarr"),
            FormatSample("modalities in a file", mudata(), ".h5mu"),
            FormatSample("modalities in a folder", mudata(), ".mudata.zarr"),
        ]

    @classmethod
    def formats(cls) -> Sequence[Format]:
        return list(dict.fromkeys(cls.format_of(sample) for sample in cls.samples()))

    @classmethod
    def format_of(cls, sample: FormatSample) -> Format:
        return for_object(sample.obj, sample.suffix)

    def assert_equal(self, loaded: Any, sample: FormatSample) -> None:
        if isinstance(sample.obj, sd.SpatialData):
            assert_identical(loaded, sample.obj)
        else:
            assert_same_mudata(loaded, mudata(text="category"))


def load(path: Path, **options: Any) -> sd.SpatialData:
    return for_path(path, SUFFIX).load(path, suffix=SUFFIX, **options)


@pytest.fixture(scope="module")
def large() -> sd.SpatialData:
    """With images of several resolutions, polygons and multipolygons."""
    return blobs(length=32, n_points=6, n_shapes=3)


@pytest.fixture(scope="module")
def stored(large: sd.SpatialData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(large, tmp_path_factory.mktemp("stored") / "x.zarr", SUFFIX)


@pytest.mark.req("R143")
def test_it_comes_back_equal_and_reads_from_nowhere(large: sd.SpatialData, stored: Path, tmp_path: Path) -> None:
    found = for_path(stored, SUFFIX)
    assert (found.otype, found.is_folder, found.default_suffix(large)) == ("SpatialData", True, SUFFIX)
    assert found is for_suffix(".spatialdata.zarr") is for_object(large, SUFFIX)
    assert (found.n_observations(large), found.count_observations(stored, suffix=SUFFIX)) == (None, None)
    shutil.copytree(stored, tmp_path / "x.zarr")
    loaded = load(tmp_path / "x.zarr")
    shutil.rmtree(tmp_path / "x.zarr")
    assert_identical(loaded, large)
    assert loaded.path is None


def no_observations() -> sd.SpatialData:
    return sd.SpatialData(tables={"table": TableModel.parse(ad.AnnData(np.zeros((0, 3), dtype="float32")))})


@pytest.mark.parametrize("make", [sd.SpatialData, tiny, no_observations])
def test_edges_come_back_equal(make: Callable[[], sd.SpatialData], tmp_path: Path) -> None:
    path = write(make(), tmp_path / "x.spatialdata.zarr", ".spatialdata.zarr")
    loaded = load(path)
    assert_identical(loaded, make())
    assert loaded.attrs == make().attrs
    assert fingerprint(write(loaded, tmp_path / "again", SUFFIX)) == fingerprint(path)


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    spots = PointsModel.parse(dd.from_pandas(pd.DataFrame({"x": [1.0], "y": [2.0]}), npartitions=1))
    expected = fingerprint(write(tiny(points={"spots": spots}), tmp_path / "here", SUFFIX))
    used = load(tmp_path / "here")
    used["spots"].compute()  # leaves attributes with the partition
    used.attrs = dict(reversed(used.attrs.items()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert fingerprint(write(used, tmp_path / "used", SUFFIX)) == expected


def test_the_order_of_elements_is_no_content(large: sd.SpatialData, stored: Path, tmp_path: Path) -> None:
    elements = {name: element for _, name, element in large.gen_elements()}
    turned = sd.SpatialData.init_from_elements(dict(reversed(elements.items())))
    assert list(turned.labels) != list(large.labels)
    assert fingerprint(write(turned, tmp_path / "x", SUFFIX)) == fingerprint(stored)


def test_every_change_is_seen_in_the_bytes(tmp_path: Path) -> None:
    image, labels = np.zeros((3, 4, 4), "uint8"), np.array([[0, 1], [2, 1]])
    spots = dd.from_pandas(pd.DataFrame({"x": [1.0], "y": [2.0]}), npartitions=1)
    changes: list[dict[str, Any]] = [
        {"images": {"größe_测": Image2DModel.parse(image, dims=("c", "y", "x"))}},
        {"labels": {"cells": Labels2DModel.parse(labels, dims=("y", "x"))}},
        {"points": {"spots": PointsModel.parse(spots)}},
        {"shapes": {"circles": ShapesModel.parse(np.array([[1.0, 2.5]]), geometry=0, radius=1.5)}},
        {"tables": {}},
        {"attrs": {"tech": {"b": 1, "a": [1, 3]}, "bio": "liver"}},
    ]
    made = [write(tiny(**change), tmp_path / f"{n}", SUFFIX) for n, change in enumerate([{}, *changes])]
    assert len({json.dumps(fingerprint(path), sort_keys=True) for path in made}) == len(made)


def test_the_object_is_left_as_it_was(tmp_path: Path) -> None:
    obj = tiny()
    obj["spots"]["gene"] = obj["spots"]["gene"].cat.as_unknown()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", FutureWarning)
        write(obj, tmp_path / "x.zarr", SUFFIX)
    assert obj.path is None
    assert not obj["spots"]["gene"].cat.known
    assert obj["table"].obs["kind"].dtype == object
    assert "transform" in obj["circles"].attrs
    assert_identical(obj, obj)


def test_a_backed_object_stays_where_it_is(tmp_path: Path) -> None:
    tiny().write(tmp_path / "own.zarr", consolidate_metadata=False)
    before = fingerprint(tmp_path / "own.zarr")
    backed = sd.read_zarr(tmp_path / "own.zarr")
    path = write(backed, tmp_path / "x.zarr", SUFFIX)
    assert backed.path == tmp_path / "own.zarr"
    assert sd.get_dask_backing_files(backed["größe_测"])[0].startswith(str(tmp_path / "own.zarr"))
    assert fingerprint(tmp_path / "own.zarr") == before
    assert fingerprint(path) == fingerprint(write(tiny(), tmp_path / "y.zarr", SUFFIX))


@pytest.mark.parametrize("is_marked", [True, False], ids=["0.1", "before versions"])
def test_older_formats(is_marked: bool, large: sd.SpatialData, tmp_path: Path) -> None:
    path = tmp_path / "old.zarr"
    large.write(path, sdata_formats=SpatialDataContainerFormatV01(), update_sdata_path=False)
    if not is_marked:
        (path / ".zattrs").write_text("{}")
        (path / ".zmetadata").unlink(missing_ok=True)
    found = for_path(path, SUFFIX)
    assert found.otype == "SpatialData"
    assert_identical(load(path), large)
    with found.open(path, suffix=SUFFIX) as store:
        assert list(store.shapes) == ["blobs_circles", "blobs_multipolygons", "blobs_polygons"]
        assert store.images["blobs_image"].shape == (3, 32, 32)
        assert store.tables["table"].n_obs == large["table"].n_obs


def test_damaged_content_is_told(tmp_path: Path) -> None:
    path = write(tiny(), tmp_path / "x.zarr", SUFFIX)
    spots, circles = "points/spots/points.parquet/part.0.parquet", "shapes/circles/shapes.parquet"
    damages: list[Callable[[Path], object]] = [
        lambda p: (p / spots).write_bytes((p / spots).read_bytes()[:-9]),
        lambda p: (p / circles).unlink(),
        lambda p: (p / "images/größe_测/zarr.json").write_text("{"),
        lambda p: (p / "tables/table/zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}'),
        lambda p: (p / "labels/cells/s0/c/0/0").write_bytes(b"damaged"),
    ]
    for number, damage in enumerate(damages):
        damaged = tmp_path / f"{number}.zarr"
        shutil.copytree(path, damaged)
        damage(damaged)
        with pytest.raises(UnreadableContent):
            load(damaged)


@pytest.mark.parametrize("root", ['{"zarr_format": 3, "node_type": "group", "attributes": {}}', "[1, 2", None])
def test_what_is_no_spatialdata_is_told(root: str | None, tmp_path: Path) -> None:
    path = tmp_path / "x.spatialdata.zarr"
    path.mkdir()
    if root is not None:
        (path / "zarr.json").write_text(root)
    found = for_path(path, ".spatialdata.zarr")
    assert found.otype == "SpatialData"
    for use in (found.load, found.open, found.preview):
        with pytest.raises(UnreadableContent):
            use(path, suffix=".spatialdata.zarr")


def test_pickled_chunks_are_never_loaded(tmp_path: Path) -> None:
    path = write(tiny(), tmp_path / "x.zarr", SUFFIX)
    file = path / "images/größe_测/s0/zarr.json"
    metadata = json.loads(file.read_text()) | {"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]}
    file.write_text(json.dumps(metadata))
    found = for_path(path, SUFFIX)
    for use in (found.load, found.open, found.preview):
        with pytest.raises(UnreadableContent, match="pickle"):
            use(path, suffix=SUFFIX)


def test_pickled_chunks_of_a_remote_store_are_never_loaded(tmp_path: Path) -> None:
    path = write(tiny(), tmp_path / "x.zarr", SUFFIX)
    image = path / "images/größe_测/s0/zarr.json"
    metadata = json.loads(image.read_text()) | {"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]}
    image.write_text(json.dumps(metadata))
    # An array as early versions have it, of which the consolidated metadata tell nothing.
    (path / "shapes/circles/coords").mkdir()
    (path / "shapes/circles/coords/zarr.json").write_text(json.dumps(metadata))
    remote = UPath(f"file://{path}")
    assert not isinstance(remote, Path)
    with for_path(path, SUFFIX).open(remote, suffix=SUFFIX) as store:
        assert sorted(store) == ["cells", "circles", "größe_测", "spots", "table"]
        assert len(store.points["spots"]) == 3
        for name in ("größe_测", "circles"):
            with pytest.raises(UnreadableContent, match="pickle"):
                _ = store[name]


def test_what_cannot_be_stored_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    obj = tiny()
    obj["table"].uns["model"] = object()
    with pytest.raises(errors.UnsupportedObject, match="SpatialData"):
        write(obj, tmp_path / "x", SUFFIX)
    with pytest.raises(errors.InvalidArgument, match="zarr_kwargs"):
        write(tiny(), tmp_path / "x", SUFFIX, zarr_kwargs={"zarr_format": 2})
    with pytest.raises(errors.UnsupportedObject, match=r"spatialdata\.SpatialData"):
        for_object(obj).write(frame(), tmp_path / "x", suffix=SUFFIX)
    assert list(tmp_path.iterdir()) == []


def test_open_reads_what_is_asked_for(large: sd.SpatialData, stored: Path) -> None:
    with for_path(stored, SUFFIX).open(stored, suffix=SUFFIX) as store:
        assert sorted(store) == sorted(name for _, name, _ in large.gen_elements())
        assert "blobs_image" in store
        assert "else" not in store
        assert (len(store.images), len(store.labels), list(store.points)) == (2, 2, ["blobs_points"])
        assert isinstance(store.images["blobs_image"].data, da.Array)
        np.testing.assert_array_equal(store["blobs_image"].values, large["blobs_image"].values)
        assert len(store.points["blobs_points"]) == 6
        assert store["blobs_circles"].equals(large["blobs_circles"])
        assert store.tables["table"].obs.equals(large["table"].obs)
        assert store.attrs == {}
        assert_identical(store.to_memory(), large)
        with pytest.raises(KeyError, match="blobs_image"):
            _ = store.images["blobs_circles"]
        with pytest.raises(KeyError, match="blobs_image"):
            _ = store["else"]
        with pytest.raises(errors.InvalidArgument, match=r"r\+"):
            store.write_element("new", large["blobs_image"])
    assert "closed" in repr(store)
    for use in (lambda: store.images["blobs_image"], lambda: store["table"], store.to_memory, lambda: store.attrs):
        with pytest.raises(errors.InvalidArgument, match="closed"):
            use()
    store.close()
    with pytest.raises(errors.InvalidArgument, match="mode"):
        for_path(stored, SUFFIX).open(stored, suffix=SUFFIX, mode="w")


def test_open_writes_elements(large: sd.SpatialData, tmp_path: Path) -> None:
    path = write(tiny(), tmp_path / "x.zarr", SUFFIX)
    before, found = fingerprint(path), for_path(path, SUFFIX)
    with found.open(path, suffix=SUFFIX, mode="r+"):
        pass
    assert fingerprint(path) == before
    with found.open(path, suffix=SUFFIX, mode="r+") as store:
        store.write_element("more", large["blobs_image"])
        store.write_element("circles", store["circles"].iloc[:1])
        store.delete_element("spots")
        store.tables["table"].set_column("obs", "score", [0.5, 1.5])
        assert (list(store.images), list(store.points), len(store.shapes["circles"])) == (["größe_测", "more"], [], 1)
        with pytest.raises(errors.InvalidArgument, match="compute"):
            store.write_element("größe_测", store["größe_测"])
        with pytest.raises(errors.InvalidArgument, match="images"):
            store.write_element("more", large["blobs_circles"])
        with pytest.raises(errors.InvalidArgument, match="added"):
            store.write_element("a/b", large["blobs_circles"])
        with pytest.raises(errors.InvalidArgument, match="spots"):
            store.delete_element("spots")
    loaded = load(path)
    assert sorted(name for _, name, _ in loaded.gen_elements()) == ["cells", "circles", "größe_测", "more", "table"]
    assert (len(loaded["circles"]), loaded["table"].obs["score"].tolist()) == (1, [0.5, 1.5])
    np.testing.assert_array_equal(loaded["more"].values, large["blobs_image"].values)


def test_preview(large: sd.SpatialData, stored: Path) -> None:
    found = for_path(stored, SUFFIX)
    for shown in (found.preview(large), found.preview(stored, suffix=SUFFIX)):
        assert "2 images, 2 labels, 1 points, 3 shapes, 1 tables" in shown.markdown
        assert "| images | blobs_multiscale_image | 3 × 32 × 32 | c, y, x | global |" in shown.markdown
        assert f"| tables | table | {large['table'].n_obs} × 3 |" in shown.markdown
        assert [column.name for column in shown.slots["shapes"]] == sorted(large.shapes)
        assert [column.name for column in shown.slots["points:blobs_points"]] == list(large["blobs_points"].columns)
        assert [column.name for column in shown.slots["tables:table:obs"]] == list(large["table"].obs.columns)
    assert "no elements" in found.preview(sd.SpatialData()).markdown


# In a registry


@pytest.mark.req("R143", "R240")
def test_it_is_saved_loaded_and_opened(lab: Registry) -> None:
    levels = Image2DModel.parse(np.arange(48.0).reshape(3, 4, 4), dims=("c", "y", "x"), scale_factors=[2])
    obj = tiny(images={"levels": levels})
    artifact = ln.Artifact.from_spatialdata(obj, key="my_dataset.zarr").save()
    assert (artifact.otype, artifact.suffix, artifact.n_observations) == ("SpatialData", ".zarr", None)
    assert artifact.n_files
    assert obj.path is None
    assert ln.Artifact.from_spatialdata(tiny(images={"levels": levels}), key="my_dataset.zarr") == artifact
    found = ln.Artifact.get(key="my_dataset.zarr")
    with found.open() as store:
        assert sorted(store) == ["cells", "circles", "levels", "spots", "table"]
        small = store.images["levels"]["scale1"].image
        assert isinstance(small.data, da.Array)
        assert small.isel(c=0).values.tolist() == levels["scale1"].image.isel(c=0).values.tolist()
        assert store.tables["table"].obs["kind"].tolist() == ["a", "a"]
        assert_identical(store.to_memory(), obj)
    assert_identical(found.load(), obj)
    assert found.verify()


@pytest.mark.req("R241", "R242")
def test_what_is_written_is_the_next_version(sqlite_registry: Registry) -> None:
    first = ln.Artifact.from_spatialdata(tiny(), key="slide.zarr", overwrite_versions=False).save()
    first.open("r+").close()
    assert first.versions.count() == 1
    with first.open("r+") as store:
        store.write_element("more", store["circles"].iloc[:1])
        store.tables["table"].set_column("obs", "score", [0.5, 1.5])
    second = ln.Artifact.get(key="slide.zarr")
    assert (second.stem_uid, second.otype, first.versions.count()) == (first.stem_uid, "SpatialData", 2)
    assert (len(second.load()["more"]), second.load()["table"].obs["score"].tolist()) == (1, [0.5, 1.5])
    assert "more" not in first.refresh().load()
    assert (first.verify(), second.verify()) == (True, True)


@pytest.mark.req("R9", "R143", "R231")
def test_other_ways_in(sqlite_registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny().write(tmp_path / "own.zarr")
    artifact = ln.Artifact.from_spatialdata(tmp_path / "own.zarr", key="own.zarr").save()
    assert ln.Artifact(tmp_path / "own.zarr", key="other.zarr").otype == artifact.otype == "SpatialData"
    assert ln.Artifact.from_spatialdata(sd.SpatialData(), description="unnamed").suffix == ".zarr"
    assert "from_spatialdata" not in caplog.text
    assert ln.Artifact(tiny(), key="plain.spatialdata.zarr").otype == "SpatialData"
    assert "from_spatialdata" in caplog.text
    changed = tiny(attrs={"bio": "lung"})
    artifact.replace(changed)
    artifact.save()
    assert ln.Artifact.get(key="own.zarr").load().attrs == {"bio": "lung"}
    for data, key in ((frame(), "t.zarr"), (5, "n.zarr"), (tiny(), "t.h5mu"), (tiny(), "t.parquet")):
        with pytest.raises(ValueError, match="SpatialData"):
            ln.Artifact.from_spatialdata(data, key=key)
    write(frame(), tmp_path / "t.parquet", ".parquet")
    with pytest.raises(ValueError, match="SpatialData"):
        ln.Artifact.from_spatialdata(tmp_path / "t.parquet", key="t.parquet")
    with pytest.raises(ValueError, match="schema"):
        ln.Artifact.from_spatialdata(tiny(), key="s.zarr", schema=object())


@pytest.mark.req("R148")
def test_libraries_are_imported_when_needed(tmp_path: Path) -> None:
    write(tiny(), tmp_path / "x.zarr", SUFFIX)
    lines = [
        "import sys",
        "from pathlib import Path",
        "import lamart_core as ln",
        "from lamart_core import errors",
        "from lamart_core.formats import all_formats, for_path",
        f"path = Path({str(tmp_path)!r}) / 'x.zarr'",
        "found = for_path(path, '.zarr')",
        "print(found.otype, [m for m in ('mudata', 'spatialdata', 'dask', 'zarr', 'anndata') if m in sys.modules])",
        "for library in ('mudata', 'spatialdata'):",
        "    sys.modules[library] = None",
        "h5mu = next(f for f in all_formats() if f.name == 'h5mu')",
        "for use, args in ((found.load, '.zarr'), (found.open, '.zarr'), (h5mu.load, '.h5mu'), (h5mu.open, '.h5mu')):",
        "    try:",
        "        use(path if args == '.zarr' else path / 'zarr.json', suffix=args)",
        "    except ImportError as error:",
        "        print(type(error).__name__, error)",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    recognised, *missing = done.stdout.splitlines()
    assert recognised == "SpatialData []"
    extras = ["spatialdata", "spatialdata", "mudata", "mudata"]
    for line, extra in zip(missing, extras, strict=True):
        assert line.startswith("MissingExtra")
        assert f"lamart-dagster[{extra}]" in line
