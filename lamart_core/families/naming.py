"""The key of a family: one for all its versions, and never that of two families in one storage location."""

from __future__ import annotations

from sqlalchemy import Connection, Table, and_, select, update

from lamart_core import errors
from lamart_core.db import now
from lamart_core.families.heads import in_family


def rename_family(connection: Connection, table: Table, uid: str, key: str) -> None:
    """Give all versions of a family another key, so that one key never has two families.

    Raises:
        InvalidArgument: Another family has this key.
    """
    columns = table.c
    own = connection.execute(select(columns.storage_id).where(columns.uid == uid)).scalar_one()
    check_key_free(connection, table, uid, key, own)
    connection.execute(update(table).where(in_family(table, uid)).values(key=key, updated_at=now()))


def check_key_free(connection: Connection, table: Table, uid: str, key: str, storage_id: int) -> None:
    """Check that no other family has a key in a storage location.

    Raises:
        InvalidArgument: One has.
    """
    columns = table.c
    other = and_(columns.key == key, columns.storage_id == storage_id, ~in_family(table, uid))
    taken = connection.execute(select(columns.uid).where(other).limit(1)).scalar_one_or_none()
    if taken is not None:
        raise errors.InvalidArgument(f"the key {key!r} belongs to the family of {taken} already; choose another one")
