"""Showing the lineage of a record where people look."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lamart_core.errors import DrawingError
from lamart_core.formats.notebook import notebook_display
from lamart_core.lineage.reading import lineage_graph
from lamart_core.logging import logger
from lamart_core.records import SQLRecord

if TYPE_CHECKING:
    from graphviz import Digraph


def view_lineage(record: SQLRecord, *, with_children: bool = True, return_graph: bool = False) -> Digraph | None:
    """Show the lineage of a record, or return it as a Graphviz graph; see `Artifact.view_lineage`."""
    graph = lineage_graph(record, with_children=with_children)
    if return_graph:
        return graph.to_graphviz()
    display = notebook_display()
    if display is not None:
        try:
            picture = graph.draw()
        except DrawingError as error:
            logger.warning("the lineage is shown as text: %s", error)
        else:
            display({"image/svg+xml": picture.decode(), "text/plain": graph.to_text()}, raw=True)
            return None
    sys.stdout.write(graph.to_text() + "\n")
    return None
