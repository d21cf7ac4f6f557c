"""Locations: a root, how to reach it, and paths below it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from upath import UPath

from lamart_core import errors
from lamart_core.storage.keys import RESERVED

PROTOCOLS = ("file", "s3", "gs", "az", "abfs", "http", "https", "hf", "memory")
_EXTRA = {"s3": "aws"}


@dataclass(frozen=True)
class Location:
    """A storage location.

    Attributes:
        root: Normalised root: an absolute local path, or a URL. An S3 root may carry `?endpoint_url=…`.
        options: Options for the fsspec file system, for example credentials.
    """

    root: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    @property
    def is_local(self) -> bool:
        """Whether the location is a folder of this machine."""
        return "://" not in self.root

    def path(self, relpath: str = "") -> Path | UPath:
        """Return the path of an object: a `Path` in a local location, a `UPath` elsewhere.

        Raises:
            MissingExtra: The library for this protocol is not installed.
        """
        if self.is_local:
            return Path(self.root, relpath) if relpath else Path(self.root)
        base, _, _ = self.root.partition("?")
        url = f"{base}/{relpath}" if relpath else base
        protocol = base.partition("://")[0]
        try:
            return UPath(url, **_options(self.root, self.options))
        except ImportError as error:
            raise errors.MissingExtra(str(error), _EXTRA.get(protocol, "all"), f"a {protocol} storage") from error

    @property
    def temporary(self) -> Path:
        """Folder of a local location for files that are not complete yet."""
        return Path(self.root, RESERVED, "tmp")


def _options(root: str, options: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(options)
    protocol = root.partition("://")[0]
    if protocol == "s3":
        query = dict(parse_qsl(root.partition("?")[2]))
        endpoint = query.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            result.setdefault("endpoint_url", endpoint)
        # A process that was forked must not reuse the parent's event loop and sockets.
        result.setdefault("use_listings_cache", False)
    return result
