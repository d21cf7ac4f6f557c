"""Which backend a root has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lamart_core.storage.backend import Backend
from lamart_core.storage.local.backend import Local
from lamart_core.storage.objectstore.backend import ObjectStore


def backend_at(
    root: str,
    options: Mapping[str, Any] | None = None,
    *,
    read_only: bool = False,
    guard: Callable[[], None] | None = None,
) -> Backend:
    """Return the backend for a root.

    Args:
        root: Normalised root: an absolute local path, or a URL. An S3 root may carry `?endpoint_url=…`.
        options: Options for the fsspec file system, for example credentials; `repr` does not show them.
        read_only: Whether writing and deleting is refused.
        guard: Raises unless what lies at the root is the store that is meant.

    Examples:
        >>> backend_at("/data/lab").path("raw/counts.csv").as_posix()
        '/data/lab/raw/counts.csv'
    """
    kind = Local if "://" not in root else ObjectStore
    return kind(root, options if options is not None else {}, read_only, guard)
