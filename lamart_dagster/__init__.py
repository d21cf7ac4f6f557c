"""Dagster on the artifact registry: an IO manager and a resource.

What assets return becomes versioned artifacts, what they load becomes run inputs, and what a backfill makes again
becomes a re-creation.

Examples:
    >>> import dagster as dg
    >>> from lamart_dagster import LamartIOManager, LamartRegistry
    >>> defs = dg.Definitions(resources={"io_manager": LamartIOManager(registry=LamartRegistry())})
"""

from __future__ import annotations

from lamart_dagster.errors import MissingMaterialization, NoValue, SeveralPartitions, SharedKey
from lamart_dagster.io_manager import LamartIOManager
from lamart_dagster.lineage import settle_runs
from lamart_dagster.ownership import check_definitions
from lamart_dagster.resources import LamartRegistry

__all__ = [
    "LamartIOManager",
    "LamartRegistry",
    "MissingMaterialization",
    "NoValue",
    "SeveralPartitions",
    "SharedKey",
    "check_definitions",
    "settle_runs",
]
