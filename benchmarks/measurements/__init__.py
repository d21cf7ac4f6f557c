"""What is measured: one module per theme, with one function for each side that takes part.

A module has `ours(job)`, `floor(job)` and `peer(job)`, which return samples by metric, and where something has to be
there beforehand `prepare_ours(job)` and so on, or `prepare(job)` for what all sides share. Every call runs in a process
of its own, the peer's with the Python of its own environment; so libraries are imported inside the functions.
"""
