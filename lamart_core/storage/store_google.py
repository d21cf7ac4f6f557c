"""Google Cloud Storage in its own words: those of its JSON API, with the credentials and the session of gcsfs.

The verbs of gcsfs keep no metadata of large uploads apart from their content, choose one and the same boundary for all
small ones, which a content may hold, and list more than is asked for.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from lamart_core import uids
from lamart_core.errors import ObjectExists
from lamart_core.hashing import Digest
from lamart_core.storage.failures import NoContainer
from lamart_core.storage.filesystem import Location
from lamart_core.storage.limits import PART
from lamart_core.storage.progress import BarCallback
from lamart_core.storage.store import PAGE, Head, Listed, Store, decoded_md5, digest_of_etag

_MARK = "lamart-put"
_TYPE = "application/octet-stream"


class GoogleStore(Store):
    """A bucket of Google Cloud Storage, or of a server that speaks its protocol."""

    keeps_marks = True

    def head(self, location: Location, relpath: str) -> Head | None:
        """Ask for one object."""
        if not relpath:
            return None
        try:
            found = _ask(location, "GET", "b/{}/o/{}", *_address(location, relpath))
        except FileNotFoundError:
            return None
        return Head(int(found["size"]), found.get("metadata", {}).get(_MARK), _digest(found))

    def create(self, location: Location, source: Path, relpath: str, *, mark: str, callback: BarCallback) -> None:
        """Upload a file, in parts where it is large, on the condition that there is no generation of it."""
        bucket, name = _address(location, relpath)
        said = {"name": name, "metadata": {_MARK: mark}}
        size = source.stat().st_size
        try:
            with source.open("rb") as file:
                if size > PART:
                    _upload_parts(location, bucket, said, file, size, callback)
                else:
                    _upload_whole(location, bucket, said, file.read(), {"ifGenerationMatch": "0"})
                    callback.absolute_update(size)
        except FileExistsError as error:
            raise ObjectExists(f"{name!r} in gs://{bucket} exists already; objects are never overwritten") from error
        except FileNotFoundError as error:
            raise NoContainer(errno.ENOENT, f"there is no bucket {bucket!r}") from error

    def create_empty(self, location: Location, relpath: str) -> None:
        """Store an empty object."""
        bucket, name = _address(location, relpath)
        _upload_whole(location, bucket, {"name": name}, b"", {})

    def pages(
        self, location: Location, relpath: str, *, deep: bool = True, beginning: str = ""
    ) -> Iterator[list[Listed]]:
        """Go through a listing, a page for each request."""
        bucket, folder = _address(location, relpath)
        prefix = f"{folder}/" if folder else ""
        options: dict[str, Any] = {"prefix": prefix + beginning, "maxResults": PAGE} | (
            {} if deep else {"delimiter": "/"}
        )
        while True:
            try:
                page = _ask(location, "GET", "b/{}/o", bucket, **options)
            except FileNotFoundError as error:
                raise NoContainer(errno.ENOENT, f"there is no bucket {bucket!r}") from error
            folders = [
                Listed(str(name)[len(prefix) :].rstrip("/"), is_folder=True) for name in page.get("prefixes", ())
            ]
            yield folders + [_listed(item, prefix) for item in page.get("items", ())]
            if not page.get("nextPageToken"):
                return
            options["pageToken"] = page["nextPageToken"]

    def copy(self, location: Location, source: str, target: str) -> None:
        """Let the server copy an object. A large one takes several requests."""
        path = "b/{}/o/{}/rewriteTo/b/{}/o/{}"
        names = (*_address(location, source), *_address(location, target))
        said = _ask(location, "POST", path, *names)
        while not said["done"]:
            said = _ask(location, "POST", path, *names, rewriteToken=said["rewriteToken"])

    def remove(self, location: Location, relpath: str) -> None:
        """Remove an object."""
        _ask(location, "DELETE", "b/{}/o/{}", *_address(location, relpath))

    def remove_all(self, location: Location, relpaths: Sequence[str]) -> None:
        """Remove objects, each by its name: the verb of gcsfs takes names for patterns."""
        self.remove_each(location, relpaths)


def _address(location: Location, relpath: str) -> tuple[str, str]:
    bucket, _, name = location.url(relpath).partition("://")[2].partition("/")
    return bucket, name


def _ask(location: Location, method: str, path: str, *args: str, **options: Any) -> Any:
    """Make one request, and return what the answer says."""
    _, content = _request(location, method, path, *args, **options)
    return json.loads(content) if content else {}


def _request(location: Location, method: str, path: str, *args: str, **options: Any) -> tuple[Mapping[str, str], bytes]:
    """Make one request, with the client's own repetitions."""
    filesystem: Any = location.fs
    try:
        return filesystem.call(method, path, *args, **options)
    except ValueError as error:  # how the client says that a request was refused as it was
        raise OSError(errno.EINVAL, str(error)) from error
    except OSError as error:
        if str(error).startswith("Forbidden"):
            raise PermissionError(errno.EACCES, str(error)) from error
        raise


def _upload_whole(
    location: Location, bucket: str, said: Mapping[str, Any], content: bytes, conditions: Mapping[str, str]
) -> None:
    boundary = uids.base62(40)  # one that no content holds
    head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(said)}\r\n"
    head += f"--{boundary}\r\nContent-Type: {_TYPE}\r\n\r\n"
    _ask(
        location,
        "POST",
        _upload_url(location, bucket),
        uploadType="multipart",
        headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
        data=head.encode() + content + f"\r\n--{boundary}--".encode(),
        **conditions,
    )


def _upload_parts(
    location: Location, bucket: str, said: Mapping[str, Any], file: BinaryIO, size: int, callback: BarCallback
) -> None:
    """Upload a file part by part. An upload that nobody finishes is no object, and the server drops it after a week."""
    headers, _ = _request(
        location,
        "POST",
        _upload_url(location, bucket),
        uploadType="resumable",
        headers={"X-Upload-Content-Type": _TYPE, "X-Upload-Content-Length": str(size)},
        json=dict(said),
        ifGenerationMatch="0",
    )
    session = str(headers["Location"])
    at = 0
    try:
        while at < size:
            file.seek(at)
            part = file.read(min(PART, size - at))
            if not part:  # it has become shorter; whoever uploads will see that it has changed
                raise OSError(errno.EIO, "the file ended early")
            span = f"bytes {at}-{at + len(part) - 1}/{size}"
            answer, _ = _request(location, "PUT", session, headers={"Content-Range": span}, data=part)
            # The server says how far it has come: it may have taken a part of the part.
            taken = answer.get("Range")
            at = int(str(taken).rpartition("-")[2]) + 1 if taken and at + len(part) < size else at + len(part)
            callback.absolute_update(at)
    except BaseException:
        with suppress(Exception):
            _request(location, "DELETE", session)
        raise


def _upload_url(location: Location, bucket: str) -> str:
    # gcsfs has no public name for the address of the server.
    filesystem: Any = location.fs
    return f"{filesystem._location}/upload/storage/v1/b/{quote(bucket, safe='')}/o"


def _listed(item: Mapping[str, Any], prefix: str) -> Listed:
    written = item.get("updated") or item.get("timeCreated")
    return Listed(
        str(item["name"])[len(prefix) :],
        size=int(item["size"]),
        modified=datetime.fromisoformat(str(written)) if written else None,
        digest=_digest(item),
    )


def _digest(found: Mapping[str, Any]) -> Digest | None:
    # Objects that were put together from others have no MD5.
    md5, etag = found.get("md5Hash"), found.get("etag")
    return decoded_md5(str(md5)) if md5 else digest_of_etag(str(etag)) if etag else None
