"""What tells that a stored file was changed."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What is there so far has none, and is compared by its size alone.
    op.add_column("lamart_storedobject", sa.Column("stamp", sa.String(length=64), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
