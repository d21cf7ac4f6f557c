"""Azure Blob Storage in its own words: those of its SDK, with the client that adlfs has made.

The verbs of adlfs read names as URLs and patterns, list whole containers into memory, and tell no wrong credentials
from a file that is not there.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fsspec.asyn import sync

from lamart_core.errors import InvalidArgument, ObjectExists
from lamart_core.hashing import Digest
from lamart_core.storage.failures import NoContainer
from lamart_core.storage.objectstore.client import (
    PAGE,
    PARTS_AT_ONCE,
    Client,
    Head,
    Listed,
    digest_of_etag,
    digest_of_md5,
    said_about,
)
from lamart_core.storage.objectstore.filesystem import Remote
from lamart_core.storage.progress import BarCallback

_MARK = "lamart_put"  # names of metadata are identifiers there
_ABOUT = "lamart_about"
_FOLDERS = {"hdi_isfolder", "Hdi_isfolder"}  # accounts with real folders list them like empty files
_NO_CONTAINER = {"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"}
_NOT_KEPT = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ufffe\uffff]")
_BETWEEN_LOOKS = 0.5  # seconds


class AzureClient(Client):
    """A container of Azure Blob Storage, or of a server that speaks its protocol."""

    keeps_marks: ClassVar[bool] = True

    def check_name(self, relpath: str) -> None:
        """Refuse what Azure makes another name of, and characters that its listings cannot say."""
        if found := _NOT_KEPT.search(relpath):
            raise InvalidArgument(
                f"{relpath!r} cannot be stored on Azure, which keeps no name with {found[0]!r} in it; rename the file"
            )

    def head(self, relpath: str) -> Head | None:
        """Ask for one blob."""
        if not relpath:
            return None
        try:
            found = _run(self.remote, _blob(self.remote, relpath).get_blob_properties)
        except FileNotFoundError:
            return None
        if _is_folder(found):
            return None
        said = found.metadata or {}
        return Head(int(found.size), said.get(_MARK), _digest(found), said.get(_ABOUT))

    def create(self, source: Path, relpath: str, *, mark: str, callback: BarCallback, about: str | None = None) -> None:
        """Upload a file, in blocks where it is large; the request that makes it a blob refuses to replace one."""

        async def progress(moved: int, _: int | None) -> None:
            callback.absolute_update(moved)

        with source.open("rb") as file:
            options: dict[str, Any] = {
                "overwrite": False,
                "metadata": {
                    _MARK: mark,
                    **said_about(_ABOUT, about),
                    "is_directory": "false",
                },  # as adlfs writes its own
                "max_concurrency": PARTS_AT_ONCE,
                "length": source.stat().st_size,
                "progress_hook": progress,
            }
            _run(self.remote, _blob(self.remote, relpath).upload_blob, file, **options)

    def create_empty(self, relpath: str) -> None:
        """Store an empty blob."""
        _run(self.remote, _blob(self.remote, relpath).upload_blob, b"", overwrite=True)

    def download(self, relpath: str, place: Path, *, size: int | None, callback: BarCallback) -> int | None:
        """Download a blob, in parts where it is large; all are of the same state of the blob."""
        blob = _blob(self.remote, relpath)

        async def progress(moved: int, _: int | None) -> None:
            callback.absolute_update(moved)

        async def fetch() -> int:
            stream = await blob.download_blob(max_concurrency=PARTS_AT_ONCE, progress_hook=progress)
            with place.open("wb") as file:
                return await stream.readinto(file)

        return _run(self.remote, fetch)

    def read(self, relpath: str) -> bytes:
        """Return the bytes of a small blob."""
        blob = _blob(self.remote, relpath)

        async def fetch() -> bytes:
            return await (await blob.download_blob()).readall()

        return _run(self.remote, fetch)

    def pages(self, relpath: str, *, deep: bool = True, beginning: str = "") -> Iterator[list[Listed]]:
        """Go through a listing, a page for each request."""
        container, folder = _address(self.remote, relpath)
        prefix = f"{folder}/" if folder else ""
        filesystem: Any = self.remote.fs
        client = filesystem.service_client.get_container_client(container)
        token: str | None = None
        while True:
            found, token = _run(self.remote, _page, client, prefix + beginning, token, deep)
            yield [_listed(item, prefix) for item in found if not _is_folder(item)]
            if not token:
                return

    def copy(self, source: str, target: str) -> None:
        """Let the server copy a blob. It may do so in its own time, and is waited for."""
        origin, copied = _blob(self.remote, source), _blob(self.remote, target)
        status = _run(self.remote, copied.start_copy_from_url, origin.url)["copy_status"]
        while status == "pending":
            time.sleep(_BETWEEN_LOOKS)
            status = _run(self.remote, copied.get_blob_properties).copy.status
        if status != "success":
            raise OSError(errno.EIO, f"the copy of {source!r} to {target!r} ended as {status!r}")

    def remove(self, relpath: str) -> None:
        """Remove a blob."""
        _run(self.remote, _blob(self.remote, relpath).delete_blob)

    def remove_all(self, relpaths: Sequence[str]) -> None:
        """Remove blobs, each by its name: the verb of adlfs takes names for patterns."""
        self.remove_each(relpaths)


def _address(remote: Remote, relpath: str) -> tuple[str, str]:
    """Return container and name of a blob. The name is taken as it is, whatever it would mean in a URL."""
    host, _, name = remote.url(relpath).partition("://")[2].partition("/")
    return host.partition("@")[0], name


def _blob(remote: Remote, relpath: str) -> Any:
    container, name = _address(remote, relpath)
    filesystem: Any = remote.fs
    return filesystem.service_client.get_blob_client(container, name)


def _run(remote: Remote, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Run a coroutine of the SDK in the file system's event loop."""
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

    filesystem: Any = remote.fs
    try:
        return sync(filesystem.loop, call, *args, **options)
    except ResourceNotFoundError as error:
        if _code(error) in _NO_CONTAINER:
            raise NoContainer(errno.ENOENT, "there is no such container", remote.root) from error
        raise FileNotFoundError(errno.ENOENT, "there is no such blob", remote.root) from error
    except ResourceExistsError as error:
        if _code(error) != "BlobAlreadyExists":
            raise
        raise ObjectExists(f"a blob exists already in {remote.root}; stored objects are never overwritten") from error


def _code(error: Any) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code))


async def _page(client: Any, prefix: str, token: str | None, deep: bool) -> tuple[list[Any], str | None]:
    listing = client.list_blobs if deep else client.walk_blobs
    pages = listing(name_starts_with=prefix or None, include=["metadata"], results_per_page=PAGE).by_page(token)
    async for page in pages:
        return [item async for item in page], pages.continuation_token
    return [], None


def _listed(item: Any, prefix: str) -> Listed:
    path = str(item.name)[len(prefix) :]
    if not hasattr(item, "etag"):  # a prefix, not a blob
        return Listed(path.rstrip("/"), is_folder=True)
    return Listed(path, size=int(item.size), modified=item.last_modified, digest=_digest(item))


def _is_folder(item: Any) -> bool:
    metadata = getattr(item, "metadata", None) or {}
    return any(metadata.get(name) == "true" for name in _FOLDERS)


def _digest(found: Any) -> Digest | None:
    # The server knows the MD5 of what came in one request.
    md5 = found.content_settings.content_md5
    if md5:
        return digest_of_md5(bytes(md5))
    return digest_of_etag(str(found.etag)) if found.etag else None
