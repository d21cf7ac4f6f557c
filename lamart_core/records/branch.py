"""Branches: lines of work."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, ForeignKey, Index, SmallInteger, Text, func, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core import errors
from lamart_core.db import ARCHIVE_BRANCH_ID, MAIN_BRANCH_ID, TRASH_BRANCH_ID, Json, UtcDateTime, uid_type
from lamart_core.families.branches import merge
from lamart_core.query import ToOne, virtual
from lamart_core.records.kinds.own_name import HasOwnName
from lamart_core.records.kinds.status import status_of

if TYPE_CHECKING:
    from lamart_core.query import RelatedManager
    from lamart_core.records.project import Project
    from lamart_core.records.ulabel import ULabel

BUILT_IN_BRANCHES = frozenset({MAIN_BRANCH_ID, ARCHIVE_BRANCH_ID, TRASH_BRANCH_ID})


class BranchStatus(enum.IntEnum):
    """Status of a branch, as stored in `Branch._status_code`."""

    CLOSED = -2
    MERGED = -1
    STANDALONE = 0
    DRAFT = 1
    REVIEW = 2


class Branch(HasOwnName):
    """A line of work: records of other branches than main are hidden until the branch is current or merged.

    Args:
        name: Name; no two branches have the same in whatever case. A name that is there gives that branch.
        description: Free text.
        status: `"standalone"` (the default), `"draft"`, `"review"` or `"closed"`; `merge()` sets `"merged"`.

    Raises:
        InvalidArgument: The name is empty, too long or has spaces around it, or there is no such status.
        NameTaken: Another branch has the name in another case; raised by `save()`.

    Examples:
        >>> import lamart_core as ln
        >>> branch = ln.Branch(name="new-filter", status="draft").save()
        >>> ln.settings.branch = "new-filter"
        >>> from pathlib import Path
        >>> _ = Path("a.txt").write_text("a")
        >>> artifact = ln.Artifact("a.txt", key="a.txt").save()
        >>> ln.settings.branch = "main"
        >>> ln.Artifact.filter(key="a.txt").count()
        0
        >>> branch.merge()
        1
        >>> ln.Artifact.get(key="a.txt") == artifact, branch.status
        (True, 'merged')
    """

    __tablename__ = "lamart_branch"
    __table_args__ = (Index("uq_lamart_branch_name", func.lower(text("name")), unique=True),)
    __built_in__ = BUILT_IN_BRANCHES

    if TYPE_CHECKING:  # the ends of links
        projects: RelatedManager[Project]
        ulabels: RelatedManager[ULabel]

    uid: Mapped[str] = mapped_column(uid_type(12), unique=True)
    space_id: Mapped[int] = mapped_column(ForeignKey("lamart_space.id"))
    description: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("lamart_user.id"))
    _status_code: Mapped[int] = mapped_column(SmallInteger, default=0)
    _aux: Mapped[dict[str, Any] | None] = mapped_column(Json)

    space = ToOne("Space", "space_id")
    created_by = ToOne("User", "created_by_id")

    def _assign(self, fields: Mapping[str, Any]) -> None:
        others = dict(fields)
        status = others.pop("status", None)
        super()._assign(others)
        if status is not None:
            self._set_status(status)

    def _not_wished(self) -> frozenset[str]:
        return super()._not_wished() | {"_status_code"}

    @virtual(status_of(BranchStatus), assign=lambda branch, value: branch._set_status(value))
    def status(self) -> str:
        """The status in words: standalone, draft, review, merged or closed."""
        return BranchStatus(self.__dict__.get("_status_code") or BranchStatus.STANDALONE).name.lower()

    def _set_status(self, value: str) -> None:
        settable = [each.name.lower() for each in BranchStatus if each is not BranchStatus.MERGED]
        if value not in settable:
            raise errors.InvalidArgument(
                f"the status of a branch is one of {', '.join(sorted(settable))}, and merge() sets 'merged'; "
                f"got {value!r}"
            )
        self._status_code = int(BranchStatus[value.upper()])

    def merge(self, into: Branch | str | None = None) -> int:
        """Move all records of this branch to another one, in one transaction; the branch is `merged` afterwards.

        Versions of a family that is on both branches become one line: the newest is the latest. What is saved on the
        branch later stays there until it is merged again; merging when nothing is there changes nothing.

        Args:
            into: Branch, or its name. Default: main.

        Returns:
            The number of records that moved.

        Raises:
            MergeConflict: A key belongs to different families on the two branches; nothing was moved.
            InvalidArgument: A branch is merged into itself, or the trash or the archive takes part.
            ObjectDoesNotExist: There is no branch of this name.
        """
        if not self.is_saved:
            raise errors.InvalidArgument(f"{self!r} is not saved yet; there is nothing to merge")
        if not isinstance(into, Branch):
            into = Branch.named(self.registry, into if into is not None else "main")
        assert isinstance(into, Branch)
        for each in (self, into):
            if each.id in (TRASH_BRANCH_ID, ARCHIVE_BRANCH_ID):
                raise errors.InvalidArgument(f"the {each.name} is no line of work: it takes no part in merges")
        if self.id == into.id:
            raise errors.InvalidArgument(f"the branch {self.name!r} cannot be merged into itself")
        target_id, own = into.id, self.__table__

        def work(connection: Connection) -> int:
            # Two who merge one branch take turns; writers on the branch do not wait.
            lock = select(own.c.id).where(own.c.id == self.id).with_for_update(key_share=True)
            if connection.execute(lock).first() is None:
                raise errors.ObjectDoesNotExist(f"{self!r} was deleted from {self.registry!r}")
            moved = merge(connection, self.id, target_id)
            merged = update(own).where(own.c.id == self.id).values(_status_code=int(BranchStatus.MERGED))
            connection.execute(merged)
            return moved

        try:
            moved = self.registry.unit_of_work(work)
        except errors.MergeConflict as error:
            raise errors.MergeConflict(f"{self.name!r} cannot be merged into {into.name!r}: {error}") from None
        self.refresh()
        return moved
