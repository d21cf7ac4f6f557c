"""Types of records that are records of the same registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from sqlalchemy import Boolean, Connection, ForeignKey, select
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from lamart_core import errors
from lamart_core.query import ToMany, ToOne
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.hierarchy import Edges, check_acyclic


class Typed(SQLRecord):
    """Mixin: a record may be of a type, which is a record of the same registry with `is_type`.

    Types may have types, and none is above itself. What a type is the type of is its attribute with the plural of the
    class, for example `kind.ulabels`.
    """

    __abstract__ = True
    __one_by_one__: ClassVar[frozenset[str]] = frozenset({"type", "type_id", "is_type"})

    is_type: Mapped[bool] = mapped_column(Boolean, default=False)

    if TYPE_CHECKING:
        type: ToOne[Self | None]

    @declared_attr
    def type_id(cls) -> Mapped[int | None]:
        table: Any = cls
        return mapped_column(ForeignKey(f"{table.__tablename__}.id"), index=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__tablename__" in cls.__dict__:
            cls._set_relation("type", ToOne(cls.__name__, "type_id"))
            of_this_type = ToMany(cls.__name__, column="type_id", fixed="assign the type of each record, and save that")
            cls._set_relation(f"{cls.__name__.lower()}s", of_this_type)

    def _insert(self, connection: Connection) -> int:
        self._check_type(connection)
        return super()._insert(connection)

    def _update(self, connection: Connection) -> None:
        changes = self._changes()
        if "type_id" in changes:
            self._check_type(connection)
            if self.type_id is not None:
                table = self.__table__
                edge = {"id": self.id, "type_id": self.type_id}
                check_acyclic(connection, Edges(table, "id", "type_id", table.name), [edge])
        if changes.get("is_type") is False:
            self._check_no_members(connection)
        super()._update(connection)

    def _check_type(self, connection: Connection) -> None:
        """Check that the type is one. Nobody can change that before this transaction ends."""
        type_id = self.__dict__.get("type_id")
        if type_id is None:
            return
        columns = self.__table__.c
        row = connection.execute(
            select(columns.name, columns.is_type).where(columns.id == type_id).with_for_update(read=True)
        ).first()
        if row is None:
            raise errors.ObjectDoesNotExist(f"the type of {self!r} was deleted")
        if not row.is_type:
            raise errors.InvalidArgument(
                f"{row.name!r} is no type, so that {self!r} cannot be of it; set its is_type to True and save it first"
            )

    def _check_no_members(self, connection: Connection) -> None:
        columns = self.__table__.c
        connection.execute(select(columns.id).where(columns.id == self.id).with_for_update(key_share=True)).all()
        member = connection.execute(select(columns.name).where(columns.type_id == self.id).limit(1)).first()
        if member is not None:
            raise errors.ProtectedError(
                f"{self!r} is the type of others, for example of {member.name!r}; give those another type first"
            )
