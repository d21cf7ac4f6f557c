"""The columns of a collection, for the rooms that work on rows and do not need the class itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from lamart_core import uids
from lamart_core.db import KeyText, uid_type
from lamart_core.families.declare import stem_families
from lamart_core.query import ToOne
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.mixins import HasScope, IsVersioned, TracksRun, TracksUpdates

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact
    from lamart_core.query import RelatedManager
    from lamart_core.records.project import Project
    from lamart_core.records.reference import Reference
    from lamart_core.records.run import Run
    from lamart_core.records.ulabel import ULabel


class CollectionRecord(HasScope, SQLRecord, IsVersioned, TracksRun, TracksUpdates):
    """Columns and relations of a collection; `Collection` adds the methods."""

    __abstract__ = True
    __frozen__ = SQLRecord.__frozen__ | {"hash", "is_latest", "created_by_id", "created_by"}
    __uid_length__ = uids.UID_LENGTH

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]
        input_of_runs: RelatedManager[Run]
        recreating_runs: RelatedManager[Run]
        projects: RelatedManager[Project]
        references: RelatedManager[Reference]
        ulabels: RelatedManager[ULabel]

    # What an unsaved collection is going to be; no column.
    _pending: Any = None

    uid: Mapped[str] = mapped_column(uid_type(uids.UID_LENGTH), unique=True)
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
        return stem_families("lamart_collection", "key")

    meta_artifact = ToOne("Artifact", "meta_artifact_id")
