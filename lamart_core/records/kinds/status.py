"""Statuses: stored as codes, written and queried as words."""

from __future__ import annotations

import enum
from collections.abc import Callable

from sqlalchemy import ColumnElement, FromClause, String, case, literal


def status_of(statuses: type[enum.IntEnum]) -> Callable[[FromClause], ColumnElement[str]]:
    """Return what makes the word for the code in the column `_status_code`, in SQL.

    Args:
        statuses: The codes by their names.
    """
    words = {int(status): literal(status.name.lower(), String) for status in statuses}
    return lambda table: case(words, value=table.c._status_code)
