"""Save and load an AnnData of sparse counts beside bare h5ad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.data import matrix
from benchmarks.measurements.containers import of_folder, save_and_load
from benchmarks.model import Job, Samples
from benchmarks.registries import make_peer, open_ours, open_peer

prepare_peer = make_peer


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    ln, _ = open_ours(job)
    return with_registry(job, ln, is_sparse=True)


def peer(job: Job) -> Samples:
    return with_registry(job, open_peer(), is_sparse=True)


def floor(job: Job) -> Samples:
    return bare(job, is_sparse=True)


def with_registry(job: Job, ln: Any, *, is_sparse: bool) -> Samples:
    """Save and load through a registry."""
    return save_and_load(
        job,
        _changing(job, is_sparse),
        lambda adata, key: ln.Artifact.from_anndata(adata, key=f"{key}.h5ad").save(),
        lambda artifact: artifact.load(),
        lambda artifact: ln.Artifact.get(artifact.uid),
    )


def bare(job: Job, *, is_sparse: bool) -> Samples:
    """Save and load with the library alone."""
    import anndata as ad

    def save(adata: Any, key: str) -> Any:
        path = of_folder(job, key, ".h5ad")
        adata.write_h5ad(path)
        return path

    return save_and_load(job, _changing(job, is_sparse), save, ad.read_h5ad, is_durable=False)


def _changing(job: Job, is_sparse: bool) -> Callable[[float], Any]:
    adata = matrix(job.sizes.cells, job.sizes.genes, is_sparse=is_sparse)

    def change(value: float) -> Any:
        values = adata.X.data if is_sparse else adata.X.ravel()
        values[0] = value
        return adata

    return change
