"""Names that no two records of a class have, in whatever case."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, String, select
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.query import QuerySet
from lamart_core.records.kinds.recognised import Recognised

MAX_NAME_LENGTH = 100


class HasOwnName(Recognised):
    """A record whose name no other of its class has, in whatever case, and of which some are built in.

    Making one of a name that is there gives the existing record.
    """

    __abstract__ = True
    __one_by_one__ = frozenset({"name"})
    __identity__ = frozenset({"name"})
    __built_in__: frozenset[int] = frozenset()

    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))

    @classmethod
    def named(cls, registry: Registry, name: str) -> Any:
        """Return the record with a name, in whatever case.

        Raises:
            ObjectDoesNotExist: There is none; the message lists the names.
        """
        records = QuerySet(cls, registry).order_by("id").to_list()
        for record in records:
            if record.name.casefold() == name.casefold():
                return record
        what = cls.__name__.lower()
        raise errors.ObjectDoesNotExist(
            f"there is no {what} {name!r}; known are: {', '.join(record.name for record in records)}. "
            f"Make it with {cls.__name__}(name={name!r}).save()"
        )

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        if self.__dict__.get("name"):
            self._recognise()

    def _is_same(self) -> ColumnElement[bool]:
        return self.__table__.c.name == self.name

    def _insert(self, connection: Connection) -> int:
        if self._same(connection) is None:
            self._check_name(connection, self.__dict__.get("name"))
        return super()._insert(connection)

    def _update(self, connection: Connection) -> None:
        changes = self._changes()
        if "name" in changes:
            self._check_built_in("renamed")
            self._check_name(connection, changes["name"])
        super()._update(connection)

    def delete(self, permanent: bool | None = None) -> None:
        """Delete the record; there is no trash for it.

        Args:
            permanent: Not used.

        Raises:
            ProtectedError: It is built in, or current, or other records refer to it.
        """
        if self.is_saved:
            self._check_built_in("deleted")
            column = f"{type(self).__name__.lower()}_id"
            if getattr(self.registry, column) == self.id:
                raise errors.ProtectedError(f"{self!r} is the current one; switch to another one before deleting it")
        super().delete(permanent=permanent)

    def _check_built_in(self, verb: str) -> None:
        if self.id in type(self).__built_in__:
            raise errors.ProtectedError(f"{self!r} is built in and cannot be {verb}")

    def _check_name(self, connection: Connection, name: Any) -> None:
        what = type(self).__name__.lower()
        if not isinstance(name, str) or not name or name != name.strip() or len(name) > MAX_NAME_LENGTH:
            raise errors.InvalidArgument(
                f"the name of a {what} has 1 to {MAX_NAME_LENGTH} characters and no space around it, got {name!r}"
            )
        table = self.__table__
        # Few rows, and databases differ in what they take for the lower case of a letter.
        for row_id, other in connection.execute(select(table.c.id, table.c.name)):
            if other.casefold() == name.casefold() and row_id != self.__dict__.get("id"):
                raise errors.NameTaken(
                    f"there is a {what} {other!r} already: get it with {type(self).__name__}.get(name={other!r})"
                )
