"""Spaces: parts of a registry."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import DEFAULT_SPACE_ID, UtcDateTime, uid_type
from lamart_core.query import ToOne
from lamart_core.records.kinds.own_name import HasOwnName


class Space(HasOwnName):
    """A part of the registry with its own storage locations; everything lies in the space `all` by default.

    Args:
        name: Name; no two spaces have the same in whatever case. A name that is there gives that space.
        description: Free text.

    Raises:
        InvalidArgument: The name is empty, too long or has spaces around it.
        NameTaken: Another space has the name in another case; raised by `save()`.

    Examples:
        >>> import lamart_core as ln
        >>> space = ln.Space(name="clinic").save()
        >>> location = ln.Storage(root="./clinic", space=space).save()
        >>> location.space.name
        'clinic'
    """

    __tablename__ = "lamart_space"
    __table_args__ = (Index("uq_lamart_space_name", func.lower(text("name")), unique=True),)
    __built_in__ = frozenset({DEFAULT_SPACE_ID})

    uid: Mapped[str] = mapped_column(uid_type(12), unique=True)
    description: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_user.id", ondelete="CASCADE"))

    created_by = ToOne("User", "created_by_id")
