"""Caretakers: checking a registry, repairing it, and collecting garbage."""

from lamart_core.care.findings import Finding, Kind, Report, Severity
from lamart_core.care.fsck import check_registry, iter_findings
from lamart_core.care.gc import Garbage, Reason, collect_garbage, iter_garbage

__all__ = [
    "Finding",
    "Garbage",
    "Kind",
    "Reason",
    "Report",
    "Severity",
    "check_registry",
    "collect_garbage",
    "iter_findings",
    "iter_garbage",
]
