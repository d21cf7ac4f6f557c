"""An artifact of another registry as a record of this one: the same uid, the bytes stay where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID, Registry, now
from lamart_core.families.deleted import DELETED
from lamart_core.families.family import Family, lock, promote_newest, rename
from lamart_core.lineage import RunSpec, TransformSpec, current_run, open_run
from lamart_core.moving.foreign import ForeignFolder, read_folder, record_folder
from lamart_core.objects.rows import OBJECT
from lamart_core.objects.unreferenced import forget_foreign
from lamart_core.records import ArtifactRecord, Run, RunStatus, Storage, StoredObject
from lamart_core.records.kinds.mixins import new_row
from lamart_core.storage import is_reserved

TRANSFER_KEY = "__lamart_transfer__"

_STORAGE = Storage.__table__
_FIELDS = (
    "key",
    "description",
    "kind",
    "otype",
    "suffix",
    "size",
    "hash",
    "n_files",
    "n_observations",
    "extra_data",
    "version_tag",
    "_hash_type",
    "_key_is_virtual",
    "_overwrite_versions",
    "_real_key",
)
_OBJECT_FIELDS = ("path", "suffix", "hash", "hash_type", "is_exact", "size", "n_files", "stamp")


@dataclass(frozen=True)
class _Foreign:
    """What another registry knows of an artifact, by column name; and the files of a folder that lie one by one."""

    uid: str
    fields: Mapping[str, Any]
    storage: Mapping[str, Any]
    object: Mapping[str, Any]
    created_at: Any
    folder: ForeignFolder | None


def transfer(record: ArtifactRecord, registry: Registry) -> None:
    """Save an artifact of another registry into this one; the object in hand becomes that record.

    The record keeps its uid; its storage location becomes a reference here, where nothing is ever written or
    deleted. One that was transferred before is found by its uid and gets the fields of today; of a folder whose files
    are stored objects of their own, the places of today too. In a family the newest version that is here is the latest.
    A record that came from here is the original, and stays as it is.

    Args:
        record: A saved artifact of another registry.
        registry: Registry to save it into.

    Raises:
        IntegrityError: Another artifact here has the key in that storage location, or this uid with bytes of its own;
            or this uid had other content until it was deleted; or the other registry does not know all files of a
            folder.
    """
    source = record.registry
    if source.uid == registry.uid:  # one registry, opened twice
        record._registry = registry
        record.refresh()
        return
    foreign = _read(record)
    run = _transfer_run(source, registry)
    row = registry.unit_of_work(lambda connection: _write(connection, registry, foreign, run))
    _become(record, registry, row)


def _read(record: ArtifactRecord) -> _Foreign:
    storage: Storage = record.storage
    stored: StoredObject = record.object
    return _Foreign(
        uid=record.uid,
        fields={name: getattr(record, name) for name in _FIELDS},
        storage={name: getattr(storage, name) for name in ("uid", "root", "type", "region", "instance_uid")},
        object={name: getattr(stored, name) for name in _OBJECT_FIELDS},
        created_at=record.created_at,
        folder=read_folder(record.registry, stored) if stored.is_content_addressed else None,
    )


def _transfer_run(source: Registry, registry: Registry) -> Run:
    """Return the run that stands for what came from a registry, one for each run that asked for it."""
    parent = current_run(registry)
    spec = RunSpec(
        f"transfer/{source.uid}/{parent.uid if parent is not None else ''}",
        TransformSpec(f"{TRANSFER_KEY}/{source.uid}", kind="function", description="Records of another registry"),
        status=RunStatus.COMPLETED,
        reference=source.url.render_as_string(hide_password=True),
        reference_type="registry",
        parent=parent,
    )
    return open_run(registry, spec)


def _write(connection: Connection, registry: Registry, foreign: _Foreign, run: Run) -> Mapping[str, Any]:
    table: Table = ArtifactRecord.metadata.tables["lamart_artifact"]
    storage_id = _storage(connection, registry, foreign)
    family = Family.of(table, foreign.uid)
    lock(connection, family)
    row = connection.execute(select(table).where(table.c.uid == foreign.uid)).one_or_none()
    present = row._asdict() if row is not None else None
    came_from_here = _is_managed(connection, registry, storage_id)
    values: dict[str, Any] = {"storage_id": storage_id}
    if present is None or not came_from_here:
        object_id = _object(connection, foreign, storage_id, came_from_here=came_from_here)
        if foreign.folder is not None and not came_from_here:
            record_folder(connection, table, foreign.uid, storage_id, object_id, foreign.folder)
        values |= dict(foreign.fields) | {"object_id": object_id}
    if present is None:
        _check_free(connection, table, foreign, storage_id)
        _bring_back(connection, foreign)
        values |= new_row(registry) | {
            "uid": foreign.uid,
            "is_latest": False,
            "run_id": run.id,
            "created_at": foreign.created_at,
        }
        connection.execute(insert(table).values(values))
    else:
        _update(connection, registry, table, present, values)
    branch_id = present["branch_id"] if present is not None else registry.branch_id
    promote_newest(connection, registry.branch_id if branch_id == TRASH_BRANCH_ID else branch_id, family)
    return dict(connection.execute(select(table).where(table.c.uid == foreign.uid)).mappings().one())


def _update(
    connection: Connection, registry: Registry, table: Table, present: Mapping[str, Any], values: dict[str, Any]
) -> None:
    if present["storage_id"] != values["storage_id"]:
        raise errors.IntegrityError(
            f"the version {present['uid']} exists here with bytes of its own, in another storage location than in the "
            "registry that it should come from: both made a version of the same family. Save a copy under another key"
        )
    if present["branch_id"] == TRASH_BRANCH_ID:
        values["branch_id"] = registry.branch_id
    changed = {name: value for name, value in values.items() if present[name] != value}
    if not changed:
        return
    key = changed.pop("key", None)
    if key is not None:
        rename(connection, table, present["uid"], key)
    one = update(table).where(table.c.id == present["id"])
    connection.execute(one.values(**changed, updated_at=now()))
    if "object_id" in changed:
        forget_foreign(connection, {present["object_id"]})


def _is_managed(connection: Connection, registry: Registry, storage_id: int) -> bool:
    query = select(_STORAGE.c.id).where(_STORAGE.c.id == storage_id, _STORAGE.c.instance_uid == registry.uid)
    return connection.execute(query).first() is not None


def _check_free(connection: Connection, table: Table, foreign: _Foreign, storage_id: int) -> None:
    key = foreign.fields["key"]
    if key is None:
        return
    taken = Family.of(table, foreign.uid).owner_of(connection, key=key, storage_id=storage_id)
    if taken is not None:
        raise errors.IntegrityError(
            f"{foreign.uid} cannot be transferred: its key {key!r} in {foreign.storage['root']} belongs to the family "
            f"of {taken} here"
        )


def _bring_back(connection: Connection, foreign: _Foreign) -> None:
    """Check that a version which was deleted here is the one that comes now, and forget that it was deleted."""
    same_uid = DELETED.c.uid == foreign.uid
    deleted = connection.execute(select(DELETED).where(same_uid)).one_or_none()
    if deleted is None:
        return
    content = foreign.fields["hash"], foreign.fields["_hash_type"]
    if deleted.hash is None or (deleted.hash, deleted.hash_type) != content:
        raise errors.IntegrityError(
            f"{foreign.uid} cannot be transferred: a version with this uid was deleted here on {deleted.deleted_at}, "
            f"and its content, of hash {deleted.hash}, was another one. Save a copy under another key"
        )
    connection.execute(DELETED.delete().where(same_uid))


def _storage(connection: Connection, registry: Registry, foreign: _Foreign) -> int:
    """Find or make the storage location; one that moved in the other registry moves here too."""
    columns = _STORAGE.c
    root = foreign.storage["root"]
    by_root = connection.execute(select(columns.id).where(columns.root == root)).scalar_one_or_none()
    if by_root is not None:
        return by_root
    moved = select(columns.id).where(columns.uid == foreign.storage["uid"], columns.instance_uid != registry.uid)
    by_uid = connection.execute(moved).scalar_one_or_none()
    if by_uid is not None:
        connection.execute(update(_STORAGE).where(columns.id == by_uid).values(root=root, updated_at=now()))
        registry.forget(("storage", by_uid))
        return by_uid
    values = dict(foreign.storage) | new_row(registry)
    if values["instance_uid"] == registry.uid:
        # What is managed here is said by our own rows and the marker on the disk, never by a row of somebody else's.
        values["instance_uid"] = None
    return connection.execute(insert(_STORAGE).values(values).returning(columns.id)).scalar_one()


def _object(connection: Connection, foreign: _Foreign, storage_id: int, *, came_from_here: bool) -> int:
    """Find or make the stored object: never managed here, so that nothing here shares or deletes it."""
    columns = OBJECT.c
    same = select(columns.id).where(
        columns.storage_id == storage_id,
        columns.path == foreign.object["path"],
        columns.hash == foreign.object["hash"],
    )
    object_id = connection.execute(same).scalar_one_or_none()
    if object_id is not None:
        return object_id
    if came_from_here and is_reserved(foreign.object["path"]):
        raise errors.IntegrityError(
            f"{foreign.uid} cannot be transferred: this registry manages {foreign.storage['root']}, and has deleted it "
            "there. The record of the other registry refers to nothing"
        )
    values = dict(foreign.object) | {"storage_id": storage_id, "is_managed": False, "created_at": now()}
    return connection.execute(insert(OBJECT).values(values).returning(columns.id)).scalar_one()


def _become(record: ArtifactRecord, registry: Registry, row: Mapping[str, Any]) -> None:
    record._registry = registry
    record._adopt_row(row)
    for name in type(record).__relations__:
        vars(record).pop(f"_cached_{name}", None)
