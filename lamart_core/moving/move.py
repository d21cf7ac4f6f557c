"""Renaming and moving: another key for a family, another place or another storage for its bytes. Nothing here asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Table, select, update

from lamart_core import errors, uids
from lamart_core.db import Registry, attempting, now
from lamart_core.families.branches import check_unlocked
from lamart_core.families.family import Family, check_key_free, lock, rename
from lamart_core.objects.copies import Copy, copy_object, record_copy
from lamart_core.objects.plan import Row
from lamart_core.objects.rows import OBJECT
from lamart_core.objects.unreferenced import Unclaimed, delete_unreferenced, leave_places, remove_bytes
from lamart_core.places.key_state import is_real
from lamart_core.places.publish import finish, publish
from lamart_core.places.real_keys import Reservation, check_free, leave, release
from lamart_core.query.sql.dialects import among
from lamart_core.records import ArtifactRecord, Storage
from lamart_core.storage import clean_key, suffix_under


class _FamilyChanged(errors.Overtaken):
    """A version was saved, replaced or deleted while the family was copied: look again."""


def check_rename(record: ArtifactRecord, key: str | None) -> str:
    """Check that a saved artifact may get another key, and return that as it is stored.

    Raises:
        InvalidKey: The key is no clean relative path.
        InvalidArgument: It has another suffix than the artifact, is None, or the storage is not managed here.
    """
    if key is None:
        raise errors.InvalidArgument(f"the key of {record.uid} cannot be removed; give it another one")
    key = clean_key(key)
    suffix_under(key, record.suffix, is_folder=record.n_files is not None)
    if not record._key_is_virtual and not record.storage.is_managed:
        raise errors.InvalidArgument(
            f"{record.uid} lies at its real key in {record.storage.root}, which is not managed by this registry"
        )
    if not record._key_is_virtual:
        record.storage.backend.check_path(key)
    return key


def _nothing(connection: Connection) -> None:
    """Write nothing."""


def move_real_key(record: ArtifactRecord, key: str, *, also: Callable[[Connection], None] = _nothing) -> None:
    """Move the bytes at a real key to another one: copied and verified, recorded, published, then the old ones removed.

    Args:
        record: A saved artifact.
        key: The other key.
        also: Writes other rows in the same transaction; what it raises undoes the move.

    Raises:
        ObjectExists: Something is at the new key.
        InvalidArgument: Another family has the new key.
        IntegrityError: The bytes are not those that the record describes; they are not moved.
        StorageError: The copy failed; nothing is left of it.
    """
    registry, storage = record.registry, record.storage
    table = record.__table__
    with registry.engine.connect() as connection:
        old = connection.execute(select(table.c.key).where(table.c.id == record.id)).scalar_one_or_none()
        if old is None:
            raise errors.ObjectDoesNotExist(f"{record.uid} was deleted; it cannot get the key {key!r}")
        check_key_free(connection, Family.of(table, record.uid), key=key, storage_id=storage.id)
    check_free(registry, storage, key)
    site: Reservation | None = None
    may_be_committed = False

    def step() -> str | None:
        nonlocal site
        site = left = leave(registry, storage, old, uids.stem_of(record.uid))

        def work(connection: Connection) -> str | None:
            nonlocal may_be_committed
            may_be_committed = False
            rename(connection, table, record.uid, key)
            also(connection)
            kept = release(connection, table, left)
            may_be_committed = True
            return kept

        return registry.unit_of_work(work)

    def undo(error: errors.LamartError) -> None:
        if site is not None:
            site.discard()

    try:
        kept = attempting(step, undo, busy=f"{old} could not be renamed: its bytes are changed again and again")
    except BaseException:
        if site is not None and not may_be_committed:
            site.discard()
        raise
    if site is not None and site.copy is not None and kept != site.copy.path:
        site.discard()
    publish(registry, storage, key)
    publish(registry, storage, old)


# ---------------------------------------------------------------------- to another storage


@dataclass(frozen=True)
class _Family:
    """The versions of a family as they are before they move, and the objects that hold their bytes."""

    rows: dict[int, Row]
    objects: dict[int, Row]

    @property
    def state(self) -> set[tuple[int, int]]:
        """Which version refers to which object."""
        return {(row["id"], row["object_id"]) for row in self.rows.values()}

    @property
    def real_key(self) -> str | None:
        """The key that the bytes of the latest version lie at."""
        return next((row["key"] for row in self.rows.values() if is_real(row)), None)

    @property
    def keeps_versions(self) -> bool:
        """Whether the bytes of all versions are kept in the version store."""
        return self.real_key is None and not any(row["_overwrite_versions"] for row in self.rows.values())


@dataclass(frozen=True)
class _Moved:
    used: frozenset[str]
    gone: tuple[Unclaimed, ...]
    obsolete: tuple[str, ...]
    real_key: str | None


def check_move(record: ArtifactRecord, source: Storage, target: Storage) -> None:
    """Check that an artifact may move from one storage location to another.

    Raises:
        InvalidArgument: One of them is not managed by this registry, they belong to two spaces, or the target is not
            of this registry.
    """
    if not target.is_saved or target.registry != record.registry:
        raise errors.InvalidArgument(f"{target!r} is no storage location of {record.registry!r}")
    for storage in (source, target):
        if not storage.is_managed:
            raise errors.InvalidArgument(
                f"{storage.root} is not managed by this registry: nothing can be moved from or to it"
            )
    if source.space_id != target.space_id:
        raise errors.InvalidArgument(
            f"{source.root} and {target.root} belong to two spaces: {record.uid} cannot move between them. Save a copy "
            "with Artifact(artifact.cache(), storage=…, skip_hash_lookup=True)"
        )


def move_to_storage(record: ArtifactRecord, storage: Storage, *, also: Callable[[Connection], None] = _nothing) -> None:
    """Move an artifact with all versions of its family to another storage location.

    The bytes are copied and verified, then one transaction lets all versions refer to the copies, then the old bytes
    are removed, unless other artifacts refer to them. Never asks.

    Args:
        record: A saved artifact.
        storage: The target.
        also: Writes other rows in the same transaction; what it raises undoes the move.

    Raises:
        InvalidArgument: See `check_move`; or another family has the key in the target.
        ObjectExists: The family has a real key, and something lies at it in the target.
        ContentMismatch: Bytes are missing or altered; nothing was moved.
        StorageError: A storage failed; nothing was moved.
    """
    registry = record.registry
    table = record.__table__
    with registry.engine.connect() as connection:
        source_id = connection.execute(select(table.c.storage_id).where(table.c.id == record.id)).scalar_one_or_none()
    if source_id is None:
        raise errors.ObjectDoesNotExist(f"{record.uid} was deleted; it cannot move to {storage.root}")
    if source_id == storage.id:
        return
    source = registry.Storage.get(source_id)
    check_move(record, source, storage)
    copies: list[Copy] = []
    may_be_committed = False

    def step() -> _Moved:
        family = _read_family(registry, table, record.uid)
        if family.real_key is not None:
            finish(registry, source, family.real_key)
            family = _read_family(registry, table, record.uid)
            check_free(registry, storage, str(family.real_key))
        stem, kept = uids.stem_of(record.uid), family.keeps_versions
        try:
            for row in (row for row in family.objects.values() if row["state"] is None):
                copies.append(copy_object(registry, row, source, storage, stem, before=copies, keeps_versions=kept))
        except (errors.IntegrityError, errors.StorageError, errors.PathNotFound) as error:
            if _read_family(registry, table, record.uid).state == family.state:
                raise
            raise _FamilyChanged(f"the family of {record.uid} changed while it was copied") from error

        def work(connection: Connection) -> _Moved:
            nonlocal may_be_committed
            may_be_committed = False
            recorded = _record_move(connection, table, record, storage, family, copies)
            also(connection)
            may_be_committed = True
            return recorded

        return registry.unit_of_work(work)

    def undo(error: errors.LamartError) -> None:
        _discard(copies)
        copies.clear()

    busy = f"{record.uid} could not be moved: its family is changed again and again"
    try:
        moved = attempting(step, undo, busy=busy)
    except BaseException:
        if not may_be_committed:
            _discard(copies)
        raise
    _remove_unused(storage, copies, moved.used)
    for item in moved.gone:
        remove_bytes(source, item.path, is_folder=item.is_folder)
    for path in moved.obsolete:
        publish(registry, source, path)
    if moved.real_key is not None:
        publish(registry, source, moved.real_key)
        publish(registry, storage, moved.real_key)
    changes = {name: value for name, value in record._changes().items() if name != "storage_id"}
    record.refresh()
    for name, value in changes.items():
        setattr(record, name, value)


def _remove_unused(storage: Storage, copies: list[Copy], used: frozenset[str]) -> None:
    """Remove what was put and nothing came to refer to: whole copies, and contents of folders, which copies share."""
    contents = {content.relpath for copy in copies for content in copy.contents.values()}
    with storage.registry.engine.connect() as connection:
        is_here = among(connection, OBJECT.c.path, contents)
        query = select(OBJECT.c.path).where(OBJECT.c.storage_id == storage.id, is_here)
        spare = contents - set(connection.execute(query).scalars()) if contents else contents
    for path in spare:
        remove_bytes(storage, path, is_folder=False)
    _discard([replace(copy, contents={}) for copy in copies if copy.path not in used])


def _discard(copies: list[Copy]) -> None:
    for copy in copies:
        copy.discard()


def _read_family(registry: Registry, table: Table, uid: str) -> _Family:
    with registry.engine.connect() as connection:
        rows = [row._asdict() for row in connection.execute(select(table).where(Family.of(table, uid).members))]
        ids = {row["object_id"] for row in rows}
        query = select(OBJECT).where(OBJECT.c.id.in_(ids)).order_by(OBJECT.c.id)
        objects = [row._asdict() for row in connection.execute(query)]
    return _Family({row["id"]: row for row in rows}, {row["id"]: row for row in objects})


def _record_move(
    connection: Connection, table: Table, record: ArtifactRecord, storage: Storage, family: _Family, copies: list[Copy]
) -> _Moved:
    columns = table.c
    own = Family.of(table, record.uid)
    lock(connection, own)
    rows = connection.execute(select(columns.id, columns.object_id, columns.key).where(own.members))
    now_there = rows.all()
    if {(row.id, row.object_id) for row in now_there} != family.state:
        raise _FamilyChanged(f"the family of {record.uid} changed while it was copied")
    check_unlocked(connection, table, list(family.rows))
    for key in {row.key for row in now_there if row.key is not None}:
        check_key_free(connection, Family.of(table, record.uid), key=key, storage_id=storage.id)
    used: set[str] = set()
    before: int | None = None
    for copy in copies:
        ids = {row["id"] for row in family.rows.values() if row["object_id"] == copy.row["id"]}
        recording = record_copy(connection, table, copy, artifact_ids=ids, base_id=before)
        used.add(recording.path)
        before = recording.object_id
    values = {"storage_id": storage.id, "_real_key": None, "updated_at": now()}
    connection.execute(update(table).where(columns.id.in_(family.rows)).values(values))
    old = {copy.row["id"] for copy in copies}
    gone = delete_unreferenced(connection, old)
    return _Moved(frozenset(used), tuple(gone), leave_places(connection, old, remove=True), family.real_key)
