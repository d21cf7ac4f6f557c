"""Artifact (columns only, until the verbs land)."""
from lamart_core.records import ArtifactRecord


class Artifact(ArtifactRecord):
    """Datasets and models stored as files, folders or arrays."""

    __tablename__ = "lamart_artifact"
