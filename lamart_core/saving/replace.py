"""Replacing: other content for the same version. The old bytes stay until one transaction has switched the record."""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, and_, select, update
from upath import UPath

from lamart_core import errors, formats, uids
from lamart_core.db import TRASH_BRANCH_ID, now
from lamart_core.db.checks import check_values
from lamart_core.families.branches import check_unlocked
from lamart_core.families.family import Family, check_key_free, rename
from lamart_core.lineage import context
from lamart_core.logging import logger
from lamart_core.objects.copies import LOST
from lamart_core.objects.plan import Dedup, Plan, Put, Row, Staged
from lamart_core.objects.rows import (
    OBJECT,
    Unclaimed,
    delete_unreferenced,
    insert_object,
    object_values,
    shared_object,
)
from lamart_core.objects.tombstones import check_not_collected
from lamart_core.places.publish import settle
from lamart_core.places.real_keys import Overwritten, Place, PlaceChanged, check_free, hand_over, occupy
from lamart_core.places.rows import is_real
from lamart_core.records import ArtifactRecord, CollectionArtifact, Run, Storage
from lamart_core.saving import stage
from lamart_core.saving.construct import discard_own
from lamart_core.saving.write import Committed, write
from lamart_core.storage import address_of, clean_key, match_root, suffix_of

_MEMBER = CollectionArtifact.table


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
    if record.branch_id == TRASH_BRANCH_ID:
        raise errors.InvalidArgument(f"{record.uid} is in the trash; restore() it before it is replaced")
    if record._overwrite_versions and not record.is_latest:
        raise errors.OutdatedVersion(f"{record.uid} is an outdated version without content of its own")
    with record.registry.engine.connect() as connection:
        _check_no_member(connection, record)
    storage: Storage = record.storage
    if not storage.is_managed:
        raise errors.InvalidArgument(
            f"{record.uid} lies in {storage.root}, which is not managed by this registry; nothing can be replaced there"
        )
    return storage


def _check_no_member(connection: Connection, record: ArtifactRecord) -> None:
    """Refuse a member of a collection: a collection says which bytes it holds, and they never change under it."""
    link, collection = _MEMBER.c, _MEMBER.metadata.tables["lamart_collection"].c
    query = select(collection.key, collection.uid).join(_MEMBER, link.collection_id == collection.id)
    member = connection.execute(query.where(link.artifact_id == record.id).limit(1)).first()
    if member is not None:
        raise errors.ProtectedError(
            f"{record.uid} is a member of the collection {member.key!r} ({member.uid}), whose content never changes; "
            "save a new version instead of replacing this one"
        )


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
    if is_real(_flags(record)):
        check_free(record.registry, record.storage, key)
        logger.warning("the file of %s moves from %r to %r when it is saved", record.uid, record.key, key)


def _flags(record: ArtifactRecord) -> Row:
    return {"_key_is_virtual": record._key_is_virtual, "_real_key": record._real_key, "key": record.key}


# ---------------------------------------------------------------------- saving


def save_replacement(record: ArtifactRecord, pending: Replacement, *, show_progress: bool | None = None) -> None:
    """Put the new bytes beside the old ones, switch the record in one transaction, then remove the old ones.

    Raises:
        PathNotFound, SourceChanged: The source is not what it was when `replace` was called.
        ObjectDoesNotExist: The artifact was deleted meanwhile.
        InvalidArgument: The key with the new suffix belongs to another family.
        StorageError: The storage refused the bytes; nothing is changed.
    """
    registry, staged = record.registry, pending.staged
    if "storage_id" in record._changes():
        raise errors.InvalidArgument("an artifact cannot get other content and another storage at once; save one first")
    check_values(type(record), record._values())
    table = record.__table__
    plan = _plan(record, pending)
    with registry.engine.connect() as connection:
        shared = shared_object(connection, staged, plan) if staged.is_comparable else None
    written = write(
        record,
        staged,
        plan,
        occupy=lambda: _site(record, table, plan, staged),
        commit=lambda put, site, seen: registry.unit_of_work(
            lambda connection: _switch(connection, table, record, pending, plan, put, site, seen)
        ),
        shared=shared,
        show_progress=show_progress,
    )
    if written.site is not None:
        _settle(record, written.site, written.committed)


def _settle(record: ArtifactRecord, site: Place, committed: Committed) -> None:
    if site.copy is not None and site.copy.path != committed.kept:
        site.withdraw()
    key = str(committed.row["key"])
    settle(record.registry, site.storage, key, force=key == site.key)
    if key != site.key:
        settle(record.registry, site.storage, site.key)
    record.refresh()


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


def _site(record: ArtifactRecord, table: Table, plan: Plan, staged: Staged) -> Place | None:
    """See what lies at the real key that gets the new content; None where the key is a name only."""
    registry = record.registry
    with registry.engine.connect() as connection:
        row = _read(connection, table, record)
    if not is_real(row) or not row["is_latest"]:
        return None
    key = str(row["key"])
    if plan.key is not None and plan.key != key:
        check_free(registry, plan.storage, plan.key)
    content = object_values(staged)
    overwrites = Overwritten(uids.stem_of(record.uid), record.branch_id) if record._overwrite_versions else None
    return occupy(registry, plan.storage, key, content, overwrites=overwrites, leaving=record.id)


def _read(connection: Connection, table: Table, record: ArtifactRecord) -> Row:
    row = connection.execute(select(table).where(table.c.id == record.id).with_for_update()).first()
    if row is None:
        raise errors.ObjectDoesNotExist(f"{record!r} was deleted from {record.registry!r}")
    return row._asdict()


def _switch(
    connection: Connection,
    table: Table,
    record: ArtifactRecord,
    pending: Replacement,
    plan: Plan,
    put: Put | None,
    site: Place | None,
    seen: Collection[int],
) -> Committed:
    """Let the record refer to the new content, whatever it refers to by now: the last one who replaces wins."""
    old = _read(connection, table, record)
    if old["branch_id"] == TRASH_BRANCH_ID:
        raise errors.InvalidArgument(f"{record.uid} is in the trash; restore() it before it is replaced")
    if (is_real(old) and old["is_latest"]) != (site is not None) or (site is not None and site.key != old["key"]):
        raise PlaceChanged(f"the key of {record.uid} changed, or which version is the latest")
    check_unlocked(connection, table, [record.id])
    _check_no_member(connection, record)
    stored = insert_object(connection, pending.staged, plan, put, old["object_id"], seen=seen)
    check_not_collected(connection, plan.storage.id, [stored.path])
    if plan.key is not None and plan.key != old["key"]:
        rename(connection, table, record.uid, plan.key)
    values = _values(record, pending) | {"object_id": stored.object_id}
    connection.execute(update(table).where(table.c.id == record.id).values(values))
    if record._overwrite_versions:
        # Overwritten versions refer to the object of the latest one.
        overwritten = and_(table.c._overwrite_versions, ~table.c.is_latest, table.c.object_id == old["object_id"])
        others = and_(Family.of(table, record.uid).members, overwritten)
        connection.execute(update(table).where(others).values(object_id=stored.object_id))
    kept = hand_over(connection, table, site) if site is not None else None
    spare = [Unclaimed(path, is_folder=False) for path in stored.spare]
    gone = (*delete_unreferenced(connection, table, {old["object_id"]}), *spare)
    if site is None:
        _forget_in_place(connection, table, old["object_id"])
    return Committed(_read(connection, table, record), stored.path, gone, kept)


def _forget_in_place(connection: Connection, table: Table, object_id: int) -> None:
    """Delete the row of a file that was registered where it lies; the file is its owner's."""
    referred = select(table.c.id).where(table.c.object_id == OBJECT.c.id).exists()
    fate = OBJECT.c.fate.is_(None) | (OBJECT.c.fate == LOST)
    connection.execute(OBJECT.delete().where(OBJECT.c.id == object_id, ~OBJECT.c.is_managed, fate, ~referred))


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
