"""Reading: the path, a local copy, the object in memory, or a lazy view, and never other bytes than the record's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Select, Table, bindparam, func, select
from upath import UPath

from lamart_core import errors, formats, hashing
from lamart_core.db import Registry
from lamart_core.hashing import Digest
from lamart_core.lineage.edges import track_input
from lamart_core.objects import histories
from lamart_core.objects import verify as verifying
from lamart_core.objects.histories import OBJECT
from lamart_core.objects.plan import Row
from lamart_core.objects.verify import digest_of, expected
from lamart_core.records import ArtifactRecord, Run, Storage
from lamart_core.storage import Cache, ContentAddressedFolder, Depth, reading

T = TypeVar("T")
_ATTEMPTS = 5
_STORAGE = Storage.__table__


@dataclass(frozen=True)
class _Where:
    """Where the bytes of an artifact are at this moment, as the database says."""

    storage: Storage
    object: Row
    folder: ContentAddressedFolder | None = None

    @property
    def relpath(self) -> str:
        return self.object["path"]

    @property
    def is_folder(self) -> bool:
        return self.object["n_files"] is not None

    @property
    def path(self) -> Path | UPath:
        return self.folder.path if self.folder is not None else self.storage.backend.path(self.relpath)

    @property
    def is_exact(self) -> bool:
        return self.object["is_exact"] or self.object["hash"] is None

    def stamp(self) -> str | None:
        """Return what changes when others write to the bytes; None where nobody else does, or nobody can tell."""
        if self.object["is_managed"]:
            return None
        try:
            return self.storage.backend.stamp(self.relpath)
        except errors.LamartError:
            return ""


def path(record: ArtifactRecord) -> Path | UPath:
    """Return where the bytes are: the source of an unsaved artifact, the object in storage of a saved one."""
    pending = record._pending
    if not record.is_saved:
        assert pending is not None
        return pending.staged.source
    return _where(record).path


def cache(record: ArtifactRecord, *, is_run_input: bool | Run | None = None, mute: bool = False) -> Path:
    """Return a local path with the bytes; see `Artifact.cache`."""
    local = _local(record, mute=mute)
    if record.is_saved:
        track_input(record, is_run_input)
    return local


def load(
    record: ArtifactRecord,
    *,
    as_type: Any = None,
    is_run_input: bool | Run | None = None,
    mute: bool = False,
    **options: Any,
) -> Any:
    """Return the content in memory; see `Artifact.load`."""
    memory = record._memory
    if memory is not None and as_type is None and not options:
        if record.is_saved:
            track_input(record, is_run_input)
        return memory

    def read(local: Path) -> Any:
        return formats.for_path(local, record.suffix).load(local, suffix=record.suffix, as_type=as_type, **options)

    if not record.is_saved:
        return read(_local(record, mute=mute))
    content = _at_rest(record, lambda where: read(_fetch(record, where, mute=mute)))
    track_input(record, is_run_input)
    return content


def open_lazily(
    record: ArtifactRecord,
    *,
    engine: str = "pyarrow",
    is_run_input: bool | Run | None = None,
    **options: Any,
) -> Any:
    """Open the content for reading; see `Artifact.open`."""
    if not record.is_saved:
        raise errors.InvalidArgument("save the artifact before opening it")

    def opening(where: _Where) -> Any:
        target = where.path
        chosen = _format_of(record, where)
        if isinstance(target, Path) or not where.is_exact:
            _check(record, where, Depth.SIZE)
        if where.folder is not None and chosen.needs_own_folder:
            target = _fetch(record, where, mute=False)
        return chosen.open(target, suffix=record.suffix, engine=engine, **options)

    opened = _at_rest(record, opening)
    track_input(record, is_run_input)
    return opened


def _at_rest(record: ArtifactRecord, work: Callable[[_Where], T]) -> T:
    """Read a saved artifact where it is, and again if others replaced the bytes while they were read.

    That happens at real keys and in place only: in the version store nothing is ever replaced.

    Raises:
        ContentMismatch: The bytes are not those of the record, or change all the time.
    """
    for _ in range(_ATTEMPTS):
        where = _where(record)
        before = where.stamp()
        try:
            found = work(where)
        except Exception:
            if where.stamp() == before and _where(record).object["id"] == where.object["id"]:
                raise
            continue
        if where.stamp() == before:
            return found
    raise errors.ContentMismatch(f"{record.uid} cannot be read: others write to its file all the time")


def format_of(record: ArtifactRecord) -> formats.Format:
    """Return the format that opens a saved artifact.

    Raises:
        InvalidArgument: Nothing opens it.
        StorageError: It is remote, only its content can tell, and the server failed.
    """
    return _format_of(record, _where(record))


def _format_of(record: ArtifactRecord, where: _Where) -> formats.Format:
    target = where.path
    if isinstance(target, Path):
        return formats.for_path(target, record.suffix)
    fitting = [
        item
        for item in formats.all_formats()
        if item.otype == record.otype and item.otype and item.is_folder == where.is_folder
    ]
    # A suffix that is passed with `otype=` may be that of no format.
    of_suffix = [item for item in fitting if record.suffix in (*item.suffixes, *item.shared_suffixes)]
    if of_suffix or fitting:
        return (of_suffix or fitting)[0]
    with reading(where.storage.backend.root, where.relpath):
        found = formats.for_remote(target, record.suffix, is_folder=where.is_folder)
    if not found.modes:
        raise errors.InvalidArgument(f"{record.suffix!r} cannot be opened; use cache()")
    return found


def copied(record: ArtifactRecord, copy: Callable[[Path], T]) -> T:
    """Copy the bytes of a saved artifact, without recording that they are read.

    Args:
        record: The artifact.
        copy: Gets a local path with them. It is called again if others replaced the bytes meanwhile.
    """
    return _at_rest(record, lambda where: copy(_fetch(record, where, mute=False)))


def stored_digest(record: ArtifactRecord) -> Digest | None:
    """Return the digest of a saved artifact if it tells of its content, by the algorithm of the registry."""
    digest = digest_of(_where(record).object)
    if digest is None or not digest.is_exact:
        return None
    algorithm = digest.algorithm.removesuffix("-tree")
    is_other = algorithm in hashing.ALGORITHMS and algorithm != record.registry.hash_algorithm
    return None if is_other else digest


def verify(record: ArtifactRecord) -> bool:
    """Hash the stored bytes again; see `Artifact.verify`."""
    _check(record, _where(record), Depth.DIGEST)
    return True


def keep_copy(record: ArtifactRecord, file: Path) -> None:
    """Make a file with the bytes of an artifact in a remote location the copy that the cache holds of it."""
    where = _where(record)
    backend, row = where.storage.backend, where.object
    if backend.is_cached:
        cache = Cache(record.registry.settings.cache_dir)
        cache.keep(file, backend, where.relpath, size=row["size"], digest=digest_of(row))


def _local(record: ArtifactRecord, *, mute: bool) -> Path:
    if not record.is_saved:
        source = path(record)
        if not isinstance(source, Path):
            raise errors.InvalidArgument("save the artifact before loading it: its source is remote")
        if not source.exists():
            raise errors.PathNotFound(f"the source {source} of the unsaved artifact is gone")
        return source
    return _fetch(record, _where(record), mute=mute)


def _fetch(record: ArtifactRecord, where: _Where, *, mute: bool) -> Path:
    settings = record.registry.settings
    target = where.path
    if isinstance(target, Path):
        _check(record, where, Depth.DIGEST if settings.verify_on_read else Depth.SIZE)
        return target
    cache, shown = Cache(settings.cache_dir), False if mute else settings.progress
    wanted, verify = expected(where.object), settings.verify_on_read
    if where.folder is not None:
        return cache.fetch_content_addressed(
            where.folder,
            size=wanted.size,
            digest=wanted.digest,
            suffix=wanted.suffix,
            verify=verify,
            show_progress=shown,
        )
    return cache.fetch(
        where.storage.backend,
        where.relpath,
        size=wanted.size,
        digest=wanted.digest,
        is_folder=wanted.is_folder,
        suffix=wanted.suffix,
        verify=verify,
        show_progress=shown,
    )


def _where(record: ArtifactRecord) -> _Where:
    """Read from the database where the bytes are now: the record in hand may be older than a move or an overwrite."""
    with record.registry.engine.connect() as connection:
        row = connection.execute(_objects_of(record.__table__), {"artifact_id": record.id}).first()
    if row is None:
        raise errors.ObjectDoesNotExist(f"{record!r} was deleted from {record.registry!r}")
    if row.artifact_hash != row.hash:
        raise errors.OutdatedVersion(
            f"{record.uid} is an outdated version: its files were overwritten by a later one. "
            f"Get the latest with get(key={record.key!r}), or save with overwrite_versions=False to keep all"
        )
    if row.state is not None or (not row.is_managed and row.later):
        raise errors.ContentMismatch(
            f"{record.uid} is no longer available: its file at {row.path} was changed in place since, by others or by "
            "a later version that was registered there"
        )
    storage = _storage(record.registry, row.storage_id, row.root)
    folder = None
    if row.is_content_addressed:
        with record.registry.engine.connect() as connection:
            folder = histories.content_addressed_folder(connection, row.id, row.path, storage.backend)
    return _Where(storage, row._asdict(), folder)


@lru_cache
def _objects_of(table: Table) -> Select[Any]:
    columns = OBJECT.c
    later = OBJECT.alias("later")
    overwritten = (
        select(func.count()).select_from(later).where(later.c.path == columns.path, later.c.id > columns.id)
    ).where(later.c.storage_id == columns.storage_id, later.c.state.is_(None))
    return (
        select(
            OBJECT,
            table.c.hash.label("artifact_hash"),
            overwritten.scalar_subquery().label("later"),
            _STORAGE.c.root.label("root"),
        )
        .join(OBJECT, table.c.object_id == columns.id)
        .join(_STORAGE, columns.storage_id == _STORAGE.c.id)
        .where(table.c.id == bindparam("artifact_id"))
    )


def _storage(registry: Registry, storage_id: int, root: str) -> Storage:
    storage: Storage = registry.memo(("storage", storage_id), lambda: registry.Storage.get(storage_id))
    if storage.root == root:
        return storage
    registry.forget(("storage", storage_id))  # it was moved since this process first read it
    return registry.memo(("storage", storage_id), lambda: registry.Storage.get(storage_id))


def _check(record: ArtifactRecord, where: _Where, depth: Depth) -> None:
    """Raise `ContentMismatch` unless the bytes are what the database says."""
    files = where.folder.files if where.folder is not None else None
    verdict = verifying.verify(where.storage, where.object, depth, files=files)
    verdict.check(f"the bytes of {record.uid} at {where.path}")
