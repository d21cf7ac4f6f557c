"""Runs: executions of code."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, ForeignKey, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import BigId, Json, Registry, UtcDateTime, uid_type
from lamart_core.query import ToMany, ToOne, virtual
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.mixins import HasScope, TracksUpdates
from lamart_core.records.kinds.status import status_of

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact
    from lamart_core.collection import Collection
    from lamart_core.query import RelatedManager
    from lamart_core.records.project import Project
    from lamart_core.records.ulabel import ULabel


class RunStatus(enum.IntEnum):
    """Status of a run, as stored in `Run._status_code`."""

    SCHEDULED = -3
    RESTARTED = -2
    STARTED = -1
    COMPLETED = 0
    ERRORED = 1
    ABORTED = 2


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
    __positional__ = ("transform",)
    __uid_length__ = 16

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]
        input_artifacts: RelatedManager[Artifact]
        linked_artifacts: RelatedManager[Artifact]
        linked_by_artifacts: RelatedManager[Artifact]
        recreated_artifacts: RelatedManager[Artifact]
        input_collections: RelatedManager[Collection]
        recreated_collections: RelatedManager[Collection]
        projects: RelatedManager[Project]
        ulabels: RelatedManager[ULabel]

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
    report = ToOne("Artifact", "report_id")
    environment = ToOne("Artifact", "environment_id")
    plan = ToOne("Artifact", "plan_id")
    output_collections = ToMany("Collection", column="run_id")

    @virtual(status_of(RunStatus))
    def status(self) -> str:
        """The status in words: scheduled, restarted, started, completed, errored or aborted."""
        return RunStatus(self._status_code).name.lower()

    def _default_values(self, registry: Registry) -> dict[str, Any]:
        values = super()._default_values(registry)
        return values | {"started_at": values["created_at"], "_status_code": int(RunStatus.SCHEDULED)}
