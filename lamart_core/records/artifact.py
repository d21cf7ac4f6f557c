"""The columns of an artifact, for the rooms that work on rows and do not need the class itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    ForeignKey,
    FromClause,
    Row,
    String,
    Table,
    Text,
    and_,
    exists,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, declared_attr, mapped_column
from sqlalchemy.orm.attributes import manager_of_class

from lamart_core import uids
from lamart_core.db import Base, Json, KeyText, uid_type
from lamart_core.db.checks import check_values
from lamart_core.families.declare import stem_families
from lamart_core.families.family import Family
from lamart_core.query import ToMany, ToOne
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.mixins import HasScope, IsVersioned, TracksRun, TracksUpdates

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact
    from lamart_core.collection import Collection
    from lamart_core.query import RelatedManager
    from lamart_core.records.project import Project
    from lamart_core.records.reference import Reference
    from lamart_core.records.run import Run
    from lamart_core.records.ulabel import ULabel
    from lamart_core.records.user import User


def _has_content(source: FromClause) -> ColumnElement[bool]:
    """Return the condition that an artifact refers to its own files, and not to those that overwrote them."""
    stored = Base.metadata.tables["lamart_storedobject"].alias()
    is_own = exists().where(stored.c.id == source.c.object_id, stored.c.hash.is_not_distinct_from(source.c.hash))
    return or_(~source.c._overwrite_versions, is_own)


class ArtifactRecord(HasScope, SQLRecord, IsVersioned, TracksRun, TracksUpdates):
    """Columns and relations of an artifact; `Artifact` adds the methods."""

    __abstract__ = True
    __one_by_one__ = HasScope.__one_by_one__ | {"storage_id", "storage"}
    __frozen__ = SQLRecord.__frozen__ | {
        "hash",
        "_hash_type",
        "size",
        "n_files",
        "object_id",
        "object",
        "is_latest",
        "suffix",
        "created_by_id",
        "created_by",
    }

    # What queries know under another name.
    __aliases__: ClassVar[dict[str, str]] = {
        "transform": "run__transform",
        "key_is_virtual": "_key_is_virtual",
        "overwrite_versions": "_overwrite_versions",
    }

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]
        linked_by_artifacts: RelatedManager[Artifact]
        collections: RelatedManager[Collection]
        input_of_runs: RelatedManager[Run]
        recreating_runs: RelatedManager[Run]
        linked_by_runs: RelatedManager[Run]
        projects: RelatedManager[Project]
        references: RelatedManager[Reference]
        runs: RelatedManager[Run]
        ulabels: RelatedManager[ULabel]
        users: RelatedManager[User]

    # What an unsaved artifact is going to be, and the object in memory that it was made from; no columns.
    _pending: Any = None
    _memory: Any = None

    @classmethod
    def _blank(cls) -> Self:
        """Return an instance without fields, for `saving` to fill."""
        return manager_of_class(cls).new_instance()

    uid: Mapped[str] = mapped_column(uid_type(uids.UID_LENGTH), unique=True)
    key: Mapped[str | None] = mapped_column(KeyText(1024))
    _real_key: Mapped[str | None] = mapped_column(String(1024))
    description: Mapped[str | None] = mapped_column(Text)
    suffix: Mapped[str] = mapped_column(String(30))
    kind: Mapped[str | None] = mapped_column(String(20))
    otype: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int | None] = mapped_column(BigInteger)
    hash: Mapped[str | None] = mapped_column(uid_type(64), index=True)
    n_files: Mapped[int | None] = mapped_column(BigInteger)
    n_observations: Mapped[int | None] = mapped_column(BigInteger)
    _hash_type: Mapped[str | None] = mapped_column(String(30))
    extra_data: Mapped[dict[str, Any] | None] = mapped_column(Json)
    _key_is_virtual: Mapped[bool] = mapped_column(Boolean)
    _overwrite_versions: Mapped[bool] = mapped_column(Boolean)

    @declared_attr
    def storage_id(cls) -> Mapped[int]:
        return mapped_column(ForeignKey("lamart_storage.id"))

    @declared_attr
    def object_id(cls) -> Mapped[int]:
        return mapped_column(ForeignKey("lamart_storedobject.id"), index=True)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:
        return stem_families("lamart_artifact", "key", "storage_id", where="key IS NOT NULL", has_content=_has_content)

    storage = ToOne("Storage", "storage_id")
    object = ToOne("StoredObject", "object_id")
    ablocks = ToMany("ArtifactBlock", column="artifact_id", fixed="a text belongs to the artifact it was written for")

    def _check(self) -> None:
        if self.is_saved:
            super()._check()
        else:  # what is missing so far follows from the content
            check_values(type(self), {name: value for name, value in self._values().items() if value is not None})

    def _rows_that_move(self, connection: Connection) -> list[int]:
        """Return the ids of the rows that change branches with this one: those whose files it has overwritten."""
        row = _row(connection, self.id)
        return [row.id, *(other.id for other in overwritten_by(connection, row, {row.branch_id}))]

    def _rows_that_come_back(self, connection: Connection) -> list[int]:
        """Return the ids of the rows that are restored with this one.

        One whose files were overwritten comes back with the version that has overwritten them, if that is there too.
        """
        row = _row(connection, self.id)
        if not row.is_outdated:
            return self._rows_that_move(connection)
        table = self.__table__
        later = and_(table.c.uid > row.uid, table.c.branch_id == row.branch_id, table.c._overwrite_versions)
        owner = select(table.c.id).where(Family.of(table, row.uid).members, later, _has_content(table))
        newest = connection.execute(owner.order_by(table.c.uid.desc()).limit(1)).scalar_one_or_none()
        if newest is None:
            return [row.id]
        found = _row(connection, newest)
        return [newest, *(other.id for other in overwritten_by(connection, found, {found.branch_id}))]


def _row(connection: Connection, artifact_id: int) -> Row[Any]:
    table = artifact_table()
    query = select(table, (~_has_content(table)).label("is_outdated")).where(table.c.id == artifact_id)
    return connection.execute(query).one()


def is_outdated(record: ArtifactRecord) -> bool:
    """Return whether the files of a saved artifact were overwritten by a later version."""
    with record.registry.engine.connect() as connection:
        return _row(connection, record.id).is_outdated


def overwritten_by(connection: Connection, version: Row[Any], branches: set[int]) -> Sequence[Row[Any]]:
    """Return the rows of those versions whose files a version has overwritten: without it they are nothing.

    Each says by itself whether its files may be overwritten: one that was kept, or is the latest of a branch, has files
    of its own.

    Args:
        connection: Connection to read over.
        version: Row of an artifact.
        branches: Ids of the branches to look at.
    """
    if not version._overwrite_versions or _row(connection, version.id).is_outdated:
        return []
    table = artifact_table()
    columns = table.c
    query = select(table).where(
        Family.of(table, version.uid).members,
        columns.uid < version.uid,
        columns._overwrite_versions,
        ~columns.is_latest,
        columns.branch_id.in_(branches),
        or_(columns.object_id == version.object_id, ~_has_content(table)),
    )
    return connection.execute(query.order_by(columns.uid.desc())).all()


def artifact_table() -> Table:
    """Return the table of artifacts, for the rooms below the class itself."""
    return Base.metadata.tables["lamart_artifact"]
