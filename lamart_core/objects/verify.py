"""Whether the bytes of stored objects are what their rows say: the one place that asks; see `storage.verdicts`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from lamart_core import errors
from lamart_core.hashing import Digest
from lamart_core.logging import logger
from lamart_core.objects.contents import Content, contents_of
from lamart_core.objects.histories import files_of
from lamart_core.objects.plan import Row
from lamart_core.objects.rows import OBJECT, of_version_store
from lamart_core.records import Storage
from lamart_core.storage import Depth, Expected, StoredFile, Verdict, verdicts

_THREADS = 16


def digest_of(row: Row) -> Digest | None:
    """Return what the row of a stored object says of its content."""
    return Digest(row["hash_type"], row["hash"], row["is_exact"]) if row["hash"] is not None else None


def expected(row: Row) -> Expected:
    """Return what the bytes of a stored object should be."""
    is_folder = row["n_files"] is not None
    return Expected(row["size"], digest_of(row), is_folder, row["n_files"], row["suffix"], row.get("stamp"))


def verify(storage: Storage, row: Row, depth: Depth, *, files: Sequence[StoredFile] | None = None) -> Verdict:
    """Compare the bytes of a stored object with what its row says.

    Args:
        storage: Its location.
        row: Its row.
        depth: How closely to look.
        files: The files of a folder that are objects of their own, where they are known; else they are read.

    Returns:
        The verdict; of a folder it names the files that differ, where they are known one by one.
    """
    if not row["is_content_addressed"]:
        verdict = verdicts.verify(storage.backend, row["path"], expected(row), depth)
        _note_stamp(storage, row, verdict)
        return _naming(storage, row, verdict)
    if files is None:
        with storage.registry.engine.connect() as connection:
            files = files_of(connection, row["id"])
    return _naming(storage, row, verdicts.verify_files(storage.backend, files, expected(row), depth))


def _note_stamp(storage: Storage, row: Row, verdict: Verdict) -> None:
    """Write down the stamp of bytes that are whole although it is another one, for they need not be read again.

    They were restored from a backup, or moved to another disk.
    """
    registry = storage.registry
    if verdict.stamp is None or registry.is_read_only:
        return
    stamp = of_version_store(verdict.stamp) if row["is_managed"] else verdict.stamp
    same = (OBJECT.c.id == row["id"], OBJECT.c.path == row["path"], OBJECT.c.stamp == row["stamp"])
    change = update(OBJECT).where(*same).values(stamp=stamp)
    try:
        registry.unit_of_work(lambda connection: connection.execute(change).rowcount)
    except (errors.LamartError, DBAPIError) as error:
        logger.warning("%s/%s will be read again the next time: %s", storage.root, row["path"], error)


def verify_copy(storage: Storage, row: Row, copy: Path, depth: Depth) -> Verdict:
    """Compare a copy of a stored object on this machine with what the row says, as `verify` does.

    Args:
        storage: Location of the object.
        row: Its row.
        copy: The copy.
        depth: How closely to look.
    """
    return _naming(storage, row, verdicts.verify_local(copy, replace(expected(row), stamp=None), depth))


def has_content(path: Path, row: Row) -> bool:
    """Return whether a file or folder has the content of an object; in some formats equal contents differ in size.

    Args:
        path: A file or folder on this machine.
        row: Row of the object.
    """
    verdict = verdicts.verify_local(path, replace(expected(row), size=None, n_files=None, stamp=None), Depth.DIGEST)
    if not verdict.is_whole:
        logger.warning("%s is no copy: %s", path, verdict)
    return verdict.is_whole


def is_any_of(storage: Storage, path: str, rows: Sequence[Row]) -> bool:
    """Return whether the bytes at a path are those of one of some stored objects; they are hashed if need be.

    Args:
        storage: Location to look into.
        path: Path relative to its root.
        rows: Rows of the objects.

    Raises:
        StorageError: The storage failed or refused.
    """
    verdict = verdicts.verify_any(storage.backend, path, [expected(row) for row in rows])
    if verdict.error is not None:
        raise verdict.error
    return verdict.is_whole


def is_damaged(storage: Storage, row: Row) -> bool:
    """Return whether a stored object is missing or has another size. What cannot be seen is taken for whole.

    Args:
        storage: Its location.
        row: Its row.
    """
    verdict = verify(storage, row, Depth.SIZE)
    if verdict.error is not None:
        logger.warning("cannot see whether %s/%s is whole: %s", storage.root, row["path"], verdict.error)
    return verdict.is_damaged


def damaged_objects(storage: Storage, rows: Sequence[Row]) -> set[int]:
    """Return the ids of those of many objects of one location that are damaged, as `is_damaged` says, or their files.

    What lies in the version store of an object store is looked at together, for fewer requests than one for each. Files
    of folders that another registry manages are not looked at.

    Args:
        storage: Their location.
        rows: Their rows.
    """
    contents = _in_version_store(storage, rows)
    listed = {content.id: content for found in contents.values() for content in found}
    wrong = {content.id for content in damaged_contents(storage, list(listed.values()))}
    damaged = {row_id for row_id, found in contents.items() if any(content.id in wrong for content in found)}
    alone = [row for row in rows if not row["is_content_addressed"] and row["id"] not in contents]
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        found = pool.map(partial(is_damaged, storage), alone)
        return damaged | {row["id"] for row, is_wrong in zip(alone, found, strict=True) if is_wrong}


def _in_version_store(storage: Storage, rows: Sequence[Row]) -> dict[int, list[Content]]:
    """Return what some objects consist of that a listing tells of, by their ids."""
    if not storage.is_managed or not storage.backend.is_cached:
        return {}
    found = {
        row["id"]: [Content(row["id"], row["hash"], row["path"], row["size"], row["suffix"])]
        for row in rows
        if row["is_managed"] and row["n_files"] is None and row["size"] is not None
    }
    folders = [row["id"] for row in rows if row["is_content_addressed"]]
    if folders:
        with storage.registry.engine.connect() as connection:
            found |= {row_id: contents_of(connection, row_id) for row_id in folders}
    return found


def damaged_contents(storage: Storage, contents: Sequence[Content]) -> list[Content]:
    """Return those contents of folders that are missing or have another size. What cannot be seen is taken for whole.

    Args:
        storage: Their location.
        contents: The contents.
    """
    if not contents:
        return []
    found = verdicts.verify_sizes(storage.backend, {content.path: content.size for content in contents})
    unseen = next((verdict for verdict in found.values() if verdict.error is not None), None)
    if unseen is not None:
        logger.warning("cannot see whether the files of folders in %s are whole: %s", storage.root, unseen.error)
    return [content for content in contents if content.path in found and found[content.path].is_damaged]


def _naming(storage: Storage, row: Row, verdict: Verdict) -> Verdict:
    """Name the files of a folder that differ, where they are known one by one."""
    if verdict.is_whole or verdict.tree is None:
        return verdict
    with storage.registry.engine.connect() as connection:
        stored = {file.path: file.value for file in files_of(connection, row["id"])}
    found = {entry.path: entry.value for entry in verdict.tree.entries}
    different = (path for path in found.keys() | stored.keys() if found.get(path) != stored.get(path))
    return replace(verdict, files=sorted(different)) if stored else verdict
