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
    core_links,
)
from lamart_core.saving.lazy import LazyArtifact
from lamart_core.saving.lists import SQLRecordList

RunInput = core_links.RunInput.model
Recreation = core_links.Recreation.model

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
