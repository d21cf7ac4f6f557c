"""The lineage graph as a drawing and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamart_core.lineage.graph import Graph, lineage_graph
from lamart_core.records import ArtifactRecord

if TYPE_CHECKING:
    from graphviz import Digraph


def digraph(graph: Graph) -> Digraph:
    """Return the graph for Graphviz: artifacts as boxes, runs as ellipses, re-creations dashed.

    Needs the Python package only; the `dot` executable is needed to render it.
    """
    from graphviz import Digraph

    drawing = Digraph("lineage", graph_attr={"rankdir": "LR"}, node_attr={"fontname": "Helvetica", "fontsize": "10"})
    for node in graph.artifacts.values():
        focal = node.id == graph.focal
        drawing.node(
            node.name,
            f"{node.label}\n{node.uid}",
            shape="box",
            style="rounded,filled",
            fillcolor="#ffd9a8" if focal else "#dceefb",
        )
    for node in graph.runs.values():
        drawing.node(node.name, node.label, shape="ellipse", style="filled", fillcolor="#eeeeee")
    for artifact_id, run_id in sorted(graph.inputs):
        drawing.edge(graph.artifacts[artifact_id].name, graph.runs[run_id].name)
    for run_id, artifact_id in sorted(graph.outputs):
        drawing.edge(graph.runs[run_id].name, graph.artifacts[artifact_id].name)
    for run_id, artifact_id in sorted(graph.recreations):
        drawing.edge(graph.runs[run_id].name, graph.artifacts[artifact_id].name, style="dashed")
    return drawing


def view_lineage(artifact: ArtifactRecord, *, with_children: bool = True, return_graph: bool = False) -> Digraph | None:
    """Draw the lineage of an artifact; see `Artifact.view_lineage`."""
    drawing = digraph(lineage_graph(artifact, with_children=with_children))
    if return_graph:
        return drawing
    try:
        from IPython.display import display  # pyright: ignore[reportMissingImports]  # only there in notebooks

        display(drawing)
    except ImportError:
        print(tree_text(artifact))
    return None


def tree_text(artifact: ArtifactRecord) -> str:
    """Return what leads to an artifact as an indented tree, the artifact itself on top.

    An artifact that appears for the second time is named, and not unfolded again.
    """
    graph = lineage_graph(artifact, with_children=False)
    inputs: dict[int, list[int]] = {}
    for artifact_id, run_id in graph.inputs:
        inputs.setdefault(run_id, []).append(artifact_id)
    lines: list[str] = []
    seen: set[int] = set()
    # A stack and no recursion: a lineage may be thousands of steps deep.
    stack: list[tuple[int, str, str]] = [(graph.focal, "", "")]
    while stack:
        artifact_id, lead, rest = stack.pop()
        node = graph.artifacts[artifact_id]
        run = graph.runs.get(node.run_id) if node.run_id is not None else None
        made = f"  ← {run.label}" if run is not None else ""
        again = artifact_id in seen
        lines.append(f"{lead}{node.label} ({node.uid}){made}{'  …' if again and run is not None else ''}")
        if again or run is None:
            continue
        seen.add(artifact_id)
        parents = sorted(inputs.get(run.id, []), key=lambda i: graph.artifacts[i].label)
        for position, parent in reversed(list(enumerate(parents))):
            last = position == len(parents) - 1
            stack.append((parent, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   ")))
    return "\n".join(lines)
