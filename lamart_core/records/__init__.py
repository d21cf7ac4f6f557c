"""The record classes."""

from lamart_core.records.artifact import ArtifactRecord, artifact_table
from lamart_core.records.blocks import ArtifactBlock, latest_readme
from lamart_core.records.branch import Branch, BranchStatus
from lamart_core.records.collection import CollectionRecord
from lamart_core.records.core_links import (
    ArtifactArtifact,
    ArtifactRun,
    ArtifactUser,
    CollectionArtifact,
    CollectionInput,
    CollectionRecreation,
    Recreation,
    RunArtifact,
    RunInput,
)
from lamart_core.records.folder_history import FolderFile, FolderHistory
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.link import End, Link, link, link_tables
from lamart_core.records.kinds.mixins import HasScope, IsVersioned, TracksRun, TracksUpdates
from lamart_core.records.kinds.named import Named
from lamart_core.records.kinds.parents import HasParents
from lamart_core.records.kinds.tracked import TrackedRecord
from lamart_core.records.kinds.typed import Typed
from lamart_core.records.lease import Lease, Tombstone
from lamart_core.records.project import Project
from lamart_core.records.reference import Reference
from lamart_core.records.run import Run, RunStatus
from lamart_core.records.space import Space
from lamart_core.records.storage import Storage, storage_locations
from lamart_core.records.stored_object import StoredObject
from lamart_core.records.transform import Transform
from lamart_core.records.ulabel import ULabel
from lamart_core.records.user import User

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
    "End",
    "FolderFile",
    "FolderHistory",
    "HasParents",
    "HasScope",
    "IsVersioned",
    "Lease",
    "Link",
    "Named",
    "Project",
    "Recreation",
    "Reference",
    "Run",
    "RunArtifact",
    "RunInput",
    "RunStatus",
    "SQLRecord",
    "Space",
    "Storage",
    "StoredObject",
    "Tombstone",
    "TrackedRecord",
    "TracksRun",
    "TracksUpdates",
    "Transform",
    "Typed",
    "ULabel",
    "User",
    "artifact_table",
    "latest_readme",
    "link",
    "link_tables",
    "storage_locations",
]
