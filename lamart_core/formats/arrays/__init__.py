"""Arrays in general: zarr, HDF5 and TileDB, whatever they hold."""

from lamart_core.formats.arrays.zarr import open_zarr, refuse_pickles, root_attributes, unannounced

__all__ = ["open_zarr", "refuse_pickles", "root_attributes", "unannounced"]
