"""What lies in the storage locations, compared with what the records say. In bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import ColumnElement, Row, exists, func, or_, select

from lamart_core import errors
from lamart_core.care.findings import Finding, Kind
from lamart_core.db import Registry, batches
from lamart_core.objects.candidates import has_candidate
from lamart_core.objects.histories import covers
from lamart_core.objects.rows import OBJECT
from lamart_core.objects.unreferenced import is_referred
from lamart_core.objects.verify import verify
from lamart_core.records import FolderFile, Storage, artifact_table, ownership
from lamart_core.records.stored_object import MISSING
from lamart_core.storage import MARKER, Depth, State, is_stored_name
from lamart_core.storage.ownership import Owner

_FILE = FolderFile.__table__
_PAGE = 500
_LOOKED_AT = 20  # objects that say whether a store without a marker is the one that is meant
_NAMES = 1000  # that are asked for at once
_KINDS = {
    State.MISSING: Kind.MISSING,
    State.UNREACHABLE: Kind.UNREACHABLE,
    State.ALTERED_SIZE: Kind.TRUNCATED,
    State.ALTERED_CONTENT: Kind.ALTERED,
}
# What else may lie in a reserved folder: the marker, staging files, and an embedded database with its storage.
_OWN_NAMES = ("storage_uid.txt", "tmp", "storage", "lamart.db", "lamart.db-wal", "lamart.db-shm", "lamart.db-journal")


@dataclass
class _Ids:
    """A set of row ids in a bit each."""

    parts: dict[int, bytearray] = field(default_factory=dict[int, bytearray])

    def add(self, number: int) -> None:
        part = self.parts.setdefault(number >> 16, bytearray(8192))
        part[(number & 0xFFFF) >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        part = self.parts.get(number >> 16)
        return part is not None and bool(part[(number & 0xFFFF) >> 3] & (1 << (number & 7)))


def check_marker(registry: Registry, storage: Storage) -> Iterator[Finding]:
    """Check that a location can be read, and that the store there is the one that its row means."""
    try:
        found = ownership.look(storage)
        if found is None:
            storage.backend.check_reachable()
    except (errors.LamartError, OSError) as error:
        yield Finding(Kind.UNREACHABLE, f"{storage.root} cannot be read: {error}", storage=storage.root)
        return
    if found is None or found.is_ours:
        return
    if found.owner is Owner.ABSENT:
        yield Finding(Kind.UNREACHABLE, str(found), storage=storage.root)
        return
    yield Finding(
        Kind.MARKER,
        str(found),
        storage=storage.root,
        path=MARKER,
        is_repairable=storage.is_managed and found.owner is Owner.NOBODY and lies_there(registry, storage),
        storage_id=storage.id,
    )


def lies_there(registry: Registry, storage: Storage) -> bool:
    """Return whether the store at a root without a marker is that of a location: it holds the newest that it should.

    A location that should hold nothing is as good as any other empty folder.
    """
    columns = OBJECT.c
    query = select(OBJECT).where(
        columns.storage_id == storage.id, columns.state.is_(None), ~columns.is_content_addressed
    )
    with registry.engine.connect() as connection:
        rows = connection.execute(query.order_by(columns.id.desc()).limit(_LOOKED_AT)).all()
    backend = storage.backend
    return not rows or any(backend.exists(row.path) for row in rows)


@dataclass(frozen=True)
class BytesCheck:
    """One pass over the stored objects of one location.

    Attributes:
        registry: The registry.
        storage: The location.
        verify: Whether the bytes are read and hashed.
        progress: Called with the number of objects that were looked at since the last call.
    """

    registry: Registry
    storage: Storage
    verify: bool
    progress: Callable[[int], None]

    def run(self) -> Iterator[Finding]:
        """Go through what lies there and what should."""
        seen = _Ids()
        if self.storage.is_managed:
            yield from self._listed(seen)
        with ThreadPoolExecutor(self.storage.backend.requests) as pool:
            for rows in self._pages(OBJECT.c.is_content_addressed & ~is_superseded()):
                yield from (found for row in rows if (found := self._content_addressed(row)) is not None)
            for rows in self._pages(~OBJECT.c.is_content_addressed & ~is_superseded()):
                todo = [row for row in rows if self.verify or row.id not in seen]
                looked_at = zip(todo, pool.map(self._look, todo), strict=True)
                found = {row: finding for row, finding in looked_at if finding is not None}
                # What was deleted or moved while it was looked at is not missing.
                yield from (found[row] for row in self._unchanged(list(found)))
                self.progress(len(rows))
        for rows in self._pages(is_superseded()):
            yield from (self._lost(row) for row in rows)

    def _listed(self, seen: _Ids) -> Iterator[Finding]:
        """Go through the version store: what is no object, and which objects the listing says are right."""
        for batch in batches(self.storage.backend.list_reserved(), _NAMES):
            columns = OBJECT.c
            names = {name.relpath: name for name in batch}
            query = select(columns.id, columns.path, columns.size, columns.n_files).where(
                columns.storage_id == self.storage.id, columns.path.in_(list(names))
            )
            with self.registry.engine.connect() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                name = names.pop(row.path)
                if row.n_files is None and name.size is not None and name.size == row.size:
                    seen.add(row.id)
            for relpath in names:
                if not is_stored_name(relpath) and PurePosixPath(relpath).name not in _OWN_NAMES:
                    yield Finding(
                        Kind.FOREIGN,
                        f"{self.storage.root}/{relpath} lies in the version store, and was not made by this library; "
                        "move it elsewhere",
                        storage=self.storage.root,
                        path=relpath,
                    )

    def _content_addressed(self, row: Row[Any]) -> Finding | None:
        """Check that the files of a folder are those that its record counts; each is an object, and checked as one."""
        file = _FILE.c
        query = select(func.count(), func.coalesce(func.sum(file.size), 0), func.count(file.object_id)).where(
            file.history_id == row.history_id, or_(*covers(row.position))
        )
        empty = query.where(file.size == 0, file.object_id.is_(None))
        with self.registry.engine.connect() as connection:
            count, size, stored = connection.execute(query).one()
            without = connection.execute(empty).one()[0]
        if (count, size, stored + without) == (row.n_files, row.size, count) or not self._unchanged([row]):
            return None
        return self._finding(
            Kind.MISSING,
            row,
            f"{stored + without:,} of {row.n_files:,} files are known, with {size:,} of {row.size:,} bytes",
            is_repairable=False,
        )

    def _pages(self, wanted: ColumnElement[bool]) -> Iterator[Sequence[Row[Any]]]:
        """Go through the objects of some kind that somebody refers to."""
        columns, last = OBJECT.c, 0
        while True:
            query = (
                select(OBJECT)
                .where(columns.storage_id == self.storage.id, columns.id > last, wanted)
                .where(is_referred())
                .order_by(columns.id)
                .limit(_PAGE)
            )
            with self.registry.engine.connect() as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            last = rows[-1].id
            yield rows

    def _unchanged(self, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
        """Return those of some objects whose rows are still what they were."""
        if not rows:
            return []
        columns = OBJECT.c
        query = select(OBJECT).where(columns.id.in_([row.id for row in rows]), is_referred(), ~is_superseded())
        with self.registry.engine.connect() as connection:
            now = {row.id: row for row in connection.execute(query)}
        return [row for row in rows if now.get(row.id) == row]

    def _look(self, row: Row[Any]) -> Finding | None:
        verdict = verify(self.storage, row._asdict(), Depth.DIGEST if self.verify else Depth.SIZE)
        if verdict.is_whole:
            return None
        kind = _KINDS[verdict.state]
        return self._finding(kind, row, str(verdict), is_repairable=kind is not Kind.UNREACHABLE)

    def _lost(self, row: Row[Any]) -> Finding:
        uid = first_artifact(self.registry, row.id)
        what = "there was nothing there any more" if row.state == MISSING else "other bytes lay there"
        return Finding(
            Kind.LOST,
            f"{self.storage.root}/{row.path} (artifact {uid}): {what} when it was looked at, and another version has "
            "taken the place; put its bytes back and register them with Artifact(path), or delete the artifact",
            storage=self.storage.root,
            path=row.path,
            artifact=uid,
            table=OBJECT.name,
            row_id=row.id,
            storage_id=self.storage.id,
        )

    def _finding(self, kind: Kind, row: Row[Any], what: str, *, is_repairable: bool = True) -> Finding:
        if kind is not Kind.UNREACHABLE and not row.is_managed and kind is not Kind.MISSING:
            kind, is_repairable = Kind.CHANGED_IN_PLACE, False
        uid = first_artifact(self.registry, row.id)
        return Finding(
            kind,
            f"{self.storage.root}/{row.path} (artifact {uid}): {what}",
            storage=self.storage.root,
            path=row.path,
            artifact=uid,
            is_repairable=is_repairable and has_candidate(self.registry, self.storage, row),
            table=OBJECT.name,
            row_id=row.id,
            storage_id=self.storage.id,
        )


def is_superseded() -> ColumnElement[bool]:
    """Return the SQL expression for: a file in place that changed, and was registered again with what it is now."""
    later = OBJECT.alias("later")
    has_later = exists().where(
        later.c.storage_id == OBJECT.c.storage_id,
        later.c.path == OBJECT.c.path,
        later.c.id > OBJECT.c.id,
        later.c.state.is_(None),
    )
    return ~OBJECT.c.is_managed & (OBJECT.c.state.is_not(None) | has_later)


def first_artifact(registry: Registry, object_id: int) -> str | None:
    """Return the uid of the oldest artifact that names an object, or a folder that the object is a file of."""
    table = artifact_table()
    folder = OBJECT.alias("folder")
    file = _FILE.c
    parts = select(folder.c.id).where(
        file.object_id == object_id,
        file.history_id == folder.c.history_id,
        or_(*covers(folder.c.position)),
    )
    query = (
        select(table.c.uid)
        .where((table.c.object_id == object_id) | table.c.object_id.in_(parts))
        .order_by(table.c.id)
        .limit(1)
    )
    with registry.engine.connect() as connection:
        return connection.execute(query).scalar_one_or_none()
