"""What a table says of its versions: which of them belong together, and what the database keeps unique among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    FromClause,
    Index,
    Integer,
    String,
    Table,
    TextClause,
    func,
    literal_column,
    text,
    true,
)
from sqlalchemy import column as sql_column

from lamart_core import uids
from lamart_core.db import Base

_INFO = "versions"
_LATEST = "is_latest"
STEM = f"substr(uid, 1, {uids.STEM_LENGTH})"
_FIRST = text(f"substr(uid, {uids.STEM_LENGTH + 1}) = '{uids.ALPHABET[0] * uids.VERSION_LENGTH}'")


@dataclass(frozen=True)
class Versions:
    """What tells the families of a table apart.

    Attributes:
        name: Columns by which the family of something new is found.
        is_by_name: Whether all versions of one name are one family; otherwise those whose uids have one stem are.
        has_content: Gives, for the table or an alias of it, the condition that a version has content of its own; None
            where each has.
    """

    name: tuple[str, ...]
    is_by_name: bool = False
    has_content: Callable[[FromClause], ColumnElement[bool]] | None = None

    @property
    def identity(self) -> str:
        """The column that says which family a row belongs to; of a uid only the stem counts."""
        return self.name[0] if self.is_by_name else "uid"


def stem_families(
    table: str,
    *name: str,
    where: str | None = None,
    has_content: Callable[[FromClause], ColumnElement[bool]] | None = None,
) -> tuple[Any, ...]:
    """Return the table arguments of a class whose versions have one stem, with a name that only one family has.

    Two writers who meet violate one of the indexes: there is one latest version per family and branch, and one family
    per name. Two who begin a name on different branches have no latest version in common, but both make a first one.

    Args:
        table: Name of the table.
        *name: Columns that name a family.
        where: Condition for those that have a name.
        has_content: As in `Versions`.
    """
    latest = _LATEST if where is None else f"{_LATEST} AND {where}"
    return (
        _unique(f"uq_{table}_latest", text(STEM), "branch_id", where=text(_LATEST)),
        _unique(f"uq_{table}_key", *name, "branch_id", where=text(latest)),
        _unique(f"uq_{table}_first", *name, where=_FIRST),
        Index(f"ix_{table}_key", *name),
        Index(f"uq_{table}_tag", text(STEM), "version_tag", unique=True),
        {"info": {_INFO: Versions(name, has_content=has_content)}},
    )


def named_families(
    index: str, *name: str, kind: tuple[str, str] | None = None, is_by_name: bool = False
) -> tuple[Any, ...]:
    """Return the table arguments of a class whose families are found by what they are versions of.

    Args:
        index: Name of the index that allows one latest version per name and branch.
        *name: Columns that name a family.
        kind: Column and value of the only rows that have further versions.
        is_by_name: Whether all versions of one name are one family, whatever the stems of their uids.
    """
    latest = _LATEST if kind is None else f"{_LATEST} AND {kind[0]} = '{kind[1]}'"
    columns = name if kind is None else (*name, kind[0])
    return (
        _unique(index, *name, "branch_id", where=text(latest)),
        {"info": {_INFO: Versions(columns, is_by_name)}},
    )


def _unique(name: str, *columns: Any, where: TextClause) -> Index:
    return Index(name, *columns, unique=True, sqlite_where=where, postgresql_where=where)


def versions_of(table: FromClause) -> Versions | None:
    """Return what a table, or an alias of it, says of its versions; None for one without."""
    element: Any = getattr(table, "element", table)
    return element.info.get(_INFO)


def is_versioned(table: FromClause) -> bool:
    """Return whether the rows of a table are versions."""
    return versions_of(table) is not None


def has_unique_tags(table: Table) -> bool:
    """Return whether no two versions of a family may have one version tag."""
    return any(index.name == f"uq_{table.name}_tag" for index in table.indexes)


def has_content(source: FromClause) -> ColumnElement[bool]:
    """Return the condition that a version has content of its own: only such a one is ever the latest."""
    declared = versions_of(source)
    return true() if declared is None or declared.has_content is None else declared.has_content(source)


def stem(source: FromClause, uid: ColumnElement[str] | None = None) -> ColumnElement[str]:
    """Return the SQL expression for the stem of a uid, as the indexes of the latest versions write it.

    Args:
        source: Where the uids are of which it is the stem.
        uid: Expression for one of them; the column, if not given.
    """
    of = source.c.uid if uid is None else uid
    # Written as in the index: Postgres does not find a parameter in its expression again.
    length = literal_column(str(_uid_length(source) - uids.VERSION_LENGTH))
    return func.substr(of, literal_column("1"), length, type_=String)


def is_latest(source: FromClause) -> ColumnElement[bool]:
    """Return the condition that a version is a latest one, as the indexes of the latest versions write it.

    SQLAlchemy compares with 1 on SQLite, which does not use an index whose condition is written otherwise.
    """
    column: ColumnClause[Any] = sql_column(_LATEST, Integer)
    column.table = source
    return column


def identity(source: FromClause) -> ColumnElement[str]:
    """Return the SQL expression for what all versions of one family have, and no others."""
    declared = versions_of(source)
    return source.c[declared.identity] if declared is not None and declared.is_by_name else stem(source)


def new_uid(table: FromClause) -> str:
    """Return the uid of the first version of a new family."""
    return uids.first_uid(uids.base62(_uid_length(table) - uids.VERSION_LENGTH))


def class_name(table: Table) -> str:
    """Return the name of the record class of a table; without one, that of the table."""
    classes = (mapper.class_.__name__ for mapper in Base.registry.mappers if mapper.local_table is table)
    return next(classes, table.name)


def _uid_length(source: FromClause) -> int:
    column_type: Any = source.c.uid.type
    return column_type.length
