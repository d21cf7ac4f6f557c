"""Previews of stores of named arrays: their names, shapes and types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lamart_core.formats.format import ColumnInfo, Preview
from lamart_core.formats.markdown import fenced

PREVIEWED = 50


@dataclass(frozen=True)
class Member:
    """A group or array of a store.

    Attributes:
        name: Its path within the store.
        shape: Shape of an array; None for a group.
        dtype: Type of its values.
    """

    name: str
    shape: tuple[int, ...] | None = None
    dtype: str = ""

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name}/" if self.name != "." else "."
        size = " × ".join(f"{n:,}" for n in self.shape) or "scalar"
        return f"{self.name}  {size}  {self.dtype}".rstrip()


def preview_of_members(members: Iterable[Member]) -> Preview:
    """List at most the first 50 members; the shape is that of a store that is, or holds only, one array."""
    shown: list[Member] = []
    more = False
    for member in members:
        if len(shown) == PREVIEWED:
            more = True
            break
        shown.append(member)
    text = "\n".join([*map(str, shown), *(["…"] if more else [])])
    arrays = [member for member in shown if member.shape is not None]
    slots = {"arrays": tuple(ColumnInfo(array.name, array.dtype) for array in arrays)} if arrays else {}
    only = arrays[0] if len(arrays) == 1 and not more else None
    shape = only.shape if only is not None else None
    return Preview(fenced(text), row_count=shape[0] if shape else None, shape=shape or None, slots=slots)
