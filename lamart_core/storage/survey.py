"""What lies in the version store of a location, for whoever collects what no record claims. In bounded memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import Location
from lamart_core.storage.keys import RANDOM_LENGTH, RESERVED
from lamart_core.storage.objects import ReservedName, StoredName, UnfinishedUpload, measure_path
from lamart_core.storage.store import Listed
from lamart_core.storage.store_s3 import answers, server_code
from lamart_core.storage.stores import store_of
from lamart_core.uids import STEM_LENGTH

# Only names that `object_path` makes: the reserved folder may hold other things, such as the embedded database.
_STORED = re.compile(rf"[0-9A-Za-z]{{{STEM_LENGTH + RANDOM_LENGTH}}}(\..*)?", re.DOTALL)
# What servers answer that have no unfinished uploads, or never any.
_NO_UPLOADS = {"NoSuchUpload", "NotImplemented", "MethodNotAllowed"}


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

    A local folder and the buckets of the known clouds are read page by page, so that any number of names needs little
    memory.

    Raises:
        StorageError: The storage failed or refused.
    """
    return _local(location) if location.is_local else _remote(location)


def iter_beginning(location: Location, beginning: str) -> Iterator[list[ReservedName]]:
    """Go through the objects in the reserved folder of a remote location whose names begin in some way.

    Args:
        location: A remote location.
        beginning: What the names begin with.

    Returns:
        Pages, each by one request where the store has pages: of up to 1,000 names on S3. In no order.

    Raises:
        StorageError: The storage failed or refused.
    """
    for page in _pages(location, RESERVED, deep=False, beginning=beginning):
        yield [_reserved(listed) for listed in page if listed.path]


def _local(location: Location) -> Iterator[ReservedName]:
    folder = location.local(RESERVED)
    if not folder.is_dir():
        return
    with reading(location.root, RESERVED), os.scandir(folder) as entries:
        for entry in entries:
            yield ReservedName(f"{RESERVED}/{entry.name}", entry.is_dir(follow_symlinks=False))


def _remote(location: Location) -> Iterator[ReservedName]:
    for page in _pages(location, RESERVED, deep=False):
        for listed in page:
            if listed.path:  # consoles make an empty object for the folder itself
                yield _reserved(listed)


def _reserved(listed: Listed) -> ReservedName:
    return ReservedName(f"{RESERVED}/{listed.path}", listed.is_folder, listed.size, listed.modified)


def _pages(location: Location, relpath: str, *, deep: bool, beginning: str = "") -> Iterator[list[Listed]]:
    """Go through the pages of a listing below a path; nothing where nothing is."""
    with reading(location.root, relpath):
        yield from store_of(location).pages(location, relpath, deep=deep, beginning=beginning)


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
    for page in _pages(location, name.relpath, deep=True):
        for listed in page:
            size += listed.size or 0
            modified = listed.modified or datetime.now(UTC)
            newest = modified if newest is None else max(newest, modified)
    if newest is None:
        return None
    return StoredName(name.relpath, name.is_folder, newest, size)


def iter_uploads(location: Location) -> Iterator[UnfinishedUpload]:
    """Go through the multi-part uploads that were begun below an S3 location and neither finished nor aborted.

    They cost what their parts cost, and no listing of objects shows them.

    Raises:
        StorageError: The storage failed or refused.
    """
    if location.protocol != "s3":
        return
    with reading(location.root, ""):
        try:
            for page in answers(location, "list_multipart_uploads", ""):
                for info in page.get("Uploads", ()):
                    relpath = str(info["Key"]).removeprefix(str(page["Prefix"]))
                    yield UnfinishedUpload(relpath, str(info["UploadId"]), info["Initiated"])
        except OSError as error:
            if server_code(error) not in _NO_UPLOADS:
                raise


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
