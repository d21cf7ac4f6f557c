"""The one row in which a registry describes itself."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from lamart_core.db.base import Base, UtcDateTime

registration_table = Table(
    "lamart_registry",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(12), nullable=False),
    Column("hash_algorithm", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Where the database was when it was last opened; see `db.place`.
    Column("place", Text),
    sqlite_autoincrement=True,
)
