"""Finding one artifact: by uid, by key and version, or by the path of its bytes."""

from __future__ import annotations

from typing import Any, TypeVar

from lamart_core import errors
from lamart_core.db import MAIN_BRANCH_ID, Registry
from lamart_core.query import QuerySet
from lamart_core.records import ArtifactRecord, Storage, StoredObject
from lamart_core.storage import address_of, match_root, normalise_source, relative_to
from lamart_core.types import AnyPathStr

T = TypeVar("T", bound=ArtifactRecord)
_STEM_LENGTH = 16
_SHOWN = 50


def get(
    model: type[T],
    registry: Registry,
    idlike: int | str | None,
    *,
    key: str | None,
    path: AnyPathStr | None,
    expressions: dict[str, Any],
) -> T:
    """Return the artifact that is meant; see `Artifact.get`."""
    query = QuerySet(model, registry)
    wanted = through_run(expressions)
    version = wanted.pop("version", None)
    if path is not None:
        wanted["id"] = _id_of_path(model, registry, path)
    if key is not None:
        wanted["key"] = key
    if version is not None:
        return _get_version(query, wanted, version)
    if isinstance(idlike, str) and len(idlike) <= _STEM_LENGTH and not wanted:
        by_uid = query.filter(uid__startswith=idlike)
        return _latest(by_uid, f"uid {idlike!r} (for a key: get(key={idlike!r}))", idlike)
    if idlike is None and key is not None and set(wanted) == {"key"}:
        return _latest(query.filter(key=key), f"key {key!r}")
    return query.get(idlike, **wanted)


def through_run(expressions: dict[str, Any]) -> dict[str, Any]:
    """Read `transform…` as `run__transform…`: an artifact has a transform through its run only."""
    return {
        f"run__{name}" if name == "transform" or name.startswith("transform__") else name: value
        for name, value in expressions.items()
    }


def _latest(query: QuerySet[T], asked: str, idlike: str | None = None) -> T:
    found = query.filter(is_latest=True).order_by("-id")[:_SHOWN].to_list()
    if len({item.stem_uid for item in found}) > 1:
        raise errors.MultipleObjectsReturned(f"several artifacts match {asked}: {', '.join(map(repr, found[:3]))}")
    # A family has one latest version per branch: the current branch first, then main, which a branch falls back to.
    current = query.registry.branch_id
    found.sort(key=lambda item: (item.branch_id == current, item.branch_id == MAIN_BRANCH_ID, item.id), reverse=True)
    record = found[0] if found else query.order_by("-uid").first()
    if record is None:
        deleted = query.model._explain_missing(query.registry, idlike) if idlike is not None else None
        nothing = f"no artifact matches {asked}; what is in the trash needs branch_id=-1"
        raise errors.ObjectDoesNotExist(deleted or nothing)
    return record


def _get_version(query: QuerySet[T], expressions: dict[str, Any], version: str) -> T:
    tagged = query.filter(version_tag=version, **expressions).one_or_none()
    if tagged is not None:
        return tagged
    return query.get(None, uid__endswith=version, **expressions)


def _id_of_path(model: type[ArtifactRecord], registry: Registry, path: AnyPathStr) -> int:
    text = address_of(path) if "://" in str(path) else normalise_source(str(path))
    locations = {item.root: item for item in QuerySet(Storage, registry).filter().to_list()}
    root = match_root(text, locations)
    if root is None:
        raise errors.ObjectDoesNotExist(f"{text} lies in no registered storage location")
    relpath = relative_to(text, root)
    objects = QuerySet(StoredObject, registry).filter(storage_id=locations[root].id, path=relpath)
    stored = objects.order_by("-id").first()
    found = None if stored is None else QuerySet(model, registry).filter(object_id=stored.id).order_by("-id").first()
    if found is None:
        raise errors.ObjectDoesNotExist(f"no artifact lies at {text}")
    return found.id
