"""`python -m lamart_core.testing.storm URL STORAGE SECOND`: a storm on a database and two storages of your own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from lamart_core.testing.storm.storm import Storm


@click.command()
@click.argument("url")
@click.argument("storage")
@click.argument("second")
@click.option("--seconds", default=60.0, show_default=True, help="How long it blows.")
@click.option("--seed", default=0, show_default=True, help="Decides what is done, and when who is killed.")
@click.option("--savers", default=4, show_default=True, help="Processes that save, change and delete.")
@click.option("--carers", default=1, show_default=True, help="Processes that collect garbage and repair.")
@click.option("--risk", default=0.002, show_default=True, help="How likely a step that changes something is the last.")
def main(url: str, storage: str, second: str, seconds: float, seed: int, savers: int, carers: int, risk: float) -> None:
    """Run the storm on an EMPTY database and two EMPTY storages; exit with 1 if anything is lost."""
    with tempfile.TemporaryDirectory(prefix="lamart-storm-") as folder:
        outcome = Storm(url, storage, second, Path(folder), seed, savers, carers, risk).run(seconds)
    click.echo(outcome)
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
