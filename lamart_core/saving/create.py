"""Stage, resolve, put and commit in one call, for those who track the state of a key over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from lamart_core.db import Registry, model_class
from lamart_core.objects.plan import Dedup, MayFollow, SaveResult
from lamart_core.records import ArtifactRecord, Run
from lamart_core.saving import construct
from lamart_core.saving.construct import Request
from lamart_core.saving.save import save

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact


def create(
    registry: Registry,
    data: Any,
    *,
    key: str,
    run: Run | None = None,
    kind: str | None = None,
    description: str | None = None,
    dedup: str = "head",
    overwrite_versions: bool = False,
    suffix: str | None = None,
    options: dict[str, Any] | None = None,
    extra_data: dict[str, Any] | None = None,
    may_follow: MayFollow | None = None,
) -> SaveResult:
    """Save data under a key, and say whether that made a new version.

    Args:
        registry: Registry to save to.
        data: Object of a registered format, or the path of a file or folder.
        key: Key of the artifact.
        run: The run that made the data.
        kind: `dataset`, `model` or another word of at most 20 characters.
        description: Free text.
        dedup: `head`: content equal to the latest version of this key is that version, anything else a new version
            that shares stored bytes. `registry`: content that is known anywhere is the existing artifact.
        overwrite_versions: Whether a folder keeps the files of its latest version only.
        suffix: Suffix of the stored object; by default that of the key, else that of the format.
        options: Keyword groups for the writer, for example `{"parquet_kwargs": {…}}`.
        extra_data: JSON that is stored with a new artifact.
        may_follow: Called with the row of the version that the data would follow, or is; raises where it may not.

    Returns:
        The artifact, and the outcome: created, new version, re-created, existing or restored.
    """
    model: type[Artifact] = model_class("Artifact")  # pyright: ignore[reportAssignmentType]
    request = Request(
        key=key,
        run=run if run is not None else False,
        kind=kind,
        description=description,
        dedup=Dedup(dedup),
        overwrite_versions=overwrite_versions,
        suffix=suffix,
        extra_data=extra_data,
        may_follow=may_follow,
        skip_hash_lookup=False if dedup == "head" else None,
    )
    record: ArtifactRecord = model._blank()
    if isinstance(data, Path | UPath):
        construct.from_path(record, registry, data, request)
    else:
        construct.from_object(record, registry, data, request, options)
    return save(record)
