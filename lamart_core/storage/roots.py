"""Roots of storage locations: their normal form, which of them covers a path, who manages them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lamart_core import errors
from lamart_core.storage.filesystem import PROTOCOLS, Location
from lamart_core.storage.keys import RESERVED, is_reserved

MARKER = f"{RESERVED}/storage_uid.txt"


@dataclass(frozen=True)
class Marker:
    """What the marker file of a location says: the uid of the storage, and of the registry that manages it."""

    storage_uid: str
    registry_uid: str


def normalise_root(root: str) -> str:
    """Return the normal form of a root: absolute, `~` expanded, no trailing slash, `?endpoint_url=` kept.

    Raises:
        InvalidArgument: The protocol is not supported, or the root lies in a reserved folder.
    """
    if "://" not in root:
        normal = os.path.abspath(os.path.expanduser(root))
        if is_reserved(normal):
            raise errors.InvalidArgument(f"the root {root!r} lies in a reserved folder {RESERVED}/")
        return normal
    protocol, _, rest = root.partition("://")
    if protocol == "file":
        return normalise_root("/" + rest.lstrip("/"))
    if protocol not in PROTOCOLS:
        raise errors.InvalidArgument(
            f"the protocol {protocol!r} of {root!r} is not supported; use one of {', '.join(PROTOCOLS)}"
        )
    base, question, query = rest.partition("?")
    if is_reserved(base):
        raise errors.InvalidArgument(f"the root {root!r} lies in a reserved folder {RESERVED}/")
    return f"{protocol}://{base.rstrip('/')}{question}{query}"


def storage_type(root: str) -> str:
    """Return `local`, or the protocol of a remote root."""
    return "local" if "://" not in root else root.partition("://")[0]


def match_root(path: str, roots: Iterable[str]) -> str | None:
    """Return the longest root that covers a path, on whole segments, or None."""
    matching = (root for root in roots if _covers(_bare(root), _bare(path)))
    return max(matching, key=lambda root: len(_bare(root)), default=None)


def relative_to(path: str, root: str) -> str:
    """Return the part of a path below a root that covers it."""
    return _bare(path)[len(_bare(root)) :].lstrip("/")


def bucket_of(url: str) -> str:
    """Return the widest root of a remote path: bucket or host."""
    protocol, _, rest = url.partition("://")
    base, question, query = rest.partition("?")
    return f"{protocol}://{base.split('/')[0]}{question}{query}"


def _bare(path: str) -> str:
    return path.partition("?")[0].rstrip("/") if "://" in path else path.rstrip("/")


def _covers(root: str, path: str) -> bool:
    return path == root or path.startswith(root + "/")


def read_marker(location: Location) -> Marker | None:
    """Return the marker of a location, or None when nobody manages it."""
    try:
        lines = location.path(MARKER).read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return Marker(lines[0], lines[1]) if len(lines) > 1 else None


def write_marker(location: Location, marker: Marker) -> None:
    """Mark a location as managed.

    Raises:
        StorageError: The location cannot be written to.
    """
    path = location.path(MARKER)
    try:
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{marker.storage_uid}\n{marker.registry_uid}\n")
    except (OSError, NotImplementedError) as error:
        raise errors.ReadOnlyStorage(f"cannot write to {location.root}: {error}") from error


def normalise_source(path: str) -> str:
    """Return the absolute form of a local path or `file://` URL, `~` expanded, links kept as they are."""
    if path.startswith("file://"):
        path = "/" + path.removeprefix("file://").lstrip("/")
    return os.path.abspath(os.path.expanduser(path))
