"""Names that identify: making a record of a name that is there gives the record that is there."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Index, and_, func, select, text
from sqlalchemy.orm import Mapped, declared_attr

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.records.kinds.recognised import Recognised
from lamart_core.records.kinds.typed import Typed

_NOT_IN_TRASH = text(f"branch_id <> {TRASH_BRANCH_ID}")


class Named(Recognised):
    """Mixin: a name that one record of a class has, within its space and type.

    Making another one gives the existing record, on whatever branch it is; what was passed and differs is taken over,
    with a warning, and written by `save()`. A name in the trash is free, and cannot come back while it is taken.
    Two processes that save one name at the same moment end with one record.
    """

    __abstract__ = True
    __hidden_in_trash__: ClassVar[bool] = True
    __one_by_one__: ClassVar[frozenset[str]] = frozenset({"name", "space", "space_id"})
    __identity__: ClassVar[frozenset[str]] = frozenset({"name"})  # which may come in another normal form

    name: Mapped[str]

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:
        table: Any = cls
        # Two nulls are not equal to a unique index, but two records without a type may not share a name.
        kind = [func.coalesce(text("type_id"), text("0"))] if issubclass(table, Typed) else []
        return (
            Index(
                f"uq_{table.__tablename__}_name",
                "name",
                "space_id",
                *kind,
                unique=True,
                sqlite_where=_NOT_IN_TRASH,
                postgresql_where=_NOT_IN_TRASH,
            ),
        )

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self._check_name()
        self._recognise()

    def _check_name(self) -> None:
        name = self.__dict__.get("name")
        if not isinstance(name, str) or not name or name != name.strip():
            raise errors.InvalidArgument(
                f"a {type(self).__name__} needs a name, which is text without space around it; got {name!r}"
            )

    def _is_same(self) -> ColumnElement[bool]:
        columns, values = self.__table__.c, self.__dict__
        same = [
            columns.name == values["name"],
            columns.space_id == (values.get("space_id") or self.registry.space_id),
            columns.branch_id != TRASH_BRANCH_ID,
        ]
        if "type_id" in columns:
            same.append(columns.type_id.is_not_distinct_from(values.get("type_id")))
        return and_(*same)

    # ------------------------------------------------------------------ saving

    def _insert(self, connection: Connection) -> int:
        self._check_name()
        return super()._insert(connection)

    def _update(self, connection: Connection) -> None:
        if {"name", "type_id", "space_id"} & self._changes().keys():
            self._check_name()
            self._check_free(connection)
        super()._update(connection)

    def _rows_that_move(self, connection: Connection) -> list[int]:
        table = self.__table__
        branch = connection.execute(select(table.c.branch_id).where(table.c.id == self.id)).scalar_one_or_none()
        if branch == TRASH_BRANCH_ID:
            if self._changes().keys() & {"name", "type_id", "space_id"}:
                raise errors.InvalidArgument(f"{self!r} has a name that is not saved yet; save() it, then restore it")
            self._check_free(connection)
        return super()._rows_that_move(connection)

    def _check_free(self, connection: Connection) -> None:
        row = self._same(connection)
        if row is not None:
            raise errors.NameTaken(
                f"the name {row['name']!r} belongs to another {type(self).__name__}, {row['uid']}; "
                "give one of the two another name first"
            )
