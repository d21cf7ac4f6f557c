"""All record classes, for those who need them together."""

from lamart_core.artifact import Artifact
from lamart_core.collection import Collection
from lamart_core.query import QuerySet, RelatedManager
from lamart_core.records import (
    ArtifactBlock,
    Branch,
    HasParents,
    HasScope,
    IsVersioned,
    Named,
    Project,
    Reference,
    Run,
    Space,
    SQLRecord,
    Storage,
    StoredObject,
    TracksRun,
    TracksUpdates,
    Transform,
    Typed,
    ULabel,
    User,
)
from lamart_core.saving.lazy import LazyArtifact
from lamart_core.saving.lists import SQLRecordList

RunInput = links.RunInput.model
Recreation = links.Recreation.model

__all__ = [
    "Artifact",
    "ArtifactBlock",
    "Branch",
    "Collection",
    "HasParents",
    "HasScope",
    "IsVersioned",
    "LazyArtifact",
    "Named",
    "Project",
    "QuerySet",
    "Recreation",
    "Reference",
    "RelatedManager",
    "Run",
    "RunInput",
    "SQLRecord",
    "SQLRecordList",
    "Space",
    "Storage",
    "StoredObject",
    "TracksRun",
    "TracksUpdates",
    "Transform",
    "Typed",
    "ULabel",
    "User",
]
