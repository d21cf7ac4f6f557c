"""The elements of a SpatialData: what there is, as the store says, and reading them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from upath import UPath

from lamart_core.formats.arrays import open_zarr, refuse_pickles, root_attributes
from lamart_core.formats.containers.accessor import ordered, quiet
from lamart_core.formats.containers.contents import Contents, Store
from lamart_core.formats.containers.prepared import parts_of
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.guards import UnreadableContent

if TYPE_CHECKING:
    import pandas as pd
    import spatialdata as sd

ATTRIBUTES = "spatialdata_attrs"
RASTERS = ("images", "labels")
KINDS = (*RASTERS, "points", "shapes", "tables")
# Of zarr version 3, and of version 2.
_METADATA = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_TABLE_MARK = "spatialdata-encoding-type"


def is_marked(path: ReadablePath) -> bool:
    """Whether a local zarr folder says that it holds a SpatialData; of early versions only the elements say so."""
    if ATTRIBUTES in root_attributes(path):
        return True
    for kind in KINDS:
        for element in (path / kind).glob("*"):
            attributes = root_attributes(element)
            if ATTRIBUTES in attributes or _TABLE_MARK in attributes:
                return True
    return False


def check_root(path: Path) -> None:
    """Raise ValueError for a local zarr folder that holds no SpatialData, which the reader would take for an empty one.

    Raises:
        UnreadableContent: It holds pickled values.
    """
    refuse_pickles(path)
    if not is_marked(path):
        raise ValueError(f"neither the root nor an element is marked as SpatialData (attribute {ATTRIBUTES})")


def names_of(group: Any) -> dict[str, tuple[str, ...]]:
    """The names of the elements in an open store by their kind; reads metadata only."""
    return {kind: tuple(sorted(str(name) for name in group[kind])) if kind in group else () for kind in KINDS}


def read(path: Path, *kinds: str) -> sd.SpatialData:
    """Elements of the given kinds, or of all, of a local store; images, labels and points stay on disk.

    Raises:
        UnreadableContent: A file is missing.
    """
    import spatialdata as sd

    try:
        with quiet():
            return sd.read_zarr(path, selection=cast(Any, kinds or None))
    except FileNotFoundError as error:
        raise UnreadableContent(f"{path} is incomplete: {error} is missing") from error


def in_memory(sdata: sd.SpatialData) -> sd.SpatialData:
    """The same with all elements in memory, in the chunks and partitions that they had.

    It knows no store, to which it could write: what is stored never changes.
    """
    import spatialdata as sd

    with quiet():
        return sd.SpatialData(
            images={name: element.persist() for name, element in sdata.images.items()},
            labels={name: element.persist() for name, element in sdata.labels.items()},
            points={name: _points_in_memory(element) for name, element in sdata.points.items()},
            shapes=dict(sdata.shapes),
            tables=dict(sdata.tables),
            attrs=sdata.attrs,
        )


def reads_from(element: Any, path: Path) -> bool:
    """Whether an element still reads its data from a local store."""
    from spatialdata import get_dask_backing_files

    root = path.resolve()
    is_table = hasattr(element, "n_obs")
    return not is_table and any(root in Path(file).resolve().parents for file in get_dask_backing_files(element))


def write_element(new: sd.SpatialData, path: Path, name: str) -> None:
    """Write the one element of an object into a local store that has none of its name."""
    with quiet():
        shared = untouched(new)
        shared.path = path
        shared.write_element(name)


def delete_element(path: Path, name: str) -> None:
    """Remove an element from a local store."""
    import spatialdata as sd

    whole = sd.SpatialData()
    whole.path = path
    with quiet():
        whole.delete_element_from_disk(name)


def untouched(sdata: sd.SpatialData) -> sd.SpatialData:
    """What to pass to spatialdata's writers, which change elements in place, and whose object then points to the store.

    Returns an object that shares its data with the one passed, with the elements in order of their names: which one
    was added first is no content, and would decide on the bytes.

    Raises:
        UnsupportedObject: Something in a table would not come back.
    """
    import spatialdata as sd

    contents = Contents(Store("spatialdata.zarr", is_hdf5=False))
    tables = {name: parts_of(sdata.tables[name], contents, f"tables[{name!r}].") for name in sorted(sdata.tables)}
    contents.check("SpatialData")
    return sd.SpatialData(
        images={name: sdata.images[name] for name in sorted(sdata.images)},
        labels={name: sdata.labels[name] for name in sorted(sdata.labels)},
        points={name: _bare_points(sdata.points[name]) for name in sorted(sdata.points)},
        shapes={name: sdata.shapes[name].copy(deep=False) for name in sorted(sdata.shapes)},
        tables={name: parts.build() for name, parts in tables.items()},
        attrs=ordered(sdata.attrs),
    )


def read_remote(root: UPath, kind: str, name: str) -> Any:
    """One element of a remote store: an image stays there and is read in chunks, others are downloaded into memory."""
    with TemporaryDirectory(prefix="lamart-") as folder:
        copy = Path(folder, "element.zarr")
        _copy_metadata(root, copy)
        _copy_metadata(root / kind, copy / kind)
        element, target = root / kind / name, copy / kind / name
        _copy_metadata(element, target)
        if kind in RASTERS:
            levels = _levels(target)
            for level in levels:
                _copy_metadata(element / level, target / level)
            refuse_pickles(copy)
            arrays = [open_zarr(element / level, mode="r") for level in levels]
            return _over(read(copy, kind)[name], arrays)
        _copy_folder(element, target)
        refuse_pickles(copy)
        return in_memory(read(copy, kind))[name]


def _points_in_memory(points: Any) -> Any:
    return _with_attributes(points.persist(), points)


def _bare_points(points: Any) -> Any:
    """Points whose partitions have no attributes: computing leaves some there, and they would decide on the bytes."""
    return _with_attributes(points.map_partitions(_bare, meta=points._meta), points)


def _bare(partition: pd.DataFrame) -> pd.DataFrame:
    copy = partition.copy(deep=False)
    copy.attrs = {}
    return copy


def _with_attributes(points: Any, source: Any) -> Any:
    points.attrs.update(source.attrs)  # dask does not pass them on
    return points


def _copy_metadata(source: UPath, target: Path) -> None:
    """Copy the metadata of one remote group or array, which need not be there, to a local folder, which is made."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _METADATA:
        try:
            content = (source / name).read_bytes()
        except FileNotFoundError:
            continue
        if name == "zarr.json":
            metadata = cast("dict[str, Any]", json.loads(content))
            metadata.pop("consolidated_metadata", None)  # they name what is not copied
            (target / name).write_text(json.dumps(metadata))
            return
        (target / name).write_bytes(content)


def _copy_folder(source: UPath, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for child in source.iterdir():
        if child.is_dir():
            _copy_folder(child, target / child.name)
        elif not (target / child.name).exists():
            with child.open("rb") as reader, (target / child.name).open("wb") as writer:
                shutil.copyfileobj(cast(Any, reader), writer)


def _levels(element: Path) -> list[str]:
    """The paths of the arrays of an image, from full to least resolution, as its metadata has them."""
    attributes = root_attributes(element)
    multiscales = attributes.get("ome", attributes)["multiscales"]
    return [str(level["path"]) for level in multiscales[0]["datasets"]]


def _over(element: Any, arrays: list[Any]) -> Any:
    """An image or labels with the data of other arrays of the same shapes."""
    import dask.array as da
    import xarray as xr

    data = [da.from_zarr(array) for array in arrays]  # pyright: ignore[reportPrivateImportUsage]
    if isinstance(element, xr.DataArray):
        return element.copy(data=data[0])
    scales: dict[str, Any] = {}
    for (scale, node), values in zip(element.children.items(), data, strict=True):
        dataset = node.to_dataset()
        variable = next(iter(dataset.data_vars))
        scales[scale] = dataset.assign({variable: dataset[variable].copy(data=values)})
    return type(element).from_dict(cast("Mapping[str, Any]", scales))
