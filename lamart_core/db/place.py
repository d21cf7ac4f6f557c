"""Where a database is: whether it is still the one that a registry was opened as, was moved, or is a copy.

Two copies of one database believe that the same storage locations are theirs: each would collect what only the other
has recorded. A copy is told by the place that the database remembers of itself.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, text

from lamart_core.db.registry import Registry


@dataclass(frozen=True)
class Place:
    """Where a database is.

    Attributes:
        host: Name of the machine that an SQLite file was opened on; for Postgres what identifies the server's data.
        path: Path of the file; empty for Postgres.
        number: Number of the file in its file system; of the database on its server.
    """

    host: str
    path: str
    number: int

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, written: str) -> Place:
        """Return the place that was written down."""
        return cls(**json.loads(written))

    @property
    def name(self) -> str:
        """The place in words."""
        return f"{self.path} on {self.host}" if self.path else f"database {self.number} of the server {self.host}"


class Whereabouts(StrEnum):
    """What a database that is not where it was is."""

    HERE = "here"
    """The same database, perhaps seen by another path or from another machine."""
    MOVED = "moved"
    """The place where it was has no registry of this uid any more."""
    COPY = "copy"
    """The place where it was still has it."""
    UNKNOWN = "unknown"
    """The place where it was cannot be seen from here."""


def place_of(registry: Registry, connection: Connection) -> Place:
    """Return where the database of a registry is."""
    if registry.is_sqlite:
        path = str(registry.url.database)
        return Place(platform.node(), path, os.stat(path).st_ino)
    query = "SELECT (SELECT system_identifier FROM pg_control_system()), oid FROM pg_database"
    system, number = connection.execute(text(f"{query} WHERE datname = current_database()")).one()
    return Place(str(system), "", int(number))


def compare(connection: Connection, uid: str, before: Place, now: Place) -> Whereabouts:
    """Tell what a database is that was at one place, and is at another now.

    Args:
        connection: Connection to the database.
        uid: Uid of its registry.
        before: Where it was when it was opened last.
        now: Where it is.
    """
    if before == now:
        return Whereabouts.HERE
    if not now.path:
        if before.host != now.host:
            return Whereabouts.UNKNOWN
        there = connection.execute(text("SELECT 1 FROM pg_database WHERE oid = :oid"), {"oid": before.number}).first()
        return Whereabouts.MOVED if there is None else Whereabouts.COPY
    if before.host != now.host:
        # One file, seen from two machines or containers.
        return Whereabouts.HERE if before.number == now.number else Whereabouts.UNKNOWN
    if before.path == now.path:
        return Whereabouts.HERE  # put back from a backup: see the generations of markers
    return _compare_files(uid, Path(before.path), Path(now.path))


def _compare_files(uid: str, before: Path, now: Path) -> Whereabouts:
    try:
        if before.samefile(now):
            return Whereabouts.HERE
        with closing(sqlite3.connect(f"{before.as_uri()}?mode=ro", uri=True)) as old:
            there = old.execute("SELECT uid FROM lamart_registry").fetchone()
    except (FileNotFoundError, NotADirectoryError, sqlite3.DatabaseError):
        # Not there, or no registry. What may not be looked at is taken for one.
        return Whereabouts.COPY if os.path.exists(before) and not os.access(before, os.R_OK) else Whereabouts.MOVED
    except OSError:
        return Whereabouts.COPY
    return Whereabouts.COPY if there == (uid,) else Whereabouts.MOVED


def moved_folder(before: Place, now: Place) -> tuple[Path, Path] | None:
    """Return the folder that an SQLite file was moved or copied with, as it was and as it is; None for Postgres.

    Examples:
        >>> moved_folder(Place("a", "/lab/one/db/lab.db", 1), Place("a", "/lab/two/db/lab.db", 2))
        (PosixPath('/lab/one'), PosixPath('/lab/two'))
    """
    if not before.path or not now.path:
        return None
    old, new = Path(before.path), Path(now.path)
    while old.name == new.name and old.parent != old and new.parent != new:
        old, new = old.parent, new.parent
    if old == Path(before.path):  # the file has another name now
        old, new = old.parent, new.parent
    return old, new
