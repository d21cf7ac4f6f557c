"""Renaming: another key for a family, and for a real key another place for its bytes."""

from __future__ import annotations

from sqlalchemy import Connection, Table, func, select, update

from lamart_core import errors, hashing, uids
from lamart_core import storage as bytes_room
from lamart_core.db import now
from lamart_core.hashing import Digest
from lamart_core.lifecycle.objects import OBJECT
from lamart_core.records import ArtifactRecord


def check_rename(record: ArtifactRecord, key: str | None) -> str:
    """Check that a saved artifact may get another key, and return that as it is stored.

    Raises:
        InvalidKey: The key is no clean relative path.
        InvalidArgument: It has another suffix than the artifact, is None, or the storage is not managed here.
    """
    if key is None:
        raise errors.InvalidArgument(f"the key of {record.uid} cannot be removed; give it another one")
    key = bytes_room.clean_key(key)
    suffix = bytes_room.suffix_of(key, is_folder=record.n_files is not None)
    if suffix != record.suffix:
        raise errors.InvalidArgument(
            f"the key {key!r} has the suffix {suffix!r}, but {record.uid} has {record.suffix!r}; they must be equal"
        )
    if not record._key_is_virtual and not record.storage.is_managed:
        raise errors.InvalidArgument(
            f"{record.uid} lies at its real key in {record.storage.root}, which is not managed by this registry"
        )
    if not record._key_is_virtual:
        bytes_room.check_place(key, is_local=record.storage.location.is_local)
    return key


def rename_family(connection: Connection, table: Table, uid: str, key: str) -> None:
    """Give all versions of a family another key, so that one key never has two families.

    Raises:
        InvalidArgument: Another family has this key.
    """
    columns = table.c
    stem = func.substr(columns.uid, 1, uids.STEM_LENGTH)
    own = connection.execute(select(columns.storage_id).where(columns.uid == uid)).scalar_one()
    other = select(columns.uid).where(columns.key == key, columns.storage_id == own, stem != uids.stem_of(uid))
    taken = connection.execute(other.limit(1)).scalar_one_or_none()
    if taken is not None:
        raise errors.InvalidArgument(f"the key {key!r} belongs to the family of {taken} already; choose another one")
    connection.execute(update(table).where(stem == uids.stem_of(uid)).values(key=key, updated_at=now()))


def move_real_key(record: ArtifactRecord, key: str) -> None:
    """Move the bytes of an artifact to another real key: copied and verified, recorded, then the old ones removed.

    Raises:
        ObjectExists: Something is at the new key.
        IntegrityError: The bytes are not those that the record describes; they are not moved.
        StorageError: The copy failed; nothing is left of it.
    """
    table: Table = record.__table__  # pyright: ignore[reportAssignmentType]
    location = record.storage.location
    columns = OBJECT.c
    with record.registry.engine.connect() as connection:
        stored = connection.execute(select(OBJECT).where(columns.id == record.object_id)).one()
    is_folder = stored.n_files is not None
    if bytes_room.exists(location, key):
        raise errors.ObjectExists(f"there is something at {location.root}/{key} already")
    digest = Digest(stored.hash_type, stored.hash) if stored.is_exact else None
    source = bytes_room.Cache(record.registry.settings.cache_dir).fetch(
        location, stored.path, size=stored.size, digest=digest, is_folder=is_folder, verify=digest is not None
    )
    if is_folder:
        bytes_room.put_folder(source, location, key, tree=hashing.hash_tree(source, record.registry.hash_algorithm))
    else:
        bytes_room.put_file(source, location, key, digest=digest)

    def work(connection: Connection) -> None:
        rename_family(connection, table, record.uid, key)
        connection.execute(update(OBJECT).where(columns.id == stored.id).values(path=key))

    try:
        record.registry.unit_of_work(work)
    except errors.LamartError:
        bytes_room.delete(location, key, is_folder=is_folder)
        raise
    # Any other error may have come after the commit: then the record says the new place. Both copies stay.
    bytes_room.delete(location, stored.path, is_folder=is_folder)
