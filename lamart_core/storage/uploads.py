"""One file into an object store: in one atomic step, never over what another writer has put there."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamart_core import uids
from lamart_core.errors import ObjectExists, PathNotFound
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.keys import is_reserved
from lamart_core.storage.progress import Bar, BarCallback

_PART = 16 * 2**20  # bytes; what is held in memory for one file is this times the parts at once
_MOST_PARTS = 9_000  # S3 takes 10,000
PARTS_AT_ONCE = 4
_NO_CONDITIONS = {"NotImplemented", "InvalidArgument", "InvalidRequest", "501", "400"}
_MARK = "lamart-put"


@dataclass(frozen=True)
class Head:
    """What a store says of one object.

    Attributes:
        size: Size in bytes.
        mark: What an upload of ours has left there to know its own object again; None in other objects, and where
            the store keeps no metadata.
    """

    size: int
    mark: str | None


def head(location: Location, relpath: str) -> Head:
    """Ask for one object: one request.

    Raises:
        PathNotFound: It is not there.
        StorageError: The storage failed or refused.
    """
    with reading(location.root, relpath):
        if location.protocol != "s3":
            return Head(int(location.fs.info(location.url(relpath))["size"]), None)
        answer = head_s3(location, relpath)
        return Head(int(answer["ContentLength"]), answer.get("Metadata", {}).get(_MARK))


def head_s3(location: Location, relpath: str) -> Mapping[str, Any]:
    """Return the server's answer to a HEAD request; the file system's own one lists too when nothing is there."""
    filesystem: Any = location.fs
    bucket, key, _ = filesystem.split_path(location.url(relpath))
    return filesystem.call_s3("head_object", Bucket=bucket, Key=key)


def part_size(size: int) -> int:
    """Return how large the parts of a transfer are, in bytes."""
    return max(_PART, math.ceil(size / _MOST_PARTS))


def upload(source: Path, location: Location, relpath: str, *, bar: Bar, checked: bool = True) -> int:
    """Upload one file.

    Args:
        source: The file.
        location: Storage to write to.
        relpath: Path of the new object.
        bar: Progress that the transfer is part of.
        checked: Whether the store is asked afterwards for what it has, at the price of one request.

    Returns:
        Size in bytes that the store has; of the source when it was not asked.

    Raises:
        ObjectExists: Another writer has taken the name.
        StorageError: The storage failed or refused; nothing is left there.
    """
    size = source.stat().st_size
    url, callback = location.url(relpath), BarCallback(bar)
    if location.protocol != "s3":
        try:
            with writing(location.root):
                filesystem: Any = location.fs
                filesystem.put_file(str(source), url, callback=callback)
                return head(location, relpath).size if checked else size
        except BaseException:
            remove_quietly(location, relpath)
            raise
    mark = uids.base62(20)
    try:
        with writing(location.root):
            _put_s3(location, source, url, size, mark, callback)
    except BaseException as error:
        found = _found(location, relpath)
        if found is not None and found.mark == mark:
            # The store has it, only its answer was lost; the client tried again, and met its own object.
            if isinstance(error, Exception) and found.size == size:
                return size
            remove_quietly(location, relpath)
        elif is_reserved(relpath) and not isinstance(error, ObjectExists):  # a name that nobody else can choose
            remove_quietly(location, relpath)
        raise
    if not checked:
        return size
    with writing(location.root):
        stored = head(location, relpath)
    if stored.mark not in (mark, None):
        # A store without conditional writes: somebody has overwritten the object in this moment, and keeps it.
        raise ObjectExists(f"{relpath!r} in {location.root} was written by another writer in the same moment")
    return stored.size


def _put_s3(location: Location, source: Path, url: str, size: int, mark: str, callback: BarCallback) -> None:
    filesystem: Any = location.fs
    options = {
        "chunksize": part_size(size),
        "max_concurrency": PARTS_AT_ONCE,
        "callback": callback,
        "Metadata": {_MARK: mark},
    }
    try:
        filesystem.put_file(str(source), url, mode="create", **options)
    except OSError as error:
        if isinstance(error, FileExistsError) or server_code(error) == "PreconditionFailed":
            raise ObjectExists(f"{url!r} exists already; stored objects are never overwritten") from error
        if server_code(error) not in _NO_CONDITIONS:
            raise
        filesystem.put_file(str(source), url, **options)  # a store that knows no conditional writes


def server_code(error: BaseException) -> str:
    """Return the code of the server's answer that an error stands for; "" when there was no answer."""
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _found(location: Location, relpath: str) -> Head | None:
    try:
        return head(location, relpath)
    except PathNotFound:
        return None
    except Exception:  # on the way out with the real error
        return None


def remove_quietly(location: Location, relpath: str) -> None:
    """Remove an object on the way out with the real error; what stays is unclaimed, and collected later."""
    with contextlib.suppress(Exception):
        location.fs.rm_file(location.url(relpath))
