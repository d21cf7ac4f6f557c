"""From bytes to artifacts and back: one verb, one file."""

from lamart_core.lifecycle.create import create
from lamart_core.lifecycle.findings import Finding, Kind, Report, Severity
from lamart_core.lifecycle.fsck import check_registry, iter_findings
from lamart_core.lifecycle.gc import Garbage, Reason, collect_garbage, iter_garbage
from lamart_core.lifecycle.plan import Dedup, Outcome, SaveResult

__all__ = [
    "Dedup",
    "Finding",
    "Garbage",
    "Kind",
    "Outcome",
    "Reason",
    "Report",
    "SaveResult",
    "Severity",
    "check_registry",
    "collect_garbage",
    "create",
    "iter_findings",
    "iter_garbage",
]
