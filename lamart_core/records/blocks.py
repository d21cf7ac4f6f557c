"""Text that people attach to artifacts: a versioned read-me, and comments."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import UtcDateTime, uid_type
from lamart_core.query import ToOne
from lamart_core.records.base import HasScope, IsVersioned, SQLRecord

_LATEST_README = text("is_latest AND kind = 'readme'")


class ArtifactBlock(HasScope, SQLRecord, IsVersioned):
    """A read-me or a comment of an artifact.

    Attributes:
        content: The text, as Markdown.
        kind: `readme`, of which an artifact has one latest version, or `comment`.
    """

    __tablename__ = "lamart_artifactblock"
    __table_args__ = (
        Index(
            "uq_lamart_artifactblock_readme",
            "artifact_id",
            unique=True,
            sqlite_where=_LATEST_README,
            postgresql_where=_LATEST_README,
        ),
        Index("ix_lamart_artifactblock_artifact", "artifact_id"),
    )
    __frozen__ = SQLRecord.__frozen__ | {"hash", "is_latest"}
    __uid_length__ = 20

    uid: Mapped[str] = mapped_column(uid_type(20), unique=True)
    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id", ondelete="CASCADE"))
    content: Mapped[str] = mapped_column(Text)
    hash: Mapped[str | None] = mapped_column(uid_type(64))
    kind: Mapped[str] = mapped_column(String(22))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("lamart_user.id"))
    _status_code: Mapped[int] = mapped_column(SmallInteger, default=0)

    artifact = ToOne("Artifact", "artifact_id")
    created_by = ToOne("User", "created_by_id")
