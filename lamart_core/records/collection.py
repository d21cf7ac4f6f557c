"""The columns of a collection, for the rooms that work on rows and do not need the class itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from lamart_core.db import KeyText, uid_type
from lamart_core.families.declare import stem_families
from lamart_core.query import ToMany, ToOne
from lamart_core.records.base import SQLRecord
from lamart_core.records.mixins import HasScope, IsVersioned, TracksRun, TracksUpdates


class CollectionRecord(HasScope, SQLRecord, IsVersioned, TracksRun, TracksUpdates):
    """Columns and relations of a collection; `Collection` adds the methods."""

    __abstract__ = True
    __frozen__ = SQLRecord.__frozen__ | {"hash", "is_latest", "created_by_id", "created_by"}
    __uid_length__ = 20

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
        return stem_families("lamart_collection", "key")

    meta_artifact = ToOne("Artifact", "meta_artifact_id")
    artifacts = ToMany(
        "Artifact",
        link="lamart_collectionartifact",
        source="collection_id",
        target_column="artifact_id",
        fixed="a collection never changes, append() makes its next version",
    )
    input_of_runs = ToMany("Run", link="lamart_collectioninput", source="collection_id", target_column="run_id")
    recreating_runs = ToMany("Run", link="lamart_collectionrecreation", source="collection_id", target_column="run_id")
