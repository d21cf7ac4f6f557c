"""What a check of a registry finds: frozen values, for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Something that a record says is not true."""
    WARNING = "warning"
    """Nothing that a record says is wrong, but something is left over or in doubt."""


class Kind(StrEnum):
    """What is wrong."""

    MISSING = "missing"
    """A stored object whose bytes are not there."""
    TRUNCATED = "truncated"
    """A stored object of another size than its record says."""
    ALTERED = "altered"
    """A stored object of the right size whose digest is another one."""
    CHANGED_IN_PLACE = "changed in place"
    """A file that was registered where it lies, and changed since."""
    LOST = "lost"
    """A version whose place in a storage location was seen to hold other bytes, or none, when another one took it."""
    HEADLESS = "headless family"
    """A family without a latest version on a branch."""
    SEVERAL_HEADS = "several heads"
    """A family with several latest versions on a branch."""
    SHARED_KEY = "shared key"
    """Several families whose latest versions have one key in one storage location."""
    SAME_UID = "same uid"
    """Several records with one uid."""
    DANGLING = "dangling reference"
    """A row that refers to a row which is not there."""
    DIFFERING = "differing copy"
    """An artifact whose hash or size is not that of its stored object."""
    UNREACHABLE = "unreachable storage"
    """A storage location that cannot be read."""
    MARKER = "marker"
    """A storage location whose marker file is missing, or is that of another location or registry."""
    DATABASE = "database"
    """A database that is a copy, or older than a storage location of it."""
    UNPUBLISHED = "unpublished"
    """A real key at which a process died: its latest version is not there yet, or old bytes still are."""
    ORPHANED = "orphaned"
    """Bytes that no record refers to."""
    UNNAMED = "unnamed"
    """A stored object that no artifact refers to."""
    STAGING = "staging"
    """A staging file of a process that ended."""
    UPLOAD = "upload"
    """A multi-part upload that was never finished."""
    FOREIGN = "foreign"
    """Something in the version store that this library did not make."""
    LEASE = "lease"
    """A path that somebody held and gave up without saving."""


_WARNINGS = {
    Kind.CHANGED_IN_PLACE,
    Kind.LOST,
    Kind.UNPUBLISHED,
    Kind.ORPHANED,
    Kind.UNNAMED,
    Kind.STAGING,
    Kind.UPLOAD,
    Kind.FOREIGN,
    Kind.LEASE,
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: What is wrong.
        detail: The same in a sentence, with the names that are concerned.
        storage: Root of the storage location.
        path: Path relative to the root.
        artifact: Uid of an artifact (or other record) that is concerned; the first one, where several are.
        is_repairable: Whether a repair can repair it without losing anything.
        is_repaired: Whether it was repaired.
        table: Table of the row that is concerned.
        row_id: Id of the row of that table that is concerned; None where it is a family, a key or a location.
        branch_id: Id of the branch that a family has no latest version on, or several.
        storage_id: Id of the storage location.
    """

    kind: Kind
    detail: str
    storage: str | None = None
    path: str | None = None
    artifact: str | None = None
    is_repairable: bool = False
    is_repaired: bool = False
    table: str | None = None
    row_id: int | None = None
    branch_id: int | None = None
    storage_id: int | None = None

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return Severity.WARNING if self.kind in _WARNINGS else Severity.ERROR


@dataclass(frozen=True)
class Report:
    """All that a check found.

    Attributes:
        findings: What is, or was, wrong.
    """

    findings: tuple[Finding, ...]

    @property
    def remaining(self) -> tuple[Finding, ...]:
        """What was not repaired."""
        return tuple(found for found in self.findings if not found.is_repaired)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong, or nothing any more."""
        return not self.remaining
