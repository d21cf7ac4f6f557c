"""Registering again what lies in a storage location and no row names, from what the bytes say of themselves.

For a database that was put back from a backup: what was saved since is not in it. What can be registered again are the
artifacts for which bytes were put; not those that share bytes which were stored before, nor runs, labels and texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from lamart_core import errors
from lamart_core.care.findings import Finding, Kind
from lamart_core.db import Registry, batches
from lamart_core.families.deleted import DELETED
from lamart_core.families.family import Family, lock, promote_newest
from lamart_core.hashing import Digest, stamp_of, state_of
from lamart_core.objects.about import About
from lamart_core.objects.folder_contents import ObjectVanished
from lamart_core.objects.garbage import held_paths, recorded_paths
from lamart_core.objects.plan import Put, Staged
from lamart_core.objects.record import ToRecord, record_objects
from lamart_core.objects.rows import of_version_store
from lamart_core.records import Storage, artifact_table
from lamart_core.records.kinds.mixins import new_row
from lamart_core.storage import Depth, Expected, ReservedName, is_stored_name, verdicts

_BATCH = 1000  # names that are asked for at once


def adopt(registry: Registry, storage: Storage) -> Iterator[Finding]:
    """Register whole objects of a version store that no row names as the artifacts that they were put for.

    The bytes of a save that was killed cannot be told from those of one that the database has forgotten, and are
    registered too. What was deleted for good stays deleted.

    Args:
        registry: The registry; it must be no copy of another one.
        storage: A location that it manages.

    Returns:
        What was found: repaired where it is registered now, else with the reason why it is not.

    Raises:
        DatabaseCopied: The database is a copy.
        StorageError: The storage failed or refused.
    """
    registry.require_original()
    names = (name for name in storage.backend.list_reserved() if is_stored_name(name.relpath))
    for batch in batches(names, _BATCH):
        with registry.engine.connect() as connection:
            known = recorded_paths(connection, storage.id, [name.relpath for name in batch])
            known |= held_paths(connection, storage.id)
        for name in sorted(batch, key=lambda name: name.relpath):
            if name.relpath not in known:
                yield _adopt_one(registry, storage, name)


def _adopt_one(registry: Registry, storage: Storage, name: ReservedName) -> Finding:
    about: About | None = None
    try:
        said = storage.backend.about(name.relpath)
        about = About.parse(said) if said is not None else None
        done = _register(registry, storage, name, about) if about is not None else "it does not say what it is"
    except errors.PathNotFound:
        done = "it is gone"
    is_adopted = about is not None and done == about.uid
    named = f", {about.key}" if about is not None and about.key is not None else ""
    what = f"is registered again as {done}{named}" if is_adopted else f"is not registered: {done}"
    return Finding(
        Kind.ORPHANED,
        f"{storage.root}/{name.relpath}, which nothing claims, {what}",
        storage=storage.root,
        path=name.relpath,
        artifact=done if is_adopted else None,
        is_repaired=is_adopted,
        storage_id=storage.id,
    )


def _register(registry: Registry, storage: Storage, name: ReservedName, about: About) -> str:
    """Register one object; return the uid of the artifact, or why there is none."""
    if not about.is_virtual:
        return "its key is a place in the storage, where it lies or lay; register what lies there with Artifact(path)"
    if about.hash is None or about.hash_type is None:
        return "it does not say what its content was"
    backend = storage.backend
    digest = Digest(about.hash_type, about.hash)
    expected = Expected(None, digest, is_folder=name.is_folder, suffix=about.suffix)
    verdict = verdicts.verify(backend, name.relpath, expected, Depth.DIGEST)
    if not verdict.is_whole:
        return f"it is not what it was put as: {verdict}"
    stat, path = backend.stat(name.relpath), backend.path(name.relpath)
    staged = Staged(path, about.suffix, name.is_folder, stat.size, stat.n_files, digest, tree=verdict.tree)
    stamp = None
    if isinstance(path, Path) and not name.is_folder:
        stamp = of_version_store(stamp_of(state_of(path.stat())))
    to_record = ToRecord(staged, storage, Put(name.relpath, is_managed=True, stamp=stamp), is_listed=True)
    try:
        return registry.unit_of_work(lambda connection: _write(connection, registry, to_record, about))
    except ObjectVanished:
        return "others delete and store equal bytes in this moment"


def _write(connection: Connection, registry: Registry, to_record: ToRecord, about: About) -> str:
    table = artifact_table()
    family = Family.of(table, about.uid)
    lock(connection, family)
    taken = connection.execute(select(table.c.hash).where(table.c.uid == about.uid)).first()
    if taken is not None:
        return f"{about.uid} is there, with {'this' if taken.hash == about.hash else 'another'} content"
    if connection.execute(select(DELETED.c.uid).where(DELETED.c.uid == about.uid)).first() is not None:
        return f"{about.uid} was deleted for good"
    (recording,) = record_objects(connection, [to_record], verified=None)
    if not recording.is_new:
        return f"equal bytes are recorded at {recording.path}"
    staged, storage_id = to_record.staged, to_record.storage.id
    owner = family.owner_of(connection, key=about.key, storage_id=storage_id) if about.key is not None else None
    values: dict[str, Any] = new_row(registry) | {
        "uid": about.uid,
        "key": about.key if owner is None else None,
        "description": None if owner is None else f"found again; its key {about.key} is that of {owner} by now",
        "suffix": about.suffix,
        "kind": about.kind,
        "otype": about.otype,
        "size": staged.size,
        "n_files": staged.n_files,
        "hash": about.hash,
        "_hash_type": about.hash_type,
        "_key_is_virtual": True,
        "_overwrite_versions": about.overwrites,
        "is_latest": False,
        "storage_id": storage_id,
        "object_id": recording.object_id,
    }
    connection.execute(insert(table).values(values))
    promote_newest(connection, registry.branch_id, family)
    return about.uid
