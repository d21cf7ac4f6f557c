"""Remote locations: their names as fsspec takes them, and the file system that reaches them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fsspec
from fsspec import AbstractFileSystem
from upath import UPath

from lamart_core import errors
from lamart_core.storage.location import Location
from lamart_core.storage.names.keys import check_inside
from lamart_core.storage.objectstore.limits import BY_INSTANCE, limit
from lamart_core.storage.objectstore.options import complete, fingerprint

_EXTRA = {"s3": "aws", "gs": "gcs", "az": "azure", "abfs": "azure", "http": "http", "https": "http", "hf": "hf"}
_ACCOUNT = (
    "; Azure needs an account_name and what proves it, or a connection_string: there, or in the environment as "
    "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, …"
)
_NEEDED = {"az": _ACCOUNT, "abfs": _ACCOUNT}

# One instance a process and location. fsspec would make one a thread, each with connections of its own; and a child
# process must not use the event loop and the sockets of its parent, so they are found by process id.
_filesystems: dict[tuple[int, str], AbstractFileSystem] = {}
_MOST = 64  # credentials that are renewed every hour need a new one each time; the oldest are dropped
_lock = threading.Lock()


@dataclass(frozen=True)
class Remote(Location):
    """A remote location, and how to reach it."""

    def path(self, relpath: str = "") -> UPath:
        """Return the path of an object as a path object.

        Raises:
            InvalidArgument: The path would lead out of the location.
            MissingExtra: The library for this protocol is not installed.
        """
        filesystem = self.fs  # a missing library is an error here, and not where the path is used
        path = UPath(self.url(relpath), **complete(self.root, self.options))
        if self.protocol in BY_INSTANCE:
            path._fs_cached = filesystem  # one that it made itself would have no limits
        return path

    def url(self, relpath: str = "") -> str:
        """Return the URL of an object in a remote location, as `fs` takes it.

        Raises:
            InvalidArgument: The path would lead out of the location.
        """
        base = self.root.partition("?")[0]
        if not relpath:
            return base
        check_inside(relpath)
        if self.protocol == "s3" and "?versionId=" in relpath:
            raise errors.InvalidArgument(f"{relpath!r}: to S3 '?versionId=' is no part of a name; rename the file")
        return f"{base.rstrip('/')}/{relpath}"

    def stored_name(self, relpath: str = "") -> str:
        """Return the name of an object as listings of a remote location give it: without protocol and last slash."""
        # fsspec's own hook for this; it has no public name.
        name: Any = self.fs._strip_protocol(self.url(relpath))  # pyright: ignore[reportPrivateUsage]
        return str(name).rstrip("/")

    @property
    def fs(self) -> AbstractFileSystem:
        """The fsspec file system of the location: one for all threads of this process.

        Do not keep it: after a fork the child needs another one, and so does whoever has new credentials; this
        property gives it.

        Raises:
            MissingExtra: The library for this protocol is not installed.
        """
        options = complete(self.root, self.options)
        key = (os.getpid(), fingerprint(self.protocol, options))
        filesystem = _filesystems.get(key)
        if filesystem is not None:
            return filesystem
        with _lock:
            if key not in _filesystems:
                _filesystems[key] = self._make(options)
                while len(_filesystems) > _MOST:
                    del _filesystems[next(iter(_filesystems))]
            return _filesystems[key]

    def _make(self, options: Mapping[str, Any]) -> AbstractFileSystem:
        # The memory file system is one for the process by design; all others get an instance of their own.
        alone = {} if self.protocol == "memory" else {"skip_instance_cache": True}
        try:
            made = fsspec.filesystem(self.protocol, **alone, **options)
        except ImportError as error:
            raise self._missing(error) from error
        except (TypeError, ValueError, KeyError) as error:
            # The library's own message might repeat what was passed, credentials included.
            raise errors.InvalidArgument(
                f"a file system for {self.root} cannot be made from the storage options {sorted(self.options)}: "
                f"{type(error).__name__}{_NEEDED.get(self.protocol, '')}"
            ) from None
        limit(self.protocol, made, options)
        return made

    def _missing(self, error: ImportError) -> errors.MissingExtra:
        library = error.name or str(error)
        return errors.MissingExtra(library, _EXTRA.get(self.protocol, "all"), f"a storage at {self.protocol}://")


def _after_fork() -> None:
    # The parent's instances die with their loops; and the lock may have been held by a thread that is not here.
    global _lock
    _filesystems.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
