"""Hierarchies: records that lie below others of their registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from sqlalchemy import CTE, select

from lamart_core.query import QuerySet
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.hierarchy import Edges, above, below
from lamart_core.records.kinds.link import End, Link, link

if TYPE_CHECKING:
    from lamart_core.query import RelatedManager


class HasParents(SQLRecord):
    """Mixin: a record may have several parents, and none is above itself.

    Attributes:
        parents: The records right above it.
        children: The records right below it.
    """

    __abstract__ = True
    __parents__: ClassVar[Link]

    if TYPE_CHECKING:
        parents: RelatedManager[Self]
        children: RelatedManager[Self]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__tablename__" in cls.__dict__:
            cls.__parents__ = link(
                End(cls.__name__, names=("children",), column="child_id", cascade=True),
                End(cls.__name__, names=("parents",), column="parent_id", cascade=True),
                name=f"{cls.__name__}Parent",
                acyclic=True,
            )

    def ancestors(self) -> QuerySet[Self]:
        """Return all records above this one, at whatever distance."""
        edges = self._edges()
        return self._among(above(edges, edges.table.c[edges.lower] == self.id))

    def descendants(self) -> QuerySet[Self]:
        """Return all records below this one, at whatever distance."""
        edges = self._edges()
        return self._among(below(edges, edges.table.c[edges.upper] == self.id))

    def _edges(self) -> Edges:
        edges = type(self).__parents__.edges
        assert edges is not None
        return edges

    def _among(self, ids: CTE) -> QuerySet[Self]:
        # As those of a related manager: what is related stays related, wherever it is.
        found = QuerySet(type(self), self.registry, is_scoped=False)
        return found.filter(self.__table__.c.id.in_(select(ids.c.id)))
