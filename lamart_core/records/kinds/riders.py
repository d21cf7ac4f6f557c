"""Riders: what is written in the same transaction as a record, whichever way the record is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection


class Outcome(Enum):
    """What saving did."""

    CREATED = "created"
    NEW_VERSION = "new version"
    EXISTING = "existing"
    RECREATED = "re-created"
    RESTORED = "restored"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Saved:
    """A row that a transaction has written, or that it found to exist.

    Attributes:
        row: Its values by column name, its id among them.
        outcome: What saving did.
    """

    row: Mapping[str, Any]
    outcome: Outcome


# Called with the connection of the transaction and the row that it wrote. It runs again when the transaction does, so
# it changes nothing but the database. An error that it raises undoes the whole save: row, bytes and all.
Rider = Callable[[Connection, Saved], None]
