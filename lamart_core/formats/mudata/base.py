"""What MuData in h5mu and in zarr have in common."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lamart_core.formats.anndata.base import anndata_preview, annotated_preview, listed, slots_of
from lamart_core.formats.containers.base import AnnotatedFormat
from lamart_core.formats.containers.contents import Contents, Store
from lamart_core.formats.containers.prepared import parts_of
from lamart_core.formats.format import Preview, ReadablePath
from lamart_core.formats.libraries import MUDATA, PythonType
from lamart_core.formats.markdown import code
from lamart_core.formats.mudata.accessor import MuDataAccessor, check_root

if TYPE_CHECKING:
    import mudata as md

_SHOWN_SLOTS = ("obsm", "varm", "obsp", "varp", "uns")
_SLOTS = (*_SHOWN_SLOTS, "obsmap", "varmap")
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


def untouched(mdata: md.MuData, store: Store) -> md.MuData:
    """What to pass to mudata's writers, which change the text columns of modalities and update the whole in place.

    Returns an object that shares all of its data with the one passed, but is not updated. Its keys are in order: which
    one was added first is no content, and would decide on the bytes.

    Raises:
        UnsupportedObject: Something in it would not come back, or the name of a modality cannot be that of a group.
    """
    contents = Contents(store)
    contents.names(mdata.mod, "mod")
    contents.check("MuData")  # other slots have the same keys
    shared = cast(Any, copy.copy(mdata))
    for slot in ("obs", "var"):
        # Without what mudata pulls from the modalities: it is not stored, and may be of any type.
        frame = cast(Any, mdata)._shrink_attr(slot, inplace=False)
        setattr(shared, f"_{slot}", contents.frame(frame, slot, has_names=True))
    for slot in _SLOTS:
        setattr(shared, f"_{slot}", contents.mapping(getattr(mdata, slot), slot))
    parts = {name: parts_of(cast(Any, adata), contents, f"mod[{name!r}].") for name, adata in mdata.mod.items()}
    contents.check("MuData")
    shared._mod = {name: each.build() for name, each in parts.items()}
    shared.update = _nothing
    return shared


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
