"""The names of all lookups, and how a keyword such as `run__name__startswith` is split."""

from __future__ import annotations

TEXT_LOOKUPS = frozenset(
    {
        "iexact",
        "contains",
        "icontains",
        "startswith",
        "istartswith",
        "endswith",
        "iendswith",
        "regex",
        "iregex",
    }
)
ORDER_LOOKUPS = frozenset({"gt", "gte", "lt", "lte", "range"})
DATE_PARTS = frozenset({"date", "year", "month", "day"})
LOOKUPS = frozenset({"exact", "in", "isnull"}) | TEXT_LOOKUPS | ORDER_LOOKUPS | DATE_PARTS


def split_keyword(keyword: str) -> tuple[tuple[str, ...], str]:
    """Split a keyword of a query into its path and its lookup.

    Args:
        keyword: For example `"run__name__startswith"`.

    Returns:
        The path, `("run", "name")`, and the lookup, `"startswith"`; without one, `"exact"`.
    """
    path = split_path(keyword)
    if len(path) > 1 and path[-1] in LOOKUPS:
        return path[:-1], path[-1]
    return path, "exact"


def split_path(name: str) -> tuple[str, ...]:
    """Split `"run__transform__key"` at its double underscores; names may begin with an underscore of their own."""
    return tuple(name.split("__"))
