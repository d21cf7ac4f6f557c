"""Where bytes lie: a root, how to reach it, and whether it may be written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lamart_core import errors

READ_ONLY_PROTOCOLS = ("http", "https")


@dataclass(frozen=True)
class Location:
    """Where the bytes of a storage lie.

    Attributes:
        root: Normalised root: an absolute local path, or a URL. An S3 root may carry `?endpoint_url=…`.
        options: Options for the fsspec file system, for example credentials; `repr` does not show them.
        read_only: Whether writing and deleting is refused.
        guard: Raises unless what lies at the root is the store that is meant; asked before anything is written,
            removed, or called missing. None where nobody manages the place.
    """

    root: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False, repr=False)
    read_only: bool = False
    guard: Callable[[], None] | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the guard out of a pickled copy: it knows the database, and its password."""
        return {**vars(self), "guard": None}

    @property
    def protocol(self) -> str:
        """Protocol of the root; `file` for a local one."""
        protocol, separator, _ = self.root.partition("://")
        return protocol if separator else "file"

    def check_writable(self) -> None:
        """Refuse to write to a location that is only read, and to a place where another store lies, or none.

        Raises:
            ReadOnlyStorage: Nothing may be written here.
            WrongStorage: What lies at the root is not the store that is meant.
        """
        self.check_not_read_only()
        self.check_guarded()

    def check_guarded(self) -> None:
        """Refuse a place where another store lies, or none.

        Raises:
            WrongStorage: What lies at the root is not the store that is meant.
        """
        if self.guard is not None:
            self.guard()

    def check_not_read_only(self) -> None:
        """Refuse to write to a location that is only read.

        Raises:
            ReadOnlyStorage: Nothing may be written here.
        """
        if self.read_only or self.protocol in READ_ONLY_PROTOCOLS:
            raise errors.ReadOnlyStorage(
                f"the storage {self.root} is only read: another registry manages it, or its protocol cannot write; "
                "choose another storage location"
            )
