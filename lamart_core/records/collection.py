"""The columns of a collection, for the rooms that work on rows and do not need the class itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from lamart_core.db import KeyText, uid_type
from lamart_core.query import ToOne
from lamart_core.records.base import SQLRecord
from lamart_core.records.mixins import HasScope, IsVersioned, TracksRun, TracksUpdates

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact
    from lamart_core.query import RelatedManager
    from lamart_core.records.project import Project
    from lamart_core.records.reference import Reference
    from lamart_core.records.run import Run
    from lamart_core.records.ulabel import ULabel

_LATEST = text("is_latest")
_FIRST = text("substr(uid, 17) = '0000'")


class CollectionRecord(HasScope, SQLRecord, IsVersioned, TracksRun, TracksUpdates):
    """Columns and relations of a collection; `Collection` adds the methods."""

    __abstract__ = True
    __frozen__ = SQLRecord.__frozen__ | {"hash", "is_latest", "created_by_id", "created_by"}
    __uid_length__ = 20

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]
        input_of_runs: RelatedManager[Run]
        recreating_runs: RelatedManager[Run]
        projects: RelatedManager[Project]
        references: RelatedManager[Reference]
        ulabels: RelatedManager[ULabel]

    # What an unsaved collection is going to be; no column.
    _pending: Any = None

    uid: Mapped[str] = mapped_column(uid_type(20), unique=True)
    key: Mapped[str] = mapped_column(KeyText(1024))
    description: Mapped[str | None] = mapped_column(Text)
    hash: Mapped[str | None] = mapped_column(uid_type(64), index=True)
    reference: Mapped[str | None] = mapped_column(String(255))
    reference_type: Mapped[str | None] = mapped_column(String(25))

    @declared_attr
    def meta_artifact_id(cls) -> Mapped[int | None]:
        return mapped_column(ForeignKey("lamart_artifact.id"))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:
        return (
            Index(
                "uq_lamart_collection_latest",
                text("substr(uid, 1, 16)"),
                "branch_id",
                unique=True,
                sqlite_where=_LATEST,
                postgresql_where=_LATEST,
            ),
            Index(
                "uq_lamart_collection_key",
                "key",
                "branch_id",
                unique=True,
                sqlite_where=_LATEST,
                postgresql_where=_LATEST,
            ),
            Index("uq_lamart_collection_first", "key", unique=True, sqlite_where=_FIRST, postgresql_where=_FIRST),
            Index("ix_lamart_collection_key", "key"),
            Index("uq_lamart_collection_tag", text("substr(uid, 1, 16)"), "version_tag", unique=True),
        )

    meta_artifact = ToOne("Artifact", "meta_artifact_id")
