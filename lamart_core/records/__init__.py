"""The record classes."""

from lamart_core.records.artifact import ArtifactRecord, artifact_table
from lamart_core.records.base import SQLRecord
from lamart_core.records.blocks import ArtifactBlock, latest_readme
from lamart_core.records.collection import CollectionRecord
from lamart_core.records.folders import FolderFile, FolderHistory
from lamart_core.records.holds import Lease, Tombstone
from lamart_core.records.links import (
    ArtifactArtifact,
    ArtifactRun,
    ArtifactUser,
    CollectionArtifact,
    CollectionInput,
    CollectionRecreation,
    RunArtifact,
)
from lamart_core.records.mixins import HasScope, IsVersioned, TracksRun, TracksUpdates
from lamart_core.records.run import Recreation, Run, RunInput, RunStatus, Transform
from lamart_core.records.scope import Branch, BranchStatus, Space, User
from lamart_core.records.storage import Storage, StoredObject, storage_locations

__all__ = [
    "ArtifactArtifact",
    "ArtifactBlock",
    "ArtifactRecord",
    "ArtifactRun",
    "ArtifactUser",
    "Branch",
    "BranchStatus",
    "CollectionArtifact",
    "CollectionInput",
    "CollectionRecord",
    "CollectionRecreation",
    "FolderFile",
    "FolderHistory",
    "HasScope",
    "IsVersioned",
    "Lease",
    "Recreation",
    "Run",
    "RunArtifact",
    "RunInput",
    "RunStatus",
    "SQLRecord",
    "Space",
    "Storage",
    "StoredObject",
    "Tombstone",
    "TracksRun",
    "TracksUpdates",
    "Transform",
    "User",
    "artifact_table",
    "latest_readme",
    "storage_locations",
]
