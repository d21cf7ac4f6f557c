"""What user interfaces show of a SpatialData."""

from __future__ import annotations

from typing import Any, cast

from lamart_core.formats.anndata.base import anndata_preview
from lamart_core.formats.format import ColumnInfo, Preview
from lamart_core.formats.markdown import code, markdown_table
from lamart_core.formats.spatialdata.elements import KINDS
from lamart_core.formats.tables.base import pandas_markdown

_HEADER = ("kind", "name", "shape", "axes", "coordinate systems")


def preview(sdata: Any) -> Preview:
    """The elements with their shapes, axes and coordinate systems, and the first rows of a table."""
    kinds = {kind: cast("dict[str, Any]", getattr(sdata, kind)) for kind in KINDS}
    slots: dict[str, tuple[ColumnInfo, ...]] = {
        kind: tuple(ColumnInfo(name, _type(found[name])) for name in sorted(found)) for kind, found in kinds.items()
    }
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in kinds.items() if len(found))
    rows = [(kind, name, *_described(found[name])) for kind, found in kinds.items() for name in sorted(found)]
    blocks = [f"**SpatialData** with {counts or 'no elements'}"]
    if rows:
        blocks.append(markdown_table(_HEADER, rows))
    for name in sorted(kinds["points"]):
        slots[f"points:{name}"] = _columns(kinds["points"][name])
    for name in sorted(kinds["shapes"]):
        slots[f"shapes:{name}"] = _columns(kinds["shapes"][name])
    for name in sorted(kinds["tables"]):
        table = kinds["tables"][name]
        slots |= {f"tables:{name}:{slot}": columns for slot, columns in anndata_preview(table).slots.items()}
        if table.obs.shape[1]:
            blocks.append(f"{code(name)}, first observations:\n\n{pandas_markdown(table.obs)}")
    return Preview("\n\n".join(blocks), slots={slot: columns for slot, columns in slots.items() if columns})


def _described(element: Any) -> tuple[str, str, str]:
    """Shape, axes and coordinate systems."""
    if hasattr(element, "n_obs"):
        return f"{element.n_obs:,} × {element.n_vars:,}", "", ""
    from spatialdata.models import get_axes_names
    from spatialdata.transformations import get_transformation

    axes = ", ".join(get_axes_names(element))
    systems = ", ".join(sorted(cast("dict[str, Any]", get_transformation(element, get_all=True))))
    if not hasattr(element, "columns"):
        return " × ".join(f"{length:,}" for length in _full_size(element).shape), axes, systems
    # The number of points is known only when all of them were read.
    return "" if hasattr(element, "npartitions") else f"{len(element):,}", axes, systems


def _type(element: Any) -> str:
    dtype = None if hasattr(element, "columns") or hasattr(element, "n_obs") else _full_size(element).dtype
    kind = type(element).__name__.removesuffix("Accessor")
    return kind if dtype is None else f"{kind} of {dtype}"


def _full_size(raster: Any) -> Any:
    """The array of an image, or that with the full resolution."""
    if hasattr(raster, "dtype"):
        return raster
    return next(iter(next(iter(raster.children.values())).data_vars.values()))


def _columns(table: Any) -> tuple[ColumnInfo, ...]:
    return tuple(ColumnInfo(str(name), str(dtype)) for name, dtype in table.dtypes.items())
