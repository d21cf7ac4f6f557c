"""Who and where: users, branches and spaces."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, SmallInteger, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import Json, UtcDateTime, uid_type
from lamart_core.query import ToMany, ToOne
from lamart_core.records.base import SQLRecord, TracksUpdates


class User(TracksUpdates, SQLRecord):
    """A person or service that creates records."""

    __tablename__ = "lamart_user"
    __uid_length__ = 8

    uid: Mapped[str] = mapped_column(uid_type(8), unique=True)
    handle: Mapped[str] = mapped_column(String(30), unique=True)
    name: Mapped[str | None] = mapped_column(String(150))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    created_artifacts = ToMany("Artifact", column="created_by_id")
    created_runs = ToMany("Run", column="created_by_id")
    created_transforms = ToMany("Transform", column="created_by_id")
    artifacts = ToMany("Artifact", link="lamart_artifactuser", source="user_id", target_column="artifact_id")


class Space(SQLRecord):
    """A part of the registry with its own storage locations; everything lies in the space `all` by default."""

    __tablename__ = "lamart_space"
    __table_args__ = (Index("uq_lamart_space_name", func.lower(text("name")), unique=True),)

    name: Mapped[str] = mapped_column(String(100))
    uid: Mapped[str] = mapped_column(uid_type(12), unique=True)
    description: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_user.id", ondelete="CASCADE"))

    created_by = ToOne("User", "created_by_id")


class Branch(SQLRecord):
    """A line of work: records of other branches than main are hidden until the branch is current or merged."""

    __tablename__ = "lamart_branch"
    __table_args__ = (Index("uq_lamart_branch_name", func.lower(text("name")), unique=True),)

    name: Mapped[str] = mapped_column(String(100))
    uid: Mapped[str] = mapped_column(uid_type(12), unique=True)
    space_id: Mapped[int] = mapped_column(ForeignKey("lamart_space.id"))
    description: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("lamart_user.id"))
    _status_code: Mapped[int] = mapped_column(SmallInteger, default=0)
    _aux: Mapped[dict[str, Any] | None] = mapped_column(Json)

    space = ToOne("Space", "space_id")
    created_by = ToOne("User", "created_by_id")
