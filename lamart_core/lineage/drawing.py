"""The lineage graph for Graphviz and Mermaid, whatever the labels contain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphviz import Digraph

    from lamart_core.lineage.graph import Graph, Node

_SHAPES = {
    "artifact": {"shape": "box", "style": "rounded,filled", "fillcolor": "#dceefb"},
    "collection": {"shape": "folder", "style": "filled", "fillcolor": "#e4f3dc"},
    "run": {"shape": "ellipse", "style": "filled", "fillcolor": "#eeeeee"},
}
_FOCAL_COLOR = "#ffd9a8"
_DOT_EDGES = {"recreation": {"style": "dashed"}, "member": {"style": "dotted"}}

_MERMAID_SHAPES = {"artifact": ('["', '"]'), "collection": ('[["', '"]]'), "run": ('(["', '"])')}
_MERMAID_ARROWS = {"input": "-->", "output": "-->", "recreation": "-. again .->", "member": "-. in .->"}


def to_graphviz(graph: Graph) -> Digraph:
    """Return the graph for Graphviz; see `Graph.to_graphviz`."""
    from graphviz import Digraph, escape

    drawing = Digraph("lineage", graph_attr={"rankdir": "LR"}, node_attr={"fontname": "Helvetica", "fontsize": "10"})
    for node in graph.nodes.values():
        attributes = dict(_SHAPES[node.kind])
        if node.name in graph.focal:
            attributes["fillcolor"] = _FOCAL_COLOR
        # Graphviz reads HTML entities in all labels, and backslashes as commands.
        text = "\n".join(_lines(node)).replace("&", "&amp;")
        drawing.node(node.name, escape(text), **attributes)
    for edge in graph.edges:
        drawing.edge(edge.source, edge.target, **_DOT_EDGES.get(edge.kind, {}))
    return drawing


def to_mermaid(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart; see `Graph.to_mermaid`."""
    lines = ["flowchart LR"]
    for node in graph.nodes.values():
        opening, closing = _MERMAID_SHAPES[node.kind]
        text = "<br/>".join(_mermaid_text(line) for line in _lines(node))
        lines.append(f"    {node.name}{opening}{text}{closing}")
    lines += [f"    {edge.source} {_MERMAID_ARROWS[edge.kind]} {edge.target}" for edge in graph.edges]
    lines += [f"    style {name} fill:{_FOCAL_COLOR}" for name in graph.focal]
    return "\n".join(lines) + "\n"


def _lines(node: Node) -> list[str]:
    shown = node.label.splitlines() or [""]
    return [printable(line) for line in (shown if node.kind == "run" else [*shown, node.uid])]


def printable(text: str) -> str:
    """Return a text without characters that control a terminal or a parser."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _mermaid_text(text: str) -> str:
    """Escape a line: whatever Mermaid or Markdown could read as a command is written as a numbered entity."""
    # Mermaid breaks the line at a backslash with an n, escaped or not; a word joiner between them is not seen.
    padded = f" {text} ".replace("\\n", "\\\N{WORD JOINER}n")
    return "".join(
        char if _is_plain(before, char, after) else f"#{ord(char)};"
        for before, char, after in zip(padded, padded[1:], padded[2:], strict=False)
    )


def _is_plain(before: str, char: str, after: str) -> bool:
    if char.isalnum():
        return True
    if char == " ":
        return before != " "
    # Inside of words these have no meaning; "1. a", "- a" and "_a_" would be Markdown.
    return char in "/._-" and before.isalnum() and after.isalnum()
