"""Files of anndata before 0.7, whose tables are arrays of records: anndata itself opens them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lamart_core.errors import InvalidArgument
from lamart_core.formats.anndata.accessor import AnnDataAccessor

if TYPE_CHECKING:
    import anndata as ad


class EarlyAccessor(AnnDataAccessor):
    """An accessor that has the annotations in memory, and the matrix on disk."""

    def __init__(self, path: Path) -> None:
        import anndata as ad

        self._path = path
        self._adata = ad.read_h5ad(path, backed="r")
        vars(self).update(obs=self._adata.obs, var=self._adata.var, uns=self._adata.uns)
        super().__init__(cast("Any", self._adata.file)._file, self._adata.file.close, mode="r")

    @property
    def X(self) -> Any:
        """The matrix on disk; slicing reads."""
        self._check_open()
        return self._adata.X

    @property
    def raw(self) -> ad.AnnData | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The raw matrix with all its variables; None if there is none."""
        import anndata as ad

        self._check_open()
        raw: Any = self._adata.raw
        return None if raw is None else ad.AnnData(X=raw.X, obs=self.obs, var=raw.var, varm=dict(raw.varm))

    def lazy(self) -> ad.AnnData:
        """Not for early files."""
        raise InvalidArgument("anndata cannot open files that were written before its version 0.7 in this way")

    def to_memory(self) -> ad.AnnData:
        """Read everything."""
        import anndata as ad

        self._check_open()
        return ad.read_h5ad(self._path)  # a backed object would close its file

    def _slot(self, name: str) -> Mapping[str, Any]:
        self._check_open()
        return dict(getattr(self._adata, name))


def is_early(group: Any) -> bool:
    """Whether the tables of an open HDF5 file are arrays."""
    return "obs" in group and not hasattr(group["obs"], "keys")
