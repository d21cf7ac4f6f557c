"""From counted molecules to normalised cells."""

import warnings

import anndata as ad
import dagster as dg
import numpy as np
import pandas as pd
import scanpy as sc
from pydantic import Field
from scipy import sparse

OWNERS = ["team:single-cell"]


@dg.asset(group_name="cells", kinds={"anndata", "scanpy"}, owners=OWNERS, code_version="1")
def raw_counts() -> ad.AnnData:
    """Counted molecules of 700 peripheral blood cells for 765 genes, with the cell types of their sorting.

    The published set holds logarithms of counts per ten thousand. One molecule is the smallest value of its cell, so
    the counts themselves are recovered exactly.
    """
    published = _published()
    logarithms = published.raw.X.tocsr()
    counts = logarithms.copy()
    counts.data = np.expm1(counts.data)
    for row in range(counts.shape[0]):
        of_cell = slice(counts.indptr[row], counts.indptr[row + 1])
        counts.data[of_cell] = np.rint(counts.data[of_cell] / counts.data[of_cell].min())
    obs = published.obs[["bulk_labels", "phase", "n_counts", "n_genes", "percent_mito"]]
    obs = obs.rename(columns={"bulk_labels": "cell_type", "n_counts": "n_molecules"})
    return ad.AnnData(
        X=sparse.csr_matrix(counts, dtype=np.float32),
        obs=obs,
        var=pd.DataFrame(index=published.raw.var_names.rename("gene")),
        obsm={"X_umap": published.obsm["X_umap"]},
    )


class QualityControl(dg.Config):
    """Which cells and genes are kept."""

    min_genes: int = Field(default=1010, description="Fewest genes that a cell must express.")
    max_genes: int = Field(default=2000, description="Most genes; a droplet with more holds two cells.")
    max_percent_mito: float = Field(default=0.035, description="Highest share of mitochondrial molecules.")
    min_cells: int = Field(default=3, description="Fewest cells that must express a gene.")


@dg.asset(group_name="cells", kinds={"anndata", "scanpy"}, owners=OWNERS, code_version="1")
def filtered_cells(raw_counts: ad.AnnData, config: QualityControl) -> ad.AnnData:
    """The cells that pass quality control, and the genes that enough of them express."""
    obs = raw_counts.obs
    good = obs["n_genes"].between(config.min_genes, config.max_genes) & (obs["percent_mito"] <= config.max_percent_mito)
    cells = raw_counts[good.to_numpy()].copy()
    n_cells = np.asarray((cells.X > 0).sum(axis=0)).ravel()
    return cells[:, n_cells >= config.min_cells].copy()


@dg.asset(group_name="cells", kinds={"pandas"}, owners=OWNERS, code_version="1")
def cell_table(filtered_cells: ad.AnnData) -> pd.DataFrame:
    """One row per cell: type, phase of the cell cycle, and how much was measured."""
    table = filtered_cells.obs.copy()
    table["n_molecules_in_panel"] = np.asarray(filtered_cells.X.sum(axis=1)).ravel()
    table["n_genes_in_panel"] = np.asarray((filtered_cells.X > 0).sum(axis=1)).ravel()
    return table.rename_axis("barcode")


class Normalisation(dg.Config):
    """How cells are made comparable."""

    target_sum: float = Field(default=10_000, description="Molecules that every cell is scaled to.")
    n_components: int = Field(default=20, description="Principal components that are kept.")
    seed: int = Field(default=0, description="Seed of the decomposition.")


@dg.asset(group_name="cells", kinds={"anndata", "scanpy"}, owners=OWNERS, code_version="1")
def normalised_cells(filtered_cells: ad.AnnData, config: Normalisation) -> ad.AnnData:
    """Logarithms of scaled counts, the counts in the layer "counts", and principal components."""
    cells = filtered_cells.copy()
    cells.layers["counts"] = cells.X.copy()
    # The panel is a part of what was measured, so the scale is that of the whole cell.
    scale = config.target_sum / cells.obs["n_molecules"].to_numpy(dtype=np.float32)
    cells.X = sparse.csr_matrix(sparse.diags(scale) @ cells.X, dtype=np.float32)
    sc.pp.log1p(cells)
    sc.pp.pca(cells, n_comps=config.n_components, random_state=config.seed)
    return cells


def _published() -> ad.AnnData:
    with warnings.catch_warnings():  # the file was written by an old version of anndata
        warnings.simplefilter("ignore")
        return sc.datasets.pbmc68k_reduced()
