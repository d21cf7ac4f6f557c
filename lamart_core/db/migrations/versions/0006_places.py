"""Where the database is, and how often the markers of its storage locations were written."""

import sqlalchemy as sa
from alembic import op

from lamart_core.db.base import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lamart_registry", sa.Column("place", sa.Text(), nullable=True))
    op.add_column("lamart_storage", sa.Column("_generation", sa.Integer(), server_default="0", nullable=False))
    op.add_column("lamart_storage", sa.Column("_marked_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
