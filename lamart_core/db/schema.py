"""The version of the database schema: checking it, creating it, upgrading it."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Integer, inspect, text
from sqlalchemy.types import TypeEngine

from lamart_core import errors
from lamart_core.db.engines import WRITE, shown_url
from lamart_core.db.registry import Registry
from lamart_core.db.retry import retrying

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "lamart_alembic_version"
MIGRATIONS = Path(__file__).parent / "migrations"
# The files are named by their revision; alembic, which would say it too, is slow to import.
HEAD = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]

# Any constant will do; it names the lock under which one process at a time migrates.
_MIGRATION_LOCK = 0x1A3A27


def schema_version(connection: Connection) -> str | None:
    """Return the schema version of the database, or None when it holds no registry."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()


def ensure_schema(registry: Registry) -> bool:
    """Create the tables in an empty database, and refuse one of another version.

    Returns:
        Whether the tables were created by this call.

    Raises:
        DatabaseTooNew: A newer version of this library wrote the database.
        DatabaseTooOld: The database must be upgraded first.
        DatabaseBusy: Others kept the database busy for `busy_timeout`.
    """

    def read() -> str | None:
        with registry.engine.connect() as connection:
            return schema_version(connection)

    # Processes that make one SQLite file at once all switch it to WAL, which fails at once and does not wait its turn.
    version = retrying(read, timeout=registry.settings.busy_timeout)
    if version is None:
        return upgrade(registry)
    if version == HEAD:
        return False
    if version in _versions():
        raise errors.DatabaseTooOld(
            f"{registry!r} has schema version {version}, this code needs {HEAD}: "
            f"make a backup and run `lamart migrate --db {shlex.quote(shown_url(registry.url))}`"
        )
    raise errors.DatabaseTooNew(
        f"{registry!r} has schema version {version}, which this version of lamart-dagster does not know (its newest "
        f"is {HEAD}): upgrade it with `pip install -U lamart-dagster`"
    )


def upgrade(registry: Registry, version: str = HEAD) -> bool:
    """Bring the database to the schema version of this code.

    Safe to call from many processes at once: one migrates, the others wait and find it done.

    Args:
        registry: A registry that is open for writing.
        version: Another version that is newer than the one of the database; for tests of migrations.

    Returns:
        Whether anything was changed.
    """
    from alembic import command  # slow to import, and only needed here

    registry.require_writable()

    def attempt() -> bool:
        connecting = registry.engine.connect().execution_options(**{WRITE: True})
        with connecting as connection, _references_unchecked(connection), connection.begin():
            if not registry.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            if schema_version(connection) == version:
                return False
            command.upgrade(alembic_config(connection), version)
            return True

    return retrying(attempt, timeout=registry.settings.busy_timeout)


@contextmanager
def _references_unchecked(connection: Connection) -> Generator[None, None, None]:
    """Let SQLite replace a table by a changed copy: dropping the old one would delete all rows that refer to it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")  # has no effect inside a transaction
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def types_differ(context: Any, _: Any, __: Any, there: TypeEngine[Any], wanted: TypeEngine[Any]) -> bool | None:
    """Say for alembic whether a column has another type than its model; None: as alembic sees it."""
    if (
        context.dialect.name == "sqlite"
        and isinstance(there, Integer)
        and isinstance(wanted.dialect_impl(context.dialect), Integer)
    ):
        return False  # SQLite stores all integers in the same way
    return None


# How alembic compares a database with the models.
COMPARE: dict[str, Any] = {"version_table": VERSION_TABLE, "compare_type": types_differ}


def alembic_config(connection: Connection | None = None) -> Config:
    """Return what alembic needs to know.

    Args:
        connection: The connection that migrations work over; None where only their files are read.
    """
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _versions() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
