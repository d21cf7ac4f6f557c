"""Names of columns that table formats cannot tell apart, or give away themselves."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import ARROW

# What Arrow calls the levels of an index that have no name.
UNNAMED_LEVEL = re.compile(r"__index_level_\d+__")


def check_names(obj: Any) -> None:
    """Refuse two columns of one name: readers rename one of them, drop it, or fail.

    Raises:
        UnsupportedObject: Two columns of a pandas, Arrow or polars table have the same name.
    """
    names = obj.column_names if ARROW.matches(obj) else obj.columns
    repeated = [name for name, times in Counter(map(str, names)).items() if times > 1]
    if repeated:
        kind = type(obj).__name__
        raise UnsupportedObject(f"The columns of a {kind} need different names; repeated: {listed(repeated)}")


def check_made_up(names: list[Any]) -> None:
    """Refuse names that formats without an index give to it themselves.

    Raises:
        UnsupportedObject: There is one.
    """
    made_up = [str(name) for name in names if UNNAMED_LEVEL.fullmatch(str(name))]
    if made_up:
        raise UnsupportedObject(f"{listed(made_up)} are names that Arrow gives to an index: choose another name")


def levels_of(index: Any) -> list[Any]:
    """The levels of an index; pandas' own look-up takes a number for a name where a level has one."""
    unnamed = index.set_names([None] * index.nlevels)
    return [unnamed.get_level_values(position) for position in range(index.nlevels)]


def listed(names: list[str], *, shown: int = 3) -> str:
    """The first of some names, for a message."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more
