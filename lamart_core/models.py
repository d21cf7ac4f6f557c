"""All record classes, for those who need them together."""

from lamart_core.artifact import Artifact
from lamart_core.query import QuerySet, RelatedManager
from lamart_core.records import (
    Branch,
    HasScope,
    IsVersioned,
    Recreation,
    Run,
    RunInput,
    Space,
    SQLRecord,
    Storage,
    StoredObject,
    TracksRun,
    TracksUpdates,
    Transform,
    User,
)

__all__ = [
    "Artifact",
    "Branch",
    "HasScope",
    "IsVersioned",
    "QuerySet",
    "Recreation",
    "RelatedManager",
    "Run",
    "RunInput",
    "SQLRecord",
    "Space",
    "Storage",
    "StoredObject",
    "TracksRun",
    "TracksUpdates",
    "Transform",
    "User",
]
