"""Uids and hashes of versions that were deleted permanently."""

import sqlalchemy as sa
from alembic import op

from lamart_core.db.base import UtcDateTime, uid_type

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lamart_deletedversion",
        sa.Column("uid", uid_type(20), nullable=False),
        sa.Column("class_name", sa.String(length=40), nullable=False),
        sa.Column("hash", uid_type(64), nullable=True),
        sa.Column("hash_type", sa.String(length=30), nullable=True),
        sa.Column("deleted_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_lamart_deletedversion")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
