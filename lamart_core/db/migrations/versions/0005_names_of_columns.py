"""Columns of stored objects are called what the field calls them."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Both databases rename in place, and nothing that refers to the table is touched.
    op.execute("ALTER TABLE lamart_storedobject RENAME COLUMN fate TO state")
    op.execute("ALTER TABLE lamart_storedobject RENAME COLUMN is_scattered TO is_content_addressed")
    op.execute("UPDATE lamart_storedobject SET state = 'obsolete' WHERE state = 'doomed'")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
