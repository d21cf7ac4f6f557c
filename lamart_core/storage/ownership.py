"""Whose store lies at a root: what its marker says, compared with what a registry expects there."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lamart_core.errors import PathNotFound, WrongStorage
from lamart_core.storage.backend import Backend
from lamart_core.storage.values import Marker


class Owner(StrEnum):
    """Whose store lies at a root."""

    OURS = "ours"
    """The location that is expected, of the registry that is expected."""
    NOBODY = "nobody"
    """The place is there and has no marker: nobody's, or what lies below the mount point of a disk that is away."""
    ABSENT = "absent"
    """There is no such folder, bucket or container."""
    OTHER_REGISTRY = "other registry"
    OTHER_LOCATION = "other location"
    """Another location of the same registry: two roots were exchanged, or one was copied over the other."""


@dataclass(frozen=True)
class Ownership:
    """What was found at a root, and what should be there.

    Attributes:
        root: The root.
        owner: Whose store it is.
        expected: The marker that should be there.
        found: The marker that is there.
        is_empty: Whether it is a folder of this machine with nothing in it, as below a mount point.
    """

    root: str
    owner: Owner
    expected: Marker
    found: Marker | None = None
    is_empty: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether the registry may write, collect and believe what it does not find here."""
        return self.owner is Owner.OURS

    def check(self) -> None:
        """Raise unless the store is the one that is expected.

        Raises:
            WrongStorage: It is not.
        """
        if not self.is_ours:
            raise WrongStorage(errno.ENOENT, str(self), self.root, self.owner.value)

    def __str__(self) -> str:
        wanted = f"the storage location {self.expected.storage_uid} of the registry {self.expected.registry_uid}"
        if self.owner is Owner.ABSENT:
            return f"{self.root} is not there, where {wanted} should be; {_AWAY}"
        if self.owner is Owner.NOBODY:
            what = "is an empty folder" if self.is_empty else "has no marker"
            return f"{self.root} {what}, where {wanted} should be; {_AWAY}"
        assert self.found is not None
        found = f"location {self.found.storage_uid} of the registry {self.found.registry_uid}"
        if self.owner is Owner.OTHER_REGISTRY:
            return f"{self.root} holds the store of another registry ({found}), where {wanted} should be; {_OTHER}"
        return f"{self.root} holds another storage location of this registry ({found}), not {wanted}; {_OTHER}"


_AWAY = (
    "nothing is written, collected or called lost there. Is its disk not mounted, or is this another machine? Mount "
    "it, or say where its files are now: storage.root = …; storage.save(). If they are lost for good, "
    "`lamart claim ROOT` makes the place that of this registry again"
)
_OTHER = (
    "nothing is written, collected or called lost there. Mount or move the right files there, or say where they are "
    "now: storage.root = …; storage.save(). If the other registry is gone, `lamart claim ROOT` takes the store over"
)


def look(backend: Backend, expected: Marker) -> Ownership:
    """Read the marker at a root: one request, or the read of a small file.

    Args:
        backend: The storage.
        expected: The marker that should be there.

    Raises:
        StorageError: The storage failed or refused.
    """
    found = backend.find_marker()
    if found is not None:
        if found.registry_uid != expected.registry_uid:
            owner = Owner.OTHER_REGISTRY
        else:
            owner = Owner.OURS if found.storage_uid == expected.storage_uid else Owner.OTHER_LOCATION
        return Ownership(backend.root, owner, expected, found)
    try:
        backend.check_reachable()
    except PathNotFound:
        return Ownership(backend.root, Owner.ABSENT, expected)
    folder = backend.path()
    is_empty = isinstance(folder, Path) and not any(name != "lost+found" for name in os.listdir(folder))
    return Ownership(backend.root, Owner.NOBODY, expected, is_empty=is_empty)
