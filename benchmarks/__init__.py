"""Measurements of the artifact registry beside the floor (`cp`, bare parquet, raw SQL) and beside lamindb.

`python -m benchmarks` prints one table of medians and ratios. Nothing here passes or fails.
"""
