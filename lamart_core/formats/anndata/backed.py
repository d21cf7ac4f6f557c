"""The annotation for an AnnData whose matrix stays on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamart_core.formats.libraries import ANNDATA, PythonType

if TYPE_CHECKING:
    from anndata import AnnData as BackedAnnData
else:

    class _AnyAnnData(type):
        def __instancecheck__(cls, instance: object) -> bool:
            # Dagster checks what it loads for an annotation.
            return ANNDATA.matches(instance)

    class BackedAnnData(metaclass=_AnyAnnData):
        """Stands for an AnnData whose ``X`` stays on disk and is read in slices; never instantiated.

        Example:
            >>> def n_cells(adata: BackedAnnData) -> int:
            ...     return adata.n_obs
        """


BACKED = PythonType(__name__, "BackedAnnData")

__all__ = ["BACKED", "BackedAnnData"]
