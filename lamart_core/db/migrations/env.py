"""Alembic environment: migrates over the connection that `schema.upgrade` passes, in its transaction."""

from alembic import context

from lamart_core.db.base import Base
from lamart_core.db.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    compare_type=True,
)
context.run_migrations()
