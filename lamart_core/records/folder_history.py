"""The files of folders that are kept in all versions: what each stored folder consists of, without repeating it."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import BigId, uid_type
from lamart_core.records.kinds.base import SQLRecord


class FolderHistory(SQLRecord):
    """A row of stored folders of which each one is described by its difference to the one before.

    Attributes:
        last: Position of the newest folder; those before it may have been deleted.
        hash_type: Algorithm of the digests of its files.
    """

    __tablename__ = "lamart_folderhistory"

    storage_id: Mapped[int] = mapped_column(ForeignKey("lamart_storage.id"), index=True)
    last: Mapped[int] = mapped_column(Integer)
    hash_type: Mapped[str] = mapped_column(String(30))


class FolderFile(SQLRecord):
    """A file that belongs to the stored folders of a history from one position up to (not including) another.

    A file that does not change is one row, however many folders have it. The folder at position `n` consists of the
    rows with `since <= n` and `until` None or greater than `n`.

    Attributes:
        path: Path relative to the folder, with `/` between its parts.
        size: Size in bytes.
        hash: Digest of the content, made with the algorithm of the history.
        object_id: The stored object with the content of a file of a content-addressed folder; None where the file
            lies in the folder itself, and for an empty file.
        since: First position.
        until: Position from which on the file is not there, or has another content; None: it still is.
    """

    __tablename__ = "lamart_folderfile"
    __table_args__ = (
        Index("ix_lamart_folderfile_history", "history_id", "until"),
        Index("ix_lamart_folderfile_content", "history_id", "hash"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    history_id: Mapped[int] = mapped_column(ForeignKey("lamart_folderhistory.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(uid_type(64))
    object_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_storedobject.id"), index=True)
    since: Mapped[int] = mapped_column(Integer)
    until: Mapped[int | None] = mapped_column(Integer)
