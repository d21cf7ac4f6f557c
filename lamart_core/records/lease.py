"""What garbage collection must know beside the objects: paths that are being written, and paths that are given up."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import UtcDateTime
from lamart_core.records.kinds.base import SQLRecord


class Lease(SQLRecord):
    """A path in a version store that a process writes to before any record refers to it.

    Garbage collection leaves it alone while its holder lives or, where that cannot be seen, until it expires.

    Attributes:
        path: Path relative to the root of the storage location.
        holder: Who writes: host, boot and process.
        expires_at: When the lease ends if nobody renews it.
    """

    __tablename__ = "lamart_lease"
    __table_args__ = (Index("uq_lamart_lease_path", "storage_id", "path", unique=True),)

    storage_id: Mapped[int] = mapped_column(ForeignKey("lamart_storage.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(String(1200))
    holder: Mapped[str] = mapped_column(String(255))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Tombstone(SQLRecord):
    """A path in a version store whose bytes garbage collection removes: no save may refer to it any more.

    A save that put its bytes there and was slow to commit meets the tombstone and puts them again under another name.
    """

    __tablename__ = "lamart_tombstone"
    __table_args__ = (Index("uq_lamart_tombstone_path", "storage_id", "path", unique=True),)

    storage_id: Mapped[int] = mapped_column(ForeignKey("lamart_storage.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(String(1200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
