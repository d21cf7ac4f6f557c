"""Project: what work is done for."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import Date, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import KeyText, uid_type
from lamart_core.records.kinds.link import End, link
from lamart_core.records.kinds.named import Named
from lamart_core.records.kinds.parents import HasParents
from lamart_core.records.kinds.tracked import TrackedRecord
from lamart_core.records.kinds.typed import Typed

if TYPE_CHECKING:
    from typing import Self

    from lamart_core.artifact import Artifact
    from lamart_core.collection import Collection
    from lamart_core.query import RelatedManager
    from lamart_core.records.branch import Branch
    from lamart_core.records.reference import Reference
    from lamart_core.records.run import Run
    from lamart_core.records.transform import Transform
    from lamart_core.records.ulabel import ULabel


class Project(Named, Typed, HasParents, TrackedRecord):
    """What work is done for: a study, a grant, a product.

    Args:
        name: Name; making a project of a name that is there gives that project.
        type: Project with `is_type` that this one is of.
        is_type: Whether others may be of this type.
        description: Free text.
        abbr: Abbreviation.
        url: Where people read more.
        start_date: First day.
        end_date: Last day.

    Examples:
        >>> import lamart_core as ln
        >>> from pathlib import Path
        >>> _ = Path("a.txt").write_text("a")
        >>> artifact = ln.Artifact("a.txt", key="a.txt").save()
        >>> artifact.projects.add(ln.Project(name="Project A").save())
        >>> ln.Artifact.filter(projects__name="Project A").one() == artifact
        True
    """

    __tablename__ = "lamart_project"

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]
        branches: RelatedManager[Branch]
        collections: RelatedManager[Collection]
        predecessors: RelatedManager[Self]
        projects: RelatedManager[Project]
        references: RelatedManager[Reference]
        runs: RelatedManager[Run]
        successors: RelatedManager[Self]
        transforms: RelatedManager[Transform]
        ulabels: RelatedManager[ULabel]

    uid: Mapped[str] = mapped_column(uid_type(12), unique=True)
    name: Mapped[str] = mapped_column(KeyText(255))
    description: Mapped[str | None] = mapped_column(Text)
    abbr: Mapped[str | None] = mapped_column(String(32))
    url: Mapped[str | None] = mapped_column(String(255))
    start_date: Mapped[date | None] = mapped_column(Date)
    end_date: Mapped[date | None] = mapped_column(Date)
    _status_code: Mapped[int] = mapped_column(SmallInteger, default=0)


ArtifactProject = link("Artifact", "Project")
CollectionProject = link("Collection", "Project")
RunProject = link("Run", "Project")
TransformProject = link("Transform", "Project")
BranchProject = link(End("Branch", names=("branches",)), "Project")
ULabelProject = link("ULabel", "Project")
ProjectPredecessor = link(
    End("Project", names=("successors",), column="successor_id"),
    End("Project", names=("predecessors",), column="predecessor_id", cascade=True),
    name="ProjectPredecessor",
    acyclic=True,
)
