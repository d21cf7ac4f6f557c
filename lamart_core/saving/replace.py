"""Replacing: other content for the same version. The old bytes stay until one transaction has switched the record."""

from __future__ import annotations

import dataclasses
import os
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from upath import UPath

from lamart_core import errors, formats
from lamart_core.db import now
from lamart_core.db.checks import check_values
from lamart_core.families.family import Family, check_key_free
from lamart_core.lineage import context
from lamart_core.logging import logger
from lamart_core.objects.plan import Dedup, Plan, Staged
from lamart_core.places.key_state import real_key_of
from lamart_core.places.real_keys import check_free
from lamart_core.records import ArtifactRecord, Run, Storage
from lamart_core.records.artifact import is_outdated
from lamart_core.saving import stage
from lamart_core.saving.commit import Item, lock_replaced
from lamart_core.saving.construct import discard_own
from lamart_core.saving.targets import check_managed
from lamart_core.storage import address_of, clean_key, match_root, suffix_of, suffix_under


@dataclass(frozen=True)
class Replacement:
    """Content that the next save of an artifact puts in the place of what it has.

    Attributes:
        staged: The content.
        run: The run that made it; None leaves the run of the artifact.
    """

    staged: Staged
    run: Run | None


def replace(record: ArtifactRecord, data: Any, *, run: Run | bool | None = None, format: str | None = None) -> None:
    """Stage other content for an artifact; see `Artifact.replace`."""
    storage = _check_replaceable(record)
    given: Any = run
    if given is not None and given is not False and not isinstance(given, Run):
        raise errors.InvalidArgument(f"run is None, False or a Run, got {given!r}")
    suffix = None if format is None else f".{format.removeprefix('.')}"
    if isinstance(data, str | Path | UPath) or hasattr(data, "__fspath__"):
        staged = _stage_path(record, data, suffix)
    else:
        staged = _stage_object(record, storage, data, suffix)
    try:
        _check_key(record, staged)
    except BaseException:
        stage.discard(staged)
        raise
    _drop(record)
    digest = staged.digest
    is_same = digest is not None and (digest.value, digest.algorithm) == (record.hash, record._hash_type)
    if is_same and staged.suffix == record.suffix:
        stage.discard(staged)
        return
    if not record.is_latest:
        logger.warning("%s is not the latest version of its family; it is replaced, the latest one stays", record.uid)
    record._pending = Replacement(staged, context.run_for(record.registry, run))
    if staged.is_owned:
        weakref.finalize(record, discard_own, staged, os.getpid())


def _drop(record: ArtifactRecord) -> None:
    """Forget content that was staged before and is not going to be saved."""
    if record._pending is not None:
        stage.discard(record._pending.staged)
        record._pending = None


def _check_replaceable(record: ArtifactRecord) -> Storage:
    if not record.is_saved:
        raise errors.InvalidArgument("the artifact is not saved, so it has no content to replace; make another one")
    if is_outdated(record):
        raise errors.OutdatedVersion(f"{record.uid} is an outdated version without content of its own")
    with record.registry.engine.connect() as connection:
        lock_replaced(connection, record.__table__, record.id, record.uid)
    storage: Storage = record.storage
    check_managed(storage)
    return storage


def _stage_path(record: ArtifactRecord, data: Any, suffix: str | None) -> Staged:
    path = data if isinstance(data, str | Path | UPath) else Path(data)
    source = stage.resolve_source(path, record.registry.storage_options)
    roots = _roots(record)
    inside = match_root(address_of(source), roots)
    if inside is not None:
        raise errors.InvalidArgument(f"{source} lies in the storage location {inside}; pass a path outside of any")
    if not isinstance(source, Path):
        raise errors.InvalidArgument(f"{source} is remote; download it and pass the local path")
    _check_kind(record, is_folder=source.is_dir())
    staged = stage.stage_path(source, roots=roots, algorithm=record.registry.hash_algorithm)
    if suffix is not None and suffix != staged.suffix:
        raise errors.InvalidArgument(f"format={suffix[1:]!r} contradicts the suffix {staged.suffix!r} of {source}")
    with suppress(errors.InvalidArgument):  # a suffix that names another kind of content goes into the key
        fitting = suffix_under(record.key, staged.suffix, is_folder=staged.is_folder)
        return dataclasses.replace(staged, suffix=fitting)
    return staged


def _roots(record: ArtifactRecord) -> list[str]:
    with record.registry.read() as session:
        return list(session.scalars(select(Storage.root)))


def _stage_object(record: ArtifactRecord, storage: Storage, data: Any, suffix: str | None) -> Staged:
    if suffix is None and record.suffix:
        # The same format as before where the object can be written so, else the object's own.
        try:
            formats.for_object(data, record.suffix)
            suffix = record.suffix
        except errors.InvalidArgument:
            suffix = None
    file_format = formats.for_object(data, suffix)
    _check_kind(record, is_folder=file_format.is_folder)
    return stage.stage_object(
        data,
        backend=storage.backend,
        cache_dir=record.registry.settings.cache_dir,
        suffix=suffix,
        algorithm=record.registry.hash_algorithm,
    )


def _check_kind(record: ArtifactRecord, *, is_folder: bool) -> None:
    was_folder = record.n_files is not None
    if is_folder != was_folder:
        kinds = ("a folder", "a file") if was_folder else ("a file", "a folder")
        raise errors.InvalidArgument(f"{record.uid} is {kinds[0]} and cannot become {kinds[1]}; save a new artifact")


def _key_for(record: ArtifactRecord, staged: Staged) -> str | None:
    """Return the key that fits the new suffix."""
    key = record.key
    if key is None:
        return None
    if "key" not in record._changes() and staged.suffix != record.suffix:
        key = key[: len(key) - len(record.suffix)] + staged.suffix
    key = clean_key(key)
    if suffix_of(key, is_folder=staged.is_folder) != staged.suffix:
        raise errors.InvalidArgument(f"the key {key!r} does not fit the suffix {staged.suffix!r} of the new content")
    return key


def _check_key(record: ArtifactRecord, staged: Staged) -> None:
    key = _key_for(record, staged)
    if key is None or key == record.key:
        return
    table = record.__table__
    with record.registry.engine.connect() as connection:
        check_key_free(connection, Family.of(table, record.uid), key=key, storage_id=record.storage_id)
    if real_key_of(record) is not None:
        check_free(record.registry, record.storage, key)
        logger.warning("the file of %s moves from %r to %r when it is saved", record.uid, record.key, key)


# ---------------------------------------------------------------------- saving


def item_of(record: ArtifactRecord, pending: Replacement) -> Item:
    """Return what is to be saved of an artifact with new content.

    Raises:
        InvalidArgument: It was to get another storage location too, or a value cannot be stored.
    """
    if "storage_id" in record._changes():
        raise errors.InvalidArgument("an artifact cannot get other content and another storage at once; save one first")
    check_values(type(record), record._values())
    plan, values = _plan(record, pending), _values(record, pending)
    return Item(record.uid, pending.staged, plan, values, record.id, replaces=True, riders=record._riders)


def _plan(record: ArtifactRecord, pending: Replacement) -> Plan:
    """Return the arguments that putting bytes and naming objects take."""
    return Plan(
        storage=record.storage,
        branch_id=record.branch_id,
        space_id=record.space_id,
        key=_key_for(record, pending.staged),
        description=record.description,
        kind=record.kind,
        otype=pending.staged.otype,
        run=pending.run,
        version_tag=None,
        overwrite_versions=record._overwrite_versions,
        key_is_virtual=record._key_is_virtual,
        real_key=None,
        dedup=Dedup.HEAD,
        lookup=False,
    )


def _values(record: ArtifactRecord, pending: Replacement) -> dict[str, Any]:
    staged = pending.staged
    digest = staged.digest
    values: dict[str, Any] = {name: value for name, value in record._changes().items() if name != "key"}
    values |= {
        "hash": digest.value if digest is not None else None,
        "_hash_type": digest.algorithm if digest is not None else None,
        "size": staged.size,
        "n_files": staged.n_files,
        "suffix": staged.suffix,
        "otype": staged.otype,
        "n_observations": staged.n_observations,
        "_real_key": None,
        "updated_at": now(),
    }
    if pending.run is not None:
        values["run_id"] = pending.run.id
    return values
