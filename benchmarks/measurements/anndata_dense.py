"""Save and load an AnnData of dense floats beside bare h5ad."""

from __future__ import annotations

from benchmarks.measurements.anndata_sparse import bare, with_registry
from benchmarks.model import Job, Samples
from benchmarks.registries import make_peer, open_ours, open_peer

prepare_peer = make_peer


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    ln, _ = open_ours(job)
    return with_registry(job, ln, is_sparse=False)


def peer(job: Job) -> Samples:
    return with_registry(job, open_peer(), is_sparse=False)


def floor(job: Job) -> Samples:
    return bare(job, is_sparse=False)
