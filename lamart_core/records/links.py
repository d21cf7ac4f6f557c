"""Links between records, as rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import BigId, UtcDateTime
from lamart_core.records.base import SQLRecord


class ArtifactArtifact(SQLRecord):
    """Link: an artifact is annotated by another one."""

    __tablename__ = "lamart_artifactartifact"
    __table_args__ = (Index("uq_lamart_artifactartifact", "artifact_id", "value_id", unique=True),)

    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id", ondelete="CASCADE"))
    value_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ArtifactUser(SQLRecord):
    """Link: an artifact is annotated by a user."""

    __tablename__ = "lamart_artifactuser"
    __table_args__ = (Index("uq_lamart_artifactuser", "artifact_id", "user_id", unique=True),)

    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("lamart_user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ArtifactRun(SQLRecord):
    """Link: an artifact is annotated by a run that neither made nor read it."""

    __tablename__ = "lamart_artifactrun"
    __table_args__ = (Index("uq_lamart_artifactrun", "artifact_id", "run_id", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id", ondelete="CASCADE"))
    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("lamart_run.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RunArtifact(SQLRecord):
    """Link: a run is annotated by an artifact."""

    __tablename__ = "lamart_runartifact"
    __table_args__ = (Index("uq_lamart_runartifact", "run_id", "artifact_id", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("lamart_run.id", ondelete="CASCADE"))
    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CollectionArtifact(SQLRecord):
    """Link: an artifact is a member of a collection.

    Attributes:
        position: Place in the order in which the collection was made, from 0.
    """

    __tablename__ = "lamart_collectionartifact"
    __table_args__ = (Index("uq_lamart_collectionartifact", "collection_id", "artifact_id", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("lamart_collection.id", ondelete="CASCADE"))
    artifact_id: Mapped[int] = mapped_column(ForeignKey("lamart_artifact.id"), index=True)
    position: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CollectionInput(SQLRecord):
    """Link: a run read a collection."""

    __tablename__ = "lamart_collectioninput"
    __table_args__ = (Index("uq_lamart_collectioninput", "run_id", "collection_id", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("lamart_run.id", ondelete="CASCADE"))
    collection_id: Mapped[int] = mapped_column(ForeignKey("lamart_collection.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CollectionRecreation(SQLRecord):
    """Link: a run made again a collection that was there."""

    __tablename__ = "lamart_collectionrecreation"
    __table_args__ = (Index("uq_lamart_collectionrecreation", "run_id", "collection_id", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("lamart_run.id", ondelete="CASCADE"))
    collection_id: Mapped[int] = mapped_column(ForeignKey("lamart_collection.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
