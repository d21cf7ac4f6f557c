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
from typing import Any, BinaryIO, ClassVar
from urllib.parse import quote

from lamart_core import uids
from lamart_core.errors import ObjectExists
from lamart_core.hashing import Digest
from lamart_core.storage.failures import NoContainer
from lamart_core.storage.objectstore.client import PAGE, Client, Head, Listed, decoded_md5, digest_of_etag, said_about
from lamart_core.storage.objectstore.filesystem import Remote
from lamart_core.storage.objectstore.limits import PART
from lamart_core.storage.progress import BarCallback

_MARK = "lamart-put"
_ABOUT = "lamart-about"
_TYPE = "application/octet-stream"


class GoogleClient(Client):
    """A bucket of Google Cloud Storage, or of a server that speaks its protocol."""

    keeps_marks: ClassVar[bool] = True

    def head(self, relpath: str) -> Head | None:
        """Ask for one object."""
        if not relpath:
            return None
        try:
            found = _ask(self.remote, "GET", "b/{}/o/{}", *_address(self.remote, relpath))
        except FileNotFoundError:
            return None
        said = found.get("metadata", {})
        return Head(int(found["size"]), said.get(_MARK), _digest(found), said.get(_ABOUT))

    def create(self, source: Path, relpath: str, *, mark: str, callback: BarCallback, about: str | None = None) -> None:
        """Upload a file, in parts where it is large, on the condition that there is no generation of it."""
        bucket, name = _address(self.remote, relpath)
        said = {"name": name, "metadata": {_MARK: mark, **said_about(_ABOUT, about)}}
        size = source.stat().st_size
        try:
            with source.open("rb") as file:
                if size > PART:
                    _upload_parts(self.remote, bucket, said, file, size, callback)
                else:
                    _upload_whole(self.remote, bucket, said, file.read(), {"ifGenerationMatch": "0"})
                    callback.absolute_update(size)
        except FileExistsError as error:
            raise ObjectExists(f"{name!r} in gs://{bucket} exists already; objects are never overwritten") from error
        except FileNotFoundError as error:
            raise NoContainer(errno.ENOENT, f"there is no bucket {bucket!r}") from error

    def create_empty(self, relpath: str) -> None:
        """Store an empty object."""
        bucket, name = _address(self.remote, relpath)
        _upload_whole(self.remote, bucket, {"name": name}, b"", {})

    def pages(self, relpath: str, *, deep: bool = True, beginning: str = "") -> Iterator[list[Listed]]:
        """Go through a listing, a page for each request."""
        bucket, folder = _address(self.remote, relpath)
        prefix = f"{folder}/" if folder else ""
        options: dict[str, Any] = {"prefix": prefix + beginning, "maxResults": PAGE} | (
            {} if deep else {"delimiter": "/"}
        )
        while True:
            try:
                page = _ask(self.remote, "GET", "b/{}/o", bucket, **options)
            except FileNotFoundError as error:
                raise NoContainer(errno.ENOENT, f"there is no bucket {bucket!r}") from error
            folders = [
                Listed(str(name)[len(prefix) :].rstrip("/"), is_folder=True) for name in page.get("prefixes", ())
            ]
            yield folders + [_listed(item, prefix) for item in page.get("items", ())]
            if not page.get("nextPageToken"):
                return
            options["pageToken"] = page["nextPageToken"]

    def copy(self, source: str, target: str) -> None:
        """Let the server copy an object. A large one takes several requests."""
        path = "b/{}/o/{}/rewriteTo/b/{}/o/{}"
        names = (*_address(self.remote, source), *_address(self.remote, target))
        said = _ask(self.remote, "POST", path, *names)
        while not said["done"]:
            said = _ask(self.remote, "POST", path, *names, rewriteToken=said["rewriteToken"])

    def remove(self, relpath: str) -> None:
        """Remove an object."""
        _ask(self.remote, "DELETE", "b/{}/o/{}", *_address(self.remote, relpath))

    def remove_all(self, relpaths: Sequence[str]) -> None:
        """Remove objects, each by its name: the verb of gcsfs takes names for patterns."""
        self.remove_each(relpaths)


def _address(remote: Remote, relpath: str) -> tuple[str, str]:
    bucket, _, name = remote.url(relpath).partition("://")[2].partition("/")
    return bucket, name


def _ask(remote: Remote, method: str, path: str, *args: str, **options: Any) -> Any:
    """Make one request, and return what the answer says."""
    _, content = _request(remote, method, path, *args, **options)
    return json.loads(content) if content else {}


def _request(remote: Remote, method: str, path: str, *args: str, **options: Any) -> tuple[Mapping[str, str], bytes]:
    """Make one request, with the client's own repetitions."""
    filesystem: Any = remote.fs
    try:
        return filesystem.call(method, path, *args, **options)
    except ValueError as error:  # how the client says that a request was refused as it was
        raise OSError(errno.EINVAL, str(error)) from error
    except OSError as error:
        if str(error).startswith("Forbidden"):
            raise PermissionError(errno.EACCES, str(error)) from error
        raise


def _upload_whole(
    remote: Remote, bucket: str, said: Mapping[str, Any], content: bytes, conditions: Mapping[str, str]
) -> None:
    boundary = uids.base62(40)  # one that no content holds
    head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(said)}\r\n"
    head += f"--{boundary}\r\nContent-Type: {_TYPE}\r\n\r\n"
    _ask(
        remote,
        "POST",
        _upload_url(remote, bucket),
        uploadType="multipart",
        headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
        data=head.encode() + content + f"\r\n--{boundary}--".encode(),
        **conditions,
    )


def _upload_parts(
    remote: Remote, bucket: str, said: Mapping[str, Any], file: BinaryIO, size: int, callback: BarCallback
) -> None:
    """Upload a file part by part. An upload that nobody finishes is no object, and the server drops it after a week."""
    headers, _ = _request(
        remote,
        "POST",
        _upload_url(remote, bucket),
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
            answer, _ = _request(remote, "PUT", session, headers={"Content-Range": span}, data=part)
            # The server says how far it has come: it may have taken a part of the part.
            taken = answer.get("Range")
            at = int(str(taken).rpartition("-")[2]) + 1 if taken and at + len(part) < size else at + len(part)
            callback.absolute_update(at)
    except BaseException:
        with suppress(Exception):
            _request(remote, "DELETE", session)
        raise


def _upload_url(remote: Remote, bucket: str) -> str:
    # gcsfs has no public name for the address of the server.
    filesystem: Any = remote.fs
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
