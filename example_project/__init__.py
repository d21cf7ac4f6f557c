"""A single-cell pipeline on real data whose outputs are versioned artifacts.

The 700 blood cells come with scanpy (`scanpy.datasets.pbmc68k_reduced`), so nothing is downloaded. `make demo` runs
the whole project, `make ui` opens it in the Dagster UI.
"""
