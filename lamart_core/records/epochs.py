"""Epochs: what the names of stored objects tell of the database that they were put for.

Each name carries the largest id of a stored object that the saver saw before it put the bytes. Ids are never used
again, so bytes whose epoch is larger than any id that the database ever gave were put for a newer one than it: it was
put back from a backup, or is a copy. Bytes of an equal epoch may have been, and are left alone until one more object
is recorded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Integer, literal_column, select, text

from lamart_core.db import Registry
from lamart_core.records.stored_object import StoredObject
from lamart_core.storage import object_path

_SEEN = "largest id of a stored object"
# What a save has seen in its constructor is of use for so many seconds.
_FRESH = 60.0
_NAME = StoredObject.__tablename__
# What each database remembers of ids that it gave, also of rows that are gone.
_SQLITE = f"(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{_NAME}')"
_POSTGRES = f"(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {_NAME}_id_seq)"


@dataclass(frozen=True)
class _Epoch:
    number: int
    at: float


def newest_id(is_sqlite: bool) -> ColumnElement[int]:
    """Return the SQL expression for the largest id that a stored object ever had; it rides on other statements."""
    return literal_column(_SQLITE if is_sqlite else _POSTGRES, Integer)


def note(registry: Registry, number: int) -> None:
    """Keep what a statement has read of `newest_id`."""
    registry.forget(_SEEN)
    registry.memo(_SEEN, lambda: _Epoch(number, time.monotonic()))


def seen(registry: Registry) -> int:
    """Return the largest id that this process has seen so far; 0 where it has seen none."""
    found: _Epoch | None = registry.memo(_SEEN, lambda: None)
    return found.number if found is not None else 0


def read(registry: Registry) -> int:
    """Return the largest id that a stored object ever had: one statement."""
    with registry.engine.connect() as connection:
        number = connection.execute(select(newest_id(registry.is_sqlite))).scalar_one()
    note(registry, number)
    return number


def rise(registry: Registry, least: int) -> None:
    """Let ids of stored objects go on above a number, as after an object that is known to a newer database only."""
    if registry.is_sqlite:
        statements = [
            f"INSERT INTO sqlite_sequence (name, seq) SELECT '{_NAME}', 0 "
            f"WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{_NAME}')",
            f"UPDATE sqlite_sequence SET seq = max(seq, :least) WHERE name = '{_NAME}'",
        ]
    else:
        statements = [f"SELECT setval('{_NAME}_id_seq', greatest({_POSTGRES}, :least))"]

    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement), {"least": least} if ":least" in statement else {})

    registry.unit_of_work(work)


def new_path(registry: Registry, stem: str, suffix: str) -> str:
    """Return a new path in a version store that no other save can choose, and that tells its epoch.

    Args:
        registry: The registry.
        stem: Stem of the uid of the first artifact that names the object.
        suffix: Suffix of the object.
    """
    seen: _Epoch | None = registry.memo(_SEEN, lambda: None)
    is_fresh = seen is not None and time.monotonic() - seen.at < _FRESH
    return object_path(stem, suffix, seen.number if seen is not None and is_fresh else read(registry))
