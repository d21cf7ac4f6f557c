"""What the Dagster UI shows of a stored artifact."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from lamart_core import formats
from lamart_core.errors import DrawingError, LamartError
from lamart_core.formats import Preview
from lamart_core.lineage import lineage_graph
from lamart_core.logging import logger

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact

MAX_INPUTS = 100
COLUMN_LINEAGE = "dagster/column_lineage"


@dataclass(frozen=True)
class InputUse:
    """An artifact that a step read.

    Attributes:
        label: The asset, or the output of a step, that it holds.
        artifact: The version that was read.
        partition: Its partition key.
        is_pinned: Whether the version was chosen by hand.
        asset: The asset.
    """

    label: str
    artifact: Artifact
    partition: str | None = None
    is_pinned: bool = False
    asset: dg.AssetKey | None = None


def artifact_metadata(
    artifact: Artifact, outcome: str, *, preview: Preview | None = None, is_partition: bool = False
) -> dict[str, Any]:
    """Return what identifies and describes an artifact.

    Args:
        artifact: The artifact.
        outcome: What storing it did: `created`, `new version` or `re-created`.
        preview: What it looks like.
        is_partition: Whether it is one partition of an asset, whose rows Dagster adds up.
    """
    metadata: dict[str, Any] = {
        "dagster/uri": dg.MetadataValue.url(str(artifact.path)),
        "lamart/key": dg.MetadataValue.text(artifact.key or ""),
        "lamart/uid": dg.MetadataValue.text(artifact.uid),
        "lamart/version": dg.MetadataValue.text(artifact.version),
        "lamart/hash": dg.MetadataValue.text(artifact.hash or ""),
        "lamart/outcome": dg.MetadataValue.text(outcome),
    }
    if artifact.size is not None:
        metadata["lamart/size"] = dg.MetadataValue.int(artifact.size)
    if artifact.n_files is not None:
        metadata["lamart/n_files"] = dg.MetadataValue.int(artifact.n_files)
    rows = artifact.n_observations
    if rows is None and preview is not None:
        rows = preview.row_count
    if rows is not None:
        metadata["dagster/partition_row_count" if is_partition else "dagster/row_count"] = dg.MetadataValue.int(rows)
    if preview is not None:
        metadata |= preview_metadata(preview)
    return metadata


def preview_metadata(preview: Preview) -> dict[str, Any]:
    """Return columns and a picture in text of an object."""
    metadata: dict[str, Any] = {"lamart/preview": dg.MetadataValue.md(preview.markdown)}
    if preview.shape is not None:
        metadata["lamart/shape"] = dg.MetadataValue.text(" × ".join(map(str, preview.shape)))
    if preview.columns:
        columns = [dg.TableColumn(column.name, column.type) for column in preview.columns]
        metadata["dagster/column_schema"] = dg.MetadataValue.table_schema(dg.TableSchema(columns))
    return metadata


def inputs_metadata(uses: Sequence[InputUse]) -> dict[str, Any]:
    """Return the table of the versions that a step read; nothing when it read none."""
    if not uses:
        return {}
    records = [
        dg.TableRecord(
            {
                "input": use.asset.to_user_string() if use.asset is not None else use.label,
                "partition": use.partition or "",
                "version": use.artifact.version,
                "uid": use.artifact.uid,
                "key": use.artifact.key or "",
                "pinned": use.is_pinned,
            }
        )
        for use in uses[:MAX_INPUTS]
    ]
    metadata: dict[str, Any] = {"lamart/inputs": dg.MetadataValue.table(records, _INPUTS_SCHEMA)}
    if len(uses) > MAX_INPUTS:
        metadata["lamart/n_inputs"] = dg.MetadataValue.int(len(uses))
    return metadata


def column_lineage_metadata(given: Mapping[str, Any], uses: Sequence[InputUse]) -> dict[str, Any]:
    """Return the column lineage that an asset states as a table, with the versions that its columns came from.

    Dagster draws `dagster/column_lineage` only in Dagster+.

    Args:
        given: Metadata of the output and of the asset.
        uses: What the step read.
    """
    stated = given.get(COLUMN_LINEAGE)
    lineage = stated.value if isinstance(stated, dg.TableColumnLineageMetadataValue) else stated
    if not isinstance(lineage, dg.TableColumnLineage):
        return {}
    versions = {use.asset: f"{use.artifact.uid} (version {use.artifact.version})" for use in uses if use.asset}
    records = [
        dg.TableRecord(
            {
                "column": column,
                "from asset": dep.asset_key.to_user_string(),
                "from column": dep.column_name,
                "of artifact": versions.get(dep.asset_key, ""),
            }
        )
        for column, deps in sorted(lineage.deps_by_column.items())
        for dep in deps
    ]
    return {"lamart/column_lineage": dg.MetadataValue.table(records, _LINEAGE_SCHEMA)} if records else {}


def lineage_picture(artifact: Artifact) -> dict[str, Any]:
    """Return a picture of what led to an artifact; nothing, and a warning, where it cannot be drawn."""
    try:
        picture = lineage_graph(artifact, with_children=False).draw()
    except DrawingError as error:  # a picture is a courtesy: what is stored is stored
        logger.warning("the lineage of %s is not drawn: %s", artifact.key, error)
        return {}
    encoded = base64.b64encode(picture).decode("ascii")
    return {"lamart/lineage": dg.MetadataValue.md(f"![lineage](data:image/svg+xml;base64,{encoded})")}


def preview_of(data: Any, artifact: Artifact) -> Preview | None:
    """Return what stored data looks like; None when its format cannot tell.

    Args:
        data: What was stored: an object, or the path of a file or folder.
        artifact: What it was stored as.
    """
    try:
        if isinstance(data, Path):
            return formats.for_path(data, artifact.suffix).preview(data, suffix=artifact.suffix)
        return formats.for_object(data, artifact.suffix).preview(data, suffix=artifact.suffix)
    except (LamartError, OSError):  # a preview is a courtesy: what is stored is stored
        return None


_INPUTS_SCHEMA = dg.TableSchema(
    [
        dg.TableColumn("input", "string"),
        dg.TableColumn("partition", "string"),
        dg.TableColumn("version", "string"),
        dg.TableColumn("uid", "string"),
        dg.TableColumn("key", "string"),
        dg.TableColumn("pinned", "bool"),
    ]
)
_LINEAGE_SCHEMA = dg.TableSchema(
    [
        dg.TableColumn("column", "string"),
        dg.TableColumn("from asset", "string"),
        dg.TableColumn("from column", "string"),
        dg.TableColumn("of artifact", "string"),
    ]
)
