"""Text that people attach to artifacts: a versioned read-me, and comments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, ForeignKey, Index, SmallInteger, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core import errors, hashing, uids
from lamart_core.db import MAIN_BRANCH_ID, TRASH_BRANCH_ID, Base, Registry, UtcDateTime, uid_type
from lamart_core.db.checks import check_text
from lamart_core.families.declare import named_families, new_uid
from lamart_core.families.family import Family
from lamart_core.families.following import follow, insert_versions, read_tip
from lamart_core.query import QuerySet, ToOne
from lamart_core.records.artifact import ArtifactRecord
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.mixins import HasScope, IsVersioned
from lamart_core.records.kinds.riders import Outcome, Saved

README = "readme"
COMMENT = "comment"


class ArtifactBlock(HasScope, SQLRecord, IsVersioned):
    """A read-me or a comment of an artifact. Its text never changes: another read-me is the next version of it.

    Args:
        artifact: A saved artifact.
        content: The text, as Markdown.
        kind: `"readme"`, of which an artifact has one latest version, or `"comment"`.

    Raises:
        InvalidArgument: Another kind, no text, or an artifact that is not saved.

    Examples:
        >>> import lamart_core as ln
        >>> from pathlib import Path
        >>> _ = Path("a.txt").write_text("a")
        >>> artifact = ln.Artifact("a.txt", key="a.txt").save()
        >>> _ = ln.models.ArtifactBlock(artifact=artifact, content="What it is.", kind="readme").save()
        >>> artifact.notes
        'What it is.'
    """

    __tablename__ = "lamart_artifactblock"
    __table_args__ = (
        Index("ix_lamart_artifactblock_artifact", "artifact_id"),
        *named_families("uq_lamart_artifactblock_readme", "artifact_id", kind=("kind", README)),
    )
    __frozen__ = SQLRecord.__frozen__ | {"hash", "is_latest", "content", "kind", "artifact_id", "artifact"}
    __uid_length__ = uids.UID_LENGTH

    uid: Mapped[str] = mapped_column(uid_type(uids.UID_LENGTH), unique=True)
    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id", ondelete="CASCADE"))
    content: Mapped[str] = mapped_column(Text)
    hash: Mapped[str | None] = mapped_column(uid_type(64))
    kind: Mapped[str] = mapped_column(String(22))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("lamart_user.id"))
    _status_code: Mapped[int] = mapped_column(SmallInteger, default=0)

    artifact = ToOne("Artifact", "artifact_id")
    created_by = ToOne("User", "created_by_id")

    def __init__(self, *, artifact: Any, content: Any, kind: str = README, **fields: Any) -> None:
        if not isinstance(artifact, ArtifactRecord):
            raise errors.InvalidArgument(f"a text belongs to an artifact, got {artifact!r}")
        if not artifact.is_saved:
            raise errors.InvalidArgument(f"{artifact!r} is not saved yet; save it before writing about it")
        if kind not in (README, COMMENT):
            raise errors.InvalidArgument(f"kind {kind!r} is neither {README!r} nor {COMMENT!r}")
        if not isinstance(content, str) or not content.strip():
            raise errors.InvalidArgument(f"a {kind} needs text as its content, got {content!r}")
        check_text("content", content)
        super().__init__(**fields)
        self._registry = artifact.registry
        digest = hashing.hash_bytes(content.encode("utf-8"), artifact.registry.hash_algorithm)
        self._give(artifact_id=artifact.id, content=content, kind=kind, hash=digest.value)

    def _default_values(self, registry: Registry) -> dict[str, Any]:
        return super()._default_values(registry) | {"is_latest": True}

    def save(self) -> ArtifactBlock:
        """Write the text to the registry.

        Returns:
            The block itself. A read-me that is equal to the latest one is that one.

        Raises:
            ObjectDoesNotExist: The artifact was deleted meanwhile.
        """
        if self.is_saved:
            return super().save()
        registry = self.registry
        self._check()
        values = self._values()

        def work(connection: Connection) -> Saved:
            saved = _write(connection, dict(values))
            self._ride(connection, saved.row, saved.outcome)
            return saved

        self._adopt_row(registry.unit_of_work(work).row)
        self._riders = ()
        return self


def latest_readme(artifact: ArtifactRecord) -> str | None:
    """Return the text of the latest read-me: that of the current branch, else of main, else of another one."""
    registry = artifact.registry
    found = QuerySet(ArtifactBlock, registry, is_scoped=False).filter(
        artifact_id=artifact.id, kind=README, is_latest=True
    )
    heads = found.exclude(branch_id=TRASH_BRANCH_ID).order_by("branch_id").to_list()
    own = [block for block in heads if block.branch_id == registry.branch_id]
    main = [block for block in heads if block.branch_id == MAIN_BRANCH_ID]
    return next((block.content for block in (*own, *main, *heads)), None)


def _write(connection: Connection, values: dict[str, Any]) -> Saved:
    table = ArtifactBlock.__table__
    artifact = Base.metadata.tables["lamart_artifact"]
    # Two who write about one artifact take turns, so that its read-mes are one family.
    lock = select(artifact.c.id).where(artifact.c.id == values["artifact_id"]).with_for_update(key_share=True)
    if connection.execute(lock).first() is None:
        raise errors.ObjectDoesNotExist(f"artifact {values['artifact_id']} was deleted; nobody can write about it")
    if values["kind"] == README:
        family = Family.called(table, artifact_id=values["artifact_id"], kind=README)
        tip = read_tip(connection, family, values["branch_id"])
        if tip.head is not None and tip.head["hash"] == values["hash"]:
            return Saved(tip.head, Outcome.EXISTING)
        values["uid"] = follow(connection, table, tip)
        outcome = Outcome.CREATED if tip.newest is None else Outcome.NEW_VERSION
    else:
        values["uid"] = new_uid(table)
        outcome = Outcome.CREATED
    row = insert_versions(connection, table, [values])[0]
    return Saved({column.name: values.get(column.name) for column in table.c} | {"id": row.id}, outcome)
