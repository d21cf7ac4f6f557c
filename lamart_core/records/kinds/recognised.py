"""Records that are known by what they are: making one that is there gives the record that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, select, update

from lamart_core.db import TRASH_BRANCH_ID, now
from lamart_core.families.branches import check_unlocked
from lamart_core.logging import logger
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.riders import Outcome


class Recognised(SQLRecord):
    """Mixin: a record that is saved while another writer saves the same one becomes the other's."""

    __abstract__ = True
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
    # What says which record is meant.
    __identity__: ClassVar[frozenset[str]] = frozenset()

    # The row that `_insert` found instead of making one; no column.
    _found: Mapping[str, Any] | None = None

    def _is_same(self) -> ColumnElement[bool]:
        """Return the condition that a row is the same thing as this record."""
        raise NotImplementedError

    def _same(self, connection: Connection) -> Mapping[str, Any] | None:
        """Return the row of another record that is the same thing."""
        table = self.__table__
        same = select(table).where(self._is_same(), table.c.id != (self.__dict__.get("id") or 0))
        row = connection.execute(same.order_by(table.c.id.desc()).limit(1)).mappings().first()
        return None if row is None else {column.name: row[column.name] for column in table.columns}

    def _recognise(self) -> None:
        """Become the record that is there already; what was passed and differs is written by the next save."""
        with self.registry.engine.connect() as connection:
            row = self._same(connection)
        if row is None or row.get("branch_id") == TRASH_BRANCH_ID:  # which saving brings back
            return
        passed = {name: value for name, value in self._values().items() if name != "_aux"}
        self._adopt_row(row)
        for name, value in self._taken_over(passed, row).items():
            setattr(self, name, value)

    def _taken_over(self, passed: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was passed and the existing row has otherwise, and say what becomes of it."""
        model = type(self)
        kept = model.__kept__ | model.__frozen__
        different = {
            name: value
            for name, value in passed.items()
            if value is not None and value != row[name] and name not in model.__identity__
        }
        title = next((row[name] for name in ("name", "key", "handle", "root") if row.get(name)), row["uid"])
        for name, value in different.items():
            outcome = "keeps" if name in kept else "gets another value for"
            logger.warning(
                "the %s %r exists (%s) and %s %s: it was %r, %r was passed",
                model.__name__,
                title,
                row["uid"],
                outcome,
                name,
                row[name],
                value,
            )
        return {name: value for name, value in different.items() if name not in kept}

    def _insert(self, connection: Connection) -> int:
        self._found = self._same(connection)
        if self._found is None:
            return super()._insert(connection)
        self._found = self._taken(connection, self._found)
        self._ride(connection, self._found, Outcome.EXISTING)
        return int(self._found["id"])

    def _taken(self, connection: Connection, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write into the row that was found what this record has otherwise, and return the row.

        Another writer was first, or an earlier record of one list: what this record has by default is no wish.
        """
        wishes = {name: value for name, value in self._values().items() if name not in self._not_wished()}
        changes = self._taken_over(wishes, row)
        if changes:
            table = self.__table__
            check_unlocked(connection, table, [row["id"]])
            changes["updated_at"] = now()
            connection.execute(update(table).where(table.c.id == row["id"]).values(changes))
        return {**row, **changes}

    def _not_wished(self) -> frozenset[str]:
        return type(self).__kept__ | type(self).__frozen__

    def _inserted(self, row_id: int) -> None:
        if self._found is None:
            super()._inserted(row_id)
        else:
            self._adopt_row(self._found)
            self._riders = ()
