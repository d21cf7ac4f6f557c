"""What the rows of a registry say of each other: families, uids, references, copied values. The database only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Executable, Integer, Row, Table, and_, func, or_, select, text

from lamart_core.care.findings import Finding, Kind
from lamart_core.db import TRASH_BRANCH_ID, Base, Registry, model_class, model_names
from lamart_core.families.declare import identity
from lamart_core.objects.rows import OBJECT
from lamart_core.records import IsVersioned, Storage, artifact_table, link_tables

_PAGE = 1000
_STORAGE = Storage.__table__


def check_rows(registry: Registry) -> Iterator[Finding]:
    """Check what the rows of a registry say of each other."""
    for table in versioned_tables():
        yield from _heads(registry, table)
    yield from _shared_keys(registry)
    for table in versioned_tables():
        yield from _same_uids(registry, table)
    yield from _dangling(registry)
    yield from _differing(registry)


def versioned_tables() -> list[Table]:
    """Return the tables of records that have versions and branches."""
    models = [model_class(name) for name in model_names()]
    tables: list[Any] = [model.__table__ for model in models if issubclass(model, IsVersioned)]
    return [table for table in tables if "branch_id" in table.columns and "key" in table.columns]


def _rows(registry: Registry, query: Executable) -> Iterator[Row[Any]]:
    """Go through the rows of a query; all of them are never in memory."""
    with registry.engine.connect().execution_options(stream_results=True, yield_per=_PAGE) as connection:
        yield from connection.execute(query)


def _heads(registry: Registry, table: Table) -> Iterator[Finding]:
    """Find families that do not have one latest version on a branch; none is needed in the trash."""
    columns = table.c
    heads = func.sum(columns.is_latest.cast(Integer))
    query = (
        select(
            func.max(columns.uid).label("uid"),
            columns.branch_id,
            func.max(columns.key).label("key"),
            heads.label("heads"),
        )
        .where(or_(columns.branch_id != TRASH_BRANCH_ID, columns.is_latest))
        .group_by(identity(table), columns.branch_id)
        .having(heads != 1)
    )
    for row in _rows(registry, query):
        count = f"{row.heads} latest versions" if row.heads else "no latest version"
        yield Finding(
            Kind.SEVERAL_HEADS if row.heads else Kind.HEADLESS,
            f"the family of {row.uid} (key {row.key!r}, branch {row.branch_id}) has {count}",
            artifact=row.uid,
            is_repairable=True,
            table=table.name,
            branch_id=row.branch_id,
        )


def _shared_keys(registry: Registry) -> Iterator[Finding]:
    table = artifact_table()
    columns = table.c
    query = (
        select(columns.key, columns.storage_id, func.min(columns.uid).label("uid"))
        .where(columns.is_latest, columns.key.is_not(None))
        .group_by(columns.key, columns.storage_id)
        .having(func.count(identity(table).distinct()) > 1)
    )
    for row in _rows(registry, query):
        yield Finding(
            Kind.SHARED_KEY,
            f"several families have the key {row.key!r} in one storage location; rename all but one",
            artifact=row.uid,
            table=table.name,
        )


def _same_uids(registry: Registry, table: Table) -> Iterator[Finding]:
    query = select(table.c.uid, func.count().label("count")).group_by(table.c.uid).having(func.count() > 1)
    for row in _rows(registry, query):
        yield Finding(
            Kind.SAME_UID,
            f"{row.count} rows of {table.name} have the uid {row.uid}; this cannot be repaired here: which one is "
            "right only their makers can say",
            artifact=row.uid,
            table=table.name,
        )


def _dangling(registry: Registry) -> Iterator[Finding]:
    """Find references to rows that are not there: all of them by one statement."""
    references = _references()
    query = " UNION ALL ".join(reference.query(number) for number, reference in enumerate(references))
    for row in _rows(registry, text(query)):
        column, target = references[row.reference].column, references[row.reference].target
        yield Finding(
            Kind.DANGLING,
            f"row {row.id} of {column.table.name} refers with {column.name} to row {row.value} of {target.table.name}, "
            "which is not there",
            is_repairable=column.table.name in link_tables(),
            table=column.table.name,
            row_id=row.id,
        )


@dataclass(frozen=True)
class _Reference:
    """A column that refers to rows of a table."""

    column: Column[Any]
    target: Column[Any]

    def query(self, number: int) -> str:
        """Return the query for rows whose reference leads nowhere, which tells a number along.

        As text: expressions for all references of all tables take megabytes.
        """
        column, target = self.column, self.target
        return (
            f'SELECT {number} AS reference, id, "{column.name}" AS value FROM "{column.table.name}" AS here '
            f'WHERE "{column.name}" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "{target.table.name}" AS there '
            f'WHERE there."{target.name}" = here."{column.name}")'
        )


def _references() -> list[_Reference]:
    columns = (column for table in Base.metadata.sorted_tables for column in table.columns)
    return [_Reference(column, key.column) for column in columns for key in column.foreign_keys]


def _differing(registry: Registry) -> Iterator[Finding]:
    table = artifact_table()
    columns, there = table.c, OBJECT.c
    copies = ((columns.hash, there.hash), (columns.size, there.size), (columns.n_files, there.n_files))
    different = [own.is_distinct_from(said) for own, said in copies]
    query = (
        select(
            columns.id,
            columns.uid,
            columns.hash,
            columns._overwrite_versions,
            there.path,
            there.hash.label("stored"),
            _STORAGE.c.root,
        )
        .select_from(table.join(OBJECT, columns.object_id == there.id))
        .join(_STORAGE, there.storage_id == _STORAGE.c.id)
        # Versions of a folder that is overwritten share one object, which is what the latest of them says.
        .where(or_(*different), ~and_(columns._overwrite_versions, ~columns.is_latest))
    )
    for row in _rows(registry, query):
        yield Finding(
            Kind.DIFFERING,
            f"the artifact {row.uid} says its content is {row.hash}, the stored object {row.path} says {row.stored}",
            storage=row.root,
            path=row.path,
            artifact=row.uid,
            # A uid means one content for ever: what overwrote its files is not taken for it.
            is_repairable=row.hash == row.stored or not row._overwrite_versions,
            table=table.name,
            row_id=row.id,
        )
