"""Names of columns that table formats cannot tell apart, or give away themselves."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import ARROW

# What Arrow calls the levels of an index that have no name.
UNNAMED_LEVEL = re.compile(r"__index_level_\d+__")
_SHOWN = 3


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


def listed(names: list[str]) -> str:
    """The first of some names, for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more
