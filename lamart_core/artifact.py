"""Artifact: datasets and models stored as files, folders or arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from sqlalchemy import inspect as sa_inspect

from lamart_core import errors, formats
from lamart_core.constructors import ArtifactConstructors
from lamart_core.db import current_registry
from lamart_core.describe import describe
from lamart_core.lineage import view_lineage
from lamart_core.lineage.edges import track_input
from lamart_core.logging import logger
from lamart_core.moving import delete, registry_transfer
from lamart_core.query import QuerySet
from lamart_core.reading import lookup, read
from lamart_core.reading.artifact_set import ArtifactSet
from lamart_core.records import Branch, Run, Space, Storage, Transform, latest_readme
from lamart_core.records.kinds.described import class_or_record, describe_class
from lamart_core.saving import assigned, construct, edit, hybrid, save
from lamart_core.saving import replace as replacing
from lamart_core.saving.arguments import Request, refuse_unsupported, with_others
from lamart_core.types import AnyPathStr, ArtifactKind

if TYPE_CHECKING:
    from graphviz import Digraph
    from upath import UPath

_OBJECT_CONSTRUCTORS = {
    "DataFrame": "from_dataframe",
    "AnnData": "from_anndata",
    "MuData": "from_mudata",
    "SpatialData": "from_spatialdata",
    "tiledbsoma": "from_tiledbsoma",
}


class Artifact(ArtifactConstructors):
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
        refuse_unsupported(features, schema)
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
        request = with_others(registry, request, others)
        data = args[0]
        if isinstance(data, str | Path) or hasattr(data, "__fspath__") or hasattr(data, "protocol"):
            construct.from_path(self, registry, data, request)
            return
        otype = formats.for_object(data).otype if _is_dataset(data) else None
        if otype is None:
            raise errors.UnsupportedObject(f"data must be a str, Path or UPath, got {type(data).__name__}")
        logger.warning("use Artifact.%s() for objects in memory", _OBJECT_CONSTRUCTORS.get(otype, "from_…"))
        construct.from_object(self, registry, data, request)

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
        registry = current_registry()
        if path is not None:
            expressions["id"] = lookup.id_of_path(cls, registry, path)
        if key is not None:
            expressions["key"] = key
        record = QuerySet(cls, registry).get(idlike, **expressions)
        if is_run_input is not False:
            track_input(record, is_run_input)
        return record

    @classmethod
    def filter(  # pyright: ignore[reportIncompatibleMethodOverride]  # the same query set, of this class
        cls, *queries: Any, **expressions: Any
    ) -> ArtifactSet[Self]:
        """Query artifacts; see `SQLRecord.filter`. `transform__key=…` means `run__transform__key=…`."""
        return cast("ArtifactSet[Self]", super().filter(*queries, **expressions))

    # ------------------------------------------------------------------ content

    @property
    def path(self) -> Path | UPath:
        """Where the bytes are: the object in storage, or the source while the artifact is not saved."""
        return read.path(self)

    @property
    def key_is_virtual(self) -> bool:
        """Whether the key is a name only, and not the path of the bytes in the storage location; fixed by saving."""
        return self._key_is_virtual

    @key_is_virtual.setter
    def key_is_virtual(self, value: bool | None) -> None:
        assigned.check_unsaved(self, "key_is_virtual")
        self._key_is_virtual = value  # pyright: ignore[reportAttributeAccessIssue]  # None: as in the constructor

    @property
    def overwrite_versions(self) -> bool:
        """Whether only the files of the latest version are kept; fixed by saving."""
        return self._overwrite_versions

    @overwrite_versions.setter
    def overwrite_versions(self, value: bool | None) -> None:
        assigned.check_unsaved(self, "overwrite_versions")
        self._overwrite_versions = value  # pyright: ignore[reportAttributeAccessIssue]  # None: as in the constructor

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
            registry_transfer.transfer(self, current_registry())
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

        Of a folder whose versions are overwritten, the latest version takes along those whose files it has overwritten,
        and an older one leaves the files where they are. A version that was kept stays.

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

    def _check(self) -> None:
        super()._check()
        if not self.is_saved and self._pending is not None:
            assigned.pending_of(self)

    # ------------------------------------------------------------------ views

    def view_lineage(self, with_children: bool = True, return_graph: bool = False) -> Digraph | None:
        """Show the runs, artifacts and collections that lead to this artifact and follow from it.

        Drawn in a notebook where the extra `pictures` or Graphviz is installed, printed as text elsewhere.
        Re-creations are dashed, memberships of collections dotted. `ln.lineage_graph(artifact)` gives the graph to
        draw into a file, for Mermaid and others.

        Args:
            with_children: Whether to include what follows.
            return_graph: Whether to return the graph instead of showing it.
        """
        return view_lineage(self, with_children=with_children, return_graph=return_graph)

    @class_or_record(describe_class)
    def describe(self, return_str: bool = False) -> str | None:
        """Print what is known about the artifact, or return it as plain text."""
        return describe(self, return_str=return_str)


def _is_dataset(data: object) -> bool:
    try:
        return formats.for_object(data).otype is not None
    except errors.UnsupportedObject:
        return False
