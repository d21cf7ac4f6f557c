"""Known content whose bytes are not whole any more: the caller has them, so they are stored again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.orm.attributes import set_committed_value

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID, Registry
from lamart_core.families.family import rename
from lamart_core.logging import logger
from lamart_core.objects.plan import Pending, Row, Staged
from lamart_core.objects.put_again import put_again, put_at
from lamart_core.objects.record import Share
from lamart_core.objects.rows import OBJECT, note_obsolete, note_sizes
from lamart_core.objects.unreferenced import remove_bytes
from lamart_core.objects.verify import damaged_objects, is_damaged, verify
from lamart_core.objects.whole_folder import repair_folder
from lamart_core.query.sql.dialects import dialect_of
from lamart_core.records import ArtifactRecord, Storage
from lamart_core.storage import Depth, State, clean_key

_THREADS = 16


def repair_artifact(record: ArtifactRecord, pending: Pending) -> bool:
    """Store the bytes of an existing artifact again if they are gone or damaged, or note where they moved to.

    What was altered at a real key or in place is not touched, and where another registry manages nothing is put: then
    the artifact is not what the content is taken for any more.

    Args:
        record: The artifact that was found by its content.
        pending: The equal content that the caller passed.

    Returns:
        Whether the artifact is there and has its bytes: False also if it was deleted meanwhile, or put into the trash.

    Raises:
        SourceChanged: The source was modified since the artifact was constructed.
        StorageError: The storage refused the bytes.
    """
    stored = _stored(record.registry, [record]).get(record.id)
    if stored is None or stored["state"] is not None:
        return False
    staged, storage = pending.staged, pending.plan.storage
    if not storage.is_saved or storage.id != stored["storage_id"]:
        storage = record.registry.Storage.get(stored["storage_id"])
    if staged.in_place is not None:
        if not stored["is_content_addressed"] and is_damaged(storage, stored):
            _follow(record, stored, staged)
        return True
    if not stored["is_managed"]:
        state = verify(storage, stored, Depth.SIZE).state
        if state is not State.MISSING or not storage.is_managed or not isinstance(staged.source, Path):
            return state is State.WHOLE
        _put_in_place(storage, stored, staged)
    elif not repair_object(storage, stored, staged):
        return True
    # Bytes are gone also where another process deletes the artifact: first its row, then they.
    stored = _stored(record.registry, [record]).get(record.id)
    if stored is not None and stored["size"] != record.size:
        _take_sizes(record, stored["size"], stored["n_files"])
    return stored is not None


def repair_object(storage: Storage, stored: Row, staged: Staged) -> bool:
    """Look whether an object of a version store is whole, and if not, store its bytes again from equal content.

    Args:
        storage: The location of the object.
        stored: Its row.
        staged: The equal content.

    Returns:
        Whether something was stored again.

    Raises:
        SourceChanged, StorageError: As for `repair_artifact`.
    """
    source = staged.source
    if not storage.is_managed or not isinstance(source, Path) or not source.exists():
        return False
    if stored["is_content_addressed"]:
        return repair_folder(storage, stored, staged)
    if not is_damaged(storage, stored):
        return False
    logger.warning("the bytes at %s/%s were not whole; storing them again", storage.root, stored["path"])
    if put_again(storage, stored, source, digest=staged.digest, tree=staged.tree):
        remove_bytes(storage, stored["path"], is_folder=staged.is_folder)
    return True


def repair_shares(shares: Sequence[Share], seen: set[int]) -> None:
    """Make objects whole that content is going to share.

    Args:
        shares: What was found by its digest, and the equal content.
        seen: Ids of objects that were looked at; these are added.

    Raises:
        SourceChanged, StorageError: As for `repair_artifact`.
    """
    new = list({share.object["id"]: share for share in shares if share.object["id"] not in seen}.values())

    def look(share: Share) -> None:
        repair_object(share.storage, share.object, share.staged)

    if len(new) == 1:
        look(new[0])
    elif new:
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            list(pool.map(look, new))
    seen.update(share.object["id"] for share in new)


def damaged_artifacts(registry: Registry, records: Sequence[ArtifactRecord]) -> list[ArtifactRecord]:
    """Return those of many existing artifacts that `repair_artifact` has something to do for, or that were deleted.

    Their objects are read by one statement, and looked at side by side; what a listing has just shown is not. The
    contents of folders that are objects of their own are looked at together, for each storage location.

    Args:
        registry: Their registry.
        records: Artifacts that were found by their content, with what the caller passed.
    """
    if not records:
        return []
    objects = _stored(registry, records)
    locations = {storage.id: storage for storage in registry.Storage.filter()}
    unseen: dict[int, dict[int, Row]] = {}
    damaged: set[int] = set()
    for record in records:
        stored = objects.get(record.id)
        if stored is None:
            continue
        staged, storage = record._pending.staged, locations[stored["storage_id"]]
        if not stored["is_content_addressed"] and (staged.root, staged.in_place) == (storage.root, stored["path"]):
            if stored["size"] not in (None, staged.size) or stored["state"] is not None:
                damaged.add(stored["id"])
        else:
            unseen.setdefault(storage.id, {})[stored["id"]] = stored
    for storage_id, rows in unseen.items():
        damaged |= damaged_objects(locations[storage_id], list(rows.values()))
    return [item for item in records if item.id not in objects or objects[item.id]["id"] in damaged]


def _stored(registry: Registry, records: Sequence[ArtifactRecord]) -> dict[int, Row]:
    """Return the stored objects that artifacts refer to now, by the ids of the artifacts that are there."""
    columns: Any = type(records[0]).__table__.c
    seen = {item.id: item.branch_id for item in records}
    ids = dialect_of(registry.engine.dialect.name).among(columns.id, sorted(seen))
    names = columns.id.label("artifact_id"), columns.branch_id.label("artifact_branch_id")
    query = select(OBJECT, *names).join(OBJECT, columns.object_id == OBJECT.c.id).where(ids)
    with registry.engine.connect() as connection:
        rows = connection.execute(query).all()
    return {
        row.artifact_id: row._asdict()
        for row in rows
        if row.artifact_branch_id != TRASH_BRANCH_ID or seen[row.artifact_id] == TRASH_BRANCH_ID
    }


def _put_in_place(storage: Storage, stored: Row, staged: Staged) -> None:
    """Put equal bytes where those of a real key should lie and nothing is."""
    backend, path, source = storage.backend, stored["path"], staged.source
    assert isinstance(source, Path)
    logger.warning("there is nothing at %s/%s any more; it is stored again", storage.root, path)
    try:
        put_at(backend, source, path, digest=staged.digest, tree=staged.tree)
    except errors.ObjectExists:  # another process does the same
        return

    def work(connection: Connection) -> None:
        if connection.execute(select(OBJECT.c.id).where(OBJECT.c.id == stored["id"])).first() is None:
            # Deleted in this moment: what lies there by now may be another's, so it is not removed here.
            note_obsolete(connection, stored, path)
        elif staged.size != stored["size"]:
            note_sizes(connection, stored["id"], staged.size, staged.n_files)

    storage.registry.unit_of_work(work)


def _take_sizes(record: ArtifactRecord, size: int | None, n_files: int | None) -> None:
    set_committed_value(record, "size", size)
    set_committed_value(record, "n_files", n_files)


def _follow(record: ArtifactRecord, stored: Row, staged: Staged) -> None:
    """Let an artifact whose file was moved inside its storage location follow it, and a key that is its path too."""
    if stored["is_managed"] or staged.root != record.storage.root or staged.in_place is None:
        return
    table = record.__table__
    path = staged.in_place
    key = None if record._key_is_virtual else clean_key(path)

    def work(connection: Connection) -> None:
        connection.execute(update(OBJECT).where(OBJECT.c.id == stored["id"]).values(path=path))
        note_sizes(connection, stored["id"], staged.size, staged.n_files)
        if key is not None:
            rename(connection, table, record.uid, key)
        else:
            connection.execute(update(table).where(table.c.object_id == stored["id"]).values(_real_key=path))

    record.registry.unit_of_work(work)
    if path == stored["path"]:  # equal content of other bytes
        _take_sizes(record, staged.size, staged.n_files)
        return
    logger.warning("%s moved from %r to %r and is known there now", record.uid, stored["path"], path)
    set_committed_value(record, "key" if key is not None else "_real_key", key if key is not None else path)
