"""What AnnData in h5ad and in zarr have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.formats.anndata.accessor import AnnDataAccessor
from lamart_core.formats.anndata.backed import BACKED
from lamart_core.formats.containers.base import AnnotatedFormat
from lamart_core.formats.format import ColumnInfo, Preview, ReadablePath
from lamart_core.formats.libraries import ANNDATA, PythonType
from lamart_core.formats.markdown import code
from lamart_core.formats.tables.base import pandas_markdown

if TYPE_CHECKING:
    import anndata as ad

_ACCESSOR = PythonType("lamart_core.formats.anndata.accessor", "AnnDataAccessor")
_CATEGORIES = 10
_MAPPINGS = ("layers", "obsm", "varm", "obsp", "varp", "uns")


class AnnDataFormat(AnnotatedFormat):
    """An annotated matrix."""

    otype: ClassVar[str | None] = "AnnData"
    libraries: ClassVar[tuple[str, ...]] = ("anndata",)
    extra: ClassVar[str | None] = "anndata"
    accepts: ClassVar[tuple[PythonType, ...]] = (ANNDATA,)
    returns: ClassVar[tuple[PythonType, ...]] = (ANNDATA, BACKED, _ACCESSOR)

    @abstractmethod
    def _load(self, path: Path, *, is_backed: bool, options: Mapping[str, Any]) -> ad.AnnData:
        """Read the store into memory, or without its matrices."""

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        self._require("Reading")
        if target == _ACCESSOR:
            return self._accessor(path, "r", options)
        return self._load(path, is_backed=target == BACKED, options=options)

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        self._require("Opening")
        return self._accessor(path, mode, options)

    def _accessor(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> AnnDataAccessor:
        store = self._open_store(path, mode, options)
        return AnnDataAccessor(store.group, store.close, mode=mode)

    def _preview(self, container: Any) -> Preview:
        return anndata_preview(container)


def anndata_preview(adata: Any) -> Preview:
    """Shape, columns of obs and var, keys of the other slots, and the first observations."""
    slots = slots_of(adata, _MAPPINGS)
    lines = [f"**AnnData** {adata.n_obs:,} observations × {adata.n_vars:,} variables"]
    if adata.X is not None:
        lines.append(f"- X: {type(adata.X).__name__} of {adata.X.dtype}")
    return annotated_preview(adata, lines + listed(slots, _shown), slots)


def slots_of(container: Any, mappings: Iterable[str]) -> dict[str, tuple[ColumnInfo, ...]]:
    """The columns of obs and var, and the keys of other slots, for previews."""
    slots = {"obs": columns_of(container.obs), "var": columns_of(container.var)}
    return slots | {slot: keys_of(getattr(container, slot)) for slot in mappings}


def listed(
    slots: Mapping[str, tuple[ColumnInfo, ...]], shown: Callable[[ColumnInfo], str] = lambda column: code(column.name)
) -> list[str]:
    """A line for each slot that is not empty."""
    return [f"- {slot}: {', '.join(map(shown, columns))}" for slot, columns in slots.items() if columns]


def annotated_preview(container: Any, lines: Sequence[str], slots: Mapping[str, tuple[ColumnInfo, ...]]) -> Preview:
    """The preview of annotated matrices: lines that describe them, and the first observations."""
    text = "\n".join(lines)
    if container.obs.shape[1]:
        text += "\n\n" + pandas_markdown(container.obs)
    shape = (int(container.n_obs), int(container.n_vars))
    return Preview(text, shape[0], slots["obs"], shape, {slot: columns for slot, columns in slots.items() if columns})


def _shown(column: ColumnInfo) -> str:
    return f"{code(column.name)} ({code(column.type)})" if column.type.startswith("category") else code(column.name)


def columns_of(df: Any) -> tuple[ColumnInfo, ...]:
    """The columns of a frame, for previews."""
    return tuple(ColumnInfo(str(name), _type(dtype)) for name, dtype in df.dtypes.items())


def _type(dtype: Any) -> str:
    categories = getattr(dtype, "categories", None)
    if categories is None:
        return str(dtype)
    shown = ", ".join(str(category) for category in categories[:_CATEGORIES])
    return f"category of {len(categories):,}: {shown}{', …' if len(categories) > _CATEGORIES else ''}"


def keys_of(mapping: Mapping[str, Any]) -> tuple[ColumnInfo, ...]:
    """The keys of a slot and the types of what they name, for previews."""
    return tuple(ColumnInfo(str(key), _kind(mapping[key])) for key in sorted(mapping, key=str))


def _kind(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ if dtype is None else f"{type(value).__name__} of {dtype}"
