"""`python -m benchmarks`: measure, and print one table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from benchmarks import machine, peer, report
from benchmarks.catalogue import MEASUREMENTS
from benchmarks.model import Sizes
from benchmarks.runner import Setup, run

_NAMES = [measurement.name for measurement in MEASUREMENTS]
_DEFAULT = Sizes()


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(_NAMES), help="Measure this; may be given several times.")
@click.option("--quick", is_flag=True, help="Small sizes and one round: a try of the command, no figures to quote.")
@click.option("--rounds", type=click.IntRange(min=1), help="How often the sides take their turns.")
@click.option("--file-mib", type=click.IntRange(min=1), help=f"Size of the large file [{_DEFAULT.file_mib}].")
@click.option("--artifacts", type=click.IntRange(min=2000), help=f"Artifacts queried [{_DEFAULT.artifacts}].")
@click.option(
    "--folder-files", type=click.IntRange(min=20), help=f"Files of the folder with versions [{_DEFAULT.folder_files}]."
)
@click.option("--folder-versions", type=click.IntRange(min=1), help=f"Its versions [{_DEFAULT.folder_versions}].")
@click.option("--peer/--no-peer", "with_peer", default=True, help="Measure lamindb too.")
@click.option("--peer-env", type=click.Path(path_type=Path), help="Its virtual environment; made if it is not there.")
@click.option("--work-dir", type=click.Path(path_type=Path, file_okay=False), help="Where data and registries go.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything there as JSON.")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), help="Write the table there as Markdown.")
def main(
    only: tuple[str, ...],
    quick: bool,
    rounds: int | None,
    file_mib: int | None,
    artifacts: int | None,
    folder_files: int | None,
    folder_versions: int | None,
    with_peer: bool,
    peer_env: Path | None,
    work_dir: Path | None,
    json_path: Path | None,
    markdown_path: Path | None,
) -> None:
    console = Console()
    sizes = _DEFAULT.scaled_down() if quick else _DEFAULT
    sizes = replace(
        sizes,
        file_mib=file_mib or sizes.file_mib,
        artifacts=artifacts or sizes.artifacts,
        folder_files=folder_files or sizes.folder_files,
        folder_versions=folder_versions or sizes.folder_versions,
    )
    if work_dir is not None:
        work_dir.mkdir(parents=True, exist_ok=True)
    with console.status("preparing") as status:
        if with_peer:
            status.update("making the environment of lamindb")
        peer_python = peer.ensure((peer_env or peer.default_environment()).absolute()) if with_peer else None
        setup = Setup(sizes, peer_python, 1 if quick and rounds is None else rounds, work_dir)
        chosen = [measurement for measurement in MEASUREMENTS if not only or measurement.name in only]
        results = [run(measurement, setup, status.update) for measurement in chosen]
    found = report.rows(results, sizes)
    about = machine.describe(peer_python)
    console.print(report.as_table(found))
    console.print(", ".join(f"{name} {value}" if name != "machine" else value for name, value in about.items()))
    for result in results:
        for side, reason in result.failures.items():
            console.print(f"[red]{result.measurement.name}, {side}:[/red] ", end="")
            console.print(reason, markup=False, highlight=False)
    if json_path is not None:
        json_path.write_text(json.dumps(report.as_json(results, sizes, about), indent=2) + "\n")
    if markdown_path is not None:
        markdown_path.write_text(report.as_markdown(found) + "\n")


if __name__ == "__main__":
    main()
