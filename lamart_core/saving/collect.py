"""Collections: what a constructor is asked for, and the one transaction that saves it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select

from lamart_core import errors, hashing, uids
from lamart_core.db import TRASH_BRANCH_ID, Registry, now
from lamart_core.families.branches import place
from lamart_core.families.family import Family, rename
from lamart_core.families.following import follow, insert_versions, read_tip
from lamart_core.lineage import context
from lamart_core.lineage.edges import add_collection_recreation, track_collection_input
from lamart_core.logging import logger
from lamart_core.objects.rows import OBJECT
from lamart_core.query.sql.dialects import dialect_of, insert_once
from lamart_core.records import ArtifactRecord, Branch, CollectionArtifact, CollectionRecord, Run, Space, artifact_table
from lamart_core.records.kinds.riders import Outcome, Saved
from lamart_core.saving.arguments import named
from lamart_core.storage import check_key

_MEMBER = CollectionArtifact.table
_SHOWN = 5


@dataclass(frozen=True)
class CollectionRequest:
    """The keywords of the constructor, as they were passed."""

    key: str | None
    description: str | None
    run: Run | bool | None
    revises: Any
    branch: Branch | None
    space: Space | None
    version_tag: str | None
    reference: str | None
    reference_type: str | None
    is_append: bool = False


@dataclass(frozen=True)
class PendingCollection:
    """What an unsaved collection carries until it is saved.

    Attributes:
        members: Ids of the artifacts in their order.
        run: The run that makes it.
        branch_id: Branch that it is made on.
        revises_uid: Uid of the version that is revised explicitly.
        expected_head: Uid of the latest version on the branch when that was decided; None where there was none.
    """

    members: tuple[int, ...]
    run: Run | None
    branch_id: int
    revises_uid: str | None = None
    expected_head: str | None = None


def construct(record: CollectionRecord, registry: Registry, artifacts: Any, request: CollectionRequest) -> None:
    """Fill a new collection, or with the row of the one that has these members under this key already."""
    table = record.__table__
    members = _check_members(registry, artifacts)
    revises = _checked_revises(request.revises)
    key = request.key if request.key is not None or revises is None else revises.key
    if key is None:
        raise errors.InvalidArgument("a collection needs a key, or the version that it revises")
    check_key(key)
    branch = named(registry, request.branch, Branch, "branch")
    space = named(registry, request.space, Space, "space")
    branch_id = branch.id if branch is not None else registry.branch_id
    pending = PendingCollection(
        tuple(member.id for member in members), context.run_for(registry, request.run), branch_id
    )
    with registry.engine.connect() as connection:
        digest = _digest(connection, registry, members)
        equal = _equal(connection, table, key, digest)
        if equal is not None and equal["branch_id"] != TRASH_BRANCH_ID:
            _become(record, registry, connection, equal, pending, request.description)
            return
        if revises is not None:
            pending = _revising(connection, table, pending, revises, is_append=request.is_append)
    record._registry = registry
    values: dict[str, Any] = {
        "uid": uids.first_uid(uids.new_stem()),
        "key": key,
        "description": request.description
        if request.description is not None or revises is None
        else revises.description,
        "hash": digest,
        "reference": request.reference,
        "reference_type": request.reference_type,
        "version_tag": request.version_tag,
        "is_latest": True,
        "run_id": pending.run.id if pending.run is not None else None,
        "branch_id": branch_id,
        "space_id": space.id if space is not None else registry.space_id,
    }
    record._give(**values)
    record._pending = pending


def save(record: CollectionRecord) -> None:
    """Save a collection: a new one with its members, an existing one with its changed fields."""
    pending: PendingCollection | None = record._pending
    table = record.__table__
    if record.is_saved:
        if pending is not None:
            record.registry.unit_of_work(lambda connection: _made_again(connection, record.id, record.run_id, pending))
            record._pending = None
        changes = record._changes()
        if "key" in changes:
            if not isinstance(changes["key"], str):
                raise errors.InvalidArgument(f"the key of {record.uid} cannot be removed; give it another one")
            check_key(changes["key"])
        super(CollectionRecord, record).save()
        return
    assert pending is not None
    record._check()
    check_key(record.key)
    pending = _with_assigned(record, pending)
    values = record._values() | {"created_on_id": pending.branch_id}

    def work(connection: Connection) -> Saved:
        saved = _commit(connection, table, dict(values), pending)
        record._ride(connection, saved.row, saved.outcome)
        return saved

    record._adopt_row(record.registry.unit_of_work(work).row)
    record._pending = None
    record._riders = ()


def _with_assigned(record: CollectionRecord, pending: PendingCollection) -> PendingCollection:
    """Return what saving means with the run and the branch that were assigned since the constructor."""
    changes = record._changes()
    if "run_id" in changes:
        pending = replace(pending, run=record.run)
    if changes.get("branch_id", pending.branch_id) == pending.branch_id:
        return pending
    if record.branch_id == TRASH_BRANCH_ID:
        raise errors.InvalidArgument("a collection cannot be made in the trash; delete() moves it there")
    return replace(pending, branch_id=record.branch_id, expected_head=None)


def cache(record: CollectionRecord, *, is_run_input: bool | Run | None = None) -> list[Path]:
    """Return local paths of all members, in their order, and record the collection as what was read."""
    ordered: Any = record.ordered_artifacts  # pyright: ignore[reportAttributeAccessIssue]  # on the class above
    paths = [artifact.cache(is_run_input=False) for artifact in ordered]
    track_collection_input(record, is_run_input)
    return paths


# ---------------------------------------------------------------------- checks


def _check_members(registry: Registry, artifacts: Any) -> list[ArtifactRecord]:
    if isinstance(artifacts, ArtifactRecord):
        artifacts = [artifacts]
    if isinstance(artifacts, str | bytes) or not isinstance(artifacts, Iterable):
        raise errors.UnsupportedObject(f"a collection is made of a list of artifacts, got {artifacts!r}")
    members: list[Any] = list(artifacts)
    if not members:
        raise errors.InvalidArgument("a collection needs at least one artifact; the list is empty")
    seen: set[int] = set()
    for member in members:
        if not isinstance(member, ArtifactRecord):
            raise errors.UnsupportedObject(f"a collection is made of artifacts, got {member!r}")
        if not member.is_saved:
            raise errors.InvalidArgument(f"{member!r} is not saved yet; save it before collecting it")
        if member.registry != registry:
            raise errors.InvalidArgument(f"{member!r} belongs to another registry, {member.registry!r}")
        if member.branch_id == TRASH_BRANCH_ID:
            raise errors.InvalidArgument(f"{member!r} lies in the trash; restore() it before collecting it")
        if member.id in seen:
            raise errors.InvalidArgument(f"{member!r} is in the list twice; a collection has each artifact once")
        seen.add(member.id)
    return members


def _checked_revises(revises: Any) -> CollectionRecord | None:
    if revises is None:
        return None
    if not isinstance(revises, CollectionRecord):
        raise errors.UnsupportedObject(f"`revises` has to be a Collection, got {type(revises).__name__}")
    if not revises.is_saved:
        raise errors.InvalidArgument(f"{revises!r} is not saved yet; save it before revising it")
    return revises


def _digest(connection: Connection, registry: Registry, members: Sequence[ArtifactRecord]) -> str:
    """Return the digest over what the members are, whatever their order and their names."""
    inexact = select(OBJECT.c.id).where(
        dialect_of(connection.dialect.name).among(OBJECT.c.id, [member.object_id for member in members]),
        ~OBJECT.c.is_exact,
    )
    vague = set(connection.execute(inexact).scalars())
    # What only a server vouches for says nothing about equality: such a member is equal to itself only.
    identities = (
        f"{member._hash_type}:{member.hash}" if member.hash and member.object_id not in vague else f"uid:{member.uid}"
        for member in members
    )
    return hashing.hash_bytes("\n".join(sorted(identities)).encode(), registry.hash_algorithm).value


def _revising(
    connection: Connection, table: Table, pending: PendingCollection, revises: CollectionRecord, *, is_append: bool
) -> PendingCollection:
    heads = select(table.c.uid).where(Family.of(table, revises.uid).head(pending.branch_id))
    head = connection.execute(heads).scalar_one_or_none()
    if head is not None and head != revises.uid:
        if is_append:  # the members of the later version would be missing
            raise errors.IntegrityError(f"cannot append to {revises.uid}: {head} is the latest now; append to that one")
        logger.warning("%s is not the latest version any more; revising %s", revises.uid, head)
    return PendingCollection(pending.members, pending.run, pending.branch_id, revises.uid, head)


def _become(
    record: CollectionRecord,
    registry: Registry,
    connection: Connection,
    row: dict[str, Any],
    pending: PendingCollection,
    description: str | None,
) -> None:
    record._registry = registry
    record._adopt_row(row)
    record._pending = pending
    if tuple(_members_of(connection, row["id"])) != pending.members:
        logger.warning("the collection is known as %s; it keeps its members in their order", row["uid"])
    if description is not None and description != record.description:
        logger.warning("the description of %s changes to %r", record.uid, description)
        record.description = description


# ---------------------------------------------------------------------- statements


def _equal(connection: Connection, table: Table, key: str, digest: str) -> dict[str, Any] | None:
    """Return the newest collection of equal content under a key; one outside of the trash comes first."""
    columns = table.c
    query = select(table).where(columns.key == key, columns.hash == digest)
    rows = connection.execute(query.order_by(columns.id.desc())).mappings().all()
    alive = [row for row in rows if row["branch_id"] != TRASH_BRANCH_ID]
    return dict((alive or rows)[0]) if rows else None


def _commit(connection: Connection, table: Table, values: dict[str, Any], pending: PendingCollection) -> Saved:
    equal = _equal(connection, table, values["key"], values["hash"])
    if equal is not None:
        return _existing(connection, table, equal, pending)
    _check_still_there(connection, pending.members)
    revised, key = pending.revises_uid, values["key"]
    family = Family.called(table, key=key) if revised is None else Family.of(table, revised)
    tip = read_tip(connection, family, pending.branch_id)
    head = tip.head
    if revised is not None:
        if tip.newest is None:
            raise errors.IntegrityError(f"cannot revise {revised}: it was deleted")
        if (head["uid"] if head is not None else None) != pending.expected_head:
            raise errors.IntegrityError(
                f"cannot revise {revised}: {head['uid'] if head is not None else 'no version'} is the latest now; "
                "get it and revise that one"
            )
    values["uid"] = follow(connection, table, tip, first=values["uid"])
    if head is not None:
        if _equal(connection, table, key, values["hash"]) is not None:
            # Saved after this transaction looked, and before it had the latest version to itself.
            raise errors.Conflict("another writer saved equal content")
        if head["key"] != key:
            rename(connection, table, head["uid"], key)
    row_id = insert_versions(connection, table, [values])[0].id
    at = now()
    rows = [
        {"collection_id": row_id, "artifact_id": artifact_id, "position": position, "created_at": at}
        for position, artifact_id in enumerate(pending.members)
    ]
    insert_once(connection, _MEMBER, rows)
    row = {column.name: values.get(column.name) for column in table.c} | {"id": row_id}
    return Saved(row, Outcome.CREATED if tip.newest is None else Outcome.NEW_VERSION)


def _existing(connection: Connection, table: Table, row: dict[str, Any], pending: PendingCollection) -> Saved:
    outcome = Outcome.EXISTING
    if row["branch_id"] == TRASH_BRANCH_ID:
        place(connection, table, [row["id"]], pending.branch_id)
        logger.warning("the collection %s of equal content and key was restored from the trash", row["uid"])
        outcome = Outcome.RESTORED
    elif pending.run is not None and row["run_id"] != pending.run.id:
        outcome = Outcome.RECREATED
    _made_again(connection, row["id"], row["run_id"], pending)
    return Saved(dict(connection.execute(select(table).where(table.c.id == row["id"])).mappings().one()), outcome)


def _made_again(connection: Connection, collection_id: int, run_id: int | None, pending: PendingCollection) -> None:
    if pending.run is not None and run_id != pending.run.id:
        add_collection_recreation(connection, pending.run.id, collection_id)


def _check_still_there(connection: Connection, members: Sequence[int]) -> None:
    artifact = artifact_table()
    # Held until the commit (where rows can be), so that none is deleted in between.
    query = select(artifact.c.id).where(dialect_of(connection.dialect.name).among(artifact.c.id, members))
    there = set(connection.execute(query.order_by(artifact.c.id).with_for_update(read=True, key_share=True)).scalars())
    gone = [artifact_id for artifact_id in members if artifact_id not in there]
    if gone:
        raise errors.IntegrityError(f"{len(gone)} members were deleted meanwhile, for example id {gone[:_SHOWN]}")


def _members_of(connection: Connection, collection_id: int) -> list[int]:
    query = select(_MEMBER.c.artifact_id).where(_MEMBER.c.collection_id == collection_id).order_by(_MEMBER.c.position)
    return list(connection.execute(query).scalars())
