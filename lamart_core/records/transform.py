"""Transforms: code that makes artifacts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sqlalchemy import ColumnElement, Connection, ForeignKey, Index, String, Text, and_, select
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core import errors, hashing
from lamart_core.db import MAIN_BRANCH_ID, TRASH_BRANCH_ID, Registry, UtcDateTime, uid_type
from lamart_core.families.branches import place
from lamart_core.families.declare import named_families, new_uid
from lamart_core.families.family import Family
from lamart_core.families.following import follow, insert_versions, read_tip
from lamart_core.query import ToMany, ToOne
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.mixins import HasScope, IsVersioned, TracksUpdates
from lamart_core.records.kinds.recognised import Recognised
from lamart_core.records.kinds.riders import Outcome
from lamart_core.source_code import of_file

if TYPE_CHECKING:
    from lamart_core.query import RelatedManager
    from lamart_core.records.project import Project
    from lamart_core.records.reference import Reference
    from lamart_core.records.ulabel import ULabel


class Transform(HasScope, IsVersioned, TracksUpdates, Recognised):
    """A piece of code that makes artifacts: an asset, a function, a script, a notebook.

    Making a transform of a key and code that are there gives that version; other code under the key is its next
    version, `is_latest` from then on. Without code and version, the latest version of the key is meant.

    Args:
        key: Name of the code, for example `my_location/cells`.
        kind: `pipeline` (the default), `function`, `script` or `notebook`.
        source_code: The code as text.
        version: Version that its author gave it; a change makes a new version, as a change of the code does.
        revises: Version to revise, instead of a key.
        description: What the code does.
        reference: Link or id for people.
        reference_type: What kind of reference it is.

    Attributes:
        hash: Digest of code and version; None where nothing is known of them.

    Raises:
        InvalidArgument: There is no key, or another one than that of the version that is revised.

    Examples:
        >>> import lamart_core as ln
        >>> first = ln.Transform(key="clean.py", source_code="x = 1").save()
        >>> ln.Transform(key="clean.py", source_code="x = 1") == first
        True
        >>> ln.Transform(key="clean.py", source_code="x = 2").save().version
        '0001'
    """

    __tablename__ = "lamart_transform"
    __table_args__ = (
        Index("uq_lamart_transform_key_hash", "key", "hash", unique=True),
        # The code that has a name is one thing, whoever wrote its versions.
        *named_families("uq_lamart_transform_latest", "key", is_by_name=True),
    )
    __frozen__ = SQLRecord.__frozen__ | {"hash", "is_latest"}
    __identity__ = frozenset({"key", "source_code", "version_tag"})
    __kept__: ClassVar[frozenset[str]] = Recognised.__kept__ | {"kind", "space_id"}

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

    _says_code: bool = False

    def __init__(self, *args: Any, version: str | None = None, revises: Transform | None = None, **fields: Any) -> None:
        if version is not None:
            if fields.get("version_tag") is not None:
                raise errors.InvalidArgument("pass either version or version_tag, not both")
            fields["version_tag"] = version
        if revises is not None:
            fields = _revising(revises, fields)
        super().__init__(*args, **fields)
        if not self.__dict__.get("key"):
            raise errors.InvalidArgument("a Transform needs a key, the name of the code")
        # One that is revised without its code is followed by one without code.
        self._says_code = revises is not None or self._digest is not None
        self._recognise()

    @classmethod
    def from_path(
        cls, path: str | os.PathLike[str], *, key: str | None = None, kind: str | None = None, **fields: Any
    ) -> Self:
        """Make the transform of a script or notebook from its file.

        Args:
            path: The file; of a notebook the cells are taken, without their outputs.
            key: Name of the code. Default: the name of the file.
            kind: Kind of the code. Default: `notebook` or `script`, as the suffix says.
            **fields: Other keywords of the constructor.

        Raises:
            PathNotFound: There is no such file.

        Examples:
            >>> import lamart_core as ln
            >>> _ = Path("clean.py").write_text("x = 1")
            >>> ln.Transform.from_path("clean.py").save().source_code
            'x = 1'
        """
        file = Path(path).expanduser().absolute()
        if not file.is_file():
            raise errors.PathNotFound(f"there is no script or notebook at {file}")
        code = of_file(file)
        return cls(key=key or code.key, kind=kind or code.kind, source_code=code.code, **fields)

    @property
    def _family(self) -> str:
        # The code that has a name is one thing.
        return self.key

    @property
    def _digest(self) -> str | None:
        return code_digest(self.__dict__.get("source_code"), self.__dict__.get("version_tag"))

    def _check(self) -> None:
        super()._check()
        if not self.is_saved:
            self._give(hash=self._digest)
        elif "source_code" in self._changes():
            raise errors.InvalidArgument(
                f"Transform.source_code of {self!r} never changes: Transform(key={self.key!r}, source_code=…) is its "
                "next version"
            )

    def _is_same(self) -> ColumnElement[bool]:
        columns = self.__table__.c
        same = [columns.key == self.key]
        if self._says_code:
            digest = self._digest
            return and_(*same, columns.hash.is_(None) if digest is None else columns.hash == digest)
        return and_(*same, columns.is_latest, columns.branch_id.in_((MAIN_BRANCH_ID, self.registry.branch_id)))

    def _insert(self, connection: Connection) -> int:
        if self._same(connection) is not None:
            return super()._insert(connection)
        row = insert_next(connection, self._values())
        self._found = row
        self._ride(connection, row, Outcome.CREATED)
        return int(row["id"])

    def _taken(self, connection: Connection, row: Mapping[str, Any]) -> Mapping[str, Any]:
        if row["branch_id"] == TRASH_BRANCH_ID:
            place(connection, self.__table__, [row["id"]], self.branch_id)
            found = connection.execute(select(self.__table__).where(self.__table__.c.id == row["id"]))
            row = dict(found.mappings().one())
        return super()._taken(connection, row)

    def _default_values(self, registry: Registry) -> dict[str, Any]:
        return super()._default_values(registry) | {
            "uid": new_uid(self.__table__),
            "kind": "pipeline",
            "is_latest": True,
        }


def code_digest(source_code: str | None, version: str | None) -> str | None:
    """Return what makes two versions of some code the same; None when nothing is known of it."""
    if source_code is None and version is None:
        return None
    identity = json.dumps([source_code, version], ensure_ascii=False)
    return hashing.hash_bytes(identity.encode("utf-8", errors="surrogatepass")).value


def insert_next(connection: Connection, values: Mapping[str, Any]) -> dict[str, Any]:
    """Insert code that is not known yet, as the latest version of its key, and return its row."""
    table = Transform.__table__
    tip = read_tip(connection, Family.called(table, key=values["key"]), values["branch_id"])
    row = {column.name: values.get(column.name) for column in table.c if column.name != "id"}
    row["uid"] = follow(connection, table, tip, first=values.get("uid"))
    return row | {"id": insert_versions(connection, table, [row])[0].id}


def _revising(revises: Any, fields: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(revises, Transform) or not revises.is_saved:
        raise errors.InvalidArgument(f"revises= takes a saved Transform, got {revises!r}")
    key = fields.get("key")
    if key is not None and key != revises.key:
        raise errors.InvalidArgument(
            f"the versions of a transform have one key: {revises.uid} has {revises.key!r}, and key={key!r} was passed"
        )
    inherited = {name: getattr(revises, name) for name in ("key", "kind", "description")}
    return inherited | {name: value for name, value in fields.items() if value is not None}
