"""AnnData in one HDF5 file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lamart_core.errors import InvalidArgument
from lamart_core.formats.anndata.accessor import AnnDataAccessor, check_root, count
from lamart_core.formats.anndata.base import AnnDataFormat, check_anndata_keywords, require_anndata, unchanged
from lamart_core.formats.anndata.early import EarlyAccessor, is_early
from lamart_core.formats.anndata.remote_file import RemoteFile
from lamart_core.formats.contract import ReadablePath
from lamart_core.formats.guards import reading

if TYPE_CHECKING:
    import anndata as ad

# anndata.AnnData.write_h5ad, and what it passes on to h5py's create_dataset.
_KEYWORDS = frozenset(
    {
        "compression",
        "compression_opts",
        "as_dense",
        "convert_strings_to_categoricals",
        "chunks",
        "shuffle",
        "fletcher32",
    }
)


class H5adFormat(AnnDataFormat):
    """AnnData as .h5ad, written by ``AnnData.write_h5ad``."""

    name = "h5ad"
    suffixes: ClassVar[tuple[str, ...]] = (".h5ad",)
    options_name = "h5ad_kwargs"
    modes: ClassVar[tuple[str, ...]] = ("r",)

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        check_anndata_keywords("h5ad_kwargs", options, _KEYWORDS)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        require_anndata("Writing an .h5ad file")
        from anndata.io import write_h5ad

        # The function, not the method: that one would make a backed object point to the new file.
        with unchanged(obj) as adata:
            write_h5ad(path, adata, **options)

    def _load(self, path: Path, *, is_backed: bool, options: Mapping[str, Any]) -> ad.AnnData:
        import anndata as ad
        import h5py

        with h5py.File(path, "r") as file:
            check_root(file)
        passed = {"backed": "r", **options} if is_backed else options
        return ad.read_h5ad(path, **passed)

    def _accessor(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> AnnDataAccessor:
        import h5py

        if isinstance(path, Path):
            file = h5py.File(path, mode, **options)
            if is_early(file):
                file.close()
                return EarlyAccessor(path)
            return AnnDataAccessor(file, file.close, mode=mode)
        remote: Any = RemoteFile(path)
        try:
            file = h5py.File(remote, mode, **options)
        except BaseException:
            remote.close()
            raise

        def close() -> None:
            file.close()
            remote.close()

        if is_early(file):
            close()
            raise InvalidArgument(f"{path} was written by anndata before 0.7: it cannot be opened from afar; load it")
        return AnnDataAccessor(file, close, mode=mode)

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Length of the index of obs."""
        require_anndata("Reading an .h5ad file")
        import h5py

        with (
            reading(path, self.name),
            path.open("rb") if isinstance(path, Path) else RemoteFile(path) as binary,
            h5py.File(cast(Any, binary), "r") as file,
        ):
            return count(file["obs"])
