"""Runs that another system starts and retries: found again by their id there, and written in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, text, update

from lamart_core import hashing, uids
from lamart_core.db import TRASH_BRANCH_ID, Base, Registry, now
from lamart_core.families.branches import place
from lamart_core.families.family import Family
from lamart_core.families.following import follow, read_tip
from lamart_core.lineage.redact import redacted_text
from lamart_core.records import Recreation, Run, RunStatus, Transform
from lamart_core.records.kinds.mixins import new_row
from lamart_core.records.transform import code_digest, insert_next

MAX_NAME = 150
MAX_EXTERNAL_ID = 512
MAX_REFERENCE = 255
MAX_CLI_ARGS = 1024
MAX_ERROR = 1000
MAX_TAG = 30
_ARTIFACTS_UNTIL, _RECREATIONS_UNTIL = "artifacts_until", "recreations_until"

_TRANSFORM = Transform.__table__
_RUN = Run.__table__


@dataclass(frozen=True)
class TransformSpec:
    """What code a run executes.

    Attributes:
        key: Name of the code, the same for all its versions.
        kind: `pipeline`, `function`, `script` or `notebook`.
        source_code: The code as text, where it is known.
        code_version: Version that its author gave it; a change is a new version, as a change of the source is.
        description: What it does.
    """

    key: str
    kind: str = "pipeline"
    source_code: str | None = None
    code_version: str | None = None
    description: str | None = None

    @property
    def digest(self) -> str | None:
        """What makes two versions of the code the same; None when nothing is known of it."""
        return code_digest(self.source_code, self.code_version)


@dataclass(frozen=True)
class RunSpec:
    """One execution, as the system that executes it describes it.

    Attributes:
        external_id: Its id there; the same id is the same run.
        transform: The code, or its record.
        status: Status to set.
        name: Name for people.
        params: Parameters as JSON.
        extra_data: Facts as JSON; on a later start they are merged into those that are there.
        reference: Link or id for people.
        reference_type: What kind of reference it is.
        entrypoint: What was called.
        cli_args: Arguments of the command line.
        parent: The run that this one is a part of, or its record.
        takes_snapshot: Whether the run notes which artifacts exist when it is first seen (see `snapshot_of`).
    """

    external_id: str
    transform: TransformSpec | Transform
    status: RunStatus = RunStatus.STARTED
    name: str | None = None
    params: Mapping[str, Any] | None = None
    extra_data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reference: str | None = None
    reference_type: str | None = None
    entrypoint: str | None = None
    cli_args: str | None = None
    parent: RunSpec | Run | None = None
    takes_snapshot: bool = False


def open_run(registry: Registry, spec: RunSpec) -> Run:
    """Find or make a run, its transform and its parents, in one transaction.

    A run that exists gets the new status and facts, and is not finished any more; when it started, its parameters
    and its transform stay. So a retry is the run that it retries.

    Args:
        registry: Where the run is recorded.
        spec: The run.

    Returns:
        The run.

    Example:
        >>> import lamart_core as ln
        >>> registry = ln.connect("sqlite:///lab.db", storage="./lab")
        >>> spec = RunSpec("1f2e/cells", TransformSpec("lab/cells", source_code="def cells(): ..."))
        >>> open_run(registry, spec) == open_run(registry, spec)
        True
    """
    run_id = registry.unit_of_work(lambda connection: _upsert_run(connection, registry, spec))
    return _read_run(registry, run_id)


def continue_run(registry: Registry, spec: RunSpec, *, prefix: str, run: Run | None = None) -> Run:
    """Continue a run: the given one, else the user's latest one of this version of the code; without any, make one.

    Args:
        registry: Where the run is recorded.
        spec: The run to make; of one that is continued the status, and where given name and parameters, are set.
        prefix: How the external ids of the runs begin that can be continued.
        run: The run to continue.
    """

    def work(connection: Connection) -> int:
        columns = _RUN.c
        if run is None:
            runs = select(_RUN).where(
                columns.transform_id == _upsert_transform(connection, registry, spec.transform),
                columns.created_by_id == registry.user_id,
                columns.external_id.startswith(prefix),
            )
        else:
            runs = select(_RUN).where(columns.id == run.id)
        present = connection.execute(runs.order_by(columns.id.desc()).limit(1)).mappings().one_or_none()
        if present is None:
            return _upsert_run(connection, registry, spec)
        values: dict[str, Any] = {"_status_code": int(RunStatus.RESTARTED), "finished_at": None, "updated_at": now()}
        if spec.params is not None:
            values["params"] = {**(present["params"] or {}), **spec.params}
        if spec.name is not None:
            values["name"] = _cut(spec.name, MAX_NAME)
        connection.execute(update(_RUN).where(columns.id == present["id"]).values(values))
        return int(present["id"])

    return _read_run(registry, registry.unit_of_work(work))


def set_transform(registry: Registry, run: Run, spec: TransformSpec) -> None:
    """Give a run the version of the code that it turned out to execute; one that is its own already stays."""

    def work(connection: Connection) -> None:
        transform_id = _upsert_transform(connection, registry, spec)
        connection.execute(update(_RUN).where(_RUN.c.id == run.id).values(transform_id=transform_id))

    registry.unit_of_work(work)
    run.refresh()


def find_run(registry: Registry, external_id: str) -> Run | None:
    """Return the run with this id in the system that executes it, or None."""
    with registry.read() as session:
        run = session.scalars(select(Run).where(Run.external_id == bounded_id(external_id))).one_or_none()
    return None if run is None else _bound(run, registry)


def close_runs(registry: Registry, statuses: Mapping[int, RunStatus], *, at: datetime | None = None) -> None:
    """Set the final status of runs, and when they ended.

    Args:
        registry: Where the runs are recorded.
        statuses: Status by id of the run.
        at: When they ended; now, if not given.
    """
    if not statuses:
        return

    def work(connection: Connection) -> None:
        for run_id, status in statuses.items():
            values = {"_status_code": int(status), "finished_at": at or now(), "updated_at": now()}
            connection.execute(update(_RUN).where(_RUN.c.id == run_id).values(values))

    registry.unit_of_work(work)


def finish_run(run: Run, status: RunStatus = RunStatus.COMPLETED, *, error: BaseException | None = None) -> None:
    """Set the final status of a run, and the time it finished.

    Args:
        run: The run.
        status: How it ended.
        error: Why it failed; kept as text in `run.extra_data["error"]`.
    """
    close_runs(run.registry, {run.id: status})
    if error is None:
        run.refresh()
    else:
        text = redacted_text(f"{type(error).__name__}: {error}"[: 10 * MAX_ERROR]).replace(
            "\0", "\N{REPLACEMENT CHARACTER}"
        )
        annotate_run(run.registry, run, {"error": _cut(text, MAX_ERROR)})


def annotate_run(registry: Registry, run: Run, facts: Mapping[str, Any]) -> None:
    """Merge facts into `run.extra_data`, in the database and in the record."""

    def work(connection: Connection) -> None:
        present = connection.execute(select(_RUN.c.extra_data).where(_RUN.c.id == run.id)).scalar_one()
        merged = {**(present or {}), **facts}
        values = {"extra_data": merged, "updated_at": now()}
        connection.execute(update(_RUN).where(_RUN.c.id == run.id).values(values))

    registry.unit_of_work(work)
    run.refresh()


@dataclass(frozen=True)
class Snapshot:
    """What existed when a run was first seen.

    Ids grow in the order in which versions of a key are committed, so "up to this id" is one state of the registry for
    all who are part of the run, independent of anyone's clock.

    Attributes:
        artifacts: Highest id of an artifact.
        recreations: Highest id of a record that an artifact was made again; None if that was not noted.
    """

    artifacts: int
    recreations: int | None = None


def snapshot_of(run: Run) -> Snapshot | None:
    """Return what existed when a run was first seen, or None if it was not noted."""
    facts = run.extra_data or {}
    artifacts = facts.get(_ARTIFACTS_UNTIL)
    return None if artifacts is None else Snapshot(artifacts, facts.get(_RECREATIONS_UNTIL))


def bounded_id(external_id: str) -> str:
    """Return an id that fits the column: a long one keeps its beginning and ends in a digest of the whole."""
    if len(external_id) <= MAX_EXTERNAL_ID:
        return external_id
    digest = hashing.hash_bytes(external_id.encode()).value
    return f"{external_id[: MAX_EXTERNAL_ID - len(digest) - 1]}~{digest}"


# ---------------------------------------------------------------------- statements


def _upsert_run(connection: Connection, registry: Registry, spec: RunSpec) -> int:
    external_id = bounded_id(spec.external_id)
    present = connection.execute(select(_RUN).where(_RUN.c.external_id == external_id)).mappings().one_or_none()
    # The parent's snapshot comes before anything that its parts write; a part that starts again opens it again.
    if isinstance(spec.parent, Run):
        parent_id: int | None = spec.parent.id
    else:
        parent_id = None if spec.parent is None else _upsert_run(connection, registry, spec.parent)
    if present is not None:
        return _start_again(connection, present, spec)
    facts = dict(spec.extra_data)
    if spec.takes_snapshot:
        facts |= _what_exists(connection)
    values = new_row(registry) | {
        "uid": uids.base62(16),
        "external_id": external_id,
        "transform_id": _upsert_transform(connection, registry, spec.transform),
        "initiated_by_run_id": parent_id,
        "name": _cut(spec.name, MAX_NAME),
        "params": None if spec.params is None else dict(spec.params),
        "extra_data": facts or None,
        "reference": _cut(spec.reference, MAX_REFERENCE),
        "reference_type": spec.reference_type,
        "entrypoint": _cut(spec.entrypoint, MAX_REFERENCE),
        "cli_args": _cut(spec.cli_args, MAX_CLI_ARGS),
        "started_at": now(),
        "_status_code": int(spec.status),
    }
    return int(connection.execute(insert(_RUN).values(values).returning(_RUN.c.id)).scalar_one())


def _start_again(connection: Connection, present: RowMapping, spec: RunSpec) -> int:
    facts: dict[str, Any] = {**(present["extra_data"] or {}), **spec.extra_data}
    unchanged = present["_status_code"] == int(spec.status) and facts == (present["extra_data"] or {})
    if not unchanged:
        values = {"_status_code": int(spec.status), "extra_data": facts, "finished_at": None, "updated_at": now()}
        connection.execute(update(_RUN).where(_RUN.c.id == present["id"]).values(values))
    return int(present["id"])


def _upsert_transform(connection: Connection, registry: Registry, spec: TransformSpec | Transform) -> int:
    if isinstance(spec, Transform):
        return spec.id
    columns = _TRANSFORM.c
    digest = spec.digest
    same = columns.hash.is_(None) if digest is None else columns.hash == digest
    query = select(columns.id, columns.is_latest, columns.branch_id).where(columns.key == spec.key, same)
    row = connection.execute(query.order_by(columns.id).limit(1)).mappings().first()
    if row is not None and row["branch_id"] == TRASH_BRANCH_ID:
        place(connection, _TRANSFORM, [row["id"]], registry.branch_id)
    elif row is not None and (row["is_latest"] or row["branch_id"] != registry.branch_id):
        return int(row["id"])
    if row is not None:
        follow(
            connection, _TRANSFORM, read_tip(connection, Family.called(_TRANSFORM, key=spec.key), registry.branch_id)
        )
        connection.execute(update(_TRANSFORM).where(columns.id == row["id"]).values({"is_latest": True}))
        return int(row["id"])
    values = new_row(registry) | {
        "key": spec.key,
        "kind": spec.kind,
        "source_code": spec.source_code,
        "hash": digest,
        "version_tag": _cut(spec.code_version, MAX_TAG),
        "description": spec.description,
        "is_latest": True,
    }
    return int(insert_next(connection, values)["id"])


def _what_exists(connection: Connection) -> dict[str, int]:
    artifacts, recreations = Base.metadata.tables["lamart_artifact"], Recreation.table
    if connection.dialect.name == "postgresql":
        # Rows get their ids before they are committed. Waiting for the writers under way, each of which is one short
        # transaction, makes sure that no lower id appears later.
        connection.execute(text(f"LOCK TABLE {artifacts.name} IN SHARE MODE"))
    highest = [select(func.coalesce(func.max(table.c.id), 0)).scalar_subquery() for table in (artifacts, recreations)]
    until: tuple[int, ...] = tuple(connection.execute(select(*highest)).one())
    return dict(zip((_ARTIFACTS_UNTIL, _RECREATIONS_UNTIL), until, strict=True))


def _read_run(registry: Registry, run_id: int) -> Run:
    with registry.read() as session:
        run = session.scalars(select(Run).where(Run.id == run_id)).one()
    return _bound(run, registry)


def _bound(run: Run, registry: Registry) -> Run:
    run._registry = registry
    return run


def _cut(value: str | None, length: int) -> str | None:
    return value if value is None or len(value) <= length else value[: length - 1] + "…"
