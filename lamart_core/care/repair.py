"""Mending what a check found, where that loses nothing: no record is deleted, and no bytes that a record claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Row, Table, exists, select, update

from lamart_core import errors, hashing, uids
from lamart_core.care.check_bytes import content_digest
from lamart_core.care.findings import Finding, Kind
from lamart_core.db import Base, Registry
from lamart_core.families.heads import promote_newest
from lamart_core.logging import logger
from lamart_core.objects.candidates import cached_copies, candidates
from lamart_core.objects.digests import digest_of_row, local_digest
from lamart_core.objects.holds import purge
from lamart_core.objects.rows import OBJECT, note_sizes
from lamart_core.objects.tombstones import check_not_collected
from lamart_core.places.publish import Publication, finish_publication, publish_pending
from lamart_core.records import Storage, artifact_table, link_tables
from lamart_core.storage import Marker, object_path


def mend(registry: Registry, found: Finding) -> Finding:
    """Mend one finding if it can be mended without losing anything.

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


def _mend_heads(registry: Registry, found: Finding) -> bool:
    """Make the newest version of a family on the branch its only latest one."""
    table, branch_id, uid = _table(found), found.branch_id, found.artifact
    assert branch_id is not None
    assert uid is not None
    return registry.unit_of_work(lambda connection: promote_newest(connection, table, uid, branch_id)) is not None


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
    """Write the marker of a location that the database says is ours; one that is there is never overwritten."""
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
    if row is None or row.is_scattered or not _is_whole(registry, row):
        return False
    values = {"hash": row.hash, "_hash_type": row.hash_type, "size": row.size, "n_files": row.n_files}
    change = update(table).where(table.c.id == found.row_id, table.c.object_id == row.id).values(**values)
    return registry.unit_of_work(lambda connection: connection.execute(change).rowcount) == 1


def _is_whole(registry: Registry, row: Row[Any]) -> bool:
    expected, is_folder = digest_of_row(row), row.n_files is not None
    if expected is None or not expected.is_exact:
        return False
    backend = _storage(registry, row.storage_id).backend
    try:
        return content_digest(backend, row.path, row.suffix, expected, is_folder=is_folder).value == expected.value
    except errors.LamartError:
        return False


def _put_again(registry: Registry, found: Finding) -> bool:
    """Put bytes again of which an equal copy is somewhere, under a new name, and let the record say that one.

    The damaged bytes stay until garbage collection takes them.
    """
    with registry.engine.connect() as connection:
        row = connection.execute(select(OBJECT).where(OBJECT.c.id == found.row_id)).first()
    if row is None:
        return False
    storage = _storage(registry, row.storage_id)
    if not storage.is_managed or row.is_scattered:
        return False
    with TemporaryDirectory() as folder:
        for copy in _copies(registry, storage, row, Path(folder)):
            if _has_content(copy, row) and _put_copy(registry, storage, row, copy):
                return True
    return False


def _has_content(copy: Path, row: Row[Any]) -> bool:
    expected = digest_of_row(row)
    assert expected is not None
    try:
        return local_digest(copy, row.suffix, expected, is_folder=row.n_files is not None).value == expected.value
    except errors.LamartError as error:
        logger.warning("%s is no copy: %s", copy, error)
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
    expected, is_folder = digest_of_row(row), row.n_files is not None
    assert expected is not None
    # At its real key, what is missing is put where it was; a name in the version store is never used again.
    stem = str(row.path).rpartition("/")[2][: uids.STEM_LENGTH]
    relpath = object_path(stem, row.suffix) if row.is_managed else row.path
    size, n_files = row.size, row.n_files
    if is_folder:
        tree = hashing.hash_tree(copy, expected.file_algorithm if expected.is_tree else registry.hash_algorithm)
        storage.backend.put_folder(copy, relpath, tree=tree)
        size, n_files = tree.size, tree.n_files
    else:
        storage.backend.put_file(copy, relpath, digest=hashing.hash_file(copy, registry.hash_algorithm))

    def work(connection: Connection) -> bool:
        change = update(OBJECT).where(OBJECT.c.id == row.id, OBJECT.c.path == row.path).values(path=relpath)
        done = connection.execute(change).rowcount == 1
        if done:
            note_sizes(connection, row.id, size, n_files)
        if row.is_managed:
            check_not_collected(connection, storage.id, [relpath])
        return done

    return registry.unit_of_work(work)


def _storage(registry: Registry, storage_id: int | None) -> Storage:
    with registry.read() as session:
        found = session.scalars(select(Storage).where(Storage.id == storage_id)).one()
    found._registry = registry
    return found


_VERBS: dict[Kind, Callable[[Registry, Finding], bool]] = {
    Kind.HEADLESS: _mend_heads,
    Kind.SEVERAL_HEADS: _mend_heads,
    Kind.DANGLING: _drop_link,
    Kind.MARKER: _mark,
    Kind.LEASE: _drop_leases,
    Kind.UNPUBLISHED: _publish,
    Kind.DIFFERING: _refresh_copies,
    Kind.MISSING: _put_again,
    Kind.TRUNCATED: _put_again,
    Kind.ALTERED: _put_again,
}
