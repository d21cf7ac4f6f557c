"""Frames of geopandas, as GeoParquet says: geometries as WKB, coordinate reference systems in the metadata."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import GEOPANDAS, ArrowSchema, require

if TYPE_CHECKING:
    import pandas as pd

GEO = b"geo"
# Of files that do not name a coordinate reference system, as the specification of GeoParquet says.
_DEFAULT_CRS = "OGC:CRS84"


def without_geometry(df: pd.DataFrame) -> tuple[pd.DataFrame, bytes | None]:
    """A frame with geometries as bytes, and the metadata that tell what they were; other frames as they are.

    Raises:
        UnsupportedObject: The frame has no active geometry.
    """
    import pandas as pd

    if not GEOPANDAS.matches(df):
        return df, None
    import pyarrow.parquet as pq

    frame: Any = df
    try:
        empty = io.BytesIO()
        frame.iloc[:0].to_parquet(empty)
        plain = pd.DataFrame(frame.to_wkb())
        written = pq.read_schema(empty).metadata[GEO]
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise UnsupportedObject(f"this GeoDataFrame has no column that is its geometry: {error}") from error
    metadata: dict[str, Any] = json.loads(written)
    for column in metadata["columns"].values():
        column.pop("bbox", None)  # of no row
    plain.attrs = frame.attrs
    return plain, json.dumps(metadata).encode()


def with_geometry(df: pd.DataFrame, schema: ArrowSchema) -> pd.DataFrame:
    """The inverse of ``without_geometry``, for what any writer of GeoParquet wrote as WKB; other frames as they are.

    Raises:
        MissingExtra: geopandas is not installed.
        UnsupportedObject: Geometries are stored in another form than WKB.
    """
    written = (schema.metadata or {}).get(GEO)
    if written is None:
        return df
    metadata = json.loads(written)
    columns = {name: about for name, about in metadata["columns"].items() if name in df.columns}
    if not columns:
        return df
    require("geopandas", extra="geo", purpose="Loading geometries")
    import geopandas as gpd

    for name, about in columns.items():
        if about["encoding"] != "WKB":
            raise UnsupportedObject(
                f"column {name!r} holds geometries as {about['encoding']!r}: read the file at cache() with geopandas"
            )
    attrs = df.attrs
    series = {
        name: gpd.GeoSeries.from_wkb(df[name], index=df.index, crs=_crs(about)) for name, about in columns.items()
    }
    primary = metadata["primary_column"]
    frame: Any = gpd.GeoDataFrame(df.assign(**series), geometry=primary if primary in columns else None)
    frame.attrs = attrs
    return frame


def check_geometry(df: pd.DataFrame) -> pd.DataFrame:
    """Raise UnsupportedObject unless a frame is one of geopandas."""
    if not GEOPANDAS.matches(df):
        raise UnsupportedObject("the table has no geometries: load it as pandas.DataFrame")
    return df


def _crs(about: dict[str, Any]) -> Any:
    written = about.get("crs", _DEFAULT_CRS)
    return json.dumps(written) if isinstance(written, dict) else written
