"""`make storm`: the storm (see `lamart_core.testing.storm`) on each database and each storage of the tests."""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click
import pandas  # noqa: F401  # so that the processes, which are forked, begin at once
import psycopg  # noqa: F401
import s3fs  # noqa: F401

import lamart_core.models  # noqa: F401
from lamart_core.testing.storm import Outcome, Storm
from lamart_core.testing.storm.log import Log
from lamart_core.testing.storm.worker import BRANCH, VERBS, Worker
from tests.databases import fresh_database
from tests.registries import create_tables, fresh_registry
from tests.statements import share_compiled_statements
from tests.storage.s3_server import credentials, shared_server

PAIRS = ("sqlite-local", "sqlite-s3", "postgres-local", "postgres-s3")


def warm_up(database: str, folder: Path) -> None:
    """Do once what every process would do for the first time: compiling statements takes a moment."""
    with fresh_registry(database, folder) as registry:
        registry.Branch(name=BRANCH).save()
        verbs = [*VERBS]
        Worker(registry, folder, "sources", "0", Log(folder / "log.jsonl")).run(verbs, rounds=2 * len(verbs))


def blow(
    pair: str, folder: Path, seed: int, seconds: float, rest: float, *, savers: int, carers: int, risk: float
) -> Outcome:
    """Let a storm blow on one database and storage, in an empty folder."""
    database, storage = pair.split("-")
    with ExitStack() as stack:
        stack.enter_context(credentials())
        warm_up(database, folder / "warm")
        url = stack.enter_context(fresh_database(database, folder, prepare=create_tables))
        new_root = shared_server().new_root if storage == "s3" else None
        roots = [new_root() if new_root else str(folder / name) for name in ("storage", "second")]
        return Storm(url, roots[0], roots[1], folder / "storm", seed, savers, carers, risk).run(seconds, rest=rest)


@click.command()
@click.option("--on", default=",".join(PAIRS), show_default=True, help="Databases and storages.")
@click.option("--seconds", default=600.0, show_default=True, help="How long it blows on each.")
@click.option(
    "--seed", default=int(time.time()), help="Decides what is done, and when who is killed; default: the time."
)
@click.option("--rest", default=1.0, show_default=True, help="Seconds between two kills.")
@click.option("--risk", default=0.002, show_default=True, help="How likely a step that changes something is the last.")
@click.option("--savers", default=4, show_default=True, help="Processes that save, change and delete.")
@click.option("--carers", default=1, show_default=True, help="Processes that collect garbage and repair.")
@click.option("--keep", is_flag=True, help="Keep the folder of a storm that found something.")
def main(on: str, seconds: float, seed: int, rest: float, risk: float, savers: int, carers: int, keep: bool) -> None:
    """Kill processes that save, change and delete, beside others that collect and repair; nothing may be lost."""
    share_compiled_statements()
    logging.getLogger("lamart").setLevel("ERROR")
    wrong = False
    for pair in on.split(","):
        folder = Path(tempfile.mkdtemp(prefix=f"lamart-storm-{pair}-"))
        click.echo(f"{pair}, seed {seed}, {seconds:g} s: ", nl=False)
        outcome = blow(pair, folder, seed, seconds, rest, savers=savers, carers=carers, risk=risk)
        click.echo(outcome)
        wrong = wrong or bool(outcome.faults)
        if outcome.faults and keep:
            click.echo(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
