"""Figures whose bytes depend on their content only: no dates, no names of software, no global state of pyplot."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 110


def marker_bars(markers: pd.DataFrame, title: str, n_genes: int = 15) -> Figure:
    """Draw the scores of the best markers as horizontal bars."""
    best = markers.head(n_genes)
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    colours = colormaps["viridis"](best["share_of_type"].to_numpy(dtype=float))
    axes.barh(np.arange(len(best)), best["score"].to_numpy(dtype=float), color=colours)
    axes.set_yticks(np.arange(len(best)), best["gene"].tolist(), fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0.5, 1), xlabel="probability that a cell of this type expresses more")
    axes.set_title(title)
    _plain(axes)
    return figure


def cell_map(positions: np.ndarray, cell_types: pd.Series) -> Figure:
    """Draw the cells in two dimensions, one colour per type."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    names = sorted(cell_types.unique())
    for name, colour in zip(names, colormaps["tab10"].colors, strict=False):
        of_type = (cell_types == name).to_numpy()
        axes.scatter(*positions[of_type].T, s=9, color=colour, label=f"{name} ({of_type.sum()})", linewidths=0)
    axes.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False, markerscale=2)
    _plain(axes)
    return figure


def png(figure: Figure) -> bytes:
    """Return the figure as PNG without the chunk that names the software."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
