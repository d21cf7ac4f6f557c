"""Fields that are computed from columns, in Python on a record and in SQL in a query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

from sqlalchemy import ColumnElement, FromClause

V = TypeVar("V")


class Virtual(Generic[V]):
    """A read-only field that is computed from columns; queries filter, sort and select by it like by a column.

    Args:
        compute: Gives the value of a record.
        sql: Gives the same as SQL, from the columns of the table of the record, or of an alias of it.
        prefix_of: Text column that begins with the value, if one does: its index then finds what equals a value.
        assign: Sets the columns for a value that is assigned to a record; None: it cannot be assigned.
    """

    def __init__(
        self,
        compute: Callable[[Any], V],
        sql: Callable[[FromClause], ColumnElement[Any]],
        prefix_of: str | None = None,
        assign: Callable[[Any, Any], None] | None = None,
    ) -> None:
        self.compute = compute
        self.sql = sql
        self.prefix_of = prefix_of
        self.assign = assign
        self.name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any]) -> V: ...

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        return self if instance is None else self.compute(instance)

    def __set__(self, instance: Any, value: Any) -> None:
        if self.assign is not None:
            self.assign(instance, value)
            return
        raise AttributeError(f"{type(instance).__name__}.{self.name} follows from other fields; it cannot be assigned")


def virtual(
    sql: Callable[[FromClause], ColumnElement[Any]],
    *,
    prefix_of: str | None = None,
    assign: Callable[[Any, Any], None] | None = None,
) -> Callable[[Callable[[Any], V]], Virtual[V]]:
    """Declare a method of a record class as a virtual field; the arguments are those of `Virtual`.

    Example, in the body of a record class:

        @virtual(lambda table: func.lower(table.c.name))
        def lowered(self) -> str:
            return self.name.lower()
    """
    return lambda compute: Virtual(compute, sql, prefix_of, assign)
