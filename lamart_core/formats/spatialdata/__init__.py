"""Images, labels, shapes, points and tables that share coordinate systems, as a folder (zarr)."""
