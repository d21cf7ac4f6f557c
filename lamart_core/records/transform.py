"""Transforms: code that makes artifacts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import Registry, UtcDateTime, uid_type
from lamart_core.families.declare import named_families, new_uid
from lamart_core.query import ToMany, ToOne
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.mixins import HasScope, IsVersioned, TracksUpdates

if TYPE_CHECKING:
    from lamart_core.query import RelatedManager
    from lamart_core.records.project import Project
    from lamart_core.records.reference import Reference
    from lamart_core.records.ulabel import ULabel


class Transform(HasScope, IsVersioned, TracksUpdates, SQLRecord):
    """A piece of code that makes artifacts: an asset, a function, a script, a notebook.

    A change of the code is a new version of the transform: same stem of the uid, `is_latest` on the newest.

    Attributes:
        key: Name of the code, for example `my_location/cells`.
        kind: `pipeline`, `function`, `script` or `notebook`.
        source_code: The code as text.
        hash: Digest of the source code; None without source code.
    """

    __tablename__ = "lamart_transform"
    __table_args__ = (
        Index("uq_lamart_transform_key_hash", "key", "hash", unique=True),
        # The code that has a name is one thing, whoever wrote its versions.
        *named_families("uq_lamart_transform_latest", "key", is_by_name=True),
    )
    __frozen__ = SQLRecord.__frozen__ | {"hash", "is_latest"}

    if TYPE_CHECKING:  # the ends of links
        projects: RelatedManager[Project]
        references: RelatedManager[Reference]
        ulabels: RelatedManager[ULabel]

    uid: Mapped[str] = mapped_column(uid_type(16), unique=True)
    key: Mapped[str] = mapped_column(uid_type(1024))
    description: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(20))
    source_code: Mapped[str | None] = mapped_column(Text)
    hash: Mapped[str | None] = mapped_column(uid_type(64))
    reference: Mapped[str | None] = mapped_column(String(255))
    reference_type: Mapped[str | None] = mapped_column(String(25))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("lamart_user.id"))
    environment_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_artifact.id", use_alter=True))
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_artifact.id", use_alter=True))

    created_by = ToOne("User", "created_by_id")
    environment = ToOne("Artifact", "environment_id")
    plan = ToOne("Artifact", "plan_id")
    runs = ToMany("Run", column="transform_id")

    def _default_values(self, registry: Registry) -> dict[str, Any]:
        return super()._default_values(registry) | {
            "uid": new_uid(self.__table__),
            "kind": "pipeline",
            "is_latest": True,
        }
