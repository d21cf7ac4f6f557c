"""Runs, their inputs and outputs, and the graph they form."""

from lamart_core.lineage.context import current_run, enter_run, leave_runs, run_context, run_for
from lamart_core.lineage.decorators import flow, step
from lamart_core.lineage.edges import Made, add_inputs, record_makers, track_input
from lamart_core.lineage.graph import Edge, EdgeKind, Graph, Node, NodeKind
from lamart_core.lineage.reading import lineage_graph
from lamart_core.lineage.redact import redacted
from lamart_core.lineage.runs import (
    RunSpec,
    Snapshot,
    TransformSpec,
    annotate_run,
    close_runs,
    find_run,
    finish_run,
    open_run,
    snapshot_of,
)
from lamart_core.lineage.track import finish, track
from lamart_core.lineage.view import view_lineage

__all__ = [
    "Edge",
    "EdgeKind",
    "Graph",
    "Made",
    "Node",
    "NodeKind",
    "RunSpec",
    "Snapshot",
    "TransformSpec",
    "add_inputs",
    "annotate_run",
    "close_runs",
    "current_run",
    "enter_run",
    "find_run",
    "finish",
    "finish_run",
    "flow",
    "leave_runs",
    "lineage_graph",
    "open_run",
    "record_makers",
    "redacted",
    "run_context",
    "run_for",
    "snapshot_of",
    "step",
    "track",
    "track_input",
    "view_lineage",
]
