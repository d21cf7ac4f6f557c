"""Names that identify: making a record of a name that is there gives the record that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Index, and_, func, select, text, update
from sqlalchemy.orm import Mapped, declared_attr

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID, now
from lamart_core.families.branches import check_unlocked
from lamart_core.logging import logger
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
    # What an existing record keeps, whatever is passed.
    __kept__: ClassVar[frozenset[str]] = frozenset(
        {
            "uid",
            "branch_id",
            "created_on_id",
            "created_by_id",
            "created_at",
            "updated_at",
            "run_id",
            "is_locked",
            "is_type",
        }
    )

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
        with self.registry.engine.connect() as connection:
            row = self._same(connection)
        if row is not None:
            passed = {name: value for name, value in self._values().items() if name != "_aux"}
            self._adopt_row(row)
            for name, value in self._taken_over(passed, row).items():
                setattr(self, name, value)

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

    def _taken_over(self, passed: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was passed and the existing row has otherwise, and say what becomes of it."""
        model = type(self)
        different = {name: value for name, value in passed.items() if value is not None and value != row[name]}
        different.pop("name", None)  # in another normal form
        for name, value in different.items():
            outcome = "keeps" if name in model.__kept__ else "gets another value for"
            logger.warning(
                "the %s %r exists (%s) and %s %s: it was %r, %r was passed",
                model.__name__,
                row["name"],
                row["uid"],
                outcome,
                name,
                row[name],
                value,
            )
        return {name: value for name, value in different.items() if name not in model.__kept__}

    # ------------------------------------------------------------------ saving

    def _insert(self, connection: Connection) -> int:
        self._check_name()
        return super()._insert(connection)

    def _taken(self, connection: Connection, row: Mapping[str, Any]) -> Mapping[str, Any]:
        # Another writer was first, or an earlier record of one list: its defaults are no wishes of ours.
        wishes = {name: value for name, value in self._values().items() if name not in type(self).__kept__}
        changes = self._taken_over(wishes, row)
        if changes:
            table = self.__table__
            check_unlocked(connection, table, [row["id"]])
            changes["updated_at"] = now()
            connection.execute(update(table).where(table.c.id == row["id"]).values(changes))
        return {**row, **changes}

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
