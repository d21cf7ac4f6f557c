"""Links between the records that every registry has. Those of other registries stand beside their classes."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String

from lamart_core.records.kinds.link import End, link

ArtifactArtifact = link(
    End("Artifact", names=("linked_by_artifacts",)),
    End("Artifact", column="value_id", cascade=True),
    small=True,
    tracked=False,
)
ArtifactUser = link("Artifact", "User", small=True, tracked=False)
# A run that neither made nor read the artifact.
ArtifactRun = link("Artifact", "Run", tracked=False)
# Two names of one relation: what the artifact's end is called, and what it is.
RunArtifact = link(
    End("Run", names=("linked_by_runs",)),
    End("Artifact", names=("linked_artifacts", "linked_by_artifacts")),
    tracked=False,
)
# `position`: place in the order in which the collection was made, from 0.
CollectionArtifact = link(
    "Collection",
    "Artifact",
    columns=[Column("position", Integer, nullable=False)],
    tracked=False,
    fixed="a collection never changes, append() makes its next version",
)
# What a run read. `kind`: why, where that is not the making of an output: `check` for a quality check.
RunInput = link(
    End("Run", names=("input_of_runs",)),
    End("Artifact", names=("input_artifacts",), cascade=True),
    name="RunInput",
    columns=[Column("kind", String(20))],
    tracked=False,
)
# What a run made again although it was there.
Recreation = link(
    End("Run", names=("recreating_runs",)),
    End("Artifact", names=("recreated_artifacts",), cascade=True),
    name="Recreation",
    tracked=False,
)
CollectionInput = link(
    End("Run", names=("input_of_runs",)),
    End("Collection", names=("input_collections",), cascade=True),
    name="CollectionInput",
    tracked=False,
)
CollectionRecreation = link(
    End("Run", names=("recreating_runs",)),
    End("Collection", names=("recreated_collections",), cascade=True),
    name="CollectionRecreation",
    tracked=False,
)
