"""Folders file by file, leases and tombstones, collections, blocks, annotating links, reports of runs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from lamart_core.db.base import BigId, Json, UtcDateTime, uid_type

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lamart_folderhistory",
        sa.Column("storage_id", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("hash_type", sa.String(length=30), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["storage_id"], ["lamart_storage.id"], name=op.f("fk_lamart_folderhistory_storage_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_folderhistory")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_folderhistory_storage_id"), "lamart_folderhistory", ["storage_id"], unique=False)
    op.create_table(
        "lamart_lease",
        sa.Column("storage_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=1200), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["storage_id"], ["lamart_storage.id"], name=op.f("fk_lamart_lease_storage_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_lease")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_lamart_lease_path", "lamart_lease", ["storage_id", "path"], unique=True)
    op.create_table(
        "lamart_tombstone",
        sa.Column("storage_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=1200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["storage_id"], ["lamart_storage.id"], name=op.f("fk_lamart_tombstone_storage_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_tombstone")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_lamart_tombstone_path", "lamart_tombstone", ["storage_id", "path"], unique=True)
    op.create_table(
        "lamart_folderfile",
        sa.Column("id", BigId, nullable=False),
        sa.Column("history_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("hash", uid_type(64), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=True),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("until", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["history_id"],
            ["lamart_folderhistory.id"],
            name=op.f("fk_lamart_folderfile_history_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["object_id"], ["lamart_storedobject.id"], name=op.f("fk_lamart_folderfile_object_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_folderfile")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lamart_folderfile_content", "lamart_folderfile", ["history_id", "hash"], unique=False)
    op.create_index("ix_lamart_folderfile_history", "lamart_folderfile", ["history_id", "until"], unique=False)
    op.create_index(op.f("ix_lamart_folderfile_object_id"), "lamart_folderfile", ["object_id"], unique=False)
    op.create_table(
        "lamart_artifactartifact",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("value_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"],
            ["lamart_artifact.id"],
            name=op.f("fk_lamart_artifactartifact_artifact_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["value_id"], ["lamart_artifact.id"], name=op.f("fk_lamart_artifactartifact_value_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_artifactartifact")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_artifactartifact_value_id"), "lamart_artifactartifact", ["value_id"], unique=False)
    op.create_index("uq_lamart_artifactartifact", "lamart_artifactartifact", ["artifact_id", "value_id"], unique=True)
    op.create_table(
        "lamart_artifactblock",
        sa.Column("uid", uid_type(20), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", uid_type(64), nullable=True),
        sa.Column("kind", sa.String(length=22), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("_status_code", sa.SmallInteger(), nullable=False),
        sa.Column("is_locked", sa.Boolean(), nullable=False),
        sa.Column("_aux", Json, nullable=True),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("created_on_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_tag", sa.String(length=30), nullable=True),
        sa.Column("is_latest", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"],
            ["lamart_artifact.id"],
            name=op.f("fk_lamart_artifactblock_artifact_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["branch_id"], ["lamart_branch.id"], name=op.f("fk_lamart_artifactblock_branch_id")),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["lamart_user.id"], name=op.f("fk_lamart_artifactblock_created_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["created_on_id"], ["lamart_branch.id"], name=op.f("fk_lamart_artifactblock_created_on_id")
        ),
        sa.ForeignKeyConstraint(["space_id"], ["lamart_space.id"], name=op.f("fk_lamart_artifactblock_space_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_artifactblock")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_artifactblock_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lamart_artifactblock_artifact", "lamart_artifactblock", ["artifact_id"], unique=False)
    op.create_index(
        "uq_lamart_artifactblock_readme",
        "lamart_artifactblock",
        ["artifact_id", "branch_id"],
        unique=True,
        sqlite_where=sa.text("is_latest AND kind = 'readme'"),
        postgresql_where=sa.text("is_latest AND kind = 'readme'"),
    )
    op.create_table(
        "lamart_artifactrun",
        sa.Column("id", BigId, nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["lamart_artifact.id"], name=op.f("fk_lamart_artifactrun_artifact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_artifactrun_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_artifactrun")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_artifactrun_run_id"), "lamart_artifactrun", ["run_id"], unique=False)
    op.create_index("uq_lamart_artifactrun", "lamart_artifactrun", ["artifact_id", "run_id"], unique=True)
    op.create_table(
        "lamart_artifactuser",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["lamart_artifact.id"], name=op.f("fk_lamart_artifactuser_artifact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["lamart_user.id"], name=op.f("fk_lamart_artifactuser_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_artifactuser")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_artifactuser_user_id"), "lamart_artifactuser", ["user_id"], unique=False)
    op.create_index("uq_lamart_artifactuser", "lamart_artifactuser", ["artifact_id", "user_id"], unique=True)
    op.create_table(
        "lamart_collection",
        sa.Column("uid", uid_type(20), nullable=False),
        sa.Column("key", uid_type(1024), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("hash", uid_type(64), nullable=True),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("reference_type", sa.String(length=25), nullable=True),
        sa.Column("meta_artifact_id", sa.Integer(), nullable=True),
        sa.Column("is_locked", sa.Boolean(), nullable=False),
        sa.Column("_aux", Json, nullable=True),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("created_on_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_tag", sa.String(length=30), nullable=True),
        sa.Column("is_latest", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("run_id", BigId, nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["lamart_branch.id"], name=op.f("fk_lamart_collection_branch_id")),
        sa.ForeignKeyConstraint(["created_by_id"], ["lamart_user.id"], name=op.f("fk_lamart_collection_created_by_id")),
        sa.ForeignKeyConstraint(
            ["created_on_id"], ["lamart_branch.id"], name=op.f("fk_lamart_collection_created_on_id")
        ),
        sa.ForeignKeyConstraint(
            ["meta_artifact_id"], ["lamart_artifact.id"], name=op.f("fk_lamart_collection_meta_artifact_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_collection_run_id")),
        sa.ForeignKeyConstraint(["space_id"], ["lamart_space.id"], name=op.f("fk_lamart_collection_space_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_collection")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_collection_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_collection_hash"), "lamart_collection", ["hash"], unique=False)
    op.create_index("ix_lamart_collection_key", "lamart_collection", ["key"], unique=False)
    op.create_index(op.f("ix_lamart_collection_run_id"), "lamart_collection", ["run_id"], unique=False)
    op.create_index(
        "uq_lamart_collection_key",
        "lamart_collection",
        ["key", "branch_id"],
        unique=True,
        sqlite_where=sa.text("is_latest"),
        postgresql_where=sa.text("is_latest"),
    )
    op.create_table(
        "lamart_runartifact",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["lamart_artifact.id"], name=op.f("fk_lamart_runartifact_artifact_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_runartifact_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_runartifact")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_runartifact_artifact_id"), "lamart_runartifact", ["artifact_id"], unique=False)
    op.create_index("uq_lamart_runartifact", "lamart_runartifact", ["run_id", "artifact_id"], unique=True)
    op.create_table(
        "lamart_collectionartifact",
        sa.Column("id", BigId, nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["lamart_artifact.id"], name=op.f("fk_lamart_collectionartifact_artifact_id")
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["lamart_collection.id"],
            name=op.f("fk_lamart_collectionartifact_collection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_collectionartifact")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_lamart_collectionartifact_artifact_id"), "lamart_collectionartifact", ["artifact_id"], unique=False
    )
    op.create_index(
        "uq_lamart_collectionartifact", "lamart_collectionartifact", ["collection_id", "artifact_id"], unique=True
    )
    op.create_table(
        "lamart_collectioninput",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["lamart_collection.id"],
            name=op.f("fk_lamart_collectioninput_collection_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_collectioninput_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_collectioninput")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_lamart_collectioninput_collection_id"), "lamart_collectioninput", ["collection_id"], unique=False
    )
    op.create_index("uq_lamart_collectioninput", "lamart_collectioninput", ["run_id", "collection_id"], unique=True)
    op.create_table(
        "lamart_collectionrecreation",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["lamart_collection.id"],
            name=op.f("fk_lamart_collectionrecreation_collection_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_collectionrecreation_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_collectionrecreation")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_lamart_collectionrecreation_collection_id"),
        "lamart_collectionrecreation",
        ["collection_id"],
        unique=False,
    )
    op.create_index(
        "uq_lamart_collectionrecreation", "lamart_collectionrecreation", ["run_id", "collection_id"], unique=True
    )
    _add_reference("lamart_run", "report_id", "lamart_artifact")
    _add_reference("lamart_run", "environment_id", "lamart_artifact")
    _add_reference("lamart_run", "plan_id", "lamart_artifact")
    _add_reference("lamart_storedobject", "history_id", "lamart_folderhistory")
    op.add_column("lamart_storedobject", sa.Column("position", sa.Integer(), nullable=True))
    op.add_column(
        "lamart_storedobject", sa.Column("is_scattered", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("lamart_storedobject", sa.Column("fate", sa.String(10), nullable=True))
    op.create_index("uq_lamart_storedobject_history", "lamart_storedobject", ["history_id", "position"], unique=True)
    _add_reference("lamart_transform", "environment_id", "lamart_artifact")
    _add_reference("lamart_transform", "plan_id", "lamart_artifact")
    stem = sa.text("substr(uid, 1, 16)")
    op.create_index("uq_lamart_collection_tag", "lamart_collection", [stem, "version_tag"], unique=True)
    op.create_index(
        "uq_lamart_collection_latest",
        "lamart_collection",
        [stem, "branch_id"],
        unique=True,
        sqlite_where=sa.text("is_latest"),
        postgresql_where=sa.text("is_latest"),
    )
    first: dict[str, Any] = {
        "sqlite_where": sa.text("substr(uid, 17) = '0000'"),
        "postgresql_where": sa.text("substr(uid, 17) = '0000'"),
    }
    op.create_index("uq_lamart_artifact_first", "lamart_artifact", ["key", "storage_id"], unique=True, **first)
    op.create_index("uq_lamart_collection_first", "lamart_collection", ["key"], unique=True, **first)


def _add_reference(table: str, column: str, target: str) -> None:
    """Add a nullable foreign key; SQLite takes it with the column only, Postgres names it like all others."""
    name = f"fk_{table}_{column}"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER CONSTRAINT {name} REFERENCES {target} (id)")
        return
    op.add_column(table, sa.Column(column, sa.Integer(), nullable=True))
    op.create_foreign_key(name, table, target, [column], ["id"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
