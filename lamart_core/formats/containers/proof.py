"""Proof that what was written can be read: names and encodings, by the way of the reader, without the data.

What cannot be read is refused before it is written, as far as it is known (``contents``). This sees what is not known:
that zarr takes a backslash for a slash, say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.containers.prepared import SLOTS

if TYPE_CHECKING:
    import anndata as ad

_MAPPINGS = (*SLOTS, "uns")


def prove_readable(group: Any, adata: ad.AnnData) -> None:
    """Raise UnsupportedObject unless an open store gives back each element of an AnnData, by its name.

    Args:
        group: The h5py or zarr group that was written.
        adata: What was written.
    """
    _compare(set(_elements_of(adata)), _found(group))


def prove_readable_mudata(group: Any, mdata: Any) -> None:
    """The same for a MuData."""
    expected = {*_frame(mdata.obs, "obs"), *_frame(mdata.var, "var")}
    for slot in ("obsm", "varm", "obsp", "varp", "uns"):
        expected |= set(_mapping(getattr(mdata, slot), slot))
    found = [_found(group[slot], slot) for slot in ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")]
    _compare(expected, set().union(*found))
    for name, adata in mdata.mod.items():
        prove_readable(group["mod"][name], adata)


def _compare(expected: set[str], found: set[str]) -> None:
    lost = sorted(expected - found)
    if lost:
        raise UnsupportedObject(f"what was written could not be read again: {', '.join(lost[:5])}. Rename these keys.")


def _elements_of(adata: Any, where: str = "") -> Iterator[str]:
    """The names of all elements, as paths below the root."""
    if adata.X is not None:
        yield f"{where}X"
    yield from _frame(adata.obs, f"{where}obs")
    yield from _frame(adata.var, f"{where}var")
    for slot in _MAPPINGS:
        yield from _mapping(getattr(adata, slot), f"{where}{slot}")
    if adata.raw is not None:
        yield f"{where}raw/X"
        yield from _frame(adata.raw.var, f"{where}raw/var")
        yield from _mapping(adata.raw.varm, f"{where}raw/varm")


def _frame(df: Any, where: str) -> Iterator[str]:
    yield from (f"{where}/{name}" for name in df.columns)


def _mapping(members: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, value in members.items():
        if isinstance(value, Mapping) and value:
            yield from _mapping(cast("Mapping[str, Any]", value), f"{where}/{name}")
        elif type(value).__name__ == "AnnData":
            yield from _elements_of(value, f"{where}/{name}/")
        elif hasattr(value, "columns"):
            yield from _frame(value, f"{where}/{name}")
        else:
            yield f"{where}/{name}"


def _found(group: Any, where: str = "") -> set[str]:
    """The same for an open store: what its reader comes by, and has a function for."""
    from anndata import experimental

    read_dispatched: Any = experimental.read_dispatched  # its own type of the callback wants it to return the element
    found: set[str] = set()
    top = str(group.name).rstrip("/")

    def look(read: Any, name: str, element: Any, iospec: Any) -> None:
        place = f"{where}{str(element.name).removeprefix(top)}".strip("/")
        found.add(place)
        if iospec.encoding_type == "dataframe":
            # Columns by their names only: each of their attributes takes as long to read as a thousand values.
            found.update(f"{place}/{column}" for column in element.attrs["column-order"] if column in element)
        elif iospec.encoding_type in ("anndata", "raw", "dict"):
            for member in element:
                read_dispatched(element[member], look)

    read_dispatched(group, look)
    return found
