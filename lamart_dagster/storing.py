"""Storing what an asset or op returned."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from upath import UPath

from lamart_core import formats, uids
from lamart_core.artifact import Artifact
from lamart_core.db import Registry
from lamart_core.errors import InvalidArgument, UnsupportedObject
from lamart_core.lineage import Made, record_makers
from lamart_core.objects.plan import Outcome
from lamart_core.records import Run
from lamart_core.saving.create import create
from lamart_core.storage import suffix_of
from lamart_dagster.ownership import owner_data
from lamart_dagster.targets import Target

PICKLE_SUFFIX = ".pkl"


@dataclass(frozen=True)
class Stored:
    """An artifact, and what storing it did.

    Attributes:
        artifact: The version that holds the content.
        outcome: `created`, `new version`, or `re-created` when the latest version holds it already.
        data: What was stored, as an object or a local path, for previews.
    """

    artifact: Artifact
    outcome: str
    data: Any


def store(
    registry: Registry,
    data: Any,
    target: Target,
    run: Run | None = None,
    *,
    description: str | None = None,
    allow_pickle: bool = False,
) -> Stored:
    """Store an object, a file or folder, or an artifact that was saved already, as what it is.

    Content that equals the latest version under the target's name is that version; anything else is a new one.

    Args:
        registry: Where to store it.
        data: Object of a registered format, path of a file or folder, or saved artifact.
        target: What it is.
        run: The run that made it.
        description: Free text.
        allow_pickle: Whether objects that no format takes are pickled.

    Raises:
        UnsupportedObject: No format takes the object; the message says how to register one.
        InvalidArgument: The suffix is not the one that the key asks for, or the artifact is of another registry.
        PathNotFound: There is nothing at the path.
        StorageError: The storage refused the bytes; nothing is registered then.
    """
    if isinstance(data, Artifact):
        return _store_artifact(registry, data, target, run, description)
    if isinstance(data, Path | UPath):
        return _create(registry, data, target, suffix_of(data.name, is_folder=data.is_dir()), run, description)
    try:
        suffix = target.name.suffix or formats.for_object(data).default_suffix(data)
        return _create(registry, data, target, suffix, run, description)
    except UnsupportedObject as error:
        if not allow_pickle:
            raise UnsupportedObject(f"{target.label} cannot be stored: {error}") from error
    with tempfile.TemporaryDirectory(prefix="lamart-") as folder:
        path = Path(folder, f"object{PICKLE_SUFFIX}")
        path.write_bytes(pickle.dumps(data))
        return _create(registry, path, target, PICKLE_SUFFIX, run, description)


def _create(
    registry: Registry, data: Any, target: Target, suffix: str, run: Run | None, description: str | None
) -> Stored:
    result = create(
        registry,
        data,
        key=target.name.key_for(suffix),
        run=run,
        description=description,
        suffix=suffix or None,
        extra_data=owner_data(target.owner) if target.owner is not None else None,
        may_follow=lambda row: target.check_owner(row["extra_data"], row["key"]),
    )
    artifact = cast("Artifact", result.artifact)
    return Stored(artifact, _outcome(artifact, result.outcome), data)


def _outcome(artifact: Artifact, outcome: Outcome) -> str:
    # What exists was made by an earlier attempt of the same run.
    return _made(artifact) if outcome is Outcome.EXISTING else outcome.value


def _made(artifact: Artifact) -> str:
    """Return what making an artifact was; versions before it may have been deleted since."""
    return (Outcome.NEW_VERSION if uids.version_number(artifact.uid) else Outcome.CREATED).value


def _store_artifact(
    registry: Registry, artifact: Artifact, target: Target, run: Run | None, description: str | None
) -> Stored:
    if not artifact.is_saved:
        raise InvalidArgument(f"{target.label} returned an artifact that is not saved: return it after .save()")
    if artifact.registry != registry:
        raise InvalidArgument(
            f"{target.label} returned an artifact of {artifact.registry!r}, but its IO manager stores in {registry!r}"
        )
    latest = artifact.refresh()
    if latest.key is not None and target.name.matches(latest.key) and latest.is_latest:
        target.check_owner(latest.extra_data, latest.key)
        return Stored(latest, _adopt(registry, latest, run), latest.cache(is_run_input=False))
    with _linked(latest) as path:
        stored = _create(registry, path, target, latest.suffix, run, description)
        return Stored(stored.artifact, stored.outcome, latest.cache(is_run_input=False))


def _adopt(registry: Registry, artifact: Artifact, run: Run | None) -> str:
    """Record the run behind an artifact that already has the right name."""
    if run is None or artifact.run_id == run.id:
        return _made(artifact)
    if artifact.run_id is None:
        artifact.run = run
        artifact.save()
        return _made(artifact)
    made = [Made(artifact.id, run.id, artifact.run_id)]
    registry.unit_of_work(lambda connection: record_makers(connection, artifact.__table__, made))
    return Outcome.RECREATED.value


@contextmanager
def _linked(artifact: Artifact) -> Generator[Path, None, None]:
    """Give the bytes of an artifact at a path of their own, without copying where the file system has hard links."""
    source = artifact.cache(is_run_input=False)
    with tempfile.TemporaryDirectory(prefix="lamart-") as folder:
        target = Path(folder, f"content{artifact.suffix}")
        if source.is_dir():
            shutil.copytree(source, target, copy_function=_link)
        else:
            _link(source, target)
        yield target


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
