"""Contents of folders that are stored objects of their own: what the rows say of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, literal_column, select

from lamart_core.db import batches
from lamart_core.objects.histories import FILE, OBJECT, of_folder


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
    rows = connection.execute(of_folder(query, folder.c.position))
    return list({row.id: _content(row) for row in rows}.values())


def _content(row: Any) -> Content:
    return Content(row.id, row.hash, row.path, row.size, row.suffix)
