"""The lineage graph as values: nodes, edges, and what they look like."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamart_core.lineage import drawing, outline, pictures

if TYPE_CHECKING:
    from graphviz import Digraph


class NodeKind(enum.StrEnum):
    """What a node is."""

    ARTIFACT = "artifact"
    COLLECTION = "collection"
    RUN = "run"


class EdgeKind(enum.StrEnum):
    """What an edge says: the run read it, the run made it, the run made it again, the collection has it."""

    INPUT = "input"
    OUTPUT = "output"
    RECREATION = "recreation"
    MEMBER = "member"


@dataclass(frozen=True)
class Node:
    """An artifact, a collection or a run in the graph.

    Attributes:
        kind: What it is.
        uid: Its uid.
        label: What people read: key or description, for a run the key of its code.
    """

    kind: NodeKind
    uid: str
    label: str

    @property
    def name(self) -> str:
        """Name in drawings, unique in the graph: `artifact_<uid>`, `collection_<uid>` or `run_<uid>`."""
        return f"{self.kind}_{self.uid}"


@dataclass(frozen=True, order=True)
class Edge:
    """An edge, from cause to effect, between the names of two nodes."""

    source: str
    target: str
    kind: EdgeKind


@dataclass(frozen=True)
class Graph:
    """What leads to one or several records, and what follows from them.

    Attributes:
        focal: Names of the nodes that were asked for.
        nodes: All nodes by name, those that were asked for first.
        edges: All edges between them, sorted.
    """

    focal: tuple[str, ...]
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]

    def to_graphviz(self) -> Digraph:
        """Return the graph for Graphviz.

        Artifacts are boxes, collections folders, runs ellipses; re-creations are dashed, memberships dotted. `draw`
        makes a picture of it; to render what is returned here, Graphviz's own program `dot` must be installed.
        """
        return drawing.to_graphviz(self)

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart, for Markdown and web pages; re-creations are dashed.

        Mermaid draws at most 500 edges unless its `maxEdges` is raised.
        """
        return drawing.to_mermaid(self)

    def draw(self, format: pictures.PictureFormat = "svg") -> bytes:
        """Return the graph as a picture.

        Args:
            format: `svg` shows any label, in the fonts of who looks at it; `png` shows characters of the alphabets of
                Europe, and boxes for others.

        Raises:
            DrawingError: No program here draws pictures, or it failed; the message says what to install.
            InvalidArgument: Another format.
        """
        return pictures.draw(self, format)

    def to_text(self, *, depth: int | None = 100) -> str:
        """Return the graph as an indented tree: each record with what led to it, then what used it.

        What appears for the second time is named, and not unfolded again.

        Args:
            depth: How many levels are shown; None shows all.
        """
        return outline.to_text(self, depth=depth)
