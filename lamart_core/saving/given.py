"""What a caller passed for content that is known already: the existing artifact takes it, or a warning says not."""

from __future__ import annotations

from typing import Any

from lamart_core import uids
from lamart_core.db import MAIN_BRANCH_ID
from lamart_core.families.family import Family, check_tag_free
from lamart_core.logging import logger
from lamart_core.objects.plan import Pending
from lamart_core.records import ArtifactRecord
from lamart_core.saving.arguments import Request

# Keywords that say something about the artifact; what the others say is part of what makes content known.
_TOLD = (
    "description",
    "kind",
    "extra_data",
    "version_tag",
    "storage",
    "branch",
    "space",
    "key_is_virtual",
    "n_observations",
    "overwrite_versions",
    "revises",
)


def names_given(request: Request) -> frozenset[str]:
    """Return the names of the keywords that were passed."""
    return frozenset(name for name in _TOLD if getattr(request, name) is not None)


def take_given(record: ArtifactRecord, pending: Pending) -> None:
    """Let an existing artifact take what was passed for its content, and say what it does not take.

    A description is taken. A key, a version tag and extra data are taken by an artifact that has none. All else stays
    as it is: where the bytes lie, which branch sees it, what others wrote about it.

    Args:
        record: The artifact; nothing is saved yet.
        pending: What was passed.

    Raises:
        NameTaken: Another version of its family has the tag.
    """
    plan = pending.plan
    kept: list[str] = []
    if plan.key is not None and record.key != plan.key:
        if record.key is None and record._key_is_virtual:
            record.key = plan.key
        else:
            kept.append(f"its key {record.key!r} is kept")
    if plan.description is not None and plan.description != record.description:
        logger.warning("the description of %s changes to %r", record.uid, plan.description)
        record.description = plan.description
    if plan.version_tag is not None and record.version_tag is None and plan.key in (None, record.key):
        check_tag(record, record.uid, plan.version_tag)
        record.version_tag = plan.version_tag
    if plan.extra_data is not None and record.extra_data is None:
        record.extra_data = plan.extra_data
    kept += _kept(record, pending)
    if kept:
        logger.warning(
            "the content is known as %s: %s. Assign what is to change, or pass skip_hash_lookup=True to save it as an "
            "artifact of its own",
            record.uid,
            "; ".join(kept),
        )


def _kept(record: ArtifactRecord, pending: Pending) -> list[str]:
    """Say what was passed and is otherwise, and that a branch does not see the artifact."""
    plan, given = pending.plan, pending.plan.given
    of_plan: dict[str, Any] = {
        "kind": plan.kind,
        "extra_data": plan.extra_data,
        "version_tag": plan.version_tag,
        "key_is_virtual": plan.key_is_virtual,
        "overwrite_versions": plan.overwrite_versions,
        "n_observations": pending.staged.n_observations,
    }
    kept = [
        f"its {name} stays {getattr(record, name)!r}"
        for name, value in of_plan.items()
        if name in given and getattr(record, name) != value
    ]
    if "storage" in given and plan.storage.id != record.storage_id:
        kept.append(f"its storage stays {record.storage.root}")
    if "space" in given and plan.space_id != record.space_id:
        kept.append(f"its space stays {record.space.name!r}")
    if plan.revises_uid is not None and uids.stem_of(plan.revises_uid) != uids.stem_of(record.uid):
        kept.append(f"it is no version of {plan.revises_uid}, which is not revised")
    if record.branch_id != plan.branch_id and ("branch" in given or record.branch_id != MAIN_BRANCH_ID):
        kept.append(f"it stays on the branch {_branch(record)!r}, and is not on {_branch(record, plan.branch_id)!r}")
    return kept


def _branch(record: ArtifactRecord, branch_id: int | None = None) -> str:
    return record.registry.Branch.get(record.branch_id if branch_id is None else branch_id).name


def check_tag(record: ArtifactRecord, uid: str, tag: str) -> None:
    """Check that no version of a family has a tag.

    Args:
        record: Any artifact of the registry.
        uid: Uid of a version of the family, there or to come.
        tag: The tag.

    Raises:
        NameTaken: One has.
    """
    with record.registry.engine.connect() as connection:
        check_tag_free(connection, Family.of(record.__table__, uid), tag)
