"""Bytes that are not whole, put again from equal ones: under a new name, which the row says once they are there.

Never under the old name: whoever deletes, collects or puts the same content again at this moment means the old name,
and a row says the new one only after whole bytes are there. Who is overtaken removes what he put, and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from sqlalchemy import Connection, bindparam, select, update

from lamart_core import errors, uids
from lamart_core.db import attempting
from lamart_core.hashing import Digest, TreeDigest
from lamart_core.logging import logger
from lamart_core.objects.contents import Content, find_contents
from lamart_core.objects.plan import Row
from lamart_core.objects.rows import OBJECT, note_sizes, of_version_store
from lamart_core.objects.tombstones import check_not_collected, none_collected
from lamart_core.objects.unreferenced import remove_bytes
from lamart_core.objects.verify import damaged_contents
from lamart_core.query.sql.dialects import dialect_of
from lamart_core.records import Storage
from lamart_core.records.epochs import new_path
from lamart_core.storage import Backend, FilePut

_THREADS = 16


@dataclass(frozen=True)
class NewPlace:
    """Where the bytes of a stored object lie from now on.

    Attributes:
        object_id: Id of its row.
        old: Path that the row says.
        new: Path that it is going to say.
        size: Size of the new bytes; None where it is that of the old ones.
        n_files: Number of files of the new ones.
        stamp: What tells whether they are changed later.
    """

    object_id: int
    old: str
    new: str
    size: int | None = None
    n_files: int | None = None
    stamp: str | None = None


def switch_places(connection: Connection, storage: Storage, places: Sequence[NewPlace]) -> set[str]:
    """Let rows say new paths if they are there and still say the old ones; return the new paths that are in use.

    Args:
        connection: Connection in a write transaction.
        storage: The storage location.
        places: The paths.

    Raises:
        BytesCollected: Garbage collection has taken what lies there.
    """
    row_id, old, new, stamp = (bindparam(name) for name in ("row_id", "old", "new", "new_stamp"))
    change = update(OBJECT).where(OBJECT.c.id == row_id, OBJECT.c.path == old).values(path=new, stamp=stamp)
    connection.execute(
        change,
        [{"row_id": item.object_id, "old": item.old, "new": item.new, "new_stamp": item.stamp} for item in places],
    )
    ids = sorted(item.object_id for item in places)
    query = select(OBJECT.c.path).where(dialect_of(connection.dialect.name).among(OBJECT.c.id, ids))
    used = set(connection.execute(query).scalars()) & {item.new for item in places}
    for item in places:
        if item.new in used and item.size is not None:
            note_sizes(connection, item.object_id, item.size, item.n_files)
    check_not_collected(connection, storage.id, used)
    return used


def put_again(storage: Storage, stored: Row, source: Path, *, digest: Digest | None, tree: TreeDigest | None) -> bool:
    """Put the bytes of an object of the version store again, and let its row say where.

    What lies at the old path stays; nothing refers to it then.

    Args:
        storage: Its location.
        stored: Its row.
        source: A file or folder with the same content.
        digest: Digest of a file.
        tree: Files of a folder; in some formats equal contents have other bytes.

    Returns:
        Whether the row says so: not if the object was deleted, or put again by others.

    Raises:
        SourceChanged, StorageError: As for `Backend.put_file`; nothing is left.
    """
    backend = storage.backend
    size, n_files = (tree.size, tree.n_files) if tree is not None else (source.stat().st_size, None)
    put: list[str] = []

    def step() -> set[str]:
        path = _new_name(storage, stored["path"], stored["suffix"])
        put.append(path)
        with none_collected(storage.registry, storage.id, [path]):
            stamp = put_at(backend, source, path, digest=digest, tree=tree)
        place = NewPlace(stored["id"], stored["path"], path, size, n_files, stamp)
        return storage.registry.unit_of_work(lambda connection: switch_places(connection, storage, [place]))

    def undo(error: errors.LamartError | None = None) -> None:
        while put:
            remove_bytes(storage, put.pop(), is_folder=tree is not None)

    used = attempting(step, undo, busy=f"{storage.root}/{stored['path']} is changed again and again")
    if not used:
        undo()
    return bool(used)


def put_at(backend: Backend, source: Path, path: str, *, digest: Digest | None, tree: TreeDigest | None) -> str | None:
    """Put a file or a folder at a path where nothing is, and return its stamp; see `Backend.put_file`."""
    if tree is not None:
        backend.put_folder(source, path, tree=tree)
        return None
    return of_version_store(backend.put_file(source, path, digest=digest).stamp)


def held_contents(source: Path, tree: TreeDigest, storage: Storage) -> set[str]:
    """Return the hashes of a folder's contents that a storage holds, once those that were not whole are put again.

    Args:
        source: The folder.
        tree: Its files.
        storage: The storage location.

    Raises:
        SourceChanged, StorageError: As for `put_contents_again`.
    """
    hashes = {entry.value for entry in tree.entries if entry.size}
    with storage.registry.engine.connect() as connection:
        found = find_contents(connection, storage.id, tree.digest.file_algorithm, hashes)
    put_contents_again(source, tree, storage, damaged_contents(storage, found))
    return {content.value for content in found}


def put_contents_again(source: Path, tree: TreeDigest, storage: Storage, contents: Sequence[Content]) -> None:
    """Put contents of folders again: whoever shares them has them back.

    Args:
        source: A folder with the same contents.
        tree: Its files. What they do not hold stays as it is.
        storage: The storage location.
        contents: The contents.

    Raises:
        SourceChanged: The folder was modified since it was hashed.
        StorageError: The storage failed or refused; what this call put is removed again.
    """
    sources = {entry.value: source / entry.path for entry in tree.entries}
    wanted = [content for content in contents if content.value in sources]
    if not wanted:
        return
    algorithm = tree.digest.file_algorithm
    logger.warning("%s files of folders in %s were not whole; storing them again", f"{len(wanted):,}", storage.root)
    places: list[NewPlace] = []

    def step() -> set[str]:
        places[:] = [NewPlace(item.id, item.path, _new_name(storage, item.path, item.suffix)) for item in wanted]
        puts = [
            FilePut(sources[item.value], place.new, Digest(algorithm, item.value))
            for item, place in zip(wanted, places, strict=True)
        ]
        with none_collected(storage.registry, storage.id, [put.relpath for put in puts]):
            storage.backend.put_files(puts)
        return storage.registry.unit_of_work(lambda connection: switch_places(connection, storage, places))

    used = attempting(
        step,
        undo=lambda error: _remove(storage, [place.new for place in places]),
        busy=f"files in {storage.root} are collected again and again before a record names them",
    )
    _remove(storage, [place.old if place.new in used else place.new for place in places])


def _new_name(storage: Storage, path: str, suffix: str) -> str:
    return new_path(storage.registry, PurePosixPath(path).name[: uids.STEM_LENGTH], suffix)


def _remove(storage: Storage, paths: Collection[str]) -> None:
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        list(pool.map(partial(remove_bytes, storage, is_folder=False), paths))
