"""The first schema: users, spaces, branches, storage, objects, transforms, runs, artifacts and their links."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from lamart_core.db.base import BigId, Json, UtcDateTime, uid_type

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lamart_registry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=12), nullable=False),
        sa.Column("hash_algorithm", sa.String(length=20), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_registry")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lamart_user",
        sa.Column("uid", uid_type(8), nullable=False),
        sa.Column("handle", sa.String(length=30), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_user")),
        sa.UniqueConstraint("handle", name=op.f("uq_lamart_user_handle")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_user_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lamart_space",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("uid", uid_type(12), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["lamart_user.id"], name=op.f("fk_lamart_space_created_by_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_space")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_space_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lamart_branch",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("uid", uid_type(12), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("_status_code", sa.SmallInteger(), nullable=False),
        sa.Column("_aux", Json, nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["created_by_id"], ["lamart_user.id"], name=op.f("fk_lamart_branch_created_by_id")),
        sa.ForeignKeyConstraint(["space_id"], ["lamart_space.id"], name=op.f("fk_lamart_branch_space_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_branch")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_branch_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lamart_transform",
        sa.Column("uid", uid_type(16), nullable=False),
        sa.Column("key", uid_type(1024), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("source_code", sa.Text(), nullable=True),
        sa.Column("hash", uid_type(64), nullable=True),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("reference_type", sa.String(length=25), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("is_locked", sa.Boolean(), nullable=False),
        sa.Column("_aux", Json, nullable=True),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("created_on_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("version_tag", sa.String(length=30), nullable=True),
        sa.Column("is_latest", sa.Boolean(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["lamart_branch.id"], name=op.f("fk_lamart_transform_branch_id")),
        sa.ForeignKeyConstraint(["created_by_id"], ["lamart_user.id"], name=op.f("fk_lamart_transform_created_by_id")),
        sa.ForeignKeyConstraint(
            ["created_on_id"], ["lamart_branch.id"], name=op.f("fk_lamart_transform_created_on_id")
        ),
        sa.ForeignKeyConstraint(["space_id"], ["lamart_space.id"], name=op.f("fk_lamart_transform_space_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_transform")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_transform_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_lamart_transform_key_hash", "lamart_transform", ["key", "hash"], unique=True)
    op.create_index(
        "uq_lamart_transform_latest",
        "lamart_transform",
        ["key", "branch_id"],
        unique=True,
        sqlite_where=sa.text("is_latest"),
        postgresql_where=sa.text("is_latest"),
    )
    op.create_table(
        "lamart_run",
        sa.Column("id", BigId, nullable=False),
        sa.Column("uid", uid_type(20), nullable=False),
        sa.Column("external_id", sa.String(length=512), nullable=True),
        sa.Column("name", sa.String(length=150), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("transform_id", sa.Integer(), nullable=False),
        sa.Column("entrypoint", sa.String(length=255), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("params", Json, nullable=True),
        sa.Column("extra_data", Json, nullable=True),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("reference_type", sa.String(length=25), nullable=True),
        sa.Column("cli_args", sa.String(length=1024), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("initiated_by_run_id", BigId, nullable=True),
        sa.Column("_is_consecutive", sa.Boolean(), nullable=True),
        sa.Column("_status_code", sa.SmallInteger(), nullable=False),
        sa.Column("is_locked", sa.Boolean(), nullable=False),
        sa.Column("_aux", Json, nullable=True),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("created_on_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["lamart_branch.id"], name=op.f("fk_lamart_run_branch_id")),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["lamart_user.id"], name=op.f("fk_lamart_run_created_by_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["created_on_id"], ["lamart_branch.id"], name=op.f("fk_lamart_run_created_on_id")),
        sa.ForeignKeyConstraint(
            ["initiated_by_run_id"],
            ["lamart_run.id"],
            name=op.f("fk_lamart_run_initiated_by_run_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["space_id"], ["lamart_space.id"], name=op.f("fk_lamart_run_space_id")),
        sa.ForeignKeyConstraint(
            ["transform_id"], ["lamart_transform.id"], name=op.f("fk_lamart_run_transform_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_run")),
        sa.UniqueConstraint("external_id", name=op.f("uq_lamart_run_external_id")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_run_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_run_initiated_by_run_id"), "lamart_run", ["initiated_by_run_id"], unique=False)
    op.create_index(op.f("ix_lamart_run_transform_id"), "lamart_run", ["transform_id"], unique=False)
    op.create_table(
        "lamart_storage",
        sa.Column("uid", uid_type(12), nullable=False),
        sa.Column("root", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("type", sa.String(length=30), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=True),
        sa.Column("instance_uid", sa.String(length=12), nullable=True),
        sa.Column("is_locked", sa.Boolean(), nullable=False),
        sa.Column("_aux", Json, nullable=True),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("created_on_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("run_id", BigId, nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["lamart_branch.id"], name=op.f("fk_lamart_storage_branch_id")),
        sa.ForeignKeyConstraint(["created_by_id"], ["lamart_user.id"], name=op.f("fk_lamart_storage_created_by_id")),
        sa.ForeignKeyConstraint(["created_on_id"], ["lamart_branch.id"], name=op.f("fk_lamart_storage_created_on_id")),
        sa.ForeignKeyConstraint(["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_storage_run_id")),
        sa.ForeignKeyConstraint(["space_id"], ["lamart_space.id"], name=op.f("fk_lamart_storage_space_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_storage")),
        sa.UniqueConstraint("root", name=op.f("uq_lamart_storage_root")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_storage_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_storage_run_id"), "lamart_storage", ["run_id"], unique=False)
    op.create_table(
        "lamart_storedobject",
        sa.Column("storage_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=1200), nullable=False),
        sa.Column("suffix", sa.String(length=30), nullable=False),
        sa.Column("hash", uid_type(64), nullable=True),
        sa.Column("hash_type", sa.String(length=30), nullable=True),
        sa.Column("is_exact", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("n_files", sa.BigInteger(), nullable=True),
        sa.Column("is_managed", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["storage_id"], ["lamart_storage.id"], name=op.f("fk_lamart_storedobject_storage_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_storedobject")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_lamart_storedobject_content",
        "lamart_storedobject",
        ["storage_id", "hash", "hash_type", "suffix"],
        unique=True,
        sqlite_where=sa.text("is_managed AND is_exact AND size > 0"),
        postgresql_where=sa.text("is_managed AND is_exact AND size > 0"),
    )
    op.create_index("uq_lamart_storedobject_path", "lamart_storedobject", ["storage_id", "path", "hash"], unique=True)
    op.create_table(
        "lamart_artifact",
        sa.Column("uid", uid_type(20), nullable=False),
        sa.Column("key", uid_type(1024), nullable=True),
        sa.Column("_real_key", sa.String(length=1024), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("suffix", sa.String(length=30), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=True),
        sa.Column("otype", sa.String(length=64), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("hash", uid_type(64), nullable=True),
        sa.Column("n_files", sa.BigInteger(), nullable=True),
        sa.Column("n_observations", sa.BigInteger(), nullable=True),
        sa.Column("_hash_type", sa.String(length=30), nullable=True),
        sa.Column("extra_data", Json, nullable=True),
        sa.Column("_key_is_virtual", sa.Boolean(), nullable=False),
        sa.Column("_overwrite_versions", sa.Boolean(), nullable=False),
        sa.Column("storage_id", sa.Integer(), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=False),
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
        sa.ForeignKeyConstraint(["branch_id"], ["lamart_branch.id"], name=op.f("fk_lamart_artifact_branch_id")),
        sa.ForeignKeyConstraint(["created_by_id"], ["lamart_user.id"], name=op.f("fk_lamart_artifact_created_by_id")),
        sa.ForeignKeyConstraint(["created_on_id"], ["lamart_branch.id"], name=op.f("fk_lamart_artifact_created_on_id")),
        sa.ForeignKeyConstraint(["object_id"], ["lamart_storedobject.id"], name=op.f("fk_lamart_artifact_object_id")),
        sa.ForeignKeyConstraint(["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_artifact_run_id")),
        sa.ForeignKeyConstraint(["space_id"], ["lamart_space.id"], name=op.f("fk_lamart_artifact_space_id")),
        sa.ForeignKeyConstraint(["storage_id"], ["lamart_storage.id"], name=op.f("fk_lamart_artifact_storage_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_artifact")),
        sa.UniqueConstraint("uid", name=op.f("uq_lamart_artifact_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_artifact_hash"), "lamart_artifact", ["hash"], unique=False)
    op.create_index("ix_lamart_artifact_key", "lamart_artifact", ["key", "storage_id"], unique=False)
    op.create_index(op.f("ix_lamart_artifact_object_id"), "lamart_artifact", ["object_id"], unique=False)
    op.create_index(op.f("ix_lamart_artifact_run_id"), "lamart_artifact", ["run_id"], unique=False)
    op.create_index(
        "uq_lamart_artifact_key",
        "lamart_artifact",
        ["key", "storage_id", "branch_id"],
        unique=True,
        sqlite_where=sa.text("is_latest AND key IS NOT NULL"),
        postgresql_where=sa.text("is_latest AND key IS NOT NULL"),
    )
    op.create_table(
        "lamart_recreation",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["lamart_artifact.id"], name=op.f("fk_lamart_recreation_artifact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_recreation_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_recreation")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_recreation_artifact_id"), "lamart_recreation", ["artifact_id"], unique=False)
    op.create_index("uq_lamart_recreation", "lamart_recreation", ["run_id", "artifact_id"], unique=True)
    op.create_table(
        "lamart_runinput",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["lamart_artifact.id"], name=op.f("fk_lamart_runinput_artifact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["lamart_run.id"], name=op.f("fk_lamart_runinput_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lamart_runinput")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lamart_runinput_artifact_id"), "lamart_runinput", ["artifact_id"], unique=False)
    op.create_index("uq_lamart_runinput", "lamart_runinput", ["run_id", "artifact_id"], unique=True)
    op.create_index("uq_lamart_space_name", "lamart_space", [sa.text("lower(name)")], unique=True)
    op.create_index("uq_lamart_branch_name", "lamart_branch", [sa.text("lower(name)")], unique=True)
    stem = sa.text("substr(uid, 1, 16)")
    op.create_index("uq_lamart_artifact_tag", "lamart_artifact", [stem, "version_tag"], unique=True)
    op.create_index(
        "uq_lamart_artifact_latest",
        "lamart_artifact",
        [stem, "branch_id"],
        unique=True,
        sqlite_where=sa.text("is_latest"),
        postgresql_where=sa.text("is_latest"),
    )
    _insert_builtin_rows()


def _insert_builtin_rows() -> None:
    now = datetime.now(UTC)
    user = sa.table(
        "lamart_user",
        sa.column("uid"),
        sa.column("handle"),
        sa.column("created_at", UtcDateTime()),
        sa.column("updated_at", UtcDateTime()),
    )
    op.bulk_insert(user, [{"uid": "a" * 8, "handle": "anonymous", "created_at": now, "updated_at": now}])
    space = sa.table(
        "lamart_space",
        sa.column("name"),
        sa.column("uid"),
        sa.column("created_at", UtcDateTime()),
        sa.column("created_by_id"),
    )
    op.bulk_insert(space, [{"name": "all", "uid": "A" * 12, "created_at": now, "created_by_id": 1}])
    branch = sa.table(
        "lamart_branch",
        sa.column("id"),
        sa.column("name"),
        sa.column("uid"),
        sa.column("space_id"),
        sa.column("created_at", UtcDateTime()),
        sa.column("created_by_id"),
        sa.column("_status_code"),
    )
    shared = {"space_id": 1, "created_at": now, "created_by_id": 1, "_status_code": 0}
    op.bulk_insert(
        branch,
        [
            {"id": 1, "name": "main", "uid": "m" * 12, **shared},
            {"id": 0, "name": "archive", "uid": "a" * 12, **shared},
            {"id": -1, "name": "trash", "uid": "t" * 12, **shared},
        ],
    )
    if op.get_bind().dialect.name == "postgresql":
        # The ids above were given and not drawn: the next one drawn must not meet them.
        op.execute("SELECT setval(pg_get_serial_sequence('lamart_branch', 'id'), 1)")


def downgrade() -> None:
    op.drop_table("lamart_runinput")
    op.drop_table("lamart_recreation")
    op.drop_table("lamart_artifact")
    op.drop_table("lamart_storedobject")
    op.drop_table("lamart_storage")
    op.drop_table("lamart_run")
    op.drop_table("lamart_transform")
    op.drop_table("lamart_branch")
    op.drop_table("lamart_space")
    op.drop_table("lamart_user")
    op.drop_table("lamart_registry")
