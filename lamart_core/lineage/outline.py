"""The lineage graph as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamart_core.lineage.drawing import printable

if TYPE_CHECKING:
    from lamart_core.lineage.graph import Graph

_NAMED_RECREATIONS = 3


def to_text(graph: Graph, *, depth: int | None) -> str:
    """Return the graph as an indented tree; see `Graph.to_text`."""
    edges = _Neighbours.of(graph)
    lines: list[str] = []
    for focal in graph.focal:
        lines += _tree(focal, edges.causes, lambda name: _origin(graph, edges, name), depth)
        used = _tree(focal, edges.effects, lambda name: _title(graph, name), depth)[1:]
        if used:
            lines += ["used by", *used]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Neighbours:
    """The edges of a graph by their ends; all values are sorted by label."""

    made_by: Mapping[str, str]
    read: Mapping[str, Sequence[str]]
    members: Mapping[str, Sequence[str]]
    made_again_by: Mapping[str, Sequence[str]]
    followers: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, graph: Graph) -> _Neighbours:
        sources: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        followers: dict[str, list[str]] = defaultdict(list)
        for edge in sorted(graph.edges, key=lambda edge: (graph.nodes[edge.source].label, edge.source)):
            sources[edge.kind][edge.target].append(edge.source)
        for edge in sorted(graph.edges, key=lambda edge: (graph.nodes[edge.target].label, edge.target)):
            if edge.kind != "recreation":
                followers[edge.source].append(edge.target)
        made_by = {target: runs[0] for target, runs in sources["output"].items()}
        return cls(made_by, sources["input"], sources["member"], sources["recreation"], followers)

    def causes(self, name: str) -> Sequence[str]:
        """Return what a node was made of: what its run read, and what a collection consists of."""
        return [*self.read.get(self.made_by.get(name, name), ()), *self.members.get(name, ())]

    def effects(self, name: str) -> Sequence[str]:
        """Return what used a node: runs and collections, and of a run what it made."""
        return self.followers.get(name, ())


def _tree(
    root: str, children: Callable[[str], Sequence[str]], line: Callable[[str], str], depth: int | None
) -> list[str]:
    lines: list[str] = []
    seen: set[str] = set()
    # A stack and no recursion: a lineage may be thousands of steps deep.
    stack: list[tuple[str, int, str, str]] = [(root, 0, "", "")]
    while stack:
        name, level, lead, rest = stack.pop()
        below = children(name)
        is_cut = name in seen or (depth is not None and level >= depth)
        lines.append(f"{lead}{line(name)}{'  …' if is_cut and below else ''}")
        if is_cut:
            continue
        seen.add(name)
        for position, child in reversed(list(enumerate(below))):
            is_last = position == len(below) - 1
            branch, indent = ("└── ", "    ") if is_last else ("├── ", "│   ")
            stack.append((child, level + 1, rest + branch, rest + indent))
    return lines


def _title(graph: Graph, name: str) -> str:
    node = graph.nodes[name]
    label = printable(" ".join(node.label.splitlines()))
    return f"{label} ({node.uid})" if node.kind == "artifact" else f"{node.kind} {label} ({node.uid})"


def _origin(graph: Graph, edges: _Neighbours, name: str) -> str:
    text = _title(graph, name)
    run = edges.made_by.get(name)
    if run is not None:
        text += f"  ← {printable(graph.nodes[run].label)}"
    again = edges.made_again_by.get(name, ())
    if again:
        named = ", ".join(printable(graph.nodes[item].label) for item in again[:_NAMED_RECREATIONS])
        more = len(again) - _NAMED_RECREATIONS
        text += f"  ↻ {named}{f' and {more} more' if more > 0 else ''}"
    return text
