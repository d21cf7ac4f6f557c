"""The command `lamart`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lamart_core import care
from lamart_core.care import Finding, Garbage, Severity, iter_findings, iter_garbage
from lamart_core.connect import EMBEDDED, open_for_care
from lamart_core.db import Registry
from lamart_core.db.engines import opening
from lamart_core.db.schema import schema_version, upgrade
from lamart_core.errors import DatabaseError, LamartError, ObjectDoesNotExist
from lamart_core.settings import Settings, default_cache_dir

CLEAN, FOUND, FAILED = 0, 1, 2


class _Failed(click.ClickException):
    """The command could not run."""

    exit_code = FAILED


_db = click.option("--db", default=None, help="Database URL; default: LAMART_DB_URL, else ./.lamart/.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line, a summary last.")
_grace = click.option(
    "--grace", default=24.0, show_default=True, help="Hours that something must be old to count as left over."
)


@click.group()
@click.version_option(package_name="lamart-dagster")
def main() -> None:
    """Look after a registry of artifacts."""


@contextmanager
def _errors() -> Generator[None, None, None]:
    """Show errors of ours as messages, and without a traceback."""
    try:
        yield
    except LamartError as error:
        raise _Failed(str(error)) from error


def _existing(db: str | None) -> Registry:
    """Return the registry of a database that is there: looking after one never makes one."""
    url = db or os.environ.get("LAMART_DB_URL") or (EMBEDDED / "lamart.db").absolute()
    registry = Registry(url, settings=Settings(cache_dir=default_cache_dir()))
    if registry.is_sqlite and not Path(str(registry.url.database)).exists():
        raise DatabaseError(f"there is no database {registry.url.database}; say which one with --db")
    with opening(registry.url), registry.engine.connect() as connection:
        version = schema_version(connection)
    if version is None:
        raise DatabaseError(f"{registry!r} holds no registry; say which database with --db")
    return registry


def _open(db: str | None) -> Registry:
    registry = _existing(db)
    open_for_care(registry)
    return registry


@main.command()
@_db
@_grace
@click.option("--delete", is_flag=True, help="Remove what was found; without it, only list.")
@click.option("--yes", is_flag=True, help="Do not ask before removing.")
@_as_json
def gc(db: str | None, grace: float, delete: bool, yes: bool, as_json: bool) -> None:
    """List or remove what interrupted saves and deletions left in the storage locations."""
    with _errors():
        registry = _open(db)
        if delete and not yes and sys.stdin.isatty():
            click.confirm(f"Remove what no record of {registry!r} refers to?", abort=True, err=True)
        total = removed = size = 0
        with _progress("looking for garbage") as progress:
            found = iter_garbage(registry, grace=timedelta(hours=grace), dry_run=not delete, progress=progress)
            for item in found:
                total, removed, size = total + 1, removed + item.is_removed, size + (item.size or 0)
                click.echo(_json(asdict(item)) if as_json else _line(item))
    if as_json:
        click.echo(json.dumps({"found": total, "removed": removed, "size": size}))
    elif delete:
        click.echo(f"{removed:,} of {total:,} removed, {decimal(size)}")
    else:
        click.echo(f"{total:,} found, {decimal(size)}" + ("; remove them with --delete" if total else ""))


@main.command()
@_db
@click.option("--storage", default=None, metavar="ROOT", help="Check the bytes of this storage location only.")
@click.option("--verify", is_flag=True, help="Read and hash all bytes, and not only look at their size.")
@click.option("--repair", is_flag=True, help="Repair what can be repaired without losing anything.")
@click.option("--gc", "with_gc", is_flag=True, help="Remove what no record refers to, as `lamart gc --delete` does.")
@click.option("--adopt", is_flag=True, help="Register what no record names, where it says itself what it is.")
@_grace
@_as_json
def fsck(
    db: str | None,
    storage: str | None,
    verify: bool,
    repair: bool,
    with_gc: bool,
    adopt: bool,
    grace: float,
    as_json: bool,
) -> None:
    """Check whether records and bytes are what they say of each other.

    Exit status: 0 nothing is wrong (any more), 1 something is, 2 the check could not run.
    """
    remaining = total = 0
    with _errors(), _progress("checking") as progress:
        found = iter_findings(
            _open(db),
            storage=storage,
            verify=verify,
            repair=repair,
            gc=with_gc,
            adopts=adopt,
            grace=timedelta(hours=grace),
            progress=progress,
        )
        for item in found:
            total, remaining = total + 1, remaining + (not item.is_repaired)
            click.echo(_json({"severity": item.severity, **asdict(item)}) if as_json else _verdict(item))
    if as_json:
        click.echo(json.dumps({"found": total, "repaired": total - remaining, "remaining": remaining}))
    elif total:
        click.echo(f"{total:,} found, {total - remaining:,} repaired, {remaining:,} remaining")
    else:
        click.echo("clean")
    sys.exit(FOUND if remaining else CLEAN)


@main.command()
@_db
@click.argument("names", nargs=-1, required=True, metavar="KEY|UID…")
def verify(db: str | None, names: tuple[str, ...]) -> None:
    """Hash the stored bytes of artifacts again, and compare.

    Exit status: 0 all are what their records say, 1 one is not, 2 the check could not run.
    """
    wrong = 0
    with _errors():
        registry = _open(db)
        for name in names:
            artifact = _artifact(registry, name)
            try:
                artifact.verify()
            except LamartError as error:
                wrong += 1
                click.echo(f"{artifact.uid}\t{click.style('wrong', fg='red')}\t{error}")
            else:
                click.echo(f"{artifact.uid}\t{click.style('right', fg='green')}\t{artifact.key or ''}")
    sys.exit(FOUND if wrong else CLEAN)


def _artifact(registry: Registry, name: str) -> Any:
    with suppress(ObjectDoesNotExist):
        return registry.Artifact.get(key=name)
    with suppress(ObjectDoesNotExist):
        return registry.Artifact.get(name)
    reason = registry.Artifact._explain_missing(registry, name)
    raise ObjectDoesNotExist(reason or f"no artifact of {registry!r} has the key {name!r}, or a uid that begins so")


@main.command()
@_db
def migrate(db: str | None) -> None:
    """Upgrade the database to the schema version of this code. Make a backup first."""
    with _errors():
        changed = upgrade(_existing(db))
    click.echo("upgraded" if changed else "already at the newest version")


@main.command()
@_db
def fork(db: str | None) -> None:
    """Make a registry of its own of a copied database; the original keeps what was not copied along."""
    with _errors():
        for line in care.fork(_open(db)):
            click.echo(line)


@main.command()
@_db
def take_over(db: str | None) -> None:
    """Go on with this database, which was moved elsewhere or put back from a backup, and not with any other copy."""
    with _errors():
        for line in care.take_over(_open(db)):
            click.echo(line)


@main.command()
@_db
@click.argument("root")
def claim(db: str | None, root: str) -> None:
    """Mark ROOT as the storage location that the database means: its files are lost, or another registry is gone."""
    with _errors():
        click.echo(care.claim(_open(db), root))


# ---------------------------------------------------------------- output


@contextmanager
def _progress(label: str) -> Generator[Callable[[int], None], None, None]:
    """Count on stderr what was looked at, where somebody sees it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    console, is_hidden = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=is_hidden) as bar:
        task = bar.add_task(label, total=None)
        yield lambda count: bar.advance(task, count)


def _line(item: Garbage) -> str:
    size = "-" if item.size is None else decimal(item.size)
    name = f"{item.root}/{item.path}" + ("/" if item.is_folder else "")
    line = f"{size:>10}  {_age(item.modified):>6}  {item.reason:<9}  {name}"
    return line + ("  removed" if item.is_removed else "")


def _verdict(item: Finding) -> str:
    colour = "red" if item.severity is Severity.ERROR else "yellow"
    if item.is_repaired:
        state = click.style("repaired", fg="green")
    else:
        state = click.style(item.severity, fg=colour) + (" (--repair repairs it)" if item.is_repairable else "")
    return f"{item.kind}: {item.detail}  [{state}]"


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, default=lambda moment: moment.astimezone(UTC).isoformat())


def _age(then: datetime) -> str:
    hours = (datetime.now(UTC) - then).total_seconds() / 3600
    if hours < 1:
        return f"{max(hours, 0) * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


if __name__ == "__main__":
    main()
