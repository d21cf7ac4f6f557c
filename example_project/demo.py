"""`make demo`: the example project from an empty folder to versions and lineage.

python -m example_project.demo [--folder .demo]
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

import lamart_core as ln
from example_project.home import Home, home

STRICTER = 0.001
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}

# A pipe has no width: a log should not be wrapped to one.
WIDE = 150
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


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
        show_artifacts()

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
    n_recreations: int

    @classmethod
    def take(cls) -> Inventory:
        """Read it from the current registry."""
        artifacts = ln.Artifact.filter().to_list()
        objects = ln.models.StoredObject.filter().to_list()
        return cls(
            latest={str(artifact.key): artifact for artifact in artifacts if artifact.is_latest},
            n_artifacts=len(artifacts),
            n_objects=len(objects),
            n_bytes=sum(stored.size or 0 for stored in objects),
            n_recreations=ln.models.Recreation.filter().count(),
        )


def show_artifacts() -> None:
    """Print all artifacts: as a table, or in pairs of lines where the screen is too narrow for one."""
    table = Table("key", "uid", "version", "size", "hash", "run", box=None, header_style="bold", pad_edge=False)
    for artifact in ln.Artifact.filter().order_by("key"):
        run = f"{artifact.transform.key} · {artifact.run.uid[:8]}"
        row = (artifact.uid, artifact.version, decimal(artifact.size or 0).rjust(10), f"{artifact.hash[:8]}…", run)
        table.add_row(artifact.key, *row)
        if console.width < WIDE:
            console.print(f"[bold]{artifact.key}[/]", "  " + "  ".join(row), sep="\n", soft_wrap=True)
    if console.width >= WIDE:
        console.print(table)


def show_lineage(place: Home) -> None:
    """Print the lineage of the report as a tree, and draw it into a file."""
    report = report_artifact()
    console.print(ln.lineage_graph(report, with_children=False).to_text(), markup=False, soft_wrap=True)
    picture = place.folder / "report_lineage.svg"
    picture.write_bytes(ln.lineage_graph(report).draw())
    console.print(f"  drawn into [bold]{_short(picture)}[/]")


def report_artifact() -> ln.Artifact:
    """Return the latest version of the report."""
    return ln.Artifact.get(key="report.html")


def show_recreations(before: Inventory, after: Inventory) -> None:
    """Show that the second time added runs, and neither artifacts nor bytes."""
    table = Table("", "before", "after", box=None, header_style="bold", pad_edge=False)
    table.add_row("artifacts", str(before.n_artifacts), str(after.n_artifacts))
    table.add_row("stored objects", str(before.n_objects), str(after.n_objects))
    table.add_row("bytes", f"{before.n_bytes:,}", f"{after.n_bytes:,}")
    table.add_row("re-creations", str(before.n_recreations), str(after.n_recreations))
    console.print(table)
    report = report_artifact()
    again = ", ".join(run.uid[:8] for run in report.recreating_runs.all())
    console.print(f"  {report.key} {report.uid} was made by run {report.run.uid[:8]} and made again by {again}")


def show_new_versions(before: Inventory, after: Inventory) -> None:
    """Show which artifacts have a new version, and which were made again as they were."""
    table = Table("key", "was", "is", "", box=None, header_style="bold", pad_edge=False)
    for key, artifact in sorted(after.latest.items()):
        was = before.latest[key]
        changed = artifact.uid != was.uid
        verdict = "[yellow]new version[/]" if changed else "[dim]re-created[/]"
        table.add_row(key, f"{was.version} {was.hash[:8]}", f"{artifact.version} {artifact.hash[:8]}", verdict)
    console.print(table)
    added = after.n_artifacts - before.n_artifacts
    console.print(f"  {added} new versions; of the others the runs are recorded as re-creations")
    known = {artifact.uid for artifact in before.latest.values()}
    changed = sorted(item.key for item in report_artifact().run.input_artifacts.all() if item.uid not in known)
    console.print(f"  the report is new because of {' and '.join(changed)}")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
