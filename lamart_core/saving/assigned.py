"""What is assigned to an artifact between its constructor and its first save means what it means in the constructor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.orm.attributes import instance_state

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.objects.plan import Pending, Plan, Staged
from lamart_core.records import ArtifactRecord, Storage, storage_locations
from lamart_core.saving import construct, targets
from lamart_core.saving.arguments import Request, checked
from lamart_core.storage import suffix_under

# Columns that can be assigned, by the keywords of the constructor that mean the same.
_KEYWORDS = {
    "key": "key",
    "description": "description",
    "kind": "kind",
    "otype": "otype",
    "version_tag": "version_tag",
    "n_observations": "n_observations",
    "extra_data": "extra_data",
    "_key_is_virtual": "key_is_virtual",
    "_overwrite_versions": "overwrite_versions",
}
_RELATIONS = ("run", "storage", "branch", "space")


def pending_of(record: ArtifactRecord) -> Pending:
    """Return what saving a new artifact means: what its constructor was asked for, with what was assigned since.

    Raises:
        InvalidArgument: What was assigned would be refused by the constructor; nothing was written.
    """
    pending: Pending = record._pending
    if not instance_state(record).committed_state:  # as it was made: true of most, of thousands
        return pending
    changes = {name for name in record._changes() if name in _KEYWORDS or name.removesuffix("_id") in _RELATIONS}
    if not changes:
        return pending
    given: dict[str, Any] = {_KEYWORDS[name]: record.__dict__[name] for name in changes & _KEYWORDS.keys()}
    given |= {name: getattr(record, name) for name in _RELATIONS if f"{name}_id" in changes}
    if given.get("run", record) is None:
        given["run"] = False  # taken away, and not the current one
    return _replanned(record.registry, pending, given)


def values_of(record: ArtifactRecord, pending: Pending) -> dict[str, Any]:
    """Return the values of a new artifact by the name of the column."""
    if pending is record._pending:
        return record._values()
    plan, staged = pending.plan, pending.staged
    return record._values() | {
        "key": plan.key,
        "_real_key": plan.real_key,
        "suffix": staged.suffix,
        "n_observations": staged.n_observations,
        "extra_data": plan.extra_data,
        "_key_is_virtual": plan.key_is_virtual,
        "_overwrite_versions": plan.overwrite_versions,
        "storage_id": plan.storage.id if plan.storage.is_saved else None,
        "run_id": plan.run.id if plan.run is not None else None,
        "branch_id": plan.branch_id,
        "created_on_id": plan.branch_id,
        "space_id": plan.space_id,
    }


def _replanned(registry: Registry, pending: Pending, given: Mapping[str, Any]) -> Pending:
    staged, plan = pending.staged, pending.plan
    asked = Request(
        key=plan.key,
        description=plan.description,
        kind=plan.kind,
        otype=plan.otype,
        overwrite_versions=plan.overwrite_versions,
        run=plan.run if plan.run is not None else False,
        skip_hash_lookup=not plan.lookup,
        key_is_virtual=None if staged.in_place is not None else plan.key_is_virtual,
        version_tag=plan.version_tag,
        n_observations=staged.n_observations,
        extra_data=plan.extra_data,
        dedup=plan.dedup,
    )
    request = checked(registry, replace(asked, **given))
    if "key" in given and request.key is None and plan.revises_uid is None:
        raise errors.InvalidArgument("the key of an artifact cannot be taken away; make it anew without one")
    target = _target(registry, staged, plan, request, given)
    suffix = suffix_under(request.key, staged.suffix, is_folder=staged.is_folder)
    is_elsewhere = target.id != plan.storage.id
    staged = replace(
        staged,
        suffix=suffix,
        n_observations=request.n_observations,
        # What was staged within a location is not renamed into another one.
        is_owned=staged.is_owned and not is_elsewhere,
    )
    new = construct.plan_of(registry, staged, request, target)
    is_moved = "branch" in given
    return Pending(
        staged,
        replace(
            new,
            branch_id=new.branch_id if is_moved else plan.branch_id,
            space_id=new.space_id if is_elsewhere or "space" in given else plan.space_id,
            revises_uid=plan.revises_uid,
            given=plan.given | given.keys(),
            expected_head=None if is_moved else plan.expected_head,
        ),
    )


def _target(registry: Registry, staged: Staged, plan: Plan, request: Request, given: Mapping[str, Any]) -> Storage:
    if "storage" not in given and "space" not in given:
        return plan.storage
    if staged.in_place is not None:
        if request.storage is not None and request.storage.id != plan.storage.id:
            raise errors.InvalidArgument(
                f"{staged.source} is registered where it lies, in {plan.storage.root}; it cannot get another storage"
            )
        return plan.storage
    target = targets.choose(registry, request, storage_locations(registry))
    targets.check_managed(target)
    return target


def check_unsaved(record: ArtifactRecord, name: str) -> None:
    """Check that something can still be assigned that saving fixes.

    Raises:
        InvalidArgument: The artifact is saved.
    """
    if record.is_saved:
        raise errors.InvalidArgument(f"{name} of {record.uid} was fixed when it was saved; save its content anew")
