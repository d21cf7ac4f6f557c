"""What tells one type of cell from the others: one partition per type."""

import anndata as ad
import dagster as dg
import pandas as pd
import scanpy as sc
from pydantic import Field

from example_project.cells import OWNERS

CELL_TYPES = (
    "CD14+ Monocyte",
    "CD19+ B",
    "CD34+",
    "CD4+/CD25 T Reg",
    "CD4+/CD45RA+/CD25- Naive T",
    "CD4+/CD45RO+ Memory",
    "CD56+ NK",
    "CD8+ Cytotoxic T",
    "CD8+/CD45RA+ Naive Cytotoxic",
    "Dendritic",
)

cell_types = dg.StaticPartitionsDefinition(list(CELL_TYPES))

_COLUMNS = {
    "names": "gene",
    "scores": "score",
    "logfoldchanges": "log2_fold_change",
    "pvals_adj": "adjusted_p_value",
    "pct_nz_group": "share_of_type",
    "pct_nz_reference": "share_of_others",
}


class MarkerSearch(dg.Config):
    """Which genes count as markers."""

    n_genes: int = Field(default=25, description="Most markers of one type.")
    max_p_value: float = Field(default=0.05, description="Highest p-value, adjusted for the number of genes.")


@dg.asset(partitions_def=cell_types, group_name="markers", kinds={"pandas", "scanpy"}, owners=OWNERS, code_version="1")
def marker_genes(context: dg.AssetExecutionContext, normalised_cells: ad.AnnData, config: MarkerSearch) -> pd.DataFrame:
    """Genes that cells of one type express more than all others do, by a Wilcoxon rank-sum test; best first."""
    cell_type = context.partition_key
    n_cells = int((normalised_cells.obs["cell_type"] == cell_type).sum())
    if n_cells < 2:
        context.log.warning(f"{n_cells} cells of type {cell_type!r} are too few for a test")
        gene, *measures = _COLUMNS.values()
        return pd.DataFrame(columns=[gene, *measures]).astype(dict.fromkeys(measures, float))
    cells = normalised_cells.copy()
    sc.tl.rank_genes_groups(
        cells, "cell_type", groups=[cell_type], reference="rest", method="wilcoxon", tie_correct=True, pts=True
    )
    genes = sc.get.rank_genes_groups_df(cells, group=cell_type, pval_cutoff=config.max_p_value, log2fc_min=0)
    genes = genes.rename(columns=_COLUMNS)[list(_COLUMNS.values())]
    return genes.head(config.n_genes).reset_index(drop=True)
