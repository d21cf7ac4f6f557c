"""Finding an artifact by the path of its bytes; everything else that `get` takes is a query."""

from __future__ import annotations

from pathlib import Path

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.query import QuerySet
from lamart_core.records import ArtifactRecord, Storage, StoredObject
from lamart_core.storage import address_of, match_root, normalise_source, relative_to, seen_from_root
from lamart_core.types import AnyPathStr


def id_of_path(model: type[ArtifactRecord], registry: Registry, path: AnyPathStr) -> int:
    """Return the id of the artifact whose bytes lie at a path.

    Raises:
        ObjectDoesNotExist: There is none.
    """
    text = address_of(path) if "://" in str(path) else normalise_source(str(path))
    locations = {item.root: item for item in QuerySet(Storage, registry).filter().to_list()}
    if "://" not in text:
        text = str(seen_from_root(Path(text), locations))
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
