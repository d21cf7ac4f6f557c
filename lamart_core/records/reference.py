"""Reference: papers, preprints, documents."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Date, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import KeyText, uid_type
from lamart_core.records.kinds.link import link
from lamart_core.records.kinds.named import Named
from lamart_core.records.kinds.tracked import TrackedRecord
from lamart_core.records.kinds.typed import Typed

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact
    from lamart_core.collection import Collection
    from lamart_core.query import RelatedManager
    from lamart_core.records.project import Project
    from lamart_core.records.transform import Transform


class Reference(Named, Typed, TrackedRecord):
    """A document that data comes from or goes into: a paper, a preprint, a report.

    Args:
        name: Name or title; making a reference of a name that is there gives that reference.
        type: Reference with `is_type` that this one is of.
        is_type: Whether others may be of this type.
        description: Free text.
        abbr: Abbreviation.
        url: Where it can be read.
        pubmed_id: Its number in PubMed.
        doi: Its digital object identifier.
        text: Abstract or text.
        date: When it was published.

    Examples:
        >>> import lamart_core as ln
        >>> paper = ln.Reference(name="A paper", doi="10.1000/182").save()
        >>> ln.Reference.get(doi="10.1000/182") == paper
        True
    """

    __tablename__ = "lamart_reference"

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]
        collections: RelatedManager[Collection]
        projects: RelatedManager[Project]
        references: RelatedManager[Reference]
        transforms: RelatedManager[Transform]

    uid: Mapped[str] = mapped_column(uid_type(12), unique=True)
    name: Mapped[str] = mapped_column(KeyText(255))
    description: Mapped[str | None] = mapped_column(Text)
    abbr: Mapped[str | None] = mapped_column(String(32))
    url: Mapped[str | None] = mapped_column(String(200))
    pubmed_id: Mapped[int | None] = mapped_column(BigInteger)
    doi: Mapped[str | None] = mapped_column(String(255))
    text: Mapped[str | None] = mapped_column(Text)
    date: Mapped[date | None] = mapped_column(Date)


ArtifactReference = link("Artifact", "Reference")
CollectionReference = link("Collection", "Reference")
TransformReference = link("Transform", "Reference")
ProjectReference = link("Project", "Reference")
