"""Contents of folders that are stored objects of their own: found, looked at, and put again where they are not whole.

Rows tell what a storage should hold. Before a new version shares it, and when somebody has the same folder again, it is
looked at, for a bounded number of requests: see `storage.not_whole`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, and_, bindparam, literal_column, select, union_all, update

from lamart_core import errors, uids
from lamart_core.db import attempting
from lamart_core.hashing import Digest, TreeDigest
from lamart_core.logging import logger
from lamart_core.objects.folders import FILE, OBJECT, batches, covers
from lamart_core.objects.remove import remove_bytes
from lamart_core.objects.tombstones import check_not_collected
from lamart_core.query.sql.dialects import dialect_of
from lamart_core.records import Storage
from lamart_core.storage import NO_BAR, Bar, FilePut, object_path

_THREADS = 16


@dataclass(frozen=True)
class Content:
    """The stored object of a content, as its row says.

    Attributes:
        id: Id of the row.
        value: Value of the digest.
        path: Path relative to the root of the storage location.
        size: Size in bytes.
        suffix: Suffix of the object.
    """

    id: int
    value: str
    path: str
    size: int
    suffix: str


_COLUMNS = ("id", "hash", "path", "size", "suffix")


def find_contents(
    connection: Connection, storage_id: int, algorithm: str, hashes: Collection[str], *, lock: bool = False
) -> list[Content]:
    """Return the objects of a storage that hold some contents; one content may have several, of several suffixes.

    Args:
        connection: Connection to read over.
        storage_id: The storage location.
        algorithm: Algorithm of the hashes.
        hashes: What is looked for.
        lock: Whether nobody may delete what is found before this transaction ends.
    """
    columns = OBJECT.c
    found: list[Content] = []
    for batch in batches(sorted(hashes)):
        query = select(*(columns[name] for name in _COLUMNS)).where(
            columns.storage_id == storage_id,
            columns.hash.in_(batch),
            columns.hash_type == algorithm,
            columns.n_files.is_(None),
            # As the index says it; SQLite does not use a partial one for what depends on parameters.
            literal_column("lamart_storedobject.is_managed"),
            literal_column("lamart_storedobject.is_exact"),
            literal_column("lamart_storedobject.size > 0"),
        )
        if lock:
            query = query.with_for_update(read=True, key_share=True)
        found += [_content(row) for row in connection.execute(query)]
    return found


def contents_of(connection: Connection, object_id: int) -> list[Content]:
    """Return the objects with the contents of a folder.

    Args:
        connection: Connection to read over.
        object_id: Id of the folder's row.
    """
    folder, content = OBJECT.alias("folder"), OBJECT.alias("content")
    query = (
        select(*(content.c[name] for name in _COLUMNS))
        .join(FILE, FILE.c.object_id == content.c.id)
        .join(folder, and_(folder.c.id == object_id, FILE.c.history_id == folder.c.history_id))
    )
    rows = connection.execute(union_all(*(query.where(part) for part in covers(folder.c.position))))
    return list({row.id: _content(row) for row in rows}.values())


def _content(row: Any) -> Content:
    return Content(row.id, row.hash, row.path, row.size, row.suffix)


def damaged(storage: Storage, contents: Sequence[Content]) -> list[Content]:
    """Return those contents that are not there with their size. What cannot be seen is taken for whole."""
    try:
        wrong = storage.backend.mismatched({content.path: content.size for content in contents})
    except errors.StorageError as error:
        logger.warning("cannot see whether the files of folders in %s are whole: %s", storage.root, error)
        return []
    return [content for content in contents if content.path in wrong]


def held_contents(source: Path, tree: TreeDigest, storage: Storage) -> set[str]:
    """Return the hashes of a folder's contents that a storage holds, once those that were not whole are put again.

    Args:
        source: The folder.
        tree: Its files.
        storage: The storage location.

    Raises:
        SourceChanged, StorageError: As for `put_again`.
    """
    hashes = {entry.value for entry in tree.entries if entry.size}
    with storage.registry.engine.connect() as connection:
        found = find_contents(connection, storage.id, tree.digest.file_algorithm, hashes)
    put_again(source, tree, storage, damaged(storage, found))
    return {content.value for content in found}


def put_again(source: Path, tree: TreeDigest, storage: Storage, contents: Sequence[Content]) -> None:
    """Put contents that are not whole under new names, and let their rows say these: whoever shares them has them back.

    Never under the old names: whoever deletes, collects or mends the same content at this moment means the old name,
    and a row says the new one only after whole bytes are there. Who is overtaken removes what he put, nothing else.

    Args:
        source: A folder with the same contents.
        tree: Its files. What they do not hold stays as it is.
        storage: The storage location.
        contents: The contents.

    Raises:
        SourceChanged: The folder was modified since it was hashed.
        StorageError: The storage failed or refused; what this call put is removed again.
    """
    places = {entry.value: source / entry.path for entry in tree.entries}
    wanted = [content for content in contents if content.value in places]
    if not wanted:
        return
    registry, algorithm = storage.registry, tree.digest.file_algorithm
    logger.warning("%s files of folders in %s were not whole; storing them again", f"{len(wanted):,}", storage.root)
    names: dict[int, str] = {}

    def step() -> set[str]:
        names.update({content.id: _new_name(content) for content in wanted})
        puts = [
            FilePut(places[content.value], names[content.id], Digest(algorithm, content.value)) for content in wanted
        ]
        put_all(puts, storage, NO_BAR)
        return registry.unit_of_work(lambda connection: _rename(connection, storage, wanted, names))

    renamed = attempting(
        step,
        undo=lambda error: _remove(storage, names.values()),
        busy=f"files in {storage.root} are collected again and again before a record names them",
    )
    _remove(storage, [content.path if names[content.id] in renamed else names[content.id] for content in wanted])


def _new_name(content: Content) -> str:
    return object_path(PurePosixPath(content.path).name[: uids.STEM_LENGTH], content.suffix)


def _rename(connection: Connection, storage: Storage, contents: Sequence[Content], names: dict[int, str]) -> set[str]:
    """Let rows say new names if they are there and still say the old ones; return the new names that are in use."""
    row_id, old, new = bindparam("row_id"), bindparam("old"), bindparam("new")
    change = update(OBJECT).where(OBJECT.c.id == row_id, OBJECT.c.path == old).values(path=new)
    values = [{"row_id": item.id, "old": item.path, "new": names[item.id]} for item in contents]
    connection.execute(change, values)
    query = select(OBJECT.c.path).where(dialect_of(connection.dialect.name).among(OBJECT.c.id, sorted(names)))
    used = set(connection.execute(query).scalars()) & set(names.values())
    check_not_collected(connection, storage.id, used)
    return used


def _remove(storage: Storage, paths: Collection[str]) -> None:
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        list(pool.map(partial(remove_bytes, storage, is_folder=False), paths))


def put_all(puts: Sequence[FilePut], storage: Storage, bar: Bar) -> None:
    """Put contents that no row refers to yet: all of them or none.

    Raises:
        SourceChanged, StorageError: As for `put_files`.
        BytesCollected: Garbage collection took some of them while they were put.
    """
    try:
        storage.backend.put_files(puts, bar=bar)
    except (errors.StorageError, errors.PathNotFound):
        with storage.registry.engine.connect() as connection:
            check_not_collected(connection, storage.id, [put.relpath for put in puts])
        raise
