"""The record classes."""

from lamart_core.records.artifact import ArtifactRecord
from lamart_core.records.base import HasScope, IsVersioned, SQLRecord, TracksRun, TracksUpdates
from lamart_core.records.run import Recreation, Run, RunInput, RunStatus, Transform
from lamart_core.records.scope import Branch, Space, User
from lamart_core.records.storage import Storage, StoredObject

__all__ = [
    "ArtifactRecord",
    "Branch",
    "HasScope",
    "IsVersioned",
    "Recreation",
    "Run",
    "RunInput",
    "RunStatus",
    "SQLRecord",
    "Space",
    "Storage",
    "StoredObject",
    "TracksRun",
    "TracksUpdates",
    "Transform",
    "User",
]
