"""What people read: a folder of figures and one page."""

import base64
import html
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import anndata as ad
import dagster as dg
import pandas as pd
from pydantic import PrivateAttr

from example_project import plots
from example_project.cells import OWNERS

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Blood cells and their markers</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left } img { max-width: 100% }
</style>
</head>
<body>
<h1>Blood cells and their markers</h1>
<p>$n_cells cells of $n_types types passed quality control; $n_genes genes were compared.</p>
<img alt="Map of the cells, coloured by type" src="data:image/png;base64,$picture">
<h2>Types</h2>
$table
</body>
</html>
""")


class ScratchFolder(dg.ConfigurableResource):
    """A folder for files on their way to the registry; it goes when the run has ended."""

    _path: Path | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["ScratchFolder", None, None]:
        """Make the folder for as long as the resource lives."""
        with tempfile.TemporaryDirectory(prefix="lamart-example-") as folder:
            self._path = Path(folder)
            yield self

    def new(self, name: str) -> Path:
        """Return a path of this name in a fresh folder."""
        assert self._path is not None, "the resource is not initialised"
        return Path(tempfile.mkdtemp(dir=self._path)) / name


@dg.asset(group_name="report", kinds={"matplotlib"}, owners=OWNERS, code_version="1")
def marker_figures(marker_genes: dict[str, pd.DataFrame], scratch: ScratchFolder) -> Path:
    """A folder with one picture and one CSV file of the best markers per type of cell."""
    return write_figures(scratch.new("marker_figures"), marker_genes)


@dg.asset(group_name="report", kinds={"html"}, owners=OWNERS, code_version="1")
def report(
    cell_table: pd.DataFrame,
    normalised_cells: ad.AnnData,
    marker_genes: dict[str, pd.DataFrame],
    scratch: ScratchFolder,
) -> Path:
    """One page: how many cells of each type there are, where they lie, and what marks them."""
    return write_page(scratch.new("report.html"), cell_table, normalised_cells, marker_genes)


def write_figures(folder: Path, markers_of: dict[str, pd.DataFrame]) -> Path:
    """Write a picture and a table per type of cell into a new folder; return the folder."""
    folder.mkdir()
    for cell_type, markers in sorted(markers_of.items()):
        name = re.sub(r"[^\w+-]+", "_", cell_type)
        (folder / f"{name}.png").write_bytes(plots.png(plots.marker_bars(markers, title=cell_type)))
        markers.to_csv(folder / f"{name}.csv", index=False)
    return folder


def write_page(path: Path, table: pd.DataFrame, cells: ad.AnnData, markers_of: dict[str, pd.DataFrame]) -> Path:
    """Write the report with its picture inside; return its path."""
    picture = plots.png(plots.cell_map(cells.obsm["X_umap"], cells.obs["cell_type"]))
    summary = summarise(table, markers_of)
    page = _PAGE.substitute(
        n_cells=len(table),
        n_types=len(summary),
        n_genes=cells.n_vars,
        picture=base64.b64encode(picture).decode(),
        table=summary.rename(index=html.escape).to_html(border=0, escape=False),
    )
    path.write_text(page, encoding="utf-8")
    return path


def summarise(table: pd.DataFrame, markers_of: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per type of cell, the most frequent type first."""
    of_type = table.groupby("cell_type", observed=True)
    summary = pd.DataFrame(
        {
            "cells": of_type.size(),
            "median molecules": of_type["n_molecules"].median().astype(int),
            "cycling": (of_type["phase"].apply(lambda phase: (phase != "G1").mean()) * 100).map("{:.0f} %".format),
            "markers": [", ".join(markers_of[name]["gene"].head(6)) for name in of_type.groups],
        }
    ).sort_values("cells", ascending=False, kind="stable")
    summary.index.name = None
    return summary
