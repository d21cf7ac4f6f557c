"""What lies in the version store of a location, for whoever collects what no record claims. In bounded memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lamart_core.errors import PathNotFound, StorageError
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.keys import RANDOM_LENGTH, RESERVED
from lamart_core.storage.objects import ReservedName, StoredName, UnfinishedUpload, measure_path
from lamart_core.storage.uploads import server_code
from lamart_core.uids import STEM_LENGTH

# Only names that `object_path` makes: the reserved folder may hold other things, such as the embedded database.
_STORED = re.compile(rf"[0-9A-Za-z]{{{STEM_LENGTH + RANDOM_LENGTH}}}(\..*)?", re.DOTALL)
# What servers answer that have no unfinished uploads, or never any.
_NO_UPLOADS = {"NoSuchUpload", "NotImplemented", "MethodNotAllowed"}
_PAGE = 1000  # names that are in memory at once


def list_stored(location: Location) -> list[StoredName]:
    """List the objects in the version store of a location, whether or not a record claims them.

    All of them are in memory; `iter_reserved` is for stores of any size.

    Raises:
        StorageError: The storage failed or refused.
    """
    stored = (name for name in iter_reserved(location) if is_stored_name(name.relpath))
    measured = (measure(location, name) for name in stored)
    return sorted((found for found in measured if found is not None), key=lambda found: found.relpath)


def is_stored_name(relpath: str) -> bool:
    """Return whether `object_path` may have made a path: whether it is an object of a version store."""
    folder, _, name = relpath.partition("/")
    return folder == RESERVED and _STORED.fullmatch(name) is not None


def iter_reserved(location: Location) -> Iterator[ReservedName]:
    """Go through the names in the reserved folder of a location, one level deep, in no order.

    A local folder and a bucket of S3 are read page by page, so that any number of names needs little memory.

    Raises:
        StorageError: The storage failed or refused.
    """
    if location.is_local:
        return _local(location)
    return _s3(location) if location.protocol == "s3" else _listed(location)


def iter_beginning(location: Location, beginning: str) -> Iterator[list[ReservedName]]:
    """Go through the objects in the reserved folder of a remote location whose names begin in some way.

    Args:
        location: A remote location.
        beginning: What the names begin with.

    Returns:
        Of S3 pages of up to 1,000 names, each by one request; elsewhere all at once. In no order.

    Raises:
        StorageError: The storage failed or refused.
    """
    return _s3_pages(location, beginning) if location.protocol == "s3" else iter([_found(location, beginning)])


def _local(location: Location) -> Iterator[ReservedName]:
    folder = location.local(RESERVED)
    if not folder.is_dir():
        return
    with reading(location.root, RESERVED), os.scandir(folder) as entries:
        for entry in entries:
            yield ReservedName(f"{RESERVED}/{entry.name}", entry.is_dir(follow_symlinks=False))


def _listed(location: Location) -> Iterator[ReservedName]:
    """Go through the names that a file system without pages lists at once."""
    prefix = location.stored_name(RESERVED) + "/"
    try:
        with reading(location.root, RESERVED):
            listed: Any = location.fs.ls(location.url(RESERVED), detail=True)
    except PathNotFound:
        return
    for info in listed:
        name = str(info["name"]).rstrip("/").removeprefix(prefix)
        is_folder = info["type"] == "directory"
        if name:
            yield ReservedName(
                f"{RESERVED}/{name}", is_folder, None if is_folder else info.get("size"), _modified(info)
            )


def _found(location: Location, beginning: str) -> list[ReservedName]:
    with reading(location.root, RESERVED):
        # Where a file system does not know prefixes, there is more.
        listed: Any = location.fs.find(location.url(RESERVED), maxdepth=1, detail=True, prefix=beginning)
    return [
        ReservedName(f"{RESERVED}/{_last(str(name))}", False, info.get("size"), _modified(info))
        for name, info in listed.items()
    ]


def _s3(location: Location) -> Iterator[ReservedName]:
    for page in _s3_pages(location, ""):
        yield from page


def _s3_pages(location: Location, beginning: str) -> Iterator[list[ReservedName]]:
    for page in _pages(location, "list_objects_v2", RESERVED, beginning, Delimiter="/"):
        names: list[ReservedName] = []
        for folder in page.get("CommonPrefixes", ()):
            names.append(ReservedName(f"{RESERVED}/{_last(str(folder['Prefix']).rstrip('/'))}", True))
        for info in page.get("Contents", ()):
            name = _last(str(info["Key"]))
            if name:  # consoles make an empty object for the folder itself
                names.append(ReservedName(f"{RESERVED}/{name}", False, int(info["Size"]), _modified(info)))
        yield names


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _pages(
    location: Location, operation: str, relpath: str, beginning: str = "", **options: Any
) -> Iterator[Mapping[str, Any]]:
    """Go through the pages of a listing of S3 below a path, of the names that begin in some way."""
    filesystem: Any = location.fs
    bucket, key, _ = filesystem.split_path(location.url(relpath))
    prefix = (f"{key}/" if key else "") + beginning
    following: dict[str, Any] = {}
    while True:
        with reading(location.root, relpath):
            page = filesystem.call_s3(operation, Bucket=bucket, Prefix=prefix, **options, **following)
        yield {"Prefix": prefix, **page}
        if not page.get("IsTruncated"):
            return
        following = {
            given: page[said]
            for given, said in (
                ("ContinuationToken", "NextContinuationToken"),
                ("KeyMarker", "NextKeyMarker"),
                ("UploadIdMarker", "NextUploadIdMarker"),
            )
            if page.get(said)
        }


def _modified(info: Mapping[str, Any]) -> datetime | None:
    modified = info.get("LastModified") or info.get("created")
    if not isinstance(modified, datetime):
        return None
    return modified if modified.tzinfo is not None else modified.replace(tzinfo=UTC)


def measure(location: Location, name: ReservedName) -> StoredName | None:
    """Return size and age of what lies under a name, files of a folder included; None when it is gone.

    Where a store does not say when something was written, it counts as written now.

    Raises:
        StorageError: The storage failed or refused.
    """
    if location.is_local:
        try:
            return measure_path(Path(location.root, name.relpath), name.relpath)
        except FileNotFoundError:
            return None
    if not name.is_folder and name.size is not None:
        return StoredName(name.relpath, False, name.modified or datetime.now(UTC), name.size)
    size = 0
    newest: datetime | None = None
    for info in _below(location, name.relpath):
        size += int(info.get("Size", info.get("size")) or 0)
        modified = _modified(info) or datetime.now(UTC)
        newest = modified if newest is None else max(newest, modified)
    if newest is None:
        return None
    return StoredName(name.relpath, name.is_folder, newest, size)


def _below(location: Location, relpath: str) -> Iterator[Mapping[str, Any]]:
    if location.protocol == "s3":
        for page in _pages(location, "list_objects_v2", relpath):
            yield from page.get("Contents", ())
        return
    with reading(location.root, relpath):
        listed: Any = location.fs.find(location.url(relpath), detail=True)
    yield from listed.values()


def iter_uploads(location: Location) -> Iterator[UnfinishedUpload]:
    """Go through the multi-part uploads that were begun below an S3 location and neither finished nor aborted.

    They cost what their parts cost, and no listing of objects shows them.

    Raises:
        StorageError: The storage failed or refused.
    """
    if location.protocol != "s3":
        return
    try:
        for page in _pages(location, "list_multipart_uploads", ""):
            for info in page.get("Uploads", ()):
                relpath = str(info["Key"]).removeprefix(str(page["Prefix"]))
                yield UnfinishedUpload(relpath, str(info["UploadId"]), info["Initiated"])
    except (PathNotFound, StorageError) as error:
        if not _has_no_uploads(error):
            raise


def _has_no_uploads(error: BaseException) -> bool:
    return error.__cause__ is not None and server_code(error.__cause__) in _NO_UPLOADS


def abort_upload(location: Location, upload: UnfinishedUpload) -> None:
    """Abort a multi-part upload; its parts are removed. One that has ended in the meantime is left alone.

    Raises:
        StorageError: The storage failed or refused.
    """
    filesystem: Any = location.fs
    bucket, key, _ = filesystem.split_path(location.url(upload.relpath))
    with writing(location.root):
        try:
            filesystem.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.upload_id)
        except FileNotFoundError:
            return
