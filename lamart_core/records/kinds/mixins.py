"""What several record classes share: branch and space, versions, who made them and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from sqlalchemy import Boolean, ColumnElement, ForeignKey, FromClause, String, func
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from lamart_core import uids
from lamart_core.db import TRASH_BRANCH_ID, Json, Registry, UtcDateTime, now
from lamart_core.families.declare import stem
from lamart_core.families.deleted import explain
from lamart_core.query import QueryRegistry, QuerySet, ToOne, virtual
from lamart_core.records.kinds import trash


class TracksUpdates:
    """Mixin: when a record was last changed."""

    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class HasScope:
    """Mixin: the branch and space that a record lives in.

    Attributes:
        branch: Branch that it is seen on; assigning another one and saving moves the record there.
        created_on: Branch that it was created on; never changes.
        space: Space that it belongs to.
        is_locked: Whether it refuses to be changed, moved and deleted until it is unlocked.
    """

    # One by one only, because a move may change which version is the latest, and a key names a whole family.
    __one_by_one__: ClassVar[frozenset[str]] = frozenset({"branch_id", "branch", "key", "is_locked"})

    @declared_attr
    def branch_id(cls) -> Mapped[int]:
        return mapped_column(ForeignKey("lamart_branch.id"))

    @declared_attr
    def created_on_id(cls) -> Mapped[int]:
        return mapped_column(ForeignKey("lamart_branch.id"))

    @declared_attr
    def space_id(cls) -> Mapped[int]:
        return mapped_column(ForeignKey("lamart_space.id"))

    is_locked: Mapped[bool] = mapped_column(Boolean)
    _aux: Mapped[dict[str, Any] | None] = mapped_column(Json)

    branch = ToOne("Branch", "branch_id")
    created_on = ToOne("Branch", "created_on_id")
    space = ToOne("Space", "space_id")

    @property
    def has_trash(self) -> bool:
        """Whether deleting moves the record to the trash first."""
        return True

    def archive(self) -> Self:
        """Move the record to the archive: queries do not see it there, but equal content is still recognised.

        Returns:
            The record; `restore()` brings it back.

        Raises:
            InvalidArgument: The record is not saved, or its class has no archive.
            RecordLocked: The record is locked.
        """
        record: Any = self
        trash.archive(record)
        return self

    def restore(self) -> Self:
        """Bring the record back from the trash or the archive to the current branch.

        Returns:
            The record; one that is elsewhere stays where it is.

        Raises:
            InvalidArgument: The record is not saved, or its class has no trash.
            NameTaken: Meanwhile another family has its key on the branch.
            RecordLocked: The record is locked.
        """
        record: Any = self
        trash.restore(record)
        return self


class TracksRun:
    """Mixin: who created a record, when, and in which run."""

    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @declared_attr
    def created_by_id(cls) -> Mapped[int]:
        return mapped_column(ForeignKey("lamart_user.id"))

    @declared_attr
    def run_id(cls) -> Mapped[int | None]:
        return mapped_column(ForeignKey("lamart_run.id"), index=True)

    created_by = ToOne("User", "created_by_id")
    run = ToOne("Run", "run_id")


def new_row(registry: Registry) -> dict[str, Any]:
    """Return the columns of a new row that follow from who makes it, when and where, for a class with all of them."""
    return {
        "branch_id": registry.branch_id,
        "created_on_id": registry.branch_id,
        "space_id": registry.space_id,
        "is_locked": False,
        "created_by_id": registry.user_id,
        "created_at": now(),
        "updated_at": now(),
    }


def _version(table: FromClause) -> ColumnElement[str]:
    uid: Any = table.c.uid
    number = func.substr(uid, uid.type.length - uids.VERSION_LENGTH + 1, type_=String)
    return func.coalesce(func.nullif(table.c.version_tag, "", type_=String), number, type_=String)


class IsVersioned:
    """Mixin: versions of one thing form a family that shares the stem of the uid."""

    version_tag: Mapped[str | None] = mapped_column(String(30))
    is_latest: Mapped[bool] = mapped_column(Boolean)

    uid: Mapped[str]

    @virtual(stem, prefix_of="uid")
    def stem_uid(self) -> str:
        """The part of the uid that all versions share."""
        return self.uid[: -uids.VERSION_LENGTH]

    @property
    def _family(self) -> str:
        """What all versions have in common, and no other record of the class."""
        return self.stem_uid

    @virtual(_version)
    def version(self) -> str:
        """The version tag, else the last four characters of the uid."""
        return self.version_tag or self.uid[-uids.VERSION_LENGTH :]

    @classmethod
    def _explain_missing(cls, registry: QueryRegistry, idlike: str) -> str | None:
        """Say why nothing has a uid, or one that begins so: that it was deleted permanently. None if it was not."""
        model: Any = cls
        with registry.engine.connect() as connection:
            return explain(connection, model.__table__, idlike)

    @property
    def versions(self) -> QuerySet[Any]:
        """All versions of the family on whatever branch, newest first; those in the trash are left out."""
        record: Any = self
        family = QuerySet(type(record), record.registry).filter(uid__startswith=self.stem_uid)
        return family.exclude(branch_id=TRASH_BRANCH_ID).order_by("-uid")
