"""Which storage location an artifact belongs to: the one that its path lies in, or the one that it is written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.logging import logger
from lamart_core.records import Storage
from lamart_core.saving import hybrid
from lamart_core.saving.arguments import Request
from lamart_core.storage import (
    address_of,
    backend_at,
    bucket_of,
    clean_key,
    is_reserved,
    match_root,
    relative_to,
)


def covering(source: Any, storages: Sequence[Storage]) -> Storage | None:
    """Return the innermost location that a path lies in."""
    root = match_root(address_of(source), [item.root for item in storages])
    return next((item for item in storages if item.root == root), None)


def check_managed(storage: Storage) -> None:
    """Raise InvalidArgument for a location that this registry does not manage."""
    if not storage.is_managed:
        raise errors.InvalidArgument(
            f"the storage location {storage.root} is not managed by this registry; nothing can be written there. If it "
            f"is only known as the place of remote objects, Storage(root={storage.root!r}).save() makes it managed"
        )


def choose(registry: Registry, request: Request, storages: Sequence[Storage]) -> Storage:
    """Return the location to write to: the one passed, one of the space passed, else the default.

    Raises:
        InvalidArgument: The location is not saved.
        NoStorageLocationForSpace: The space has no managed location.
    """
    if request.storage is not None:
        if not request.storage.is_saved:
            raise errors.InvalidArgument(f"save {request.storage!r} before writing to it")
        if request.space is None or request.space.id == request.storage.space_id:
            return request.storage
        # The space says who may see the data: they do not go where others may.
        logger.warning(
            "%s is overruled by space=%r, to which it does not belong", request.storage.root, request.space.name
        )
    if request.space is not None:
        of_space = [item for item in storages if item.space_id == request.space.id and item.is_managed]
        if not of_space:
            raise errors.NoStorageLocationForSpace(
                f"the space {request.space.name!r} has no managed storage location; "
                "create one with Storage(root=…, space=…).save(), or pass storage=…"
            )
        if len(of_space) > 1:
            logger.warning("the space %r has several storage locations, using %s", request.space.name, of_space[0].root)
        return of_space[0]
    return hybrid.target(registry, request, storages)


def check_place(source: Any, storage: Storage | None, request: Request) -> None:
    """Check that a path inside a location can be registered there, and that a key follows from it.

    Args:
        source: Path of what is to be registered.
        storage: Location that it lies in; None where it is not registered, or lies in none.
        request: What the constructor was asked for.

    Raises:
        InvalidKey: The path makes no clean key and none was passed, or it looks like another one.
    """
    text = address_of(source)
    if storage is None and "://" not in text:
        return
    root = storage.root if storage is not None else bucket_of(text)
    backend = backend_at(root)
    relpath = relative_to(text, root)
    backend.check_path(relpath)
    if request.key is not None or is_reserved(relpath):
        return
    try:
        key = clean_key(relpath)
    except errors.InvalidKey as error:
        raise errors.InvalidKey(
            f"the path is no key: {error}. Pass key=… to name it; the bytes stay where they are"
        ) from error
    if key != relpath and backend.path(key).exists() and not _is_same(backend.path(key), source):
        raise errors.InvalidKey(
            f"{relpath!r} looks like another path in {root} and differs only in how its characters are composed; "
            "pass key=… to tell them apart"
        )


def _is_same(one: Any, other: Any) -> bool:
    # Some file systems find a name in either form.
    return isinstance(one, Path) and isinstance(other, Path) and one.samefile(other)
