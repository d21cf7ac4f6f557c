"""What tells one zarr folder from another: the metadata at its root, read at once. Needs no zarr."""

from __future__ import annotations

from typing import Any, cast

from upath import UPath

# Version 3; attributes and kind of version 2.
_NAMES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


def read_root(path: UPath) -> dict[str, bytes]:
    """Return the metadata at the root of a remote zarr folder by the names of their files; empty if there is none.

    Raises:
        OSError: The server failed.
    """
    fs: Any = path.fs
    names = {str(fs._strip_protocol(f"{path.path.rstrip('/')}/{name}")): name for name in _NAMES}
    # Whatever a file that is not there looks like: the server's refusal of others comes when the store is opened.
    found = fs.cat(list(names), on_error="return")
    contents: dict[str, bytes] = {}
    for name, content in cast("dict[str, Any]", found).items():
        if isinstance(content, bytes):
            contents[names[str(name)]] = content
        elif not isinstance(content, FileNotFoundError):
            raise content
    return contents
