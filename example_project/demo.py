"""`make demo`: the example project from an empty folder to versions and lineage.

python -m example_project.demo [--folder .demo]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.table import Table

import lamart_core as ln
from example_project.home import Home, home
from lamart_core.lineage import tree_text

STRICTER = 0.001
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}

console = Console(highlight=False)


def main(arguments: list[str]) -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(description="Materialise the example project and show what the registry knows.")
    parser.add_argument("--folder", default=".demo", help="where everything goes; what lies there is removed first")
    place = home(parser.parse_args(arguments).folder)
    place.start_afresh()
    place.use()
    with dg.DagsterInstance.get() as instance:
        project = Project(instance)
        console.rule("[bold]1. Materialise the project through Dagster")
        project.materialise()
        registry = ln.connect()

        console.rule("[bold]2. Every output is a versioned artifact")
        console.print(artifact_table())

        console.rule("[bold]3. Where the report comes from")
        show_lineage(place)

        console.rule("[bold]4. Materialise again: nothing new is stored")
        before = Inventory.take()
        project.materialise()
        show_recreations(before, Inventory.take())

        console.rule(f"[bold]5. Change one parameter: max_p_value of marker_genes is {STRICTER}")
        before = Inventory.take()
        project.materialise({"ops": {"marker_genes": {"config": {"max_p_value": STRICTER}}}})
        show_new_versions(before, Inventory.take())
        registry.close()
    console.rule("[bold]6. Look at it in the Dagster UI")
    console.print("  make ui     then open http://127.0.0.1:3000/assets")
    console.print(f"  Everything lies in {_short(place.folder)}; a second `make demo` starts afresh.")
    return 0


class Project:
    """The jobs of the project on one Dagster instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        with console.status("loading the project …"):
            from example_project.definitions import defs
            from example_project.markers import CELL_TYPES
        self.instance = instance
        self.definitions = defs
        self.cell_types = CELL_TYPES

    def materialise(self, markers_config: Mapping[str, Any] | None = None) -> None:
        """Run the three jobs: cells, markers of every type as a backfill, report."""
        self._run("prepare_cells")
        backfill = {"dagster/backfill": uuid.uuid4().hex[:8]}
        for cell_type in self.cell_types:
            self._run("find_markers", markers_config, partition_key=cell_type, tags=backfill)
        self._run("write_report")

    def _run(self, job: str, config: Mapping[str, Any] | None = None, **options: Any) -> None:
        title = f"{job} {options.get('partition_key', '')}"
        started = time.monotonic()
        with console.status(f"{title} …"):
            result = self.definitions.resolve_job_def(job).execute_in_process(
                instance=self.instance, run_config={**(config or {}), **QUIET}, **options
            )
        n_assets = len(result.get_asset_materialization_events())
        console.print(f"  [green]✓[/] {title:<42} {n_assets} asset(s)  {time.monotonic() - started:5.1f} s")


@dataclass(frozen=True)
class Inventory:
    """What the registry holds at one moment."""

    latest: dict[str, ln.Artifact]
    n_artifacts: int
    n_objects: int
    n_bytes: int
    n_runs: int
    n_recreations: int

    @classmethod
    def take(cls) -> Inventory:
        """Read it from the current registry."""
        artifacts = ln.Artifact.filter().to_list()
        objects = ln.models.StoredObject.filter().to_list()
        return cls(
            latest={artifact.key: artifact for artifact in artifacts if artifact.is_latest},
            n_artifacts=len(artifacts),
            n_objects=len(objects),
            n_bytes=sum(stored.size for stored in objects),
            n_runs=ln.models.RunOutput.filter().count(),
            n_recreations=ln.models.Recreation.filter().count(),
        )
