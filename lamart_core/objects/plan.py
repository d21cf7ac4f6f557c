"""What a constructor was asked for, and what was found: frozen values between the steps of saving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from lamart_core.families.following import Tip
from lamart_core.hashing import Digest, FileState, TreeDigest
from lamart_core.records.kinds.riders import Outcome

if TYPE_CHECKING:
    from lamart_core.objects.folder_contents import PutFile
    from lamart_core.records import ArtifactRecord, Run, Storage

Row = Mapping[str, Any]
# Raises where a content may not be the next version after that of a row, or be that version.
MayFollow = Callable[[Row], None]


class Dedup(Enum):
    """When equal content is the same artifact.

    `REGISTRY`: content that is known anywhere gives the existing artifact.
    `HEAD`: only content equal to the latest version under the same key gives that version; anything else is a new
    version or a new family, which shares the stored bytes.
    """

    REGISTRY = "registry"
    HEAD = "head"


@dataclass(frozen=True)
class Staged:
    """Content that is ready to be saved: where it lies now, and what it is.

    Attributes:
        source: Where the bytes are.
        suffix: Suffix of the stored object.
        is_folder: Whether it is a folder.
        size: Size in bytes; for a folder the sum over its files.
        n_files: Number of files of a folder; None for a file.
        digest: Identity of the content; None when a server did not give any.
        tree: Digests of the single files of a local folder.
        state: State of the files that are registered where they lie, from before they were hashed.
        otype: Object type, for example `DataFrame`.
        n_observations: Number of observations, where known.
        is_owned: Whether the source is a staging file of ours, which saving moves and does not copy.
        in_place: Path relative to the root of its storage location, for content that is registered where it lies.
        root: Root of that storage location.
        stored: Path in the version store, for content that was written there by its owner under a lease.
        memory: The object that was written, while it lives.
    """

    source: Path | UPath
    suffix: str
    is_folder: bool
    size: int | None
    n_files: int | None
    digest: Digest | None
    tree: TreeDigest | None = None
    state: Mapping[str, FileState] | None = None
    otype: str | None = None
    n_observations: int | None = None
    is_owned: bool = False
    in_place: str | None = None
    root: str | None = None
    stored: str | None = None
    memory: Any = None

    @property
    def is_comparable(self) -> bool:
        """Whether equal digests mean equal content: exact, and not empty."""
        return self.digest is not None and self.digest.is_exact and bool(self.size)


@dataclass(frozen=True)
class Plan:
    """What the caller wants: everything but the bytes.

    Attributes:
        storage: Location that the artifact belongs to; unsaved when a remote location is met for the first time.
        revises_uid: Uid of the version that is revised explicitly.
        expected_head: Uid of the family's head when the plan was made; only for an explicit revision.
        lookup: Whether equal content is looked up at all.
        given: Names of the keywords that the caller passed.
        may_follow: Raises where the version that it would follow, or be, is not one that it may.
    """

    storage: Storage
    branch_id: int
    space_id: int
    key: str | None
    description: str | None
    kind: str | None
    otype: str | None
    run: Run | None
    version_tag: str | None
    overwrite_versions: bool
    key_is_virtual: bool
    real_key: str | None
    dedup: Dedup
    lookup: bool
    revises_uid: str | None = None
    expected_head: str | None = None
    extra_data: dict[str, Any] | None = None
    given: frozenset[str] = frozenset()
    may_follow: MayFollow | None = None

    def with_storage(self, storage: Storage) -> Plan:
        """Return the plan for another (for example the saved) storage record."""
        return replace(self, storage=storage)


@dataclass(frozen=True)
class Matches:
    """The rows that decide what saving means.

    Attributes:
        equal: Newest visible artifact of equal content, under the policy of the plan.
        trashed: Artifact in the trash with equal content and the same key.
        tip: Where the family ends, seen from the branch.
    """

    equal: Row | None = None
    trashed: Row | None = None
    tip: Tip = field(default_factory=Tip)


@dataclass(frozen=True)
class Resolution:
    """What is to be done.

    Attributes:
        outcome: What saving will be.
        existing: The row that is returned instead of a new one.
        uid: Uid of the new row.
        demote: Id of the row that stops being the latest.
        follows: Id of the row with the highest uid of the family so far.
        key: Key of the new row.
        description: Description of the new row.
    """

    outcome: Outcome
    existing: Row | None = None
    uid: str = ""
    demote: int | None = None
    follows: int | None = None
    key: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Pending:
    """What an unsaved artifact carries until it is saved."""

    staged: Staged
    plan: Plan


@dataclass(frozen=True)
class SaveResult:
    """An artifact, and what saving it did."""

    artifact: ArtifactRecord
    outcome: Outcome


@dataclass(frozen=True)
class Put:
    """Bytes that this save has put into the storage, and which only the commit makes known.

    Attributes:
        stamp: What tells whether they are changed later, where they lie on a disk.
    """

    relpath: str
    is_managed: bool
    stamp: str | None = None
    is_content_addressed: bool = False
    files: Mapping[str, PutFile] = field(default_factory=dict[str, "PutFile"])
