"""ULabel: labels of all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lamart_core.db import KeyText, uid_type
from lamart_core.records.kinds.link import End, link
from lamart_core.records.kinds.named import Named
from lamart_core.records.kinds.parents import HasParents
from lamart_core.records.kinds.tracked import TrackedRecord
from lamart_core.records.kinds.typed import Typed

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact
    from lamart_core.collection import Collection
    from lamart_core.query import RelatedManager
    from lamart_core.records.branch import Branch
    from lamart_core.records.project import Project
    from lamart_core.records.run import Run
    from lamart_core.records.transform import Transform


class ULabel(Named, Typed, HasParents, TrackedRecord):
    """A label, for everything that has no registry of its own: a state, a batch, a protocol.

    Args:
        name: Name; making a label of a name that is there gives that label.
        type: Label with `is_type` that this one is of.
        is_type: Whether others may be of this type.
        description: Free text.
        reference: Link or id that tells more.
        reference_type: What the reference is, for example `url`.

    Examples:
        >>> import lamart_core as ln
        >>> quality = ln.ULabel(name="quality", is_type=True).save()
        >>> raw = ln.ULabel(name="raw", type=quality).save()
        >>> ln.ULabel(name="raw", type=quality) == raw
        True
        >>> quality.ulabels.to_list("name")
        ['raw']
    """

    __tablename__ = "lamart_ulabel"
    __uid_length__ = 8

    if TYPE_CHECKING:  # the ends of links
        artifacts: RelatedManager[Artifact]
        branches: RelatedManager[Branch]
        collections: RelatedManager[Collection]
        projects: RelatedManager[Project]
        runs: RelatedManager[Run]
        transforms: RelatedManager[Transform]
        ulabels: RelatedManager[ULabel]

    uid: Mapped[str] = mapped_column(uid_type(8), unique=True)
    name: Mapped[str] = mapped_column(KeyText(150))
    description: Mapped[str | None] = mapped_column(Text)
    reference: Mapped[str | None] = mapped_column(String(255))
    reference_type: Mapped[str | None] = mapped_column(String(25))


ArtifactULabel = link("Artifact", "ULabel")
CollectionULabel = link("Collection", "ULabel")
RunULabel = link("Run", "ULabel")
TransformULabel = link("Transform", "ULabel")
BranchULabel = link(End("Branch", names=("branches",)), "ULabel")
