"""Runs, their inputs and outputs, and the graph they form."""

from lamart_core.lineage.context import current_run, run_context, run_for
from lamart_core.lineage.graph import Graph, lineage_graph
from lamart_core.lineage.links import add_inputs, add_recreation, track_input
from lamart_core.lineage.runs import finish_run, upsert_run, upsert_transform
from lamart_core.lineage.track import finish, track
from lamart_core.lineage.view import digraph, tree_text, view_lineage

__all__ = [
    "Graph",
    "add_inputs",
    "add_recreation",
    "current_run",
    "digraph",
    "finish",
    "finish_run",
    "lineage_graph",
    "run_context",
    "run_for",
    "track",
    "track_input",
    "tree_text",
    "upsert_run",
    "upsert_transform",
    "view_lineage",
]
