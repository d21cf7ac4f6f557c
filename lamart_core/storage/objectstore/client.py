"""What an object store is asked, request by request: here in fsspec's words, in those of each store beside it."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.hashing import Digest, encode, hash_bytes
from lamart_core.storage.objectstore.filesystem import Remote
from lamart_core.storage.objectstore.limits import PART
from lamart_core.storage.progress import BarCallback
from lamart_core.storage.threads import run_all
from lamart_core.storage.values import UnfinishedUpload

PARTS_AT_ONCE = 4
THREADS = 16
PAGE = 1000  # names that are in memory at once
_MOST_PARTS = 9_000  # S3 takes 10,000
_ODD = re.compile(r"[*?\[\]{}\x00-\x1f\x7f-\x9f\ufffe\uffff]")


@dataclass(frozen=True)
class Head:
    """What a store says of one object.

    Attributes:
        size: Size in bytes; None where it does not say.
        mark: What an upload of ours has left there to know its own object again; None in other objects, and where
            the store keeps no metadata.
        digest: What the store says that identifies the content; never exact.
        about: What the object was said to be when it was put.
    """

    size: int | None
    mark: str | None = None
    digest: Digest | None = None
    about: str | None = None


@dataclass(frozen=True)
class Listed:
    """One name of a listing.

    Attributes:
        path: Path relative to the folder that is listed.
        is_folder: Whether it stands for all names below it.
        size: Size in bytes; None for a folder, and where the store does not say.
        modified: Time of the last modification, where the store says it.
        digest: As for `Head`.
    """

    path: str
    is_folder: bool = False
    size: int | None = None
    modified: datetime | None = None
    digest: Digest | None = None


@dataclass(frozen=True)
class Client:
    """The requests to a store, by fsspec's own verbs; subclasses have better words for theirs.

    What goes wrong is raised as the client raises it, with FileNotFoundError for what is not there; whoever asks turns
    it into errors of ours, by `reading` and `writing`.

    Attributes:
        remote: Where the store is.
        keeps_marks: Whether an object keeps the mark of the upload that made it.
        lists_in_pages: Whether a listing of the version store is read page by page, so that one can stop early.
    """

    keeps_marks: ClassVar[bool] = False
    lists_in_pages: ClassVar[bool] = False
    remote: Remote

    def check_name(self, relpath: str) -> None:
        """Refuse a path that the store would not keep as it is.

        Raises:
            InvalidArgument: It is one.
        """

    def head(self, relpath: str) -> Head | None:
        """Ask for one object: one request. None when there is no file, and there may be a folder.

        Raises:
            FileNotFoundError: Neither is there; only from stores that know at once.
        """
        info: Mapping[str, Any] = self.remote.fs.info(self.remote.url(relpath))
        return None if info["type"] == "directory" else Head(size_in(info), None, digest_in(self.remote.protocol, info))

    def create(self, source: Path, relpath: str, *, mark: str, callback: BarCallback, about: str | None = None) -> None:
        """Upload a file in one atomic step.

        Raises:
            ObjectExists: Something is there; only from stores with conditional writes.
        """
        filesystem: Any = self.remote.fs
        filesystem.put_file(str(source), self.remote.url(relpath), callback=callback)

    def create_empty(self, relpath: str) -> None:
        """Store an empty file, over what is there."""
        self.remote.fs.pipe_file(self.remote.url(relpath), b"")

    def download(self, relpath: str, place: Path, *, size: int | None, callback: BarCallback) -> int | None:
        """Download a file.

        Returns:
            How many bytes arrived, where the size of the file that was written does not tell.
        """
        filesystem: Any = self.remote.fs
        filesystem.get_file(self.remote.url(relpath), str(place), callback=callback)
        return None

    def read(self, relpath: str) -> bytes:
        """Return the bytes of a small file."""
        content: Any = self.remote.fs.cat_file(self.remote.url(relpath))
        return bytes(content)

    def pages(self, relpath: str, *, deep: bool = True, beginning: str = "") -> Iterator[list[Listed]]:
        """Go through what lies below a path, page by page; nothing where nothing is.

        Args:
            relpath: Path of a folder; "" for the root.
            deep: All files, or else files and folders one level deep.
            beginning: What their paths begin with.
        """
        url, prefix = self.remote.url(relpath), self.remote.stored_name(relpath) + "/"
        if deep:
            listed: Any = self.remote.fs.find(url, detail=True)
            infos = list(listed.values())
        else:
            try:
                infos = self.remote.fs.ls(url, detail=True)
            except FileNotFoundError:
                return
        page: list[Listed] = []
        for info in infos:
            name = str(info["name"])
            if name.startswith(prefix + beginning):
                is_folder = info["type"] == "directory"
                page.append(
                    Listed(
                        name[len(prefix) :].rstrip("/") if is_folder else name[len(prefix) :],
                        is_folder,
                        None if is_folder else size_in(info),
                        modified_in(info),
                        digest_in(self.remote.protocol, info),
                    )
                )
        yield page

    def copy(self, source: str, target: str) -> None:
        """Let the store copy a file, over what is there."""
        self.remote.fs.cp_file(self.remote.url(source), self.remote.url(target))

    def remove(self, relpath: str) -> None:
        """Remove a file.

        Raises:
            FileNotFoundError: It is not there; not from all stores.
        """
        self.remote.fs.rm_file(self.remote.url(relpath))

    def remove_all(self, relpaths: Sequence[str]) -> None:
        """Remove files; it is no error when one is gone."""
        urls = [self.remote.url(relpath) for relpath in relpaths]
        # One by one, what the call for many would take for a pattern, or cannot say in XML.
        odd = [url for url in urls if _ODD.search(url)]
        run_all([partial(self.remote.fs.rm_file, url) for url in odd], THREADS)
        if len(odd) < len(urls):
            self.remote.fs.rm([url for url in urls if not _ODD.search(url)])

    def uploads(self) -> Iterator[UnfinishedUpload]:
        """Go through the unfinished uploads in parts, where the store tells them."""
        return iter(())

    def abort(self, upload: UnfinishedUpload) -> None:
        """Abort one of the `uploads`; it is no error when it has ended."""
        raise NotImplementedError(f"{self.remote.protocol} tells no unfinished uploads")

    def region(self) -> str | None:
        """Return the region that the bytes lie in, where there are any and the server says it."""
        return None

    def remove_each(self, relpaths: Sequence[str]) -> None:
        """Remove files by a request each, several at a time; it is no error when one is gone."""

        def remove(relpath: str) -> None:
            with suppress(FileNotFoundError):
                self.remove(relpath)

        run_all([partial(remove, relpath) for relpath in relpaths], THREADS)


def part_size(size: int) -> int:
    """Return how large the parts of a transfer are, in bytes."""
    return max(PART, math.ceil(size / _MOST_PARTS))


def size_in(info: Mapping[str, Any]) -> int | None:
    """Return the size that an info of fsspec says."""
    return None if info.get("size") is None else int(info["size"])


def modified_in(info: Mapping[str, Any]) -> datetime | None:
    """Return the time of the last modification that an info of fsspec says, or of the creation."""
    modified = info.get("LastModified") or info.get("created")
    if not isinstance(modified, datetime):
        return None
    return modified if modified.tzinfo is not None else modified.replace(tzinfo=UTC)


def digest_in(protocol: str, info: Mapping[str, Any]) -> Digest | None:
    """Return what a server says that identifies a content; never exact, because nobody here has seen the bytes."""
    if protocol == "hf" and info.get("blob_id"):
        return Digest("sha1", encode(bytes.fromhex(str(info["blob_id"]))), is_exact=False)
    etag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    if not etag:
        return None
    value, dash, parts = etag.partition("-")
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        raw = b""
    if protocol == "s3" and len(raw) == 16:
        return Digest(f"md5-{parts}" if dash else "md5", encode(raw), is_exact=False)
    return digest_of_etag(etag)


def digest_of_md5(value: bytes) -> Digest:
    """Return the digest that an MD5 of a server is."""
    return Digest("md5", encode(value), is_exact=False)


def digest_of_etag(etag: str) -> Digest:
    """Return the digest that a word of a server is, which changes whenever the object is written."""
    return Digest("md5-etag", hash_bytes(etag.strip('"').encode(), "md5").value, is_exact=False)


def decoded_md5(text: str) -> Digest:
    """Return the digest that an MD5 in base 64 is."""
    return digest_of_md5(base64.b64decode(text))


def said_about(name: str, about: str | None) -> dict[str, str]:
    """Return the metadata that tell what an object is; none where nobody said it."""
    return {name: about} if about is not None else {}
