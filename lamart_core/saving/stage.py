"""Content becomes `Staged`: hashed, measured, and not yet anywhere it could be found."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from upath import UPath

from lamart_core import errors, formats, hashing
from lamart_core.formats import Format
from lamart_core.logging import logger
from lamart_core.objects.plan import Staged
from lamart_core.storage import (
    RESERVED,
    Backend,
    ObjectStat,
    StorageOptions,
    address_of,
    backend_at,
    bucket_of,
    content_state,
    given_options,
    is_reserved,
    match_root,
    normalise_source,
    reading,
    relative_to,
    suffix_of,
)


def resolve_source(path: Any, options: StorageOptions) -> Path | UPath:
    """Return the absolute path that a caller means; `~` is expanded, local URLs become paths.

    Args:
        path: What was passed.
        options: Options that the registry has for remote storages.

    Raises:
        UnsupportedObject: It is no path at all.
        PathNotFound: Nothing is there. Whether a remote path is there, `look` asks.
        UnreadablePath: This process may not look there.
        InvalidArgument: The path is empty, a URL with a query, or something that is neither file nor folder.
    """
    if not isinstance(path, str | Path | UPath):
        raise errors.UnsupportedObject(
            f"data must be a str, Path or UPath, got {type(path).__name__}; "
            "for objects in memory use from_dataframe(), from_anndata() and so on"
        )
    text = str(path)
    if not text:
        raise errors.InvalidArgument("the path is empty; pass that of a file or folder")
    if "://" in text and not text.startswith("file://"):
        return path if isinstance(path, UPath) else _path_of(text, options)
    local = Path(normalise_source(text))
    with hashing.reading_source(local):
        if not local.exists():
            raise errors.PathNotFound(f"there is no file or folder {str(local)!r}")
        if not local.is_dir():
            hashing.check_regular(local, local.stat().st_mode)
    return local


def _path_of(url: str, options: StorageOptions) -> Path | UPath:
    if url.startswith(("http://", "https://")) and "?" in url:
        raise errors.InvalidArgument(f"{url} has a query, so it is no lasting address; download it first")
    root = bucket_of(url)
    return backend_at(root, options.for_root(root)).path(relative_to(url, root))


@dataclass(frozen=True)
class RemoteObject:
    """A remote object where it lies.

    Attributes:
        root: Root of its storage location, or of its bucket where no location covers it.
        relpath: Path relative to that root.
        stat: What the server says of it.
        options: Options that its path object came with.
        path: The object, with all options that it is read with.
    """

    root: str
    relpath: str
    stat: ObjectStat
    options: dict[str, Any]
    path: Path | UPath


def look(source: UPath, roots: Iterable[str], options: StorageOptions) -> RemoteObject:
    """Ask the server for a remote object: one request for a file, one listing more for a folder.

    Args:
        source: Path from `resolve_source`.
        roots: Roots of the registered storage locations.
        options: Options that the registry has for remote storages.

    Raises:
        PathNotFound: Nothing is there.
        InvalidArgument: The path lies in a version store.
        StorageError: The server failed. That it refuses to say is no error, but a warning.
    """
    text = address_of(source)
    root = match_root(text, roots) or bucket_of(text)
    relpath = relative_to(text, root)
    _check_not_reserved(relpath, text)
    own = given_options(root, source.storage_options)
    backend = backend_at(root, options.for_root(root) | own)
    try:
        stat = backend.stat(relpath)
    except errors.PathNotFound as error:
        raise errors.PathNotFound(f"there is nothing at {text}") from error
    except errors.AccessDenied as error:
        logger.warning("size and hash of %s are not known, going on: %s", text, error)
        stat = ObjectStat(None, None, False, None)
    return RemoteObject(root, relpath, stat, own, backend.path(relpath))


def _check_not_reserved(path: str, text: str) -> None:
    if is_reserved(path):
        raise errors.InvalidArgument(f"{text} lies in the reserved folder {RESERVED}/")


def stage_path(
    source: Path | UPath,
    *,
    roots: Iterable[str],
    algorithm: str,
    suffix: str | None = None,
    remote: RemoteObject | None = None,
) -> Staged:
    """Stage a file or folder that exists.

    Args:
        source: Path from `resolve_source`.
        roots: Roots of the registered storage locations; a path below one of them is registered in place.
        algorithm: Hash algorithm of the registry.
        suffix: Suffix, where the caller knows better than the name.
        remote: What `look` found; needed for a remote path.

    Raises:
        InvalidArgument: The path lies in the version store, is an empty folder or no regular file.
    """
    text = address_of(source)
    root = match_root(text, roots)
    in_place = relative_to(text, root) if root is not None else None
    _check_not_reserved(in_place if in_place is not None else text, text)
    if isinstance(source, Path):
        return _stage_local(source, algorithm, root=root, in_place=in_place, suffix=suffix)
    assert remote is not None
    stat, relpath = remote.stat, remote.relpath
    found = suffix if suffix is not None else suffix_of(relpath, is_folder=stat.is_folder)
    kind = _kind_of(cast(UPath, remote.path), found, stat)
    return Staged(
        source=source,
        suffix=found,
        is_folder=stat.is_folder,
        size=stat.size,
        n_files=stat.n_files,
        digest=stat.digest,
        otype=kind.otype,
        n_observations=kind.n_observations,
        in_place=relpath,
        root=remote.root,
    )


@dataclass(frozen=True)
class _Kind:
    """What remote content is, as far as a small read tells."""

    otype: str | None = None
    n_observations: int | None = None


def _kind_of(source: UPath, suffix: str, stat: ObjectStat) -> _Kind:
    file_format = formats.for_suffix(suffix)
    by_name = _Kind(file_format.otype if file_format is not None else None)
    if stat.size is None:  # the server does not let us look
        return by_name
    try:
        with reading(str(source.parent), source.name):
            file_format = formats.for_remote(source, suffix, is_folder=stat.is_folder)
        if stat.is_folder and not file_format.suffixes:
            return _Kind()  # a folder of whatever: counting it would list it again
        return _Kind(file_format.otype, count(file_format, source, suffix))
    except (OSError, errors.MissingExtra) as error:
        logger.warning("what %s holds is not known: %s", source, error)
        return by_name


def _stage_local(source: Path, algorithm: str, *, root: str | None, in_place: str | None, suffix: str | None) -> Staged:
    is_folder = source.is_dir()
    found = suffix if suffix is not None else suffix_of(source.name, is_folder=is_folder)
    # What lies in a storage location is not copied, and so not hashed again: its state tells whether it changed.
    state = content_state(source) if in_place is not None else None
    tree = hashing.hash_tree(source, algorithm) if is_folder else None
    digest, size = (tree.digest, tree.size) if tree is not None else hashing.measure_file(source, algorithm)
    file_format = formats.for_path(source, found)
    return Staged(
        source=source,
        suffix=found,
        is_folder=is_folder,
        size=size,
        n_files=tree.n_files if tree is not None else None,
        digest=_content_digest(file_format, source) or digest,
        tree=tree,
        state=state,
        otype=file_format.otype,
        n_observations=count(file_format, source, found),
        in_place=in_place,
        root=root,
    )


def stage_copy(path: Path, *, algorithm: str, suffix: str) -> Staged:
    """Stage a staging file or folder of ours that was written to; saving moves it."""
    staged = _stage_local(path, algorithm, root=None, in_place=None, suffix=suffix)
    return replace(staged, is_owned=True)


def stage_stored(backend: Backend, relpath: str, *, algorithm: str, suffix: str) -> Staged:
    """Stage what was written into the version store by its owner.

    Local bytes and remote files are read and hashed. A remote folder is described by what the server says of its
    files: reading it back would cost what writing it there was to spare.

    Raises:
        PathNotFound: Nothing was written.
        InvalidArgument: An empty folder, or no regular file.
        SourceChanged: It is written while it is read.
    """
    source = backend.path(relpath)
    if isinstance(source, Path):
        if not source.exists():
            raise errors.PathNotFound(f"nothing was written to {source}")
        staged = _stage_local(source, algorithm, root=backend.root, in_place=relpath, suffix=suffix)
        return replace(staged, in_place=None, root=None, stored=relpath)
    stat = backend.stat(relpath)
    kind = _kind_of(source, suffix, stat)
    digest = stat.digest
    if not stat.is_folder:
        with TemporaryDirectory() as folder:
            copy = Path(folder, f"object{suffix}")
            backend.get(relpath, copy)
            digest = hashing.hash_file(copy, algorithm)
            if backend.stat(relpath) != stat:
                raise errors.SourceChanged(f"{backend.root}/{relpath} is still written to; save it when it is complete")
    return Staged(
        source=source,
        suffix=suffix,
        is_folder=stat.is_folder,
        size=stat.size,
        n_files=stat.n_files,
        digest=digest,
        otype=kind.otype,
        n_observations=kind.n_observations,
        stored=relpath,
    )


def _content_digest(file_format: Format, path: Path) -> hashing.Digest | None:
    """What the content means, where the format says; else None: then only equal bytes are equal content."""
    try:
        return file_format.content_digest(path)
    except errors.MissingExtra as error:
        logger.warning("equal contents of %s are told by their bytes only: %s", path, error)
        return None


def count(file_format: Format, path: Path | UPath, suffix: str) -> int | None:
    """Count observations where the format can; what cannot be read or whose library is missing has no count."""
    try:
        return file_format.count_observations(path, suffix=suffix)
    except (errors.LamartError, OSError) as error:
        logger.warning("the observations of %s cannot be counted: %s", path, error)
        return None


def stage_object(
    obj: object,
    *,
    backend: Backend,
    cache_dir: Path,
    suffix: str | None,
    algorithm: str,
    options: formats.Options | None = None,
) -> Staged:
    """Write an object from memory into a staging file: in the target storage where it is local, so that saving renames.

    Args:
        obj: Object of a registered format.
        backend: Storage that the artifact will go to.
        cache_dir: Folder for staging files of remote storages.
        suffix: Suffix that the key asks for, or None for the format's own.
        algorithm: Hash algorithm of the registry.
        options: Keyword groups for the writer, for example `{"parquet_kwargs": {…}}`.

    Raises:
        UnsupportedObject: No format takes the object.
        InvalidArgument: The object cannot be written under this suffix, or an option does not fit.
    """
    file_format = formats.for_object(obj, suffix)
    chosen = suffix or file_format.default_suffix(obj)
    staging = backend.staging(cache_dir)
    path = staging.new_path(chosen)
    try:
        file_format.write(obj, path, suffix=chosen, options=options)
        if not file_format.is_folder:
            staging.begin_flush(path)
        tree = hashing.hash_tree(path, algorithm) if file_format.is_folder else None
        digest = tree.digest if tree is not None else hashing.hash_file(path, algorithm)
        size = tree.size if tree is not None else path.stat().st_size
        return Staged(
            source=path,
            suffix=chosen,
            is_folder=file_format.is_folder,
            size=size,
            n_files=tree.n_files if tree is not None else None,
            digest=file_format.content_digest(path) or digest,
            tree=tree,
            otype=file_format.otype,
            n_observations=_count_of(file_format, obj, path, chosen),
            is_owned=True,
            memory=obj,
        )
    except BaseException:
        discard_path(path)
        raise


def _count_of(file_format: Format, obj: object, path: Path, suffix: str) -> int | None:
    """Count an object that was written; what is computed while it is written does not know before."""
    counted = file_format.n_observations(obj)
    return counted if counted is not None else count(file_format, path, suffix)


def discard(staged: Staged) -> None:
    """Remove the staging file of content that is not going to be saved."""
    if staged.is_owned and isinstance(staged.source, Path):
        discard_path(staged.source)


def discard_path(path: Path) -> None:
    """Remove a staging file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
