"""The command `lamart`."""

from __future__ import annotations

from datetime import timedelta

import click

from lamart_core.connect import connect
from lamart_core.db import Registry
from lamart_core.errors import LamartError
from lamart_core.lifecycle import collect_garbage
from lamart_core.settings import Settings, default_cache_dir


@click.group()
@click.version_option(package_name="lamart-dagster")
def main() -> None:
    """Look after a registry of artifacts."""


@main.command()
@click.option("--db", default=None, help="Database URL; default: LAMART_DB_URL, else ./.lamart/.")
@click.option("--grace", default=24.0, show_default=True, help="Hours that an object must be old.")
@click.option("--delete", is_flag=True, help="Remove what was found; without it, only list.")
def gc(db: str | None, grace: float, delete: bool) -> None:
    """List or remove what interrupted saves and deletions left in the version stores."""
    try:
        garbage = collect_garbage(connect(db), grace=timedelta(hours=grace), dry_run=not delete)
    except LamartError as error:
        raise click.ClickException(str(error)) from error
    for item in garbage:
        click.echo(f"{item.root}/{item.path}\tmodified {item.modified:%Y-%m-%d %H:%M:%S} UTC")
    click.echo(f"{len(garbage)} objects {'removed' if delete else 'found; remove them with --delete'}")


@main.command()
@click.option("--db", required=True, help="Database URL.")
def migrate(db: str) -> None:
    """Upgrade the database to the schema version of this code. Make a backup first."""
    from lamart_core.db.schema import upgrade

    registry = Registry(db, settings=Settings(cache_dir=default_cache_dir()))
    try:
        changed = upgrade(registry)
    except LamartError as error:
        raise click.ClickException(str(error)) from error
    click.echo("upgraded" if changed else "already at the newest version")
