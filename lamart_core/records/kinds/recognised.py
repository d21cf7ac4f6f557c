"""Records that are known by what they are: making one that is there gives the record that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.riders import Outcome


class Recognised(SQLRecord):
    """Mixin: a record that is saved while another writer saves the same one becomes the other's."""

    __abstract__ = True

    # The row that `_insert` found instead of making one; no column.
    _found: Mapping[str, Any] | None = None

    def _is_same(self) -> ColumnElement[bool]:
        """Return the condition that a row is the same thing as this record."""
        raise NotImplementedError

    def _same(self, connection: Connection) -> Mapping[str, Any] | None:
        """Return the row of another record that is the same thing."""
        table = self.__table__
        same = select(table).where(self._is_same(), table.c.id != (self.__dict__.get("id") or 0)).limit(1)
        row = connection.execute(same).mappings().first()
        return None if row is None else {column.name: row[column.name] for column in table.columns}

    def _insert(self, connection: Connection) -> int:
        self._found = self._same(connection)
        if self._found is None:
            return super()._insert(connection)
        self._found = self._taken(connection, self._found)
        self._ride(connection, self._found, Outcome.EXISTING)
        return int(self._found["id"])

    def _taken(self, connection: Connection, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write into the row that was found what this record has otherwise, and return the row."""
        return row

    def _inserted(self, row_id: int) -> None:
        if self._found is None:
            super()._inserted(row_id)
        else:
            self._adopt_row(self._found)
            self._riders = ()
