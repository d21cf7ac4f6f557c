"""S3 in its own words: conditional writes, uploads in parts, listings page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import ObjectExists
from lamart_core.storage.objectstore.client import (
    PARTS_AT_ONCE,
    Client,
    Head,
    Listed,
    digest_in,
    modified_in,
    part_size,
    said_about,
)
from lamart_core.storage.objectstore.filesystem import Remote
from lamart_core.storage.progress import BarCallback
from lamart_core.storage.values import UnfinishedUpload

_NO_CONDITIONS = {"NotImplemented", "InvalidArgument", "InvalidRequest", "501", "400"}
# What servers answer that have no unfinished uploads, or never any.
_NO_UPLOADS = {"NoSuchUpload", "NotImplemented", "MethodNotAllowed"}
_MARK = "lamart-put"
_ABOUT = "lamart-about"


class S3Client(Client):
    """A bucket of S3, or of a server that speaks its protocol."""

    keeps_marks: ClassVar[bool] = True
    lists_in_pages: ClassVar[bool] = True

    def head(self, relpath: str) -> Head | None:
        """Ask for one object; the file system's own question lists too when nothing is there."""
        if not relpath:
            return None
        filesystem: Any = self.remote.fs
        bucket, key, _ = filesystem.split_path(self.remote.url(relpath))
        try:
            answer: Mapping[str, Any] = filesystem.call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return None
        said = answer.get("Metadata", {})
        return Head(int(answer["ContentLength"]), said.get(_MARK), digest_in("s3", answer), said.get(_ABOUT))

    def create(self, source: Path, relpath: str, *, mark: str, callback: BarCallback, about: str | None = None) -> None:
        """Upload a file, in parts where it is large; never over an object, where the server knows conditions."""
        filesystem: Any = self.remote.fs
        url = self.remote.url(relpath)
        options = {
            "chunksize": part_size(source.stat().st_size),
            "max_concurrency": PARTS_AT_ONCE,
            "callback": callback,
            "Metadata": {_MARK: mark, **said_about(_ABOUT, about)},
        }
        try:
            filesystem.put_file(str(source), url, mode="create", **options)
        except OSError as error:
            if isinstance(error, FileExistsError) or server_code(error) == "PreconditionFailed":
                raise ObjectExists(f"{url!r} exists already; stored objects are never overwritten") from error
            if server_code(error) not in _NO_CONDITIONS:
                raise
            filesystem.put_file(str(source), url, **options)  # a server that knows no conditional writes

    def download(self, relpath: str, place: Path, *, size: int | None, callback: BarCallback) -> int | None:
        """Download a file, in parts where it is large."""
        filesystem: Any = self.remote.fs
        part = part_size(size or 0)
        if size is None or size <= part:
            return super().download(relpath, place, size=size, callback=callback)
        filesystem.get_file(
            self.remote.url(relpath), str(place), callback=callback, chunksize=part, max_concurrency=PARTS_AT_ONCE
        )
        # The file has its full size before its parts arrive; what was moved is what is really there.
        return min(place.stat().st_size, callback.moved)

    def pages(self, relpath: str, *, deep: bool = True, beginning: str = "") -> Iterator[list[Listed]]:
        """Go through a listing, a page for each request."""
        for page in answers(self.remote, "list_objects_v2", relpath, beginning, **({} if deep else {"Delimiter": "/"})):
            prefix = str(page["Prefix"])
            listed = [
                Listed(str(folder["Prefix"]).removeprefix(prefix).rstrip("/"), is_folder=True)
                for folder in page.get("CommonPrefixes", ())
            ]
            listed += [
                Listed(
                    str(info["Key"]).removeprefix(prefix),
                    size=int(info["Size"]),
                    modified=modified_in(info),
                    digest=digest_in("s3", info),
                )
                for info in page.get("Contents", ())
            ]
            yield listed

    def uploads(self) -> Iterator[UnfinishedUpload]:
        """Go through the uploads in parts; they cost what their parts cost, and no listing of objects shows them."""
        try:
            for page in answers(self.remote, "list_multipart_uploads", ""):
                for info in page.get("Uploads", ()):
                    relpath = str(info["Key"]).removeprefix(str(page["Prefix"]))
                    yield UnfinishedUpload(relpath, str(info["UploadId"]), info["Initiated"])
        except OSError as error:
            if server_code(error) not in _NO_UPLOADS:
                raise

    def abort(self, upload: UnfinishedUpload) -> None:
        """Abort an upload in parts; the server removes them."""
        filesystem: Any = self.remote.fs
        bucket, key, _ = filesystem.split_path(self.remote.url(upload.relpath))
        with suppress(FileNotFoundError):
            filesystem.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.upload_id)

    def region(self) -> str | None:
        """Return the region of the bucket."""
        filesystem: Any = self.remote.fs
        bucket, _, _ = filesystem.split_path(self.remote.url())
        answer = filesystem.call_s3("head_bucket", Bucket=bucket)
        return answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")


def answers(
    remote: Remote, operation: str, relpath: str, beginning: str = "", **options: Any
) -> Iterator[Mapping[str, Any]]:
    """Go through the pages of a listing of S3 below a path; `Prefix` is that of the path."""
    filesystem: Any = remote.fs
    bucket, key, _ = filesystem.split_path(remote.url(relpath))
    prefix = f"{key}/" if key else ""
    following: dict[str, Any] = {}
    while True:
        page = filesystem.call_s3(operation, Bucket=bucket, Prefix=prefix + beginning, **options, **following)
        yield {**page, "Prefix": prefix}
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


def server_code(error: BaseException) -> str:
    """Return the code of the server's answer that an error stands for; "" when there was no answer."""
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
