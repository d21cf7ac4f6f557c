"""Transforms (code) and runs (executions of code)."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import BigId, Json, Registry, UtcDateTime, uid_type
from lamart_core.families.declare import named_families, new_uid
from lamart_core.query import ToMany, ToOne
from lamart_core.records.base import SQLRecord
from lamart_core.records.mixins import HasScope, IsVersioned, TracksUpdates


class RunStatus(enum.IntEnum):
    """Status of a run, as stored in `Run._status_code`."""

    SCHEDULED = -3
    RESTARTED = -2
    STARTED = -1
    COMPLETED = 0
    ERRORED = 1
    ABORTED = 2


class Transform(HasScope, IsVersioned, TracksUpdates, SQLRecord):
    """A piece of code that makes artifacts: an asset, a function, a script, a notebook.

    A change of the code is a new version of the transform: same stem of the uid, `is_latest` on the newest.

    Attributes:
        key: Name of the code, for example `my_location/cells`.
        kind: `pipeline`, `function`, `script` or `notebook`.
        source_code: The code as text.
        hash: Digest of the source code; None without source code.
    """

    __tablename__ = "lamart_transform"
    __table_args__ = (
        Index("uq_lamart_transform_key_hash", "key", "hash", unique=True),
        # The code that has a name is one thing, whoever wrote its versions.
        *named_families("uq_lamart_transform_latest", "key", is_by_name=True),
    )
    __frozen__ = SQLRecord.__frozen__ | {"hash", "is_latest"}

    uid: Mapped[str] = mapped_column(uid_type(16), unique=True)
    key: Mapped[str] = mapped_column(uid_type(1024))
    description: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(20))
    source_code: Mapped[str | None] = mapped_column(Text)
    hash: Mapped[str | None] = mapped_column(uid_type(64))
    reference: Mapped[str | None] = mapped_column(String(255))
    reference_type: Mapped[str | None] = mapped_column(String(25))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("lamart_user.id"))
    environment_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_artifact.id", use_alter=True))
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_artifact.id", use_alter=True))

    created_by = ToOne("User", "created_by_id")
    environment = ToOne("Artifact", "environment_id")
    plan = ToOne("Artifact", "plan_id")
    runs = ToMany("Run", column="transform_id")

    def _default_values(self, registry: Registry) -> dict[str, Any]:
        return super()._default_values(registry) | {
            "uid": new_uid(self.__table__),
            "kind": "pipeline",
            "is_latest": True,
        }


class Run(HasScope, TracksUpdates, SQLRecord):
    """One execution of a transform: what it read, what it made, with which parameters.

    Attributes:
        external_id: Id of the run in the system that executes it, unique in the registry. A second start under the
            same id, a retry for example, is the same run.
        initiated_by_run: The run that this one is a part of.
        params: Parameters as JSON.
        reference: Link or id for people, for example the address of the run in a user interface.
    """

    __tablename__ = "lamart_run"
    __uid_length__ = 16

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    uid: Mapped[str] = mapped_column(uid_type(20), unique=True)
    external_id: Mapped[str | None] = mapped_column(String(512), unique=True)
    name: Mapped[str | None] = mapped_column(String(150))
    description: Mapped[str | None] = mapped_column(Text)
    transform_id: Mapped[int] = mapped_column(ForeignKey("lamart_transform.id", ondelete="CASCADE"), index=True)
    entrypoint: Mapped[str | None] = mapped_column(String(255))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    params: Mapped[dict[str, Any] | None] = mapped_column(Json)
    extra_data: Mapped[dict[str, Any] | None] = mapped_column(Json)
    reference: Mapped[str | None] = mapped_column(String(255))
    reference_type: Mapped[str | None] = mapped_column(String(25))
    cli_args: Mapped[str | None] = mapped_column(String(1024))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("lamart_user.id", ondelete="CASCADE"))
    initiated_by_run_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_run.id", ondelete="CASCADE"), index=True)
    report_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_artifact.id", use_alter=True))
    environment_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_artifact.id", use_alter=True))
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_artifact.id", use_alter=True))
    _is_consecutive: Mapped[bool | None] = mapped_column(Boolean)
    _status_code: Mapped[int] = mapped_column(SmallInteger)

    transform = ToOne("Transform", "transform_id")
    created_by = ToOne("User", "created_by_id")
    initiated_by_run = ToOne("Run", "initiated_by_run_id")
    initiated_runs = ToMany("Run", column="initiated_by_run_id")
    output_artifacts = ToMany("Artifact", column="run_id")
    input_artifacts = ToMany("Artifact", link="lamart_runinput", source="run_id", target_column="artifact_id")
    recreated_artifacts = ToMany("Artifact", link="lamart_recreation", source="run_id", target_column="artifact_id")
    report = ToOne("Artifact", "report_id")
    environment = ToOne("Artifact", "environment_id")
    plan = ToOne("Artifact", "plan_id")
    artifacts = ToMany("Artifact", link="lamart_artifactrun", source="run_id", target_column="artifact_id")
    # Two names of one relation: what the artifact's end is called, and what it is.
    linked_artifacts = ToMany("Artifact", link="lamart_runartifact", source="run_id", target_column="artifact_id")
    linked_by_artifacts = ToMany("Artifact", link="lamart_runartifact", source="run_id", target_column="artifact_id")
    output_collections = ToMany("Collection", column="run_id")
    input_collections = ToMany(
        "Collection", link="lamart_collectioninput", source="run_id", target_column="collection_id"
    )
    recreated_collections = ToMany(
        "Collection", link="lamart_collectionrecreation", source="run_id", target_column="collection_id"
    )

    @property
    def status(self) -> str:
        """The status in words: scheduled, restarted, started, completed, errored or aborted."""
        return RunStatus(self._status_code).name.lower()

    def _default_values(self, registry: Registry) -> dict[str, Any]:
        values = super()._default_values(registry)
        return values | {"started_at": values["created_at"], "_status_code": int(RunStatus.SCHEDULED)}


class RunInput(SQLRecord):
    """Link: a run read an artifact.

    Attributes:
        kind: Why it was read, where that is not the making of an output: `check` for a quality check.
    """

    __tablename__ = "lamart_runinput"
    __table_args__ = (Index("uq_lamart_runinput", "run_id", "artifact_id", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("lamart_run.id", ondelete="CASCADE"))
    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str | None] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Recreation(SQLRecord):
    """Link: a run made again what an artifact holds already."""

    __tablename__ = "lamart_recreation"
    __table_args__ = (Index("uq_lamart_recreation", "run_id", "artifact_id", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("lamart_run.id", ondelete="CASCADE"))
    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
