"""What MuData in h5mu and in zarr have in common."""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lamart_core.formats.anndata.base import anndata_preview, annotated_preview, listed, slots_of, unchanged
from lamart_core.formats.containers.accessor import ordered, quiet
from lamart_core.formats.containers.base import AnnotatedFormat
from lamart_core.formats.format import Preview, ReadablePath
from lamart_core.formats.libraries import MUDATA, PythonType
from lamart_core.formats.markdown import code
from lamart_core.formats.mudata.accessor import MuDataAccessor, check_root

if TYPE_CHECKING:
    import mudata as md

_SHOWN_SLOTS = ("obsm", "varm", "obsp", "varp", "uns")
_SLOTS = (*_SHOWN_SLOTS, "obsmap", "varmap")
_SLOTS_OF_MODALITIES = (*_SHOWN_SLOTS, "layers")
_SHARED = {0: "observations", 1: "variables", -1: "observations and variables"}


class MuDataFormat(AnnotatedFormat):
    """Annotated matrices of the same observations."""

    otype: ClassVar[str | None] = "MuData"
    libraries: ClassVar[tuple[str, ...]] = ("mudata",)
    extra: ClassVar[str | None] = "mudata"
    accepts: ClassVar[tuple[PythonType, ...]] = (MUDATA,)
    returns: ClassVar[tuple[PythonType, ...]] = (MUDATA,)
    modes: ClassVar[tuple[str, ...]] = ("r",)

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        self._require("Opening")
        return MuDataAccessor(self._open_store(path, mode, options))

    def _check_root(self, group: Any) -> None:
        check_root(group)

    def _preview(self, container: Any) -> Preview:
        return _preview(container)


@contextmanager
def untouched(mdata: md.MuData) -> Generator[md.MuData]:
    """What to pass to mudata's writers, which change the text columns of modalities and update the whole in place.

    Yields an object that shares all of its data with the one passed, but is not updated. Its keys are in order: which
    one was added first is no content, and would decide on the bytes.

    Raises:
        ValueError: The name of a modality cannot be that of a group.
    """
    for name in mdata.mod:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise ValueError(f"a modality cannot be named {name!r}")
    shared = cast(Any, copy.copy(mdata))
    with ExitStack() as stack, quiet():
        modalities = {name: stack.enter_context(unchanged(_complete(adata))) for name, adata in mdata.mod.items()}
        shared._mod = {name: _Ordered(adata) for name, adata in modalities.items()}
        for slot in _SLOTS:
            setattr(shared, f"_{slot}", ordered(getattr(mdata, slot)))
        shared.update = _nothing
        yield shared


class _Ordered:
    """Stands for a modality: the same, with the keys of its slots in order."""

    def __init__(self, adata: Any) -> None:
        self._adata = adata

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._adata, name)
        return ordered(value) if name in _SLOTS_OF_MODALITIES else value


def _complete(adata: Any) -> Any:
    # The writers leave the raw matrix of a modality out that is not in memory.
    return adata.to_memory() if adata.isbacked and adata.raw is not None else adata


def _nothing() -> None:
    """Instead of ``MuData.update``."""


def _preview(mdata: Any) -> Preview:
    """Shape, columns of obs and var, keys of the other slots, the same of each modality, and the first observations."""
    slots = slots_of(mdata, _SHOWN_SLOTS)
    heading = f"**MuData** {mdata.n_obs:,} observations × {mdata.n_vars:,} variables"
    lines = [f"{heading}, {len(mdata.mod)} modalities that share {_SHARED.get(mdata.axis, 'something')}"]
    lines += listed(slots)
    for name, adata in mdata.mod.items():
        inner = anndata_preview(adata).slots
        slots |= {f"{name}:{slot}": columns for slot, columns in inner.items()}
        lines.append(f"- {code(name)}: {adata.n_obs:,} × {adata.n_vars:,}")
        lines += [f"  {line}" for line in listed(inner)]
    return annotated_preview(mdata, lines, slots)
