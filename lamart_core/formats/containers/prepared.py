"""An AnnData as it is written: what its store cannot give back is refused, and the keys of its slots are in order."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lamart_core.formats.containers.contents import Contents, Store

if TYPE_CHECKING:
    import anndata as ad

SLOTS = ("layers", "obsm", "varm", "obsp", "varp")


@dataclass(frozen=True)
class Parts:
    """The parts of an AnnData by the names of its constructor's arguments."""

    values: dict[str, Any]

    def build(self) -> ad.AnnData:
        """A new object over the same data."""
        import anndata as ad

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were told when the user's object was made
            return ad.AnnData(**self.values)


def prepared(adata: ad.AnnData, store: Store) -> ad.AnnData:
    """What to pass to anndata's writers, which change columns of text in place: a new object over the same data.

    Raises:
        UnsupportedObject: Something in it would not come back; the message names slots and keys.
    """
    contents = Contents(store)
    parts = parts_of(adata, contents, "")
    contents.check("AnnData")
    return parts.build()


def parts_of(adata: ad.AnnData, contents: Contents, where: str) -> Parts:
    """The parts to write.

    Args:
        adata: The object, which is not changed; views are copied.
        contents: Takes what cannot be written.
        where: What comes before the names of its slots in messages, e.g. ``"mod['rna']."``.
    """
    import pandas as pd

    if not isinstance(adata.obs, pd.DataFrame) or not isinstance(adata.var, pd.DataFrame):  # lazy
        adata = adata.to_memory()
    elif adata.is_view:
        adata = adata.to_memory(copy=True) if adata.isbacked else adata.copy()
    values: dict[str, Any] = {
        "obs": contents.frame(cast(Any, adata.obs), f"{where}obs", has_names=True),
        "var": contents.frame(cast(Any, adata.var), f"{where}var", has_names=True),
        "uns": contents.mapping(adata.uns, f"{where}uns"),
    }
    if adata.X is not None:
        values["X"] = contents.value(adata.X, f"{where}X")
    for slot in SLOTS:
        values[slot] = contents.mapping(getattr(adata, slot), f"{where}{slot}")
    raw = cast(Any, adata.raw)
    if raw is not None:
        values["raw"] = {
            "X": contents.value(raw.X, f"{where}raw.X"),
            "var": contents.frame(raw.var, f"{where}raw.var", has_names=True),
            "varm": contents.mapping(raw.varm, f"{where}raw.varm"),
        }
    return Parts(values)
