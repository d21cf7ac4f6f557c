"""Repairing what a check found, where that loses nothing: no record is deleted, and no bytes that a record claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Row, Table, exists, select, update

from lamart_core import errors, hashing
from lamart_core.care.findings import Finding, Kind
from lamart_core.db import Base, Registry
from lamart_core.families.family import Family, promote_newest
from lamart_core.logging import logger
from lamart_core.objects.candidates import cached_copies, candidates
from lamart_core.objects.garbage import purge
from lamart_core.objects.put_again import put_again, put_at
from lamart_core.objects.rows import OBJECT, note_obsolete, note_sizes
from lamart_core.objects.verify import digest_of, has_content, verify
from lamart_core.places.publish import Publication, finish_publication, publish_pending
from lamart_core.records import Storage, artifact_table, link_tables
from lamart_core.storage import Depth, Marker


def repair_finding(registry: Registry, found: Finding) -> Finding:
    """Repair one finding if it can be repaired without losing anything.

    Returns:
        The finding: repaired, or as it was, with the reason in the log.
    """
    verb = _VERBS.get(found.kind)
    if verb is None or not found.is_repairable:
        return found
    try:
        done = verb(registry, found)
    except errors.LamartError as error:
        logger.warning("%s could not be repaired: %s", found.detail, error)
        return found
    return replace(found, is_repaired=True) if done else found


def _table(found: Finding) -> Table:
    return Base.metadata.tables[str(found.table)]


def _repair_heads(registry: Registry, found: Finding) -> bool:
    """Make the newest version of a family on the branch its only latest one."""
    table, branch_id, uid = _table(found), found.branch_id, found.artifact
    assert branch_id is not None
    assert uid is not None

    def work(connection: Connection) -> bool:
        # Of several rows with one uid any tells the family; that they are several is another finding.
        row = connection.execute(select(table).where(table.c.uid == uid)).mappings().first()
        return row is not None and bool(promote_newest(connection, branch_id, Family.of_row(table, row)))

    return registry.unit_of_work(work)


def _drop_link(registry: Registry, found: Finding) -> bool:
    """Delete a row that links something with nothing; only if that is (still) so."""
    table = _table(found)
    if table.name not in link_tables():
        return False
    dangling = [
        column.is_not(None) & ~exists().where(key.column.table.alias().c[key.column.name] == column)
        for column in table.columns
        for key in column.foreign_keys
    ]

    def work(connection: Connection) -> bool:
        condition = dangling[0]
        for other in dangling[1:]:
            condition = condition | other
        connection.execute(table.delete().where(table.c.id == found.row_id, condition))
        return connection.execute(select(table.c.id).where(table.c.id == found.row_id)).first() is None

    return registry.unit_of_work(work)


def _mark(registry: Registry, found: Finding) -> bool:
    """Write the marker of a location whose objects lie there; one that is there is never overwritten."""
    storage = _storage(registry, found.storage_id)
    storage.backend.write_marker(Marker(storage.uid, registry.uid))
    return True


def _drop_leases(registry: Registry, found: Finding) -> bool:
    assert found.storage_id is not None
    purge(registry, found.storage_id)
    return True


def _publish(registry: Registry, found: Finding) -> bool:
    """Complete what a process that died had begun at a real key."""
    assert found.storage_id is not None
    assert found.path is not None
    pending = Publication(found.storage_id, found.path, found.artifact)
    finish_publication(registry, pending)
    return pending not in publish_pending(registry, _storage(registry, found.storage_id))


def _refresh_copies(registry: Registry, found: Finding) -> bool:
    """Copy hash and size of the stored object to the artifact, if the bytes are what the object says."""
    table = artifact_table()
    with registry.engine.connect() as connection:
        query = select(OBJECT).join(table, table.c.object_id == OBJECT.c.id).where(table.c.id == found.row_id)
        row = connection.execute(query).first()
    if row is None or row.is_content_addressed or not row.is_exact:
        return False
    if not verify(_storage(registry, row.storage_id), row._asdict(), Depth.DIGEST).is_whole:
        return False
    values = {"hash": row.hash, "_hash_type": row.hash_type, "size": row.size, "n_files": row.n_files}
    change = update(table).where(table.c.id == found.row_id, table.c.object_id == row.id).values(**values)
    return registry.unit_of_work(lambda connection: connection.execute(change).rowcount) == 1


def _put_again(registry: Registry, found: Finding) -> bool:
    """Put bytes again of which an equal copy is somewhere, under a new name, and let the record say that one.

    The damaged bytes stay until garbage collection takes them.
    """
    with registry.engine.connect() as connection:
        row = connection.execute(select(OBJECT).where(OBJECT.c.id == found.row_id)).first()
    if row is None:
        return False
    storage = _storage(registry, row.storage_id)
    if not storage.is_managed or row.is_content_addressed:
        return False
    with TemporaryDirectory() as folder:
        for copy in _copies(registry, storage, row, Path(folder)):
            if has_content(copy, row._asdict()) and _put_copy(registry, storage, row, copy):
                return True
    return False


def _copies(registry: Registry, storage: Storage, row: Row[Any], folder: Path) -> Iterator[Path]:
    """Go through copies of an object's content on this machine; nobody has looked at their bytes yet."""
    yield from cached_copies(registry, storage, row)
    for number, other in enumerate(candidates(registry, row)):
        backend = _storage(registry, other.storage_id).backend
        copy = folder / f"{number}{row.suffix}"
        try:
            backend.get(other.path, copy, is_folder=other.is_folder)
        except errors.LamartError as error:
            logger.warning("%s in %s is no copy: %s", other.path, backend.root, error)
            continue
        yield copy


def _put_copy(registry: Registry, storage: Storage, row: Row[Any], copy: Path) -> bool:
    digest, tree = digest_of(row._asdict()), None
    if row.n_files is not None:
        is_tree = digest is not None and digest.is_tree
        tree = hashing.hash_tree(copy, row.hash_type.removesuffix("-tree") if is_tree else registry.hash_algorithm)
    if row.is_managed:
        return put_again(storage, row._asdict(), copy, digest=digest, tree=tree)
    # At its real key, what is missing is put where it was.
    put_at(storage.backend, copy, row.path, digest=digest, tree=tree)
    size, n_files = (tree.size, tree.n_files) if tree is not None else (copy.stat().st_size, None)

    def work(connection: Connection) -> bool:
        note_sizes(connection, row.id, size, n_files)
        is_there = connection.execute(select(OBJECT.c.id).where(OBJECT.c.id == row.id)).first() is not None
        if not is_there:  # deleted in this moment
            note_obsolete(connection, row._asdict(), row.path)
        return is_there

    return registry.unit_of_work(work)


def _storage(registry: Registry, storage_id: int | None) -> Storage:
    with registry.read() as session:
        found = session.scalars(select(Storage).where(Storage.id == storage_id)).one()
    found._registry = registry
    return found


_VERBS: dict[Kind, Callable[[Registry, Finding], bool]] = {
    Kind.HEADLESS: _repair_heads,
    Kind.SEVERAL_HEADS: _repair_heads,
    Kind.DANGLING: _drop_link,
    Kind.MARKER: _mark,
    Kind.LEASE: _drop_leases,
    Kind.UNPUBLISHED: _publish,
    Kind.DIFFERING: _refresh_copies,
    Kind.MISSING: _put_again,
    Kind.TRUNCATED: _put_again,
    Kind.ALTERED: _put_again,
}
