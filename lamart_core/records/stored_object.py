"""Stored objects: what lies in storage locations."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import UtcDateTime, uid_type
from lamart_core.query import ToMany, ToOne
from lamart_core.records.kinds.base import SQLRecord

# Empty files have equal hashes and mean nothing by it; inexact digests are a server's word.
_SHARED = text("is_managed AND is_exact AND size > 0")

# Its place held other bytes when somebody looked.
LOST = "lost"
# There was nothing at its place when another version took that.
MISSING = "missing"
# Bytes that we put at its place, or were going to, and that no artifact refers to there: they may go.
OBSOLETE = "obsolete"


class StoredObject(SQLRecord):
    """A file or folder in a storage location. Artifacts are names for objects; equal bytes are stored once.

    Attributes:
        path: Path relative to the root of the storage location.
        is_managed: Whether the object lies in the version store, where it never changes and may be shared.
            Objects at real keys and registered in place are not managed in this sense: others may write there.
        history_id: For a folder whose files are known one by one: the history that it is a part of.
        position: Its place in that history.
        is_content_addressed: Whether the files of the folder are stored objects of their own, so that nothing lies at
            `path`.
        state: Of an object that is not managed: `lost` when its place was seen to hold other bytes, `missing` when
            there was nothing as another version took the place, `obsolete` when this library put its bytes there, or
            was going to, and no artifact refers to them there; else None.
        stamp: Of a file or folder on disk: what changes when it is written or replaced, whatever its size. In the
            version store, where nobody but us writes, the time alone. Where it differs, the bytes are read again.
    """

    __tablename__ = "lamart_storedobject"
    __table_args__ = (
        # In place, one path may have held several contents over time; only one of them is still there.
        Index("uq_lamart_storedobject_path", "storage_id", "path", "hash", unique=True),
        Index(
            "uq_lamart_storedobject_content",
            "storage_id",
            "hash",
            "hash_type",
            "suffix",
            unique=True,
            sqlite_where=_SHARED,
            postgresql_where=_SHARED,
        ),
        Index("uq_lamart_storedobject_history", "history_id", "position", unique=True),
    )

    storage_id: Mapped[int] = mapped_column(ForeignKey("lamart_storage.id"))
    path: Mapped[str] = mapped_column(String(1200))
    suffix: Mapped[str] = mapped_column(String(30))
    hash: Mapped[str | None] = mapped_column(uid_type(64))
    hash_type: Mapped[str | None] = mapped_column(String(30))
    is_exact: Mapped[bool] = mapped_column(Boolean)
    size: Mapped[int | None] = mapped_column(BigInteger)
    n_files: Mapped[int | None] = mapped_column(BigInteger)
    is_managed: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    history_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_folderhistory.id"))
    position: Mapped[int | None]
    is_content_addressed: Mapped[bool] = mapped_column(Boolean, server_default=false())
    state: Mapped[str | None] = mapped_column(String(10))
    stamp: Mapped[str | None] = mapped_column(String(64))

    storage = ToOne("Storage", "storage_id")
    artifacts = ToMany("Artifact", column="object_id", fixed="an artifact keeps its content")
