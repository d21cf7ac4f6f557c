"""Transforms and runs of an outside system: found by their own ids, made when they are new."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from lamart_core import hashing, uids
from lamart_core.db import Registry, now
from lamart_core.records import Run, RunStatus, Transform

_TRANSFORM: Table = Transform.__table__  # pyright: ignore[reportAssignmentType]
_RUN: Table = Run.__table__  # pyright: ignore[reportAssignmentType]


def upsert_transform(
    registry: Registry,
    *,
    key: str,
    source_code: str | None = None,
    kind: str = "pipeline",
    code_version: str | None = None,
    description: str | None = None,
) -> Transform:
    """Return the transform of this key and code, as a new version when the code changed.

    Args:
        registry: Registry to look in.
        key: Name of the code, for example `my_location/cells`.
        source_code: The code.
        kind: `pipeline`, `function`, `script` or `notebook`.
        code_version: Version that the author states; it is part of what identifies the code.
        description: Free text, kept from the first time this code was seen.
    """
    code = f"{code_version or ''}\n{source_code or ''}".encode()
    digest = hashing.hash_bytes(code).value

    def work(connection: Connection) -> int:
        columns = _TRANSFORM.c
        known = select(columns.id, columns.is_latest).where(columns.key == key, columns.hash == digest)
        row = connection.execute(known).first()
        newest = connection.execute(
            select(columns.uid).where(columns.key == key).order_by(columns.uid.desc()).limit(1)
        ).scalar_one_or_none()
        if row is not None and row.is_latest:
            return int(row.id)
        demote = update(_TRANSFORM).where(
            columns.key == key, columns.branch_id == registry.branch_id, columns.is_latest
        )
        connection.execute(demote.values(is_latest=False))
        if row is not None:  # code that was taken back: its version is the latest again
            connection.execute(update(_TRANSFORM).where(columns.id == row.id).values(is_latest=True))
            return int(row.id)
        at = now()
        values = {
            "uid": uids.next_uid(newest) if newest else uids.first_uid(uids.base62(12)),
            "key": key,
            "kind": kind,
            "description": description,
            "source_code": source_code,
            "hash": digest,
            "version_tag": code_version[:30] if code_version else None,
            "is_latest": True,
            "branch_id": registry.branch_id,
            "created_on_id": registry.branch_id,
            "space_id": registry.space_id,
            "is_locked": False,
            "created_by_id": registry.user_id,
            "created_at": at,
            "updated_at": at,
        }
        return int(connection.execute(insert(_TRANSFORM).values(values).returning(columns.id)).scalar_one())

    transform_id = registry.unit_of_work(work)
    with registry.read() as session:
        transform = session.scalars(select(Transform).where(Transform.id == transform_id)).one()
    transform._registry = registry
    return transform


def upsert_run(
    registry: Registry,
    *,
    transform: Transform,
    external_id: str,
    name: str | None = None,
    params: dict[str, Any] | None = None,
    extra_data: dict[str, Any] | None = None,
    reference: str | None = None,
    reference_type: str | None = None,
    parent: Run | None = None,
    status: RunStatus = RunStatus.STARTED,
) -> Run:
    """Return the run with this id of an outside system, making it when it is new.

    A run that starts again under the same id, as a retry does, is the same run: its status becomes `restarted` and
    `extra_data["attempts"]` counts up.

    Args:
        registry: Registry to look in.
        transform: The code that runs.
        external_id: Id of the run in the system that executes it.
        name: Name for people.
        params: Parameters as JSON.
        extra_data: More about the run as JSON; merged over what is there.
        reference: Link or id for people.
        reference_type: What the reference is.
        parent: The run that this one is a part of.
        status: Status of a new run.
    """

    def work(connection: Connection) -> int:
        columns = _RUN.c
        row = connection.execute(
            select(columns.id, columns.extra_data).where(columns.external_id == external_id)
        ).first()
        at = now()
        if row is not None:
            merged = {**(row.extra_data or {}), **(extra_data or {})}
            merged["attempts"] = int(merged.get("attempts", 1)) + 1
            restarted = {"extra_data": merged, "_status_code": int(RunStatus.RESTARTED), "updated_at": at}
            connection.execute(update(_RUN).where(columns.id == row.id).values(restarted))
            return int(row.id)
        values = {
            "uid": uids.base62(16),
            "external_id": external_id,
            "name": name[:150] if name else None,
            "transform_id": transform.id,
            "params": params,
            "extra_data": extra_data,
            "reference": reference,
            "reference_type": reference_type,
            "initiated_by_run_id": parent.id if parent is not None else None,
            "_status_code": int(status),
            "started_at": at,
            "branch_id": registry.branch_id,
            "created_on_id": registry.branch_id,
            "space_id": registry.space_id,
            "is_locked": False,
            "created_by_id": registry.user_id,
            "created_at": at,
            "updated_at": at,
        }
        return int(connection.execute(insert(_RUN).values(values).returning(columns.id)).scalar_one())

    run_id = registry.unit_of_work(work)
    with registry.read() as session:
        run = session.scalars(select(Run).where(Run.id == run_id)).one()
    run._registry = registry
    return run


def finish_run(run: Run, status: RunStatus = RunStatus.COMPLETED) -> None:
    """Set the final status of a run, and the time it finished."""
    registry = run.registry
    values = {"_status_code": int(status), "finished_at": now(), "updated_at": now()}
    registry.unit_of_work(lambda connection: connection.execute(update(_RUN).where(_RUN.c.id == run.id).values(values)))
    run.refresh()
