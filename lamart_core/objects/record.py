"""Recording the stored objects that records are going to refer to: those that were put, or those of equal bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import ColumnElement, Connection, Executable, and_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core import errors
from lamart_core.db import now
from lamart_core.objects import histories
from lamart_core.objects.folder_contents import ObjectVanished
from lamart_core.objects.plan import Put, Row, Staged
from lamart_core.objects.rows import OBJECT, Recording, insert_files, note_sizes, object_values
from lamart_core.query.sql.dialects import among, dialect_of
from lamart_core.records import Storage
from lamart_core.records.stored_object import LOST


@dataclass(frozen=True)
class ContentKey:
    """What stored objects have in common that several records may share."""

    storage_id: int
    hash: str
    hash_type: str
    suffix: str


def content_key(staged: Staged, storage: Storage) -> ContentKey | None:
    """Return what objects of equal bytes have in common; None for what has bytes of its own."""
    digest = staged.digest
    if staged.in_place is not None or digest is None or not staged.is_comparable or not storage.is_saved:
        return None
    return ContentKey(storage.id, digest.value, digest.algorithm, staged.suffix)


@dataclass(frozen=True)
class ToRecord:
    """An object that a record is going to refer to.

    Attributes:
        staged: Its content.
        storage: Its location.
        put: What was put; None where equal bytes are expected to be there.
        is_listed: Whether the files of a folder are written down one by one.
        base_id: Id of the object of the version before, of which a folder may have kept files.
    """

    staged: Staged
    storage: Storage
    put: Put | None
    is_listed: bool = False
    base_id: int | None = None


@dataclass(frozen=True)
class Share:
    """A stored object that content is going to share.

    Attributes:
        storage: Its location.
        object: Its row.
        staged: The equal content.
    """

    storage: Storage
    object: Row
    staged: Staged


class Unverified(errors.Overtaken):
    """Equal bytes are stored, and nobody has looked whether they are whole: do that, and try again.

    Attributes:
        shares: What is to be looked at.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        super().__init__(f"{len(shares):,} stored objects were not looked at")
        self.shares = shares


def shared_objects(connection: Connection, keys: Iterable[ContentKey]) -> dict[ContentKey, Row]:
    """Return the objects of version stores that hold some contents: one statement for each storage location.

    They are locked (where rows can be), so that nobody deletes them, or names them under another key, before a commit.
    """
    columns = OBJECT.c
    found: dict[ContentKey, Row] = {}
    for storage_id, hashes in _by_storage((key.storage_id, key.hash) for key in keys).items():
        query = select(OBJECT).where(may_be_shared(storage_id), among(connection, columns.hash, hashes))
        for row in connection.execute(query.order_by(columns.id).with_for_update()):
            found[ContentKey(storage_id, row.hash, row.hash_type, row.suffix)] = row._asdict()
    return found


def may_be_shared(storage_id: int) -> ColumnElement[bool]:
    """Return the condition that an object of a storage may be what several records name."""
    # In the words of the index of contents: SQLite does not use it for `is_managed = 1`, and reads the whole location.
    words = " AND ".join(f"{OBJECT.name}.{word}" for word in ("is_managed", "is_exact", "size > 0"))
    return and_(OBJECT.c.storage_id == storage_id, text(words))


def record_objects(
    connection: Connection, wanted: Sequence[ToRecord], verified: Collection[int] | None = frozenset()
) -> list[Recording]:
    """Return the stored object of each content: the one that was put, or one of equal bytes that is there.

    The number of statements does not depend on how many there are, but for folders whose files are listed.

    Args:
        connection: Connection in a write transaction.
        wanted: The contents.
        verified: Ids of objects that are known to be whole; None where nobody has to look.

    Raises:
        ObjectVanished: Equal bytes that were found before are not there any more.
        Unverified: Equal bytes are there that nobody has looked at.
        BytesCollected: Garbage collection has taken files of a folder that were put.
        Conflict: Equal bytes were deleted in this moment.
    """
    inserted = _insert_put(connection, wanted)
    rest = [
        item for item in wanted if item.put is None or _identity(item.storage, item.put, item.staged) not in inserted
    ]
    lying = _lying(connection, [item for item in rest if item.staged.in_place is not None])
    keys = {key for item in rest if (key := content_key(item.staged, item.storage)) is not None}
    shared = shared_objects(connection, keys) if keys else {}
    recorded: list[Recording] = []
    unverified: list[Share] = []
    for item in wanted:
        identity = _identity(item.storage, item.put, item.staged) if item.put is not None else None
        if identity is not None and identity in inserted:
            recorded.append(Recording(inserted[identity], identity.path, is_new=True))
            continue
        if identity is not None and identity in lying:
            recorded.append(Recording(lying[identity]["id"], identity.path))
            continue
        key = content_key(item.staged, item.storage)
        row = shared.get(key) if key is not None else None
        if row is None:
            raise ObjectVanished if item.put is None else errors.Conflict("equal bytes were deleted in this moment")
        if verified is not None and row["id"] not in verified:
            unverified.append(Share(item.storage, row, item.staged))
        # In some formats the bytes of equal contents differ.
        recorded.append(Recording(row["id"], row["path"], sizes={name: row[name] for name in ("size", "n_files")}))
    if unverified:
        raise Unverified(unverified)
    _note_lying(connection, wanted, recorded, lying)
    return _list_files(connection, wanted, recorded)


@dataclass(frozen=True)
class _Identity:
    """What tells the rows of objects apart: in place, one path may have held several contents."""

    storage_id: int
    path: str
    hash: str | None


def _identity(storage: Storage, put: Put, staged: Staged) -> _Identity:
    return _Identity(storage.id, put.relpath, staged.digest.value if staged.digest is not None else None)


def _by_storage(values: Iterable[tuple[int, str]]) -> dict[int, set[str]]:
    found: defaultdict[int, set[str]] = defaultdict(set)
    for storage_id, value in values:
        found[storage_id].add(value)
    return found


def _insert_put(connection: Connection, wanted: Sequence[ToRecord]) -> dict[_Identity, int]:
    """Insert the rows of what was put, and return the ids of those that are new."""
    created = now()
    rows = {
        _identity(item.storage, item.put, item.staged): object_values(item.staged)
        | {
            "storage_id": item.storage.id,
            "path": item.put.relpath,
            "is_managed": item.put.is_managed,
            "stamp": item.put.stamp,
            "created_at": created,
        }
        for item in wanted
        if item.put is not None
    }
    if not rows:
        return {}
    # In one order for all, so that two who store the same never wait for each other in a circle.
    order = sorted(rows, key=lambda place: (place.storage_id, place.hash or "", place.path))
    values = [rows[identity] for identity in order]
    inserted = connection.execute(_insert(connection.dialect.name), values if len(values) > 1 else values[0])
    return {_Identity(row.storage_id, row.path, row.hash): row.id for row in inserted}


@lru_cache
def _insert(dialect_name: str) -> Executable:
    dialect = postgresql if dialect_name == "postgresql" else sqlite
    columns = OBJECT.c
    inserted = dialect.insert(OBJECT).on_conflict_do_nothing()
    return inserted.returning(columns.id, columns.storage_id, columns.path, columns.hash)


# ---------------------------------------------------------------------- in place


def _lying(connection: Connection, wanted: Sequence[ToRecord]) -> dict[_Identity, Row]:
    """Return the objects that are registered where they lie already."""
    columns = OBJECT.c
    paths = _by_storage((item.storage.id, item.put.relpath) for item in wanted if item.put is not None)
    found: dict[_Identity, Row] = {}
    for storage_id, names in paths.items():
        query = select(OBJECT).where(columns.storage_id == storage_id, among(connection, columns.path, names))
        for row in connection.execute(query):
            found[_Identity(storage_id, row.path, row.hash)] = row._asdict()
    return found


def _note_lying(
    connection: Connection, wanted: Sequence[ToRecord], recorded: Sequence[Recording], lying: dict[_Identity, Row]
) -> None:
    """Note what lies in place now: all others that were registered at these paths are lost.

    When a former content comes back, the versions that had it are there again.
    """
    there = [(item, found) for item, found in zip(wanted, recorded, strict=True) if item.staged.in_place is not None]
    if not there:
        return
    columns = OBJECT.c
    are_there = dialect_of(connection.dialect.name).among(columns.id, sorted({found.object_id for _, found in there}))
    if lying:
        connection.execute(update(OBJECT).where(are_there, columns.state.is_not(None)).values(state=None))
    before = {row["id"]: row for row in lying.values()}
    for item, found in there:
        row = before.get(found.object_id)
        if row is not None and row["size"] != item.staged.size:
            note_sizes(connection, found.object_id, item.staged.size, item.staged.n_files)
        if row is not None and item.put is not None and row["stamp"] != item.put.stamp:
            again = update(OBJECT).where(columns.id == found.object_id)
            connection.execute(again.values(stamp=item.put.stamp))
    for storage_id, names in _by_storage((item.storage.id, found.path) for item, found in there).items():
        here = among(connection, columns.path, names) & (columns.storage_id == storage_id) & ~columns.is_managed
        connection.execute(update(OBJECT).where(here, ~are_there, columns.state.is_(None)).values(state=LOST))


# ---------------------------------------------------------------------- folders


def _list_files(connection: Connection, wanted: Sequence[ToRecord], recorded: Sequence[Recording]) -> list[Recording]:
    """Write down the files of folders that are new in the version store."""
    listed: set[int] = set()
    found: list[Recording] = []
    for item, recording in zip(wanted, recorded, strict=True):
        tree, put = item.staged.tree, item.put
        if not recording.is_new or not item.is_listed or tree is None or put is None or recording.object_id in listed:
            found.append(recording)
            continue
        listed.add(recording.object_id)
        folder = histories.NewFolder(recording.object_id, item.storage.id, tree, put.is_content_addressed)
        spare = insert_files(connection, folder, put.files, item.base_id)
        found.append(Recording(recording.object_id, recording.path, is_new=True, spare=spare))
    return found
