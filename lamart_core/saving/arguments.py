"""The arguments of a constructor: what they may be, checked before anything is read or written."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import select

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID, Registry, model_class
from lamart_core.db.checks import check_values, copied
from lamart_core.objects.plan import Dedup, MayFollow
from lamart_core.query import QuerySet
from lamart_core.query.language.model import check_registry
from lamart_core.records import ArtifactRecord, Branch, Run, Space, SQLRecord, Storage, storage_locations
from lamart_core.records.locations import known_root
from lamart_core.storage import address_of, check_suffix, clean_key, normalise_root

T = TypeVar("T", bound=SQLRecord)


@dataclass(frozen=True)
class Request:
    """The keywords of a constructor, as they were passed."""

    key: str | None = None
    description: str | None = None
    kind: str | None = None
    otype: str | None = None
    revises: Any = None
    overwrite_versions: bool | None = None
    run: Run | bool | None = None
    storage: Storage | None = None
    branch: Branch | None = None
    space: Space | None = None
    skip_hash_lookup: bool | None = None
    key_is_virtual: bool | None = None
    version_tag: str | None = None
    n_observations: int | None = None
    extra_data: dict[str, Any] | None = None
    dedup: Dedup = Dedup.REGISTRY
    suffix: str | None = None
    may_follow: MayFollow | None = None


_KNOWN_OTHERS = (
    "otype",
    "n_observations",
    "version",
    "version_tag",
    "extra_data",
    "run_id",
    "storage_id",
    "branch_id",
    "space_id",
    "kind",
    "overwrite_versions",
    "storage",
    "branch",
    "space",
    "skip_hash_lookup",
    "key_is_virtual",
)
_FLAGS = ("overwrite_versions", "skip_hash_lookup", "key_is_virtual")
_FIELDS = ("description", "kind", "otype", "version_tag", "n_observations", "extra_data")


def refuse_unsupported(features: Any, schema: Any) -> None:
    """Raise InvalidArgument for keywords that are there for later versions."""
    for name, value in (("features", features), ("schema", schema)):
        if value is not None:
            raise errors.InvalidArgument(f"{name}=… is not supported yet by this version of lamart-dagster")


def with_others(registry: Registry, request: Request, others: dict[str, Any]) -> Request:
    """Take in the rarer keywords: fields, and ids instead of records.

    Raises:
        FieldValidationError: A keyword is unknown.
        InvalidArgument: A record and its id were passed.
    """
    unknown = sorted(set(others) - set(_KNOWN_OTHERS))
    if unknown:
        named = inspect.signature(model_class("Artifact").__init__).parameters
        names = [name for name in named if name not in ("self", "others", "args")]
        raise errors.FieldValidationError(
            f"Artifact() got unknown keywords {unknown}; it takes: {', '.join(sorted({*names, *_KNOWN_OTHERS}))}"
        )
    values = dict(others)
    if "version" in values:
        values["version_tag"] = values.pop("version")
    for name, model in (("run", Run), ("storage", Storage), ("branch", Branch), ("space", Space)):
        record_id = values.pop(f"{name}_id", None)
        if record_id is None:
            continue
        if getattr(request, name) is not None or values.get(name) is not None:
            raise errors.InvalidArgument(f"pass either {name} or {name}_id, not both")
        values[name] = QuerySet(model, registry).get(record_id)
    return replace(request, **values)


def checked(registry: Registry, request: Request) -> Request:
    """Return the arguments in their final form: keys in their normal form, records instead of names and roots.

    Raises:
        InvalidKey: The key is no clean relative path.
        InvalidArgument: An argument has the wrong type, is too long, or means a record that is not saved, not of this
            registry, or in the trash.
        UnsupportedObject: `revises` is no artifact.
        UnknownStorageLocation: `storage` is the root of no registered location.
    """
    values: dict[str, Any] = {}
    if request.key is not None:
        values["key"] = clean_key(request.key)
    for name in _FLAGS:
        flag = getattr(request, name)
        if flag is not None and not isinstance(flag, bool):
            raise errors.InvalidArgument(f"{name} is None, True or False, got {flag!r}")
    check_values(model_class("Artifact"), {name: getattr(request, name) for name in _FIELDS})
    _check_content(request)
    if request.extra_data is not None:
        values["extra_data"] = copied(request.extra_data)
    _check_revised(registry, request.revises)
    if request.run is not None and request.run is not False:
        _check_record(registry, request.run, Run, "run", "None, False or a Run")
    values["storage"] = _storage(registry, request.storage)
    values["branch"] = named(registry, request.branch, Branch, "branch")
    values["space"] = named(registry, request.space, Space, "space")
    if values["branch"] is not None and values["branch"].id == TRASH_BRANCH_ID:
        raise errors.InvalidArgument("an artifact cannot be made in the trash; delete() moves it there")
    return replace(request, **values)


def _check_content(request: Request) -> None:
    if request.n_observations is not None and request.n_observations < 0:
        raise errors.InvalidArgument(f"n_observations is a number of things, got {request.n_observations}")
    if request.suffix is not None:
        check_suffix(request.suffix)


def _check_revised(registry: Registry, revises: Any) -> None:
    if revises is None:
        return
    if not isinstance(revises, ArtifactRecord):
        raise errors.UnsupportedObject(f"`revises` has to be an Artifact, got {type(revises).__name__}")
    _check_record(registry, revises, ArtifactRecord, "revises", "an Artifact")
    if revises.branch_id == TRASH_BRANCH_ID:
        raise errors.InvalidArgument(f"{revises.uid} is in the trash; restore() it before it is revised")


def _check_record(registry: Registry, value: Any, model: type[T], name: str, wanted: str) -> T:
    if not isinstance(value, model):
        raise errors.InvalidArgument(f"{name} has to be {wanted}, got {type(value).__name__}: {value!r}")
    if not value.is_saved:
        raise errors.InvalidArgument(f"{name}: save {value!r} first")
    check_registry(value, registry)
    return value


def _storage(registry: Registry, storage: Any) -> Storage | None:
    """Return a location; it may be given by its root, as `settings.storage` shows it."""
    if storage is None or isinstance(storage, Storage):
        return None if storage is None else _check_record(registry, storage, Storage, "storage", "a Storage")
    if not isinstance(storage, str) and not hasattr(storage, "__fspath__") and not hasattr(storage, "protocol"):
        raise errors.InvalidArgument(f"storage has to be a Storage or a root, got {type(storage).__name__}")
    root = known_root(registry, normalise_root(address_of(storage)))
    found = storage_locations(registry)
    for location in found:
        if location.root == root:
            return location
    names = ", ".join(location.root for location in found)
    raise errors.UnknownStorageLocation(
        f"{root} is no registered storage location (there are: {names}); register it with Storage(root=…).save()"
    )


def named(registry: Registry, value: Any, model: type[T], name: str) -> T | None:
    """Return a branch or space; it may be given by its name."""
    if value is None:
        return None
    if not isinstance(value, str):
        return _check_record(registry, value, model, name, f"a {model.__name__} or its name")
    columns: Any = model
    with registry.read() as session:
        found = list(session.scalars(select(model).order_by(columns.id)))
    for record in found:
        record._registry = registry
        if getattr(record, "name", None) == value:
            return record
    names = ", ".join(repr(getattr(record, "name", "")) for record in found)
    raise errors.InvalidArgument(f"there is no {name} {value!r}; there are: {names}")
