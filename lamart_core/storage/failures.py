"""What a storage refuses, as errors of ours: full, read-only, or failed."""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from lamart_core.errors import LamartError, PathNotFound, ReadOnlyStorage, StorageError, StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_FULL_CODES = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "EntityTooLarge"}


@contextmanager
def writing(root: str) -> Generator[None, None, None]:
    """Turn what goes wrong while writing to a storage into errors that say what to do.

    Args:
        root: Root of the storage location, for the message.

    Raises:
        StorageFull: No space, quota or file-size limit is left.
        ReadOnlyStorage: The storage cannot be written to.
        StorageError: The storage failed in another way.
    """
    try:
        yield
    except LamartError:
        raise
    except (OSError, NotImplementedError) as error:
        raise _translated(error, root) from error
    except Exception as error:
        if not _is_client_error(error):
            raise
        raise _translated(error, root) from error


@contextmanager
def reading(root: str, relpath: str) -> Generator[None, None, None]:
    """Turn what goes wrong while reading from a storage into errors that say what was asked.

    Raises:
        PathNotFound: The object is not there.
        StorageError: The storage failed or refused.
    """
    try:
        yield
    except LamartError:
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise PathNotFound(f"there is no object {relpath!r} in the storage {root}") from error
    except OSError as error:
        raise StorageError(error.errno or errno.EIO, f"cannot read {relpath!r} from {root}: {error}") from error
    except Exception as error:
        if not _is_client_error(error):
            raise
        raise StorageError(errno.EIO, f"cannot read {relpath!r} from {root}: {error}") from error


def _translated(error: BaseException, root: str) -> StorageError:
    codes = {code for cause in _chain(error) for code in _codes(cause)}
    number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    if codes & _FULL or codes & _FULL_CODES:
        return StorageFull(
            number, f"the storage {root} is full (no space, quota or file-size limit left); free some space: {error}"
        )
    if codes & _READ_ONLY or isinstance(error, PermissionError | NotImplementedError):
        return ReadOnlyStorage(
            number, f"the storage {root} cannot be written to; check its permissions or choose another: {error}"
        )
    if isinstance(error, FileNotFoundError):
        return StorageError(number, f"the storage {root} is not there (not mounted, or no such bucket?): {error}")
    return StorageError(number, f"the storage {root} failed: {error}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _codes(error: BaseException) -> Iterator[int | str]:
    if isinstance(error, OSError) and error.errno is not None:
        yield error.errno
    response = getattr(error, "response", None)  # botocore's errors carry the server's answer
    if isinstance(response, dict):
        yield str(response.get("Error", {}).get("Code", ""))


def _is_client_error(error: BaseException) -> bool:
    # Known by name: botocore is optional, and loaded only when it raised this.
    names = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(names & {"botocore", "aiobotocore", "aiohttp", "gcsfs"})
