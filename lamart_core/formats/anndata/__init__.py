"""Annotated matrices as files (h5ad) and folders (zarr)."""
