"""A family: the versions of one thing. Who belongs to it, which is the latest, what it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, FromClause, ScalarSelect, Select, Table, and_, select, true, update

from lamart_core import errors, uids
from lamart_core.db import TRASH_BRANCH_ID, now
from lamart_core.families.declare import has_content, is_latest, stem, versions_of
from lamart_core.query.sql.dialects import dialect_of

Row = Mapping[str, Any]
LOWEST = uids.ALPHABET[0] * uids.VERSION_LENGTH
HIGHEST = uids.ALPHABET[-1] * uids.VERSION_LENGTH


@dataclass(frozen=True)
class Family:
    """The versions of one thing.

    Who belongs to it is asked in one way: for a stem, by the range of uids that begin with it, which the index of the
    uids answers on every table and in the order of the versions; for a name, by its columns.

    Attributes:
        table: Table of a versioned record class, or an alias of it.
        stem: What the uids of its versions begin with: text, a parameter, or an expression for that of another row.
        name: The columns that tell its versions from others instead, with their values.
    """

    table: FromClause
    stem: Any = None
    name: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, table: FromClause, uid: str) -> Family:
        """Return the family of a uid, of a class whose versions have one stem."""
        return cls(table, uids.stem_of(uid))

    @classmethod
    def of_row(cls, table: FromClause, row: Mapping[Any, Any]) -> Family:
        """Return the family that a row belongs to, or belonged to."""
        declared = versions_of(table)
        if declared is not None and declared.is_by_name:
            return cls.called(table, **{name: row[name] for name in declared.name})
        return cls.of(table, row["uid"])

    @classmethod
    def like(cls, table: FromClause, other: FromClause) -> Family:
        """Return the family that each row of another table (an alias, or rows that were listed) belongs to."""
        declared = versions_of(table)
        if declared is not None and declared.is_by_name:
            return cls.called(table, **{declared.identity: other.c[declared.identity]})
        return cls(table, stem(other))

    @classmethod
    def called(cls, table: FromClause, **name: Any) -> Family:
        """Return the family with a name: that of which the newest version has these values."""
        return cls(table, name=tuple(name.items()))

    @property
    def members(self) -> ColumnElement[bool]:
        """The condition that a row of the table is one of its versions."""
        columns = self.table.c
        conditions: list[ColumnElement[bool]] = [columns[name] == value for name, value in self.name]
        if self.stem is not None:
            conditions.append(columns.uid.between(self.stem + LOWEST, self.stem + HIGHEST))
        return and_(*conditions)

    def head(self, branch_id: Any) -> ColumnElement[bool]:
        """Return the condition that a row is its latest version on a branch."""
        columns = self.table.c
        # In the words of the index of the latest versions: of a long history the others need not be read.
        indexed = true() if self.stem is None else stem(self.table) == self.stem
        return and_(self.members, indexed, is_latest(self.table), columns.branch_id == branch_id)

    def newest(self, branch_id: Any = None) -> ScalarSelect[Any]:
        """Return the id of its version with the highest uid: of all, or of those on a branch that have content."""
        columns = self.table.c
        on_branch = true() if branch_id is None else and_(columns.branch_id == branch_id, has_content(self.table))
        return select(columns.id).where(self.members, on_branch).order_by(columns.uid.desc()).limit(1).scalar_subquery()

    def owner_of(self, connection: Connection, **name: Any) -> str | None:
        """Return the uid of a version of another family that has a name already."""
        columns = self.table.c
        same = [columns[column] == value for column, value in name.items()]
        other = select(columns.uid).where(*same, ~self.members)
        return connection.execute(other.limit(1)).scalar_one_or_none()


def lock(connection: Connection, *families: Family) -> None:
    """Make others who move or remove versions of families of one table wait until this transaction ends.

    SQLite has one writer at a time anyway. Savers wait too: they demote the latest version on their branch, or lock the
    version that they follow where there is none.
    """
    if connection.dialect.name == "postgresql" and families:
        table = families[0].table
        rows = select(table.c.id).where(_each(connection, table, families).family.members).order_by(table.c.id)
        # Not the strongest lock: links to these rows may be written meanwhile.
        connection.execute(rows.with_for_update(key_share=True, of=table)).all()


def promote_newest(connection: Connection, branch_id: int, *families: Family) -> list[int]:
    """Make the newest version of each family on a branch that has content its only latest one; the trash has none.

    Args:
        connection: Connection in a write transaction.
        branch_id: The branch.
        *families: Families of one table.

    Returns:
        Ids of the latest versions; a family without such versions on the branch has none.
    """
    if branch_id == TRASH_BRANCH_ID or not families:
        return []
    table = cast("Table", families[0].table)
    columns, among = table.c, dialect_of(connection.dialect.name).among
    each = _each(connection, table.alias("versions"), families)
    newest = sorted(row_id for row_id in connection.execute(each.newest(branch_id)).scalars() if row_id is not None)
    heads = select(each.family.table.c.id).where(each.family.head(branch_id))
    outdone = update(table).where(columns.id.in_(heads), ~among(columns.id, newest))
    connection.execute(outdone.values(is_latest=False))
    connection.execute(update(table).where(among(columns.id, newest), ~columns.is_latest).values(is_latest=True))
    return newest


def rename(connection: Connection, table: Table, uid: str, key: str) -> None:
    """Give all versions of a family another key, so that one key never has two families.

    Args:
        connection: Connection in a write transaction.
        table: Table of a versioned record class with keys.
        uid: Uid of one of the versions.
        key: The key.

    Raises:
        NameTaken: Another family has this key.
        ObjectDoesNotExist: The version was deleted meanwhile.
    """
    declared = versions_of(table)
    assert declared is not None
    columns = [table.c[name] for name in {"uid", *declared.name}]
    row = connection.execute(select(*columns).where(table.c.uid == uid)).mappings().one_or_none()
    if row is None:
        raise errors.ObjectDoesNotExist(f"{uid} was deleted; it cannot get the key {key!r}")
    if row["key"] == key:
        return
    family = Family.of_row(table, row)
    lock(connection, family)
    check_key_free(connection, family, **{name: row[name] for name in declared.name} | {"key": key})
    connection.execute(update(table).where(family.members).values(key=key, updated_at=now()))


def check_key_free(connection: Connection, family: Family, **name: Any) -> None:
    """Check that no other family has a key.

    Args:
        connection: Connection to read over.
        family: The family that is going to have the key.
        **name: The key, and the other columns that name a family: the storage location of artifacts.

    Raises:
        NameTaken: One has.
    """
    taken = family.owner_of(connection, **name)
    if taken is not None:
        raise errors.NameTaken(f"the key {name['key']!r} belongs to the family of {taken} already; choose another one")


def check_tag_free(connection: Connection, family: Family, tag: str) -> None:
    """Check that no version of a family has a version tag.

    Raises:
        NameTaken: One has.
    """
    columns = family.table.c
    same = select(columns.uid).where(family.members, columns.version_tag == tag)
    taken = connection.execute(same.limit(1)).scalar_one_or_none()
    if taken is not None:
        raise errors.NameTaken(f"the version tag {tag!r} is already taken by {taken}; choose another one")


@dataclass(frozen=True)
class _Each:
    """Some families: one as it is, several as those of the rows of a list."""

    family: Family
    listed: FromClause | None

    def newest(self, branch_id: int) -> Select[Any]:
        query = select(self.family.newest(branch_id))
        return query if self.listed is None else query.select_from(self.listed)


def _each(connection: Connection, table: FromClause, families: Sequence[Family]) -> _Each:
    if len(families) == 1:
        return _Each(replace(families[0], table=table), None)
    declared = versions_of(table)
    assert declared is not None
    column = table.c[declared.identity]
    values = {item.name[0][1] if declared.is_by_name else item.stem + LOWEST for item in families}
    listed = dialect_of(connection.dialect.name).listed(sorted(values), column.name, column.type)
    return _Each(Family.like(table, listed), listed)
