"""The constructors of an artifact that say what it holds: `Artifact.from_dataframe`, `Artifact.from_dir` and so on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lamart_core import errors, formats
from lamart_core.db import current_registry
from lamart_core.formats.folder_format import table_format
from lamart_core.records import ArtifactRecord, Run
from lamart_core.saving import construct, from_dir, lazy
from lamart_core.saving.arguments import Request, checked, refuse_unsupported, with_others
from lamart_core.saving.lazy import LazyArtifact
from lamart_core.saving.lists import SQLRecordList
from lamart_core.storage import suffix_of
from lamart_core.types import AnyPathStr

if TYPE_CHECKING:
    import anndata as ad
    import mudata as md
    import pandas as pd
    import spatialdata as sd
    import tiledbsoma

    from lamart_core.artifact import Artifact


class ArtifactConstructors(ArtifactRecord):
    """What `Artifact` has besides `Artifact(path)` to be made from."""

    __abstract__ = True

    @classmethod
    def from_dataframe(
        cls,
        df: pd.DataFrame | AnyPathStr,
        *,
        key: str | None = None,
        description: str | None = None,
        run: Run | bool | None = None,
        revises: Artifact | None = None,
        schema: Any = None,
        features: dict[str, Any] | None = None,
        parquet_kwargs: dict[str, Any] | None = None,
        csv_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create an artifact from a table; sets `otype` to `"DataFrame"` and counts `n_observations`.

        Args:
            df: pandas or polars data frame, also a lazy one, pyarrow table or dataset; or the path of a table or of a
                folder of tables.
            key: Key; its suffix chooses the format (`.parquet`, `.csv`, `.tsv`, `.feather`, `.orc`,
                `.jsonl`, …). Default: parquet.
            description: Free text.
            run: Run that made the artifact.
            revises: Version to revise.
            schema: Not supported yet.
            features: Not supported yet.
            parquet_kwargs: Keywords for `DataFrame.to_parquet` and pyarrow's writer.
            csv_kwargs: Keywords for `DataFrame.to_csv`.
            **kwargs: Other keywords of the constructor.

        Raises:
            InvalidArgument: The key's suffix is that of no table, or keywords for another format were passed.
            UnsupportedObject: `df` is no table.

        Examples:
            >>> import lamart_core as ln, pandas as pd
            >>> artifact = ln.Artifact.from_dataframe(pd.DataFrame({"a": [1, 2]}), key="examples/d.parquet").save()
            >>> artifact.n_observations
            2
        """
        options = {"parquet_kwargs": parquet_kwargs, "csv_kwargs": csv_kwargs}
        refuse_unsupported(features, schema)
        request = Request(key=key, description=description, run=run, revises=revises)
        return cls._from("DataFrame", df, request, options, kwargs)

    @classmethod
    def from_anndata(
        cls,
        adata: ad.AnnData | AnyPathStr,
        *,
        key: str | None = None,
        description: str | None = None,
        run: Run | bool | None = None,
        revises: Artifact | None = None,
        schema: Any = None,
        format: str | None = None,
        h5ad_kwargs: dict[str, Any] | None = None,
        zarr_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create an artifact from an annotated matrix; sets `otype` to `"AnnData"` and counts `n_observations`.

        Args:
            adata: AnnData in memory or backed, or the path of one.
            key: Key; its suffix chooses the format. Default: h5ad.
            description: Free text.
            run: Run that made the artifact.
            revises: Version to revise.
            schema: Not supported yet.
            format: `"h5ad"`, `"zarr"` or `"anndata.zarr"`.
            h5ad_kwargs: Keywords for `AnnData.write_h5ad`.
            zarr_kwargs: Keywords for `AnnData.write_zarr`.
            **kwargs: Other keywords of the constructor.

        Raises:
            InvalidArgument: Unknown format, one that contradicts the key, or data that is no AnnData.
        """
        refuse_unsupported(None, schema)
        suffix = None
        if format is not None:
            if format not in ("h5ad", "zarr", "anndata.zarr"):
                raise errors.InvalidArgument(f"format {format!r} is none of 'h5ad', 'zarr', 'anndata.zarr'")
            suffix = f".{format}"
        elif key is None:
            suffix = ".h5ad"
        options = {"h5ad_kwargs": h5ad_kwargs, "zarr_kwargs": zarr_kwargs}
        request = Request(key=key, description=description, run=run, revises=revises, suffix=suffix)
        return cls._from("AnnData", adata, request, options, kwargs)

    @classmethod
    def from_mudata(
        cls,
        mdata: md.MuData | AnyPathStr,
        *,
        key: str | None = None,
        description: str | None = None,
        run: Run | bool | None = None,
        revises: Artifact | None = None,
        schema: Any = None,
        h5mu_kwargs: dict[str, Any] | None = None,
        zarr_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create an artifact from multi-modal data; sets `otype` to `"MuData"` and counts `n_observations`.

        Args:
            mdata: MuData in memory or backed, or the path of one.
            key: Key; its suffix chooses the format (`.h5mu`, `.zarr`, `.mudata.zarr`). Default: h5mu.
            description: Free text.
            run: Run that made the artifact.
            revises: Version to revise.
            schema: Not supported yet.
            h5mu_kwargs: Keywords for `mudata.write_h5mu`.
            zarr_kwargs: `{"zarr_format": 2}` writes that version of zarr.
            **kwargs: Other keywords of the constructor.

        Raises:
            InvalidArgument: The key's suffix is that of no MuData, or the data is none.
            MissingExtra: mudata is not installed.

        Examples:
            >>> import lamart_core as ln
            >>> mdata = ln.examples.datasets.mudata_papalexi21_subset()
            >>> artifact = ln.Artifact.from_mudata(mdata, key="mudata_papalexi21_subset.h5mu").save()
            >>> artifact.n_observations
            200
        """
        refuse_unsupported(None, schema)
        options = {"h5mu_kwargs": h5mu_kwargs, "zarr_kwargs": zarr_kwargs}
        request = Request(key=key, description=description, run=run, revises=revises)
        return cls._from("MuData", mdata, request, options, kwargs)

    @classmethod
    def from_spatialdata(
        cls,
        sdata: sd.SpatialData | AnyPathStr,
        *,
        key: str | None = None,
        description: str | None = None,
        run: Run | bool | None = None,
        revises: Artifact | None = None,
        schema: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Create an artifact from spatial data, a folder; sets `otype` to `"SpatialData"`.

        Args:
            sdata: SpatialData, or the path of one. The object stays as it is, and where it is.
            key: Key with the suffix `.zarr` or `.spatialdata.zarr`.
            description: Free text.
            run: Run that made the artifact.
            revises: Version to revise.
            schema: Not supported yet.
            **kwargs: Other keywords of the constructor.

        Raises:
            InvalidArgument: The key's suffix is another, or the data is no SpatialData.
            MissingExtra: spatialdata is not installed.

        Examples:
            >>> import lamart_core as ln
            >>> from spatialdata.datasets import blobs
            >>> artifact = ln.Artifact.from_spatialdata(blobs(length=32), key="my_dataset.zarr").save()
            >>> with artifact.open() as store:
            ...     list(store.labels)
            ['blobs_labels', 'blobs_multiscale_labels']
        """
        refuse_unsupported(None, schema)
        request = Request(key=key, description=description, run=run, revises=revises)
        return cls._from("SpatialData", sdata, request, {}, kwargs)

    @classmethod
    def from_tiledbsoma(
        cls,
        exp: tiledbsoma.Experiment | AnyPathStr,
        *,
        key: str | None = None,
        description: str | None = None,
        run: Run | bool | None = None,
        revises: Artifact | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create an artifact from a TileDB-SOMA store; sets `otype` to `"tiledbsoma"` and counts `n_observations`.

        Stores of equal content are one artifact, however and whenever they were written. A store in a registered
        location, and any remote one, is registered where it lies; another one is copied into the storage.

        Args:
            exp: Experiment that was written and closed or is open for reading, or the path or URI of a `.tiledbsoma`
                store.
            key: Key, with the suffix `.tiledbsoma`.
            description: Free text.
            run: Run that made the artifact.
            revises: Version to revise.
            **kwargs: Other keywords of the constructor.

        Raises:
            InvalidArgument: The data is neither, or the experiment is open for writing.
            UnreadableContent: The folder holds no SOMA store, or one with members outside of it.
        """
        request = Request(key=key, description=description, run=run, revises=revises)
        data = exp if _is_path(exp) else formats.experiment_source(exp)
        return cls._from("tiledbsoma", data, request, {}, kwargs)

    @classmethod
    def from_lazy(
        cls,
        suffix: str,
        overwrite_versions: bool,
        key: str | None = None,
        description: str | None = None,
        run: Run | bool | None = None,
        **kwargs: Any,
    ) -> LazyArtifact:
        """Give a path in the storage to write to; its `save()` makes the artifact, without a copy.

        Args:
            suffix: Suffix of the path, for example `".zarr"`.
            overwrite_versions: Whether only the content of the latest version is kept.
            key: Key, with the same suffix.
            description: Free text.
            run: Run that makes the artifact.
            **kwargs: Other keywords of the constructor.

        Returns:
            An object with `path` and `save()`. What is written and never saved is removed by garbage collection when
            this process has ended.

        Raises:
            InvalidArgument: The key has another suffix, nothing names the artifact, or the location is not managed.
            FieldValidationError: Unknown keyword.

        Examples:
            >>> import lamart_core as ln
            >>> lazy = ln.Artifact.from_lazy(suffix=".txt", overwrite_versions=False, key="notes.txt")
            >>> _ = lazy.path.write_text("written straight into the storage")
            >>> lazy.save().load()
            'written straight into the storage'
        """
        registry = current_registry()
        request = Request(
            key=key, description=description, run=run, overwrite_versions=overwrite_versions, suffix=suffix
        )
        return lazy.from_lazy(registry, with_others(registry, request, kwargs))

    @classmethod
    def _from(cls, otype: str, data: Any, request: Request, options: dict[str, Any], others: dict[str, Any]) -> Self:
        registry = current_registry()
        request = with_others(registry, request, {"kind": "dataset", **others})
        request = checked(registry, request)
        record = cls._blank()
        if _is_path(data):
            given = {name for name, value in options.items() if value is not None}
            if given:
                raise errors.InvalidArgument(
                    f"{sorted(given)} apply when an object in memory is written, not to a path"
                )
            _check_content(data, otype)
            construct.from_path(record, registry, data, replace(request, suffix=None, otype=request.otype or otype))
            return record
        file_format = (
            formats.for_object(data, request.suffix or _suffix_of(request.key)) if _takes(data, otype) else None
        )
        if file_format is None or file_format.otype != otype:
            raise errors.InvalidArgument(f"data has to be {otype}-like or a path to one, got {type(data).__name__}")
        construct.from_object(record, registry, data, request, options)
        return record

    @classmethod
    def from_dir(
        cls, path: AnyPathStr, *, key: str | None = None, run: Run | bool | None = None
    ) -> SQLRecordList[Self]:
        """Create one artifact for each file in a folder and the folders below it; `.save()` saves them all.

        A file is the artifact of its key: unchanged files give the existing artifacts, changed ones the next versions.
        Files of equal content are artifacts of their own, which share their stored bytes.

        For several hundred thousand files that nobody needs one by one, save the folder as one artifact:
        `Artifact(path)`.

        Args:
            path: Local or remote folder. What lies in a version store (`.lamart/`) is left out.
            key: What the keys begin with, before the paths of the files relative to the folder. Default: in a
                registered storage location the path relative to its root, in a bucket that is not registered yet the
                path in the bucket, and for any other folder its name.
            run: Run that made the files; None takes the current run, False takes none.

        Returns:
            The artifacts, not saved yet, in the order of their paths. Files in a registered location, and remote ones,
            are registered where they lie. A folder without files gives an empty list and a warning.

        Raises:
            PathNotFound: There is nothing at the path.
            NotAFolder: It is a file.
            InvalidArgument: The folder holds something that cannot be stored: a pipe, a link to outside, a name that
                is not UTF-8.
            InvalidKey: `key`, or the name of a file, makes no clean key; or two names differ only in how their
                characters are composed.

        Examples:
            >>> import lamart_core as ln
            >>> Path("run_001/plots").mkdir(parents=True)
            >>> _ = Path("run_001/reads.txt").write_text("ACGT")
            >>> _ = Path("run_001/plots/a.svg").write_text("<svg/>")
            >>> artifacts = ln.Artifact.from_dir("run_001", key="project_alpha/run_001").save()
            >>> artifacts.to_list("key")
            ['project_alpha/run_001/plots/a.svg', 'project_alpha/run_001/reads.txt']
        """
        return from_dir.from_dir(cls, current_registry(), path, key=key, run=run)


def _check_content(path: Any, otype: str) -> None:
    """Check that a path holds what the constructor is for, as far as its name or its attributes tell."""
    local = Path(str(path)).expanduser()
    suffix = suffix_of(str(path), is_folder=local.is_dir())
    if "://" in str(path):
        file_format = formats.for_suffix(suffix)
        fits = file_format is None or file_format.otype in (otype, None)
    else:
        fits = (
            not local.exists()
            or formats.for_path(local, suffix).otype == otype
            or (otype == "DataFrame" and local.is_dir() and table_format(local) is not None)
        )
    if not fits:
        raise errors.InvalidArgument(f"data has to be {otype}-like or a path to one; {path} is not")


def _is_path(data: object) -> bool:
    return isinstance(data, str | Path) or hasattr(data, "protocol")


def _takes(data: object, otype: str) -> bool:
    return any(item.handles(data) for item in formats.all_formats() if item.otype == otype)


def _suffix_of(key: str | None) -> str | None:
    return (suffix_of(key) or None) if key is not None else None
