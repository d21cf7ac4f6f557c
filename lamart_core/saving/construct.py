"""From what a caller passes to an artifact that can be saved: checks, staging, and whether it exists already."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import inspect as sa_inspect
from sqlalchemy import select
from sqlalchemy.orm import make_transient
from upath import UPath

from lamart_core import errors, uids
from lamart_core.db import TRASH_BRANCH_ID, Registry
from lamart_core.lineage import context
from lamart_core.logging import logger
from lamart_core.objects.plan import Outcome, Pending, Plan, Resolution, Staged
from lamart_core.records import ArtifactRecord, Storage, StoredObject, storage_locations
from lamart_core.saving import resolve, stage, targets
from lamart_core.saving.arguments import Request, checked
from lamart_core.saving.given import check_tag, names_given, take_given
from lamart_core.saving.targets import check_managed
from lamart_core.storage import (
    address_of,
    is_reserved,
    normal_form,
    relative_to,
    seen_from_root,
    suffix_of,
    suffix_under,
)


def from_path(record: ArtifactRecord, registry: Registry, path: Any, request: Request) -> None:
    """Fill a new artifact from a path, or with the row that exists already."""
    request = checked(registry, request)
    source = stage.resolve_source(path, registry.storage_options)
    storages = storage_locations(registry)
    if isinstance(source, Path):
        source = seen_from_root(source, [item.root for item in storages])
    if _adopt_own_object(record, registry, source, storages, request):
        return
    roots = [item.root for item in storages]
    remote = stage.look(source, roots, registry.storage_options) if isinstance(source, UPath) else None
    is_folder = remote.stat.is_folder if remote is not None else source.is_dir()
    suffix = request.suffix
    if suffix is None:
        suffix = suffix_of(source.name, is_folder=is_folder)
    suffix = suffix_under(request.key, suffix, is_folder=is_folder)
    _check_named(registry, request, in_storage="://" in str(source) or targets.covering(source, storages) is not None)
    target = targets.choose(registry, request, storages)
    targets.check_place(source, targets.covering(source, storages), request)
    staged = stage.stage_path(source, roots=roots, algorithm=registry.hash_algorithm, suffix=suffix, remote=remote)
    if staged.root is not None:
        remember_options(registry, staged.root, remote.options if remote is not None else {})
        target = next((item for item in storages if item.root == staged.root), None) or registry.Storage.reference(
            staged.root
        )
    else:
        check_managed(target)
    _fill(record, registry, staged, request, target)


def remember_options(registry: Registry, root: str, options: dict[str, Any]) -> None:
    """Keep the options of a path object, so that this process can read the artifact as the path could be read."""
    if options and not registry.storage_options.for_root(root):
        registry.set_storage_options(root, options)


def from_object(
    record: ArtifactRecord, registry: Registry, obj: object, request: Request, options: dict[str, Any] | None = None
) -> None:
    """Fill a new artifact from an object in memory, or with the row that exists already."""
    request = checked(registry, request)
    _check_named(registry, request, in_storage=False)
    target = targets.choose(registry, request, storage_locations(registry))
    check_managed(target)
    suffix = request.suffix
    if suffix is None and request.key is not None:
        suffix = suffix_of(request.key) or None
    staged = stage.stage_object(
        obj,
        backend=target.backend,
        cache_dir=registry.settings.cache_dir,
        suffix=suffix,
        algorithm=registry.hash_algorithm,
        options=options,
    )
    try:
        suffix_under(request.key, staged.suffix, is_folder=staged.is_folder)
        _fill(record, registry, staged, request, target)
    except BaseException:
        stage.discard(staged)
        raise


def from_stored(record: ArtifactRecord, registry: Registry, staged: Staged, request: Request, target: Storage) -> None:
    """Fill a new artifact from what lies in the version store already, or with the row that exists already."""
    _fill(record, registry, staged, request, target)


def target_of(registry: Registry, request: Request) -> Storage:
    """Return the location that an artifact with these arguments is written to.

    Raises:
        InvalidArgument: The location is not managed, or nothing names the artifact.
    """
    _check_named(registry, request, in_storage=False)
    target = targets.choose(registry, request, storage_locations(registry))
    target._registry = registry
    check_managed(target)
    return target


def _check_named(registry: Registry, request: Request, *, in_storage: bool) -> None:
    has_run = context.run_for(registry, request.run) is not None
    is_named = not (request.key is None and request.description is None and request.revises is None)
    if not is_named and not has_run and not in_storage:
        raise errors.InvalidArgument("pass one of key, run or description: without any nobody could find it again")


def _adopt_own_object(
    record: ArtifactRecord, registry: Registry, source: Any, storages: Sequence[Storage], request: Request
) -> bool:
    """Become the newest artifact whose object in a version store is the source, if there is one."""
    storage = targets.covering(source, storages)
    if storage is None:
        return False
    relpath = relative_to(address_of(source), storage.root)
    if not is_reserved(relpath):
        return False
    model = type(record)
    named = select(StoredObject.id).where(StoredObject.storage_id == storage.id, StoredObject.path == relpath)
    query = select(model).where(model.object_id.in_(named), model.branch_id != TRASH_BRANCH_ID)
    with registry.read() as session:
        row = session.scalars(query.order_by(model.id.desc()).limit(1)).one_or_none()
    if row is None:
        return False
    record._registry = registry
    record._adopt(row)
    is_folder = row.n_files is not None
    staged = Staged(source, row.suffix, is_folder, row.size, row.n_files, None, n_observations=request.n_observations)
    take_given(record, Pending(staged, plan_of(registry, staged, request, storage)))
    return True


def _fill(record: ArtifactRecord, registry: Registry, staged: Staged, request: Request, target: Storage) -> None:
    """Resolve what the content means, and give the record its fields."""
    plan = plan_of(registry, staged, request, target)
    if request.n_observations is not None:
        staged = replace(staged, n_observations=request.n_observations)
    record._registry = registry
    record._memory = staged.memory
    _discard_with(record, staged)
    _become(record, replace(staged, memory=None), plan)
    if not record.is_saved:
        warn_without_run(registry, request, plan, plan.key or plan.description or staged.source)


def _become(record: ArtifactRecord, staged: Staged, plan: Plan) -> None:
    """Become the artifact that the content means: a new one, or the one that exists already."""
    registry = record.registry
    table = record.__table__
    (found,) = resolve.look_up(registry, table, [(staged, plan)])
    if plan.revises_uid is not None:
        plan = _rebase(plan, found.tip.head["uid"] if found.tip.head is not None else None)
    resolution = resolve.decide(found, plan, stem=uids.new_stem())
    pending = Pending(staged, plan)
    if resolution.outcome is Outcome.EXISTING and resolution.existing is not None:
        become_existing(record, resolution.existing, pending)
        return
    if plan.version_tag is not None and resolution.outcome is Outcome.NEW_VERSION:
        check_tag(record, resolution.uid, plan.version_tag)
    become_new(record, pending, resolution)


def begin_anew(record: ArtifactRecord, pending: Pending) -> None:
    """Let an artifact that is gone, or has lost its bytes, since the constructor found it be saved as a new one.

    Its content is at hand.

    Raises:
        SourceChanged: The source was modified since the artifact was constructed.
    """
    registry = record.registry
    logger.warning("%s was deleted, or its bytes were altered, meanwhile; its content is saved again", record.uid)
    make_transient(record)
    for name in [name for name in vars(record) if name in _column_names(type(record)) or name.startswith("_cached_")]:
        del vars(record)[name]
    record._registry = registry
    _become(record, pending.staged, pending.plan)


@cache
def _column_names(model: type[ArtifactRecord]) -> frozenset[str]:
    return frozenset(attribute.key for attribute in sa_inspect(model).column_attrs)


def become_new(record: ArtifactRecord, pending: Pending, resolution: Resolution) -> None:
    """Give a new artifact its fields, and what saving it needs."""
    staged, plan = pending.staged, pending.plan
    digest, existing = staged.digest, resolution.existing
    # Past the instrumentation: a record that was never saved has no history, and there may be thousands of them.
    vars(record).update(
        uid=resolution.uid if existing is None else existing["uid"],
        key=resolution.key if existing is None else plan.key,
        description=resolution.description if existing is None else plan.description,
        _real_key=plan.real_key,
        suffix=staged.suffix,
        kind=plan.kind,
        otype=plan.otype,
        size=staged.size,
        hash=digest.value if digest is not None else None,
        _hash_type=digest.algorithm if digest is not None else None,
        n_files=staged.n_files,
        n_observations=staged.n_observations,
        extra_data=plan.extra_data,
        _key_is_virtual=plan.key_is_virtual,
        _overwrite_versions=plan.overwrite_versions,
        version_tag=plan.version_tag,
        is_latest=True,
        storage_id=plan.storage.id if plan.storage.is_saved else None,
        run_id=plan.run.id if plan.run is not None else None,
        branch_id=plan.branch_id,
        space_id=plan.space_id,
        _pending=pending,
    )


def warn_without_run(registry: Registry, request: Request, plan: Plan, what: Any) -> None:
    """Warn that new content has no run, unless the caller or the settings say that none is wanted."""
    if plan.run is None and request.run is None and not registry.settings.creation.artifact_silence_missing_run_warning:
        logger.warning(
            "%s has no run: nobody will see which code made it. Start one with track(), or pass run=False", what
        )


def _discard_with(record: ArtifactRecord, staged: Staged) -> None:
    """Let an artifact that is never saved leave no staging file behind; a forked copy of it is not its owner."""
    if staged.is_owned:
        weakref.finalize(record, discard_own, replace(staged, memory=None), os.getpid())


def discard_own(staged: Staged, pid: int) -> None:
    """Remove the staging file of an artifact that is not there any more, in the process that wrote it."""
    if os.getpid() == pid:
        stage.discard(staged)


def plan_of(registry: Registry, staged: Staged, request: Request, target: Storage) -> Plan:
    """Return what a caller wants of some content.

    Raises:
        InvalidArgument: The arguments contradict each other, or where the content lies.
    """
    revises: ArtifactRecord | None = request.revises
    key = request.key
    if key is None and revises is not None:
        key = revises.key
    elif revises is not None and revises.key is not None and key != revises.key:
        logger.warning("%s and its versions are renamed from %r to %r", revises.uid, revises.key, key)
    virtual = request.key_is_virtual
    real_key: str | None = None
    if staged.in_place is not None:
        name = name_in_place(staged.in_place, key)
        if virtual is not None and virtual != name.is_virtual:
            raise errors.InvalidArgument(
                f"key_is_virtual={virtual} contradicts the path: {staged.source} lies in {staged.root} "
                f"as {staged.in_place!r}"
            )
        key, virtual, real_key = name.key, name.is_virtual, name.real_key
    elif virtual is None:
        # What has no key has no place either.
        virtual = key is None or registry.settings.creation._artifact_use_virtual_keys
    if not virtual and key is None:
        raise errors.InvalidArgument("key_is_virtual=False needs a key: it is the path in the storage location")
    if not virtual and staged.in_place is None:
        assert key is not None
        target.backend.check_path(key)
    skip = request.skip_hash_lookup
    lookup = not skip if skip is not None else staged.in_place is None
    overwrite = request.overwrite_versions
    return Plan(
        storage=target,
        branch_id=request.branch.id if request.branch is not None else registry.branch_id,
        space_id=request.space.id
        if request.space is not None
        else target.__dict__.get("space_id") or registry.space_id,
        key=key,
        description=request.description,
        kind=request.kind,
        otype=request.otype if request.otype is not None else staged.otype,
        run=context.run_for(registry, request.run),
        version_tag=request.version_tag,
        overwrite_versions=overwrite if overwrite is not None else staged.is_folder,
        key_is_virtual=virtual,
        real_key=real_key,
        dedup=request.dedup,
        lookup=lookup,
        revises_uid=revises.uid if revises is not None else None,
        extra_data=request.extra_data,
        may_follow=request.may_follow,
        given=names_given(request),
    )


@dataclass(frozen=True)
class NameInPlace:
    """How content that is registered where it lies is called."""

    key: str
    is_virtual: bool
    real_key: str | None


def name_in_place(relpath: str, key: str | None) -> NameInPlace:
    """Return the name of content at a path of its storage location: the path itself, or the key that was passed."""
    normal = normal_form(relpath)
    is_virtual = key is not None and key != normal
    return NameInPlace(key if key is not None else normal, is_virtual, relpath if is_virtual else None)


def _rebase(plan: Plan, head: str | None) -> Plan:
    if head is not None and plan.revises_uid != head:
        logger.warning("%s is not the latest version any more; revising %s", plan.revises_uid, head)
    return replace(plan, expected_head=head)


def become_existing(record: ArtifactRecord, row: Any, pending: Pending) -> None:
    """Become the existing artifact of equal content; what was passed and differs is taken over or warned about."""
    record._adopt_row(row)
    take_given(record, pending)
    record._pending = pending
