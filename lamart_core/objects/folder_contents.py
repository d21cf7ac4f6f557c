"""Folders in object stores whose versions are all kept: each content is an object of its own, stored once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core import errors
from lamart_core.db import now
from lamart_core.hashing import Digest, TreeDigest
from lamart_core.objects.contents import find_contents
from lamart_core.objects.histories import OBJECT
from lamart_core.objects.tombstones import check_not_collected, none_collected
from lamart_core.records import Storage
from lamart_core.records.epochs import new_path
from lamart_core.storage import Bar, FilePut, suffix_of


class ObjectVanished(errors.Overtaken):
    """Equal bytes that were going to be shared were deleted meanwhile: put our own, and try again."""


@dataclass(frozen=True)
class PutFile:
    """A content of a folder that was put as an object of its own."""

    relpath: str
    suffix: str
    size: int


@dataclass(frozen=True)
class Recorded:
    """Objects with the contents of a folder.

    Attributes:
        objects: Their ids, by hash.
        spare: Paths of what was put and is not needed, because equal contents are there.
    """

    objects: Mapping[str, int]
    spare: tuple[str, ...] = ()


def put_contents(
    source: Path,
    tree: TreeDigest,
    storage: Storage,
    stem: str,
    held: Collection[str],
    already: Mapping[str, PutFile],
    bar: Bar,
) -> dict[str, PutFile]:
    """Put the contents of a folder that the storage does not hold yet; nothing refers to them yet.

    Args:
        source: The folder.
        tree: Its files.
        storage: Where to.
        stem: Stem of the uid of the artifact, for the names of the objects.
        held: Hashes of contents that the storage holds.
        already: What was put before, by hash.
        bar: Progress that the transfer is part of.

    Returns:
        What was put, by hash: now and before.

    Raises:
        SourceChanged, StorageError: As for `put_files`; what this call put is removed again.
        BytesCollected: Garbage collection took some of them while they were put.
    """
    puts: dict[str, PutFile] = {}
    transfers: list[FilePut] = []
    for entry in tree.entries:
        if not entry.size or entry.value in puts or entry.value in held or entry.value in already:
            continue
        suffix = suffix_of(entry.path)
        put = puts[entry.value] = PutFile(new_path(storage.registry, stem, suffix), suffix, entry.size)
        digest = Digest(tree.digest.file_algorithm, entry.value)
        transfers.append(FilePut(source / entry.path, put.relpath, digest))
    with none_collected(storage.registry, storage.id, [put.relpath for put in transfers]):
        storage.backend.put_files(transfers, bar=bar)
    return {**already, **puts}


def record_contents(
    connection: Connection, storage_id: int, tree: TreeDigest, needed: Collection[str], put: Mapping[str, PutFile]
) -> Recorded:
    """Insert the rows of contents that were put, and find those of all that are needed.

    Args:
        connection: Connection in a write transaction.
        storage_id: The storage location.
        tree: The folder.
        needed: Hashes of the contents.
        put: What was put, by hash.

    Raises:
        ObjectVanished: A content that was there is not any more.
        BytesCollected: Garbage collection has taken what was put.
    """
    algorithm = tree.digest.file_algorithm
    own = {value: put[value] for value in sorted(needed) if value in put}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    if own:
        created = now()
        rows = [
            {
                "storage_id": storage_id,
                "path": file.relpath,
                "suffix": file.suffix,
                "hash": value,
                "hash_type": algorithm,
                "is_exact": True,
                "size": file.size,
                "is_managed": True,
                "created_at": created,
            }
            for value, file in own.items()
        ]
        connection.execute(dialect.insert(OBJECT).on_conflict_do_nothing(), rows)
    found: dict[str, dict[str, int]] = {}
    for content in find_contents(connection, storage_id, algorithm, needed, lock=True):
        found.setdefault(content.value, {})[content.path] = content.id
    if len(found) < len(needed):
        raise ObjectVanished
    objects: dict[str, int] = {}
    used: set[str] = set()
    for value, paths in found.items():
        path = put[value].relpath if value in put and put[value].relpath in paths else next(iter(paths))
        objects[value] = paths[path]
        used.add(path)
    mine = {file.relpath for file in put.values()}
    check_not_collected(connection, storage_id, mine & used)
    return Recorded(objects, tuple(mine - used))
