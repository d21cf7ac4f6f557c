"""Caretakers: checking a registry, repairing it, collecting garbage, and what becomes of a copy or a backup."""

from lamart_core.care.findings import Finding, Kind, Report, Severity
from lamart_core.care.fsck import check_registry, iter_findings
from lamart_core.care.gc import Garbage, Reason, collect_garbage, iter_garbage
from lamart_core.records.identity import claim, fork, take_over

__all__ = [
    "Finding",
    "Garbage",
    "Kind",
    "Reason",
    "Report",
    "Severity",
    "check_registry",
    "claim",
    "collect_garbage",
    "fork",
    "iter_findings",
    "iter_garbage",
    "take_over",
]
