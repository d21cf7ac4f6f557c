"""Records as attributes, for auto-completion in notebooks."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator
from typing import Any


class Lookup:
    """Values under attribute names made from their names: `lookup.t_cell` for "T cell".

    Names that become equal get a number; `dict()` gives the values under their own names.
    """

    def __init__(self, items: Iterable[tuple[str, Any]]) -> None:
        self._by_name: dict[str, Any] = {}
        for name, value in items:
            self._by_name.setdefault(name, value)
        self._by_attribute: dict[str, Any] = {}
        for name, value in self._by_name.items():
            self._by_attribute[_free(_attribute_name(name), self._by_attribute)] = value

    def dict(self) -> dict[str, Any]:
        """Return the values under their own names."""
        return dict(self._by_name)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_by_attribute"][name]
        except KeyError:
            raise AttributeError(f"nothing is called {name!r} here; see dict() for all names") from None

    def __getitem__(self, name: str) -> Any:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_attribute)

    def __len__(self) -> int:
        return len(self._by_attribute)

    def __dir__(self) -> list[str]:
        return sorted([*self._by_attribute, "dict"])

    def __repr__(self) -> str:
        return f"<Lookup of {len(self)}: {', '.join(list(self._by_attribute)[:10])}{', …' if len(self) > 10 else ''}>"


def _attribute_name(name: str) -> str:
    attribute = re.sub(r"\W+", "_", name.lower()).strip("_") or "_"
    if attribute[0].isdigit() or keyword.iskeyword(attribute) or attribute == "dict":
        attribute = f"_{attribute}"
    return attribute


def _free(attribute: str, taken: Iterable[str]) -> str:
    if attribute not in taken:
        return attribute
    number = 2
    while f"{attribute}_{number}" in taken:
        number += 1
    return f"{attribute}_{number}"
