"""Artifact: datasets and models stored as files, folders or arrays."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from sqlalchemy import inspect as sa_inspect

from lamart_core import errors, formats, storage
from lamart_core.db import MAIN_BRANCH_ID, Registry, current_registry
from lamart_core.describe import describe
from lamart_core.formats.folders import table_format
from lamart_core.lifecycle import construct, delete, edit, from_dir, hybrid, lazy, read, save
from lamart_core.lifecycle import replace as replacing
from lamart_core.lifecycle import transfer as transfers
from lamart_core.lifecycle.arguments import Request, checked
from lamart_core.lifecycle.artifact_set import ArtifactSet
from lamart_core.lifecycle.lazy import LazyArtifact
from lamart_core.lifecycle.lists import SQLRecordList
from lamart_core.lineage import view_lineage
from lamart_core.lineage.links import track_input
from lamart_core.logging import logger
from lamart_core.query import QuerySet
from lamart_core.records import (
    ArtifactRecord,
    Branch,
    Run,
    Space,
    Storage,
    StoredObject,
    Transform,
    latest_readme,
)
from lamart_core.types import AnyPathStr, ArtifactKind

if TYPE_CHECKING:
    import anndata as ad
    import mudata as md
    import pandas as pd
    import spatialdata as sd
    import tiledbsoma
    from graphviz import Digraph
    from upath import UPath

_OBJECT_CONSTRUCTORS = {
    "DataFrame": "from_dataframe",
    "AnnData": "from_anndata",
    "MuData": "from_mudata",
    "SpatialData": "from_spatialdata",
    "tiledbsoma": "from_tiledbsoma",
}


class Artifact(ArtifactRecord):
    """Datasets and models stored as files, folders or arrays.

    `Artifact(path, key=…)` hashes the content and looks it up: content that is known gives the existing artifact,
    content that is new under a known key the next version. Nothing is stored before `save()`.

    Args:
        path: Local or remote file or folder.
        key: Relative path within the storage location; artifacts of one key form a version family.
        description: Free text.
        kind: `"dataset"`, `"model"` or another word of at most 20 characters.
        features: External features. Not supported yet.
        schema: Schema that validates the features. Not supported yet.
        revises: Version to revise, instead of a key.
        overwrite_versions: Whether only the files of the latest version are kept. Default: True for folders, False
            for files.
        run: Run that made the artifact; None takes the current run, False takes none.
        storage: Storage location to write to. Default: one of `space`, else that of the registry.
        branch: Branch of the artifact. Default: the current one.
        space: Space of the artifact. Default: that of the storage location.
        skip_hash_lookup: None looks equal content up unless the path lies in a registered location; True never
            does, False always. Empty files are never looked up.
        key_is_virtual: Whether the key is a name only (True), or also the path in storage (False).

    Raises:
        PathNotFound: There is nothing at the path.
        InvalidKey: The key is no clean relative path.
        InvalidArgument: Suffixes of key and path differ, or nothing names the artifact.
        FieldValidationError: Unknown keyword.
        UnsupportedObject: `path` is no path.

    Examples:
        >>> import lamart_core as ln
        >>> _ = Path("my_file.txt").write_text("hello")
        >>> artifact = ln.Artifact("my_file.txt", key="examples/my_file.txt").save()
        >>> artifact.load()
        'hello'
    """

    __tablename__ = "lamart_artifact"
    __query_set__ = ArtifactSet

    def __init__(
        self,
        *args: AnyPathStr | Any,
        key: str | None = None,
        description: str | None = None,
        kind: ArtifactKind | str | None = None,
        features: dict[str, Any] | None = None,
        schema: Any = None,
        revises: Artifact | None = None,
        overwrite_versions: bool | None = None,
        run: Run | bool | None = None,
        storage: Storage | None = None,
        branch: Branch | None = None,
        space: Space | None = None,
        skip_hash_lookup: bool | None = None,
        key_is_virtual: bool | None = None,
        **others: Any,
    ) -> None:
        columns = [attribute.key for attribute in sa_inspect(Artifact).column_attrs]
        if len(args) == len(columns):
            self._registry = current_registry()
            self._adopt_row(dict(zip(columns, args, strict=True)))
            return
        if "path" in others and not args:
            args = (others.pop("path"),)
        if len(args) != 1:
            raise errors.InvalidArgument(f"Artifact() takes one non-keyword argument, the path; got {len(args)}")
        _refuse_unsupported(features, schema)
        request = Request(
            key=key,
            description=description,
            kind=kind,
            revises=revises,
            overwrite_versions=overwrite_versions,
            run=run,
            storage=storage,
            branch=branch,
            space=space,
            skip_hash_lookup=skip_hash_lookup,
            key_is_virtual=key_is_virtual,
        )
        registry = current_registry()
        request = _with_others(registry, request, others)
        data = args[0]
        if isinstance(data, str | Path) or hasattr(data, "__fspath__") or hasattr(data, "protocol"):
            construct.from_path(self, registry, data, request)
            return
        otype = formats.for_object(data).otype if _is_dataset(data) else None
        if otype is None:
            raise errors.UnsupportedObject(f"data must be a str, Path or UPath, got {type(data).__name__}")
        logger.warning("use Artifact.%s() for objects in memory", _OBJECT_CONSTRUCTORS.get(otype, "from_…"))
        construct.from_object(self, registry, data, request)

    # ------------------------------------------------------------------ constructors

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
        _refuse_unsupported(features, schema)
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
        _refuse_unsupported(None, schema)
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
        _refuse_unsupported(None, schema)
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
        _refuse_unsupported(None, schema)
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
        is_path = isinstance(exp, str | Path) or hasattr(exp, "protocol")
        data = exp if is_path else formats.experiment_source(exp)
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
        return lazy.from_lazy(registry, _with_others(registry, request, kwargs))

    @classmethod
    def _from(cls, otype: str, data: Any, request: Request, options: dict[str, Any], others: dict[str, Any]) -> Self:
        registry = current_registry()
        request = _with_others(registry, request, {"kind": "dataset", **others})
        request = checked(registry, request)
        record = cls._blank()
        if isinstance(data, str | Path) or hasattr(data, "protocol"):
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

    # ------------------------------------------------------------------ queries

    @classmethod
    def get(
        cls,
        idlike: int | str | None = None,
        *,
        key: str | None = None,
        path: AnyPathStr | None = None,
        is_run_input: bool | Run = False,
        **expressions: Any,
    ) -> Self:
        """Get a single artifact.

        Args:
            idlike: An id, a full uid (that version), or the beginning of a uid (the latest version).
            key: Key; gives the latest version, or with `version="tag"` that version.
            path: Full path of the object in storage.
            is_run_input: Whether to record the artifact as an input of the current, or of the given, run.
            **expressions: Fields and values as Django query expressions.

        Raises:
            ObjectDoesNotExist: No artifact matches.
            MultipleObjectsReturned: Several match, for example one key in two storage locations.
        """
        query = QuerySet(cls, current_registry())
        version = expressions.pop("version", None)
        expressions = _through_run(expressions)
        if path is not None:
            expressions["id"] = _id_of_path(current_registry(), path)
        if key is not None:
            expressions["key"] = key
        if version is not None:
            record = _get_version(query, expressions, version)
        elif isinstance(idlike, str) and len(idlike) <= _STEM_LENGTH and not expressions:
            by_uid = query.filter(uid__startswith=idlike)
            record = _latest(by_uid, f"uid {idlike!r} (for a key: get(key={idlike!r}))", idlike)
        elif idlike is None and key is not None and set(expressions) == {"key"}:
            record = _latest(query.filter(key=key), f"key {key!r}")
        else:
            record = query.get(idlike, **expressions)
        if is_run_input is not False:
            track_input(record, is_run_input)
        return record

    @classmethod
    def filter(  # pyright: ignore[reportIncompatibleMethodOverride]  # the same query set, of this class
        cls, *queries: Any, **expressions: Any
    ) -> ArtifactSet[Self]:
        """Query artifacts; see `SQLRecord.filter`. `transform__key=…` means `run__transform__key=…`."""
        return cast("ArtifactSet[Self]", super().filter(*queries, **_through_run(expressions)))

    # ------------------------------------------------------------------ content

    @property
    def path(self) -> Path | UPath:
        """Where the bytes are: the object in storage, or the source while the artifact is not saved."""
        return read.path(self)

    @property
    def overwrite_versions(self) -> bool:
        """Whether only the files of the latest version are kept."""
        return self._overwrite_versions

    @property
    def transform(self) -> Transform | None:
        """The code whose run made the artifact."""
        run: Run | None = self.run
        return run.transform if run is not None else None

    def load(self, *, is_run_input: bool | Run | None = None, mute: bool = False, **kwargs: Any) -> Any:
        """Return the content in memory.

        Args:
            is_run_input: Whether to record the artifact as an input of the current, or of the given, run.
            mute: Whether to draw no progress.
            **kwargs: `as_type=…` asks for a type other than the format's default; others go to the reader.

        Raises:
            NoLoader: The format has none; use `cache()`.
            ContentMismatch: The stored bytes are not those of the record.
            OutdatedVersion: The files of this version were overwritten.
        """
        return read.load(self, is_run_input=is_run_input, mute=mute, **kwargs)

    def open(
        self, mode: str = "r", engine: str = "pyarrow", is_run_input: bool | Run | None = None, **kwargs: Any
    ) -> Any:
        """Open the content for streaming: a `pyarrow.dataset.Dataset`, an accessor of an annotated matrix, ….

        With a writing mode, what is opened is a private copy. Closing it, by `close()` or at the end of its `with`
        block, saves the copy as the next version if its content changed; this object stays the version that it is, and
        `versions` or `get(key=…)` give the new one. An exception in the `with` block discards the copy.

        Args:
            mode: `"r"`, or another mode that the format knows: `"r+"` for an AnnData in Zarr, `"w"` for
                TileDB-SOMA.
            engine: `"pyarrow"` or `"polars"`, for tables.
            is_run_input: Whether to record the artifact as an input of the current, or of the given, run.
            **kwargs: Go to the library that opens.

        Raises:
            InvalidArgument: The format cannot be opened, or not in this mode; for writing also an artifact that is not
                the latest version, or lies where nothing may be written.
            EditNotSaved: On closing: the next version could not be saved, for example because others saved one
                meanwhile. The copy is kept.

        Examples:
            >>> import lamart_core as ln, pandas as pd
            >>> artifact = ln.Artifact.from_dataframe(pd.DataFrame({"a": [1, 2]}), key="examples/o.parquet").save()
            >>> artifact.open().count_rows()
            2
        """
        if mode == "r":
            return read.open_lazily(self, engine=engine, is_run_input=is_run_input, **kwargs)
        return edit.open_to_write(self, mode=mode, engine=engine, is_run_input=is_run_input, **kwargs)

    def cache(self, *, is_run_input: bool | Run | None = None, mute: bool = False) -> Path:
        """Return a local path with the bytes; remote objects are downloaded when the local copy is outdated.

        Args:
            is_run_input: Whether to record the artifact as an input of the current, or of the given, run.
            mute: Whether to draw no progress.
        """
        return read.cache(self, is_run_input=is_run_input, mute=mute)

    def verify(self) -> bool:
        """Hash the stored bytes again.

        Returns:
            True.

        Raises:
            ContentMismatch: The bytes are missing or altered; the message says what differs.
        """
        return read.verify(self)

    # ------------------------------------------------------------------ life

    def save(
        self,
        upload: bool | None = None,
        transfer: str = "record",
        print_progress: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Save to database and storage.

        Args:
            upload: Whether an artifact that is kept in the local storage location (see `connect(local_storage=…)`)
                goes to the default one, with all its versions. None and False leave it where it is.
            transfer: For an artifact that was queried from another registry, `ln.DB(url)`: saving it transfers its
                record into the current one, the bytes stay where they are. `"annotations"` means features and
                labels too, as far as there are any.
            print_progress: Whether an upload draws a bar on stderr: True always, False never. Default:
                `settings.progress`, which draws one for large uploads on a terminal.
            **kwargs: None are known.

        Returns:
            The artifact itself. Saving again without changes writes nothing.

        Raises:
            PathNotFound: The source vanished since the artifact was constructed.
            SourceChanged: The source was modified since.
            StorageError: The storage refused the bytes.
            InvalidArgument: `upload=True` for an artifact of another location.
        """
        if transfer not in ("record", "annotations"):
            raise errors.InvalidArgument(f"transfer={transfer!r} is neither 'record' nor 'annotations'")
        if kwargs:
            raise errors.FieldValidationError(f"save() got unknown keywords {sorted(kwargs)}")
        if self.registry.is_read_only and self.is_saved:
            transfers.transfer(self, current_registry())
        else:
            save.save(self, show_progress=print_progress)
        if upload:
            hybrid.upload(self)
        return self

    def replace(self, data: Any, run: Run | bool | None = None, format: str | None = None) -> None:
        """Replace the content without making a new version; `save()` persists it, nothing is written before.

        Uid and family stay; hash, size, suffix, type and number of observations become those of the new content. With
        another suffix the key of all versions gets it too. Equal content changes nothing; content of another artifact
        replaces like any other. To keep the old content, save a new version instead.

        Args:
            data: Path of a local file or folder outside of the storage locations, or an object in memory.
            run: Run that made the content. None takes the current run; without one, or with False, the artifact keeps
                the run that it has.
            format: Format of an object in memory, for example `"csv"`. Default: the one that the artifact has, if the
                object can be written so, else that of the object.

        Raises:
            InvalidArgument: The artifact is not saved, in the trash or in a location that is not managed; a file would
                become a folder; the data lies in a storage location; the format does not fit.
            OutdatedVersion: The files of this version were overwritten.
            ProtectedError: The artifact is a member of a collection.
            PathNotFound: There is nothing at the path.
            UnsupportedObject: No format takes the object.

        Examples:
            >>> import lamart_core as ln
            >>> _ = Path("draft.txt").write_text("helo")
            >>> artifact = ln.Artifact("draft.txt", key="draft.txt").save()
            >>> _ = Path("draft.txt").write_text("hello")
            >>> artifact.replace("draft.txt")
            >>> artifact.save().load(), artifact.version
            ('hello', '0000')
        """
        replacing.replace(self, data, run=run, format=format)

    def delete(
        self,
        permanent: bool | None = None,
        storage: bool | None = None,
        using_key: str | None = None,
        using: str | None = None,
    ) -> None:
        """Trash the artifact, or delete it permanently. Never asks.

        Of a folder whose versions are overwritten, the latest version takes all others along, and an older one
        leaves the files where they are.

        Args:
            permanent: True skips the trash; None trashes at the first call and deletes at the second. What counts is
                whether this object knows that it lies in the trash.
            storage: Whether to delete the bytes. None deletes what lies in the version store and keeps, with a
                warning, what lies at a real key or was registered in place. Bytes that another artifact refers to
                are always kept.
            using_key: Name of the registry that the artifact belongs to: its uid, URL or `"default"`.
            using: Another name of `using_key`.

        Raises:
            ProtectedError: Another record refers to the artifact; the message names some.
            IntegrityError: The storage location is not managed here and `storage` is not False.
            InvalidArgument: `using_key` names another registry.
            RecordLocked: The artifact is locked.
        """
        delete.delete(self, permanent=permanent, storage=storage, using_key=using_key if using is None else using)

    @property
    def notes(self) -> str | None:
        """Text of the latest read-me, or None; `ln.models.ArtifactBlock` writes one."""
        return latest_readme(self) if self.is_saved else None

    # ------------------------------------------------------------------ views

    def view_lineage(self, with_children: bool = True, return_graph: bool = False) -> Digraph | None:
        """Show the runs, artifacts and collections that lead to this artifact and follow from it.

        Drawn in a notebook where the program `dot` is installed, printed as text elsewhere. Re-creations are dashed,
        memberships of collections dotted. `ln.lineage_graph(artifact)` gives the graph for Mermaid and others.

        Args:
            with_children: Whether to include what follows.
            return_graph: Whether to return the graph instead of showing it; needs no `dot` executable.
        """
        return view_lineage(self, with_children=with_children, return_graph=return_graph)

    def describe(self, return_str: bool = False) -> str | None:
        """Print what is known about the artifact, or return it as plain text."""
        return describe(self, return_str=return_str)


def _through_run(expressions: dict[str, Any]) -> dict[str, Any]:
    """Read `transform…` as `run__transform…`: an artifact has a transform through its run only."""
    return {
        f"run__{name}" if name == "transform" or name.startswith("transform__") else name: value
        for name, value in expressions.items()
    }


_STEM_LENGTH = 16
_SHOWN = 50
_KNOWN_OTHERS = (
    "otype",
    "n_observations",
    "version",
    "version_tag",
    "extra_data",
    "run_id",
    "storage_id",
    "branch_id",
    "space_id",
    "kind",
    "overwrite_versions",
    "storage",
    "branch",
    "space",
    "skip_hash_lookup",
    "key_is_virtual",
)


def _refuse_unsupported(features: Any, schema: Any) -> None:
    for name, value in (("features", features), ("schema", schema)):
        if value is not None:
            raise errors.InvalidArgument(f"{name}=… is not supported yet by this version of lamart-dagster")


def _with_others(registry: Registry, request: Request, others: dict[str, Any]) -> Request:
    """Take in the rarer keywords: fields, and ids instead of records."""
    unknown = sorted(set(others) - set(_KNOWN_OTHERS))
    if unknown:
        known = [
            name for name in inspect.signature(Artifact.__init__).parameters if name not in ("self", "others", "args")
        ]
        raise errors.FieldValidationError(
            f"Artifact() got unknown keywords {unknown}; it takes: {', '.join(sorted({*known, *_KNOWN_OTHERS}))}"
        )
    values = dict(others)
    if "version" in values:
        values["version_tag"] = values.pop("version")
    for name, model in (("run", Run), ("storage", Storage), ("branch", Branch), ("space", Space)):
        record_id = values.pop(f"{name}_id", None)
        if record_id is None:
            continue
        if getattr(request, name) is not None or values.get(name) is not None:
            raise errors.InvalidArgument(f"pass either {name} or {name}_id, not both")
        values[name] = QuerySet(model, registry).get(record_id)
    return replace(request, **values)


def _is_dataset(data: object) -> bool:
    try:
        return formats.for_object(data).otype is not None
    except errors.UnsupportedObject:
        return False


def _takes(data: object, otype: str) -> bool:
    return any(item.handles(data) for item in formats.all_formats() if item.otype == otype)


def _suffix_of(key: str | None) -> str | None:
    return (storage.suffix_of(key) or None) if key is not None else None


def _check_content(path: Any, otype: str) -> None:
    """Check that a path holds what the constructor is for, as far as its name or its attributes tell."""
    local = Path(str(path)).expanduser()
    suffix = storage.suffix_of(str(path), is_folder=local.is_dir())
    if "://" in str(path):
        known = formats.for_suffix(suffix)
        fits = known is None or known.otype in (otype, None)
    else:
        fits = (
            not local.exists()
            or formats.for_path(local, suffix).otype == otype
            or (otype == "DataFrame" and local.is_dir() and table_format(local) is not None)
        )
    if not fits:
        raise errors.InvalidArgument(f"data has to be {otype}-like or a path to one; {path} is not")


def _latest(query: QuerySet[Any], asked: str, idlike: str | None = None) -> Any:
    found = query.filter(is_latest=True).order_by("-id")[:_SHOWN].to_list()
    if len({item.stem_uid for item in found}) > 1:
        raise errors.MultipleObjectsReturned(f"several artifacts match {asked}: {', '.join(map(repr, found[:3]))}")
    # A family has one latest version per branch: the current branch first, then main, which a branch falls back to.
    current = query.registry.branch_id
    found.sort(key=lambda item: (item.branch_id == current, item.branch_id == MAIN_BRANCH_ID, item.id), reverse=True)
    record = found[0] if found else query.order_by("-uid").first()
    if record is None:
        deleted = Artifact._explain_missing(query.registry, idlike) if idlike is not None else None
        nothing = f"no artifact matches {asked}; what is in the trash needs branch_id=-1"
        raise errors.ObjectDoesNotExist(deleted or nothing)
    return record


def _get_version(query: QuerySet[Any], expressions: dict[str, Any], version: str) -> Any:
    tagged = query.filter(version_tag=version, **expressions).one_or_none()
    if tagged is not None:
        return tagged
    return query.get(None, uid__endswith=version, **expressions)


def _id_of_path(registry: Registry, path: AnyPathStr) -> int:
    text = storage.address_of(path) if "://" in str(path) else storage.normalise_source(str(path))
    locations = {item.root: item for item in QuerySet(Storage, registry).filter().to_list()}
    root = storage.match_root(text, locations)
    if root is None:
        raise errors.ObjectDoesNotExist(f"{text} lies in no registered storage location")
    relpath = storage.relative_to(text, root)
    objects = QuerySet(StoredObject, registry).filter(storage_id=locations[root].id, path=relpath)
    stored = objects.order_by("-id").first()
    found = None if stored is None else QuerySet(Artifact, registry).filter(object_id=stored.id).order_by("-id").first()
    if found is None:
        raise errors.ObjectDoesNotExist(f"no artifact lies at {text}")
    return found.id
