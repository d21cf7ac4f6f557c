"""Several annotated matrices of the same observations, as one file (h5mu) or folder (zarr)."""
