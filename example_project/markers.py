"""What tells one type of cell from the others: one partition per type."""

import anndata as ad
import dagster as dg
import numpy as np
import pandas as pd
from pydantic import Field
from scipy import stats

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


class MarkerSearch(dg.Config):
    """Which genes count as markers."""

    n_genes: int = Field(default=25, description="Most markers of one type.")
    max_p_value: float = Field(default=0.05, description="Highest p-value, adjusted for the number of genes.")


@dg.asset(partitions_def=cell_types, group_name="markers", kinds={"pandas", "scipy"}, owners=OWNERS, code_version="1")
def marker_genes(context: dg.AssetExecutionContext, normalised_cells: ad.AnnData, config: MarkerSearch) -> pd.DataFrame:
    """Genes that cells of one type express more than all others do, by a Wilcoxon rank-sum test; best first."""
    of_type = (normalised_cells.obs["cell_type"] == context.partition_key).to_numpy()
    genes = compare(normalised_cells, of_type)
    markers = genes[(genes["adjusted_p_value"] <= config.max_p_value) & (genes["log2_fold_change"] > 0)]
    return markers.head(config.n_genes).reset_index(drop=True)


def compare(cells: ad.AnnData, of_type: np.ndarray) -> pd.DataFrame:
    """Compare some cells with the others, gene by gene.

    Args:
        cells: Cells with logarithms of expression.
        of_type: Which of the cells belong to the type. Fewer than two tell nothing: then no gene differs.

    Returns:
        One row per gene, the one that tells the cells apart best first. `score` is the probability that a cell of the
        type expresses the gene more than another one does.
    """
    expression = cells.X.toarray().astype(np.float64)
    inside, outside = expression[of_type], expression[~of_type]
    if len(inside) < 2:
        inside = outside
    test = stats.mannwhitneyu(inside, outside, axis=0, method="asymptotic")
    table = pd.DataFrame(
        {
            "gene": cells.var_names.to_numpy(),
            "score": test.statistic / (len(inside) * len(outside)),
            "log2_fold_change": np.log2(_mean(inside) / _mean(outside)),
            "adjusted_p_value": stats.false_discovery_control(test.pvalue),
            "share_of_type": (inside > 0).mean(axis=0),
            "share_of_others": (outside > 0).mean(axis=0),
        }
    )
    return table.sort_values(["score", "gene"], ascending=[False, True])


def _mean(logarithms: np.ndarray) -> np.ndarray:
    """Return the mean expression of each gene, never zero."""
    return np.expm1(logarithms).mean(axis=0) + 1e-9
