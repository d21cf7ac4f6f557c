"""Users: people and services that create records."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, String
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core import errors
from lamart_core.db import UtcDateTime, uid_type
from lamart_core.query import ToMany
from lamart_core.records.kinds.mixins import TracksUpdates
from lamart_core.records.kinds.recognised import Recognised

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact
    from lamart_core.query import RelatedManager


class User(TracksUpdates, Recognised):
    """A person or service that creates records.

    Args:
        handle: Name that no other user has; making a user of a handle that is there gives that user.
        name: Name for people.

    Examples:
        >>> import lamart_core as ln
        >>> ann = ln.User(handle="ann", name="Ann").save()
        >>> ln.User(handle="ann") == ann
        True
    """

    __tablename__ = "lamart_user"
    __uid_length__ = 8
    __identity__ = frozenset({"handle"})

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]

    uid: Mapped[str] = mapped_column(uid_type(8), unique=True)
    handle: Mapped[str] = mapped_column(String(30), unique=True)
    name: Mapped[str | None] = mapped_column(String(150))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    created_artifacts = ToMany("Artifact", column="created_by_id", fixed="who created an artifact never changes")
    created_runs = ToMany("Run", column="created_by_id")
    created_transforms = ToMany("Transform", column="created_by_id")

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        if not self.__dict__.get("handle"):
            raise errors.InvalidArgument("a User needs a handle")
        self._recognise()

    def _is_same(self) -> ColumnElement[bool]:
        return self.__table__.c.handle == self.handle
