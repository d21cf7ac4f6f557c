"""Saving: bytes first, then one transaction, then cleaning up. Nothing is lost at any point in between."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, and_, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core import errors, uids
from lamart_core import storage as bytes_room
from lamart_core.db import Registry, now
from lamart_core.lifecycle import resolve
from lamart_core.lifecycle.heads import promote_newest
from lamart_core.lifecycle.move import check_rename, move_real_key, rename_family
from lamart_core.lifecycle.plan import Dedup, Outcome, Pending, Plan, Resolution, Row, SaveResult, Staged
from lamart_core.lifecycle.stage import discard
from lamart_core.lineage.links import add_recreation
from lamart_core.logging import logger
from lamart_core.records import ArtifactRecord, Storage, StoredObject

_OBJECT: Table = StoredObject.__table__  # pyright: ignore[reportAssignmentType]
_ATTEMPTS = 20


class _ObjectVanished(errors.LamartError):
    """Equal bytes that were going to be shared were deleted meanwhile: put our own, and try again."""


@dataclass(frozen=True)
class _Put:
    """Bytes that this save has put into the storage, and which only the commit makes known."""

    relpath: str
    is_managed: bool


@dataclass(frozen=True)
class _Committed:
    resolution: Resolution
    row: Row
    object_path: str
    replaced: tuple[str, ...]


def save(record: ArtifactRecord) -> SaveResult:
    """Save an artifact: a new one with its bytes, an existing one with its changed fields.

    Returns:
        The artifact and what was done.

    Raises:
        PathNotFound: The source vanished since the artifact was constructed.
        SourceChanged: The source was modified since the artifact was constructed.
        StorageError: The storage refused the bytes; nothing is registered, nothing is left behind.
        IntegrityError: The version that was revised explicitly is not the latest any more.
    """
    pending: Pending | None = record._pending
    if pending is None:
        return _save_fields(record)
    if record.is_saved:
        return _save_again(record, pending)
    return _save_new(record, pending)


def _save_fields(record: ArtifactRecord) -> SaveResult:
    changes = record._changes()
    if changes and not record.is_latest:
        logger.warning("%s is not the latest version of its family", record.uid)
    if "key" in changes:
        _rename(record, changes["key"])
    super(ArtifactRecord, record).save()
    return SaveResult(record, Outcome.EXISTING)


def _rename(record: ArtifactRecord, key: str | None) -> None:
    table: Table = record.__table__  # pyright: ignore[reportAssignmentType]
    check_rename(record, key)
    assert key is not None
    if record._key_is_virtual:
        record.registry.unit_of_work(lambda connection: rename_family(connection, table, record.uid, key))
    else:
        move_real_key(record, key)


def _save_again(record: ArtifactRecord, pending: Pending) -> SaveResult:
    """Save a record that the constructor found to exist: its changed fields, and that this run made it again."""
    run = pending.plan.run
    outcome = Outcome.EXISTING
    if run is not None:
        if record.run_id is None:
            record.run_id = run.id
        elif record.run_id != run.id:
            record.registry.unit_of_work(lambda connection: add_recreation(connection, run.id, record.id))
            outcome = Outcome.RECREATED
    super(ArtifactRecord, record).save()
    record._pending = None
    record._memory = None
    return SaveResult(record, outcome)


def _save_new(record: ArtifactRecord, pending: Pending) -> SaveResult:
    registry = record.registry
    plan = _with_saved_storage(pending.plan)
    staged = pending.staged
    put: _Put | None = None
    share = _may_share(registry, staged, plan)
    for _ in range(_ATTEMPTS):
        try:
            if put is None and not share:
                put = _put(record, staged, plan)
            committed = _commit(record, registry, staged, plan, put)
            break
        except _ObjectVanished:
            share = False
        except errors.LamartError:
            _take_back(plan, staged, put)
            raise
        # Any other error may have come after the commit, a lost connection for example: then a record refers to the
        # bytes. They stay, and garbage collection decides later with the database at hand.
    else:
        raise errors.DatabaseBusy(f"{record!r} could not be saved: equal content is deleted again and again")
    if put is not None and put.relpath != committed.object_path:
        _take_back(plan, staged, put)
    discard(staged)
    for relpath in committed.replaced:
        remove_bytes(plan.storage, relpath, is_folder=staged.is_folder)
    record._adopt_row(committed.row)
    record._pending = None
    # From here on the stored bytes are the content: the object in memory may be changed by its owner.
    record._memory = None
    _warn_restored(record, committed.resolution)
    outcome = committed.resolution.outcome
    if outcome is Outcome.EXISTING and plan.run is not None and record.run_id != plan.run.id:
        outcome = Outcome.RECREATED
    return SaveResult(record, outcome)


def _with_saved_storage(plan: Plan) -> Plan:
    """Register the remote location that a path in place was found in."""
    if plan.storage.is_saved:
        return plan
    return plan.with_storage(plan.storage.save())


def _may_share(registry: Registry, staged: Staged, plan: Plan) -> bool:
    """Whether equal bytes seem to lie in the storage already, so that putting them again can be spared."""
    if staged.in_place is not None or not staged.is_comparable or not plan.key_is_virtual:
        return False
    if plan.dedup is Dedup.REGISTRY and plan.lookup:
        # Bytes that an artifact names were found by the constructor; others are rare, and then put in vain.
        return False
    with registry.engine.connect() as connection:
        return _shared_object(connection, staged, plan) is not None


def _put(record: ArtifactRecord, staged: Staged, plan: Plan) -> _Put:
    """Put the bytes under a name that no other save can choose; nothing refers to them yet."""
    if staged.in_place is not None:
        return _Put(staged.in_place, is_managed=False)
    if not isinstance(staged.source, Path) or not staged.source.exists():
        raise errors.PathNotFound(f"the source {staged.source} vanished since the artifact was constructed")
    location = plan.storage.location
    relpath = bytes_room.object_path(uids.stem_of(record.uid), staged.suffix)
    if not plan.key_is_virtual:
        assert plan.key is not None
        relpath = plan.key
    if staged.tree is not None:
        bytes_room.put_folder(staged.source, location, relpath, tree=staged.tree, move=staged.is_owned)
    else:
        bytes_room.put_file(staged.source, location, relpath, digest=staged.digest, move=staged.is_owned)
    return _Put(relpath, is_managed=plan.key_is_virtual)


def _take_back(plan: Plan, staged: Staged, put: _Put | None) -> None:
    """Remove bytes that no record came to refer to; what was moved from a staging file goes back to it."""
    if put is None or staged.in_place is not None:
        return
    stored = plan.storage.location.path(put.relpath)
    if staged.is_owned and isinstance(stored, Path) and isinstance(staged.source, Path) and not staged.source.exists():
        os.rename(stored, staged.source)
    else:
        remove_bytes(plan.storage, put.relpath, is_folder=staged.is_folder)


def remove_bytes(storage: Storage, relpath: str, *, is_folder: bool) -> None:
    """Remove bytes that no record refers to; what fails here is removed by a later garbage collection."""
    try:
        bytes_room.delete(storage.location, relpath, is_folder=is_folder)
    except OSError as error:
        logger.warning("%s/%s could not be removed and is left to garbage collection: %s", storage.root, relpath, error)


def _commit(record: ArtifactRecord, registry: Registry, staged: Staged, plan: Plan, put: _Put | None) -> _Committed:
    table: Table = record.__table__  # pyright: ignore[reportAssignmentType]
    record._defaults(registry)
    values = record._values()

    def work(connection: Connection) -> _Committed:
        found = resolve.find(connection, table, staged, plan)
        resolution = resolve.decide(found, plan, stem=uids.stem_of(record.uid))
        if resolution.existing is not None:
            row = _existing(connection, table, resolution, plan)
            return _Committed(resolution, row, object_path="", replaced=())
        object_id, object_path = _object(connection, staged, plan, put)
        is_shared = put is None or object_path != put.relpath
        if is_shared and resolve.find(connection, table, staged, plan).equal is not None:
            # Whoever stored these bytes may have named them after this transaction looked: look again.
            raise errors.Conflict("another writer saved equal content")
        head = found.head or found.newest
        if head is not None and plan.revises_uid is not None and resolution.key not in (None, head["key"]):
            assert resolution.key is not None
            rename_family(connection, table, head["uid"], resolution.key)
        if resolution.demote is not None:
            _demote(connection, table, resolution.demote)
        new = values | {
            "uid": resolution.uid,
            "key": resolution.key,
            "description": resolution.description,
            "storage_id": plan.storage.id,
            "object_id": object_id,
            "is_latest": True,
        }
        row_id = connection.execute(insert(table).values(new).returning(table.c.id)).scalar_one()
        replaced = _replace_older(connection, table, resolution, object_id, plan)
        return _Committed(resolution, _complete(table, new, row_id), object_path, replaced)

    return registry.unit_of_work(work)


def _complete(table: Table, values: dict[str, Any], row_id: int) -> dict[str, Any]:
    return {column.name: values.get(column.name) for column in table.columns} | {"id": row_id}


def _existing(connection: Connection, table: Table, resolution: Resolution, plan: Plan) -> Row:
    """Return the row of equal content instead of a new one, restored from the trash where it lies there."""
    assert resolution.existing is not None
    row = dict(resolution.existing)
    if resolution.outcome is Outcome.RESTORED:
        row["branch_id"] = plan.branch_id
        connection.execute(update(table).where(table.c.id == row["id"]).values(branch_id=plan.branch_id))
        row["is_latest"] = promote_newest(connection, table, row["uid"], plan.branch_id) == row["id"]
    if plan.run is not None:
        if row["run_id"] is None:
            row["run_id"] = plan.run.id
            connection.execute(update(table).where(table.c.id == row["id"]).values(run_id=plan.run.id))
        elif row["run_id"] != plan.run.id:
            add_recreation(connection, plan.run.id, row["id"])
    return row


def _demote(connection: Connection, table: Table, head_id: int) -> None:
    demote = update(table).where(table.c.id == head_id, table.c.is_latest).values(is_latest=False)
    if connection.execute(demote).rowcount != 1:
        raise errors.Conflict(f"another writer made a version after artifact {head_id}")


def _shared_object(connection: Connection, staged: Staged, plan: Plan) -> Row | None:
    columns = _OBJECT.c
    assert staged.digest is not None
    query = select(columns.id, columns.path).where(
        columns.storage_id == plan.storage.id,
        columns.hash == staged.digest.value,
        columns.hash_type == staged.digest.algorithm,
        columns.suffix == staged.suffix,
        columns.is_managed,
        columns.is_exact,
        columns.size > 0,
    )
    # Locked (where rows can be), so that nobody deletes it, or names it under another key, before this commit.
    row = connection.execute(query.with_for_update()).first()
    return row._asdict() if row is not None else None


def _object(connection: Connection, staged: Staged, plan: Plan, put: _Put | None) -> tuple[int, str]:
    """Return id and path of the stored object: the one that was put, or one of equal bytes that is there."""
    if put is None:
        shared = _shared_object(connection, staged, plan)
        if shared is None:
            raise _ObjectVanished
        return shared["id"], shared["path"]
    digest = staged.digest
    values = {
        "storage_id": plan.storage.id,
        "path": put.relpath,
        "suffix": staged.suffix,
        "hash": digest.value if digest is not None else None,
        "hash_type": digest.algorithm if digest is not None else None,
        "is_exact": digest is not None and digest.is_exact,
        "size": staged.size,
        "n_files": staged.n_files,
        "is_managed": put.is_managed,
        "created_at": now(),
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(_OBJECT).values(values).on_conflict_do_nothing().returning(_OBJECT.c.id)
    object_id = connection.execute(statement).scalar_one_or_none()
    if object_id is not None:
        return object_id, put.relpath
    if put.is_managed:
        shared = _shared_object(connection, staged, plan)
        if shared is None:
            raise errors.Conflict("an object of equal content was deleted in this moment")
        return shared["id"], shared["path"]
    same = select(_OBJECT.c.id).where(
        _OBJECT.c.storage_id == plan.storage.id, _OBJECT.c.path == put.relpath, _OBJECT.c.hash == values["hash"]
    )
    return connection.execute(same).scalar_one(), put.relpath


def _replace_older(
    connection: Connection, table: Table, resolution: Resolution, object_id: int, plan: Plan
) -> tuple[str, ...]:
    """Let older versions of an overwritten family point at the new object; return the paths nobody refers to."""
    if not plan.overwrite_versions or resolution.outcome is not Outcome.NEW_VERSION:
        return ()
    columns = table.c
    older = and_(
        func.substr(columns.uid, 1, uids.STEM_LENGTH) == uids.stem_of(resolution.uid),
        columns._overwrite_versions,
        columns.object_id != object_id,
        columns.storage_id == plan.storage.id,
    )
    old_objects = set(connection.execute(select(columns.object_id).where(older)).scalars())
    connection.execute(update(table).where(older).values(object_id=object_id))
    return tuple(delete_unreferenced(connection, table, old_objects))


def delete_unreferenced(connection: Connection, table: Table, object_ids: set[int]) -> list[str]:
    """Delete the rows of managed objects that no artifact refers to any more, and return their paths."""
    if not object_ids:
        return []
    referred = select(table.c.id).where(table.c.object_id == _OBJECT.c.id).exists()
    gone = _OBJECT.delete().where(_OBJECT.c.id.in_(object_ids), _OBJECT.c.is_managed, ~referred)
    return list(connection.execute(gone.returning(_OBJECT.c.path)).scalars())


def _warn_restored(record: ArtifactRecord, resolution: Resolution) -> None:
    if resolution.outcome is Outcome.RESTORED:
        logger.warning("%s of equal content and key was restored from the trash", record.uid)
