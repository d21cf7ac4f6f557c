"""Users: people and services that create records."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import UtcDateTime, uid_type
from lamart_core.query import ToMany
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.mixins import TracksUpdates

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact
    from lamart_core.query import RelatedManager


class User(TracksUpdates, SQLRecord):
    """A person or service that creates records."""

    __tablename__ = "lamart_user"
    __uid_length__ = 8

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]

    uid: Mapped[str] = mapped_column(uid_type(8), unique=True)
    handle: Mapped[str] = mapped_column(String(30), unique=True)
    name: Mapped[str | None] = mapped_column(String(150))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    created_artifacts = ToMany("Artifact", column="created_by_id", fixed="who created an artifact never changes")
    created_runs = ToMany("Run", column="created_by_id")
    created_transforms = ToMany("Transform", column="created_by_id")
