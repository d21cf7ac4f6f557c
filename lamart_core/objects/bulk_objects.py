"""Rows of the stored objects of many artifacts, read and written by a fixed number of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core import errors
from lamart_core.objects.plan import Plan, Put, Row, Staged
from lamart_core.objects.rows import OBJECT, ObjectVanished, Share, Unseen, may_be_shared, put_values
from lamart_core.query.sql.dialects import among, dialect_of

_COLUMNS = tuple(OBJECT.c[name] for name in ("id", "path", "hash", "hash_type", "suffix"))


@dataclass(frozen=True)
class Content:
    """What objects of the version store have in common that hold the same bytes."""

    storage_id: int
    hash: str
    hash_type: str
    suffix: str


def content_of(staged: Staged, plan: Plan) -> Content | None:
    """Return the content that several artifacts may share; None where each has bytes of its own."""
    digest = staged.digest
    if staged.in_place is not None or not staged.is_comparable or not plan.key_is_virtual or digest is None:
        return None
    return Content(plan.storage.id, digest.value, digest.algorithm, staged.suffix)


@dataclass(frozen=True)
class Stored:
    """A stored object.

    Attributes:
        id: Id of its row.
        path: Path relative to the root of its storage location.
        is_new: Whether this transaction has written the row.
        row: The whole row of one that may be shared.
    """

    id: int
    path: str
    is_new: bool
    row: Row | None = None


@dataclass(frozen=True)
class ToStore:
    """An object that an artifact is going to refer to; without a put, one of equal bytes is expected to be there."""

    staged: Staged
    plan: Plan
    put: Put | None


def shared_objects(connection: Connection, contents: Iterable[Content]) -> dict[Content, Stored]:
    """Return the objects that hold some contents, locked where rows can be: one statement for each storage."""
    hashes = _by_storage((content.storage_id, content.hash) for content in contents)
    return {
        Content(storage_id, row.hash, row.hash_type, row.suffix): Stored(row.id, row.path, False, row._asdict())
        for storage_id, values in hashes.items()
        for row in connection.execute(
            select(OBJECT)
            .where(may_be_shared(storage_id), among(connection, OBJECT.c.hash, values))
            .order_by(OBJECT.c.id)
            .with_for_update()
        )
    }


def _by_storage(values: Iterable[tuple[int, str]]) -> dict[int, set[str]]:
    found: defaultdict[int, set[str]] = defaultdict(set)
    for storage_id, value in values:
        found[storage_id].add(value)
    return found


def insert_objects(connection: Connection, wanted: Sequence[ToStore], seen: Collection[int]) -> list[Stored]:
    """Do what `insert_object` does for many, with a fixed number of statements.

    Raises:
        ObjectVanished: Equal bytes that were going to be shared are not there any more.
        Unseen: Equal bytes are there that nobody has looked at.
        Conflict: They were deleted in this moment.
    """
    rows = {_place(item): put_values(item.staged, item.plan, item.put) for item in wanted if item.put is not None}
    there = {place: Stored(row_id, place.path, True) for place, row_id in _insert_new(connection, rows).items()}
    left = [item for item in wanted if item.put is None or _place(item) not in there]
    contents = {content for item in left if (content := content_of(item.staged, item.plan)) is not None}
    shared = shared_objects(connection, contents) if contents else {}
    there |= _lying(connection, [_place(item) for item in left if item.staged.in_place is not None])
    stored: list[Stored] = []
    for item in wanted:
        content = content_of(item.staged, item.plan)
        found = there.get(_place(item)) if item.put is not None else None
        if found is None and content is not None:
            found = shared.get(content)
        if found is None:
            raise ObjectVanished if item.put is None else errors.Conflict("an object was deleted in this moment")
        stored.append(found)
    unseen = [
        Share(item.plan.storage, found.row, item.staged)
        for item, found in zip(wanted, stored, strict=True)
        if found.row is not None and found.id not in seen
    ]
    if unseen:
        raise Unseen(unseen)
    _at_places(connection, wanted, stored)
    return stored


def _at_places(connection: Connection, wanted: Sequence[ToStore], stored: Sequence[Stored]) -> None:
    """Note what lies in place now: all others that were registered at these paths are lost; see `objects`."""
    lying = [
        (item.plan.storage.id, found)
        for item, found in zip(wanted, stored, strict=True)
        if item.staged.in_place is not None
    ]
    if not lying:
        return
    columns = OBJECT.c
    ids = sorted(found.id for _, found in lying)
    are_there = dialect_of(connection.dialect.name).among(columns.id, ids)
    connection.execute(update(OBJECT).where(are_there, columns.fate.is_not(None)).values(fate=None))
    for storage_id, names in _by_storage((storage_id, found.path) for storage_id, found in lying).items():
        here = among(connection, columns.path, names) & (columns.storage_id == storage_id) & ~columns.is_managed
        connection.execute(update(OBJECT).where(here, ~are_there, columns.fate.is_(None)).values(fate="lost"))


@dataclass(frozen=True)
class _Place:
    """What tells the rows of objects apart: in place, one path may have held several contents."""

    storage_id: int
    path: str
    hash: str | None


def _place(item: ToStore) -> _Place:
    assert item.put is not None
    digest = item.staged.digest
    return _Place(item.plan.storage.id, item.put.relpath, digest.value if digest is not None else None)


def _insert_new(connection: Connection, rows: dict[_Place, dict[str, Any]]) -> dict[_Place, int]:
    if not rows:
        return {}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    columns = OBJECT.c
    statement = (
        dialect.insert(OBJECT)
        .on_conflict_do_nothing()
        .returning(columns.id, columns.storage_id, columns.path, columns.hash)
    )
    # In one order for all, so that two who store the same never wait for each other in a circle.
    order = sorted(rows, key=lambda place: (place.storage_id, place.hash or "", place.path))
    inserted = connection.execute(statement, [rows[place] for place in order])
    return {_Place(row.storage_id, row.path, row.hash): row.id for row in inserted}


def _lying(connection: Connection, places: Sequence[_Place]) -> dict[_Place, Stored]:
    """Return the objects that are registered where they lie already."""
    paths = _by_storage((place.storage_id, place.path) for place in places)
    return {
        _Place(storage_id, row.path, row.hash): Stored(row.id, row.path, False)
        for storage_id, names in paths.items()
        for row in connection.execute(
            select(*_COLUMNS).where(OBJECT.c.storage_id == storage_id, among(connection, OBJECT.c.path, names))
        )
    }
