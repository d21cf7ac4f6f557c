"""What a storage refuses, as errors of ours: full, read-only, or failed."""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from lamart_core.errors import AccessDenied, LamartError, PathNotFound, ReadOnlyStorage, StorageError, StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_FULL_CODES = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "EntityTooLarge"}
_EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
# Azure says AuthenticationFailed also of tokens that have expired, and Google 401 of all.
_REFUSED_CODES = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId", "401",
    "AuthenticationFailed", "InvalidAuthenticationInfo", "AuthorizationFailure",
}  # fmt: skip
_ANONYMOUS_CODES = {"NoAuthenticationInformation", "PublicAccessNotPermitted"}
# The credentials are good, and not for this.
_FORBIDDEN_CODES = {
    "403", "AuthorizationPermissionMismatch", "AuthorizationResourceTypeMismatch", "AuthorizationServiceMismatch",
    "AuthorizationProtocolMismatch", "AuthorizationSourceIPMismatch", "InsufficientAccountPermissions",
}  # fmt: skip
# Errors of clients that found no credentials, or could not renew them.
_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "RefreshWithMFAUnsupportedError",
    "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError", "DefaultCredentialsError", "RefreshError",
    "CredentialUnavailableError",
}  # fmt: skip


class NoContainer(FileNotFoundError):
    """The bucket or container of a location is not there, which is more than that an object is not."""


@contextmanager
def writing(root: str) -> Generator[None, None, None]:
    """Turn what goes wrong while writing to a storage into errors that say what to do.

    Args:
        root: Root of the storage location, for the message.

    Raises:
        StorageFull: No space, quota or file-size limit is left.
        AccessDenied: The credentials are missing, wrong or expired.
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
        AccessDenied: The credentials are missing, wrong or expired, or do not allow to read it.
        StorageError: The storage failed or refused.
    """
    try:
        yield
    except LamartError:
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise PathNotFound(f"there is no object {relpath!r} in the storage {root}") from error
    except Exception as error:
        if not isinstance(error, OSError) and not _is_client_error(error):
            raise
        number = _number(error)
        if refused := _refused(error):
            raise AccessDenied(number, f"cannot read {relpath!r} from {root}: {refused}: {_said(error)}") from error
        if isinstance(error, PermissionError) or _all_codes(error) & _FORBIDDEN_CODES:
            raise AccessDenied(
                number, f"{root} does not allow to read {relpath!r}; check credentials and permissions: {_said(error)}"
            ) from error
        raise StorageError(number, f"cannot read {relpath!r} from {root}: {_said(error)}") from error


def _number(error: BaseException) -> int:
    return error.errno if isinstance(error, OSError) and error.errno else errno.EIO


def _said(error: BaseException) -> str:
    # Time-outs say nothing; Azure adds the whole answer in further lines.
    return str(error).partition("\nRequestId:")[0] or type(error).__name__


def _refused(error: BaseException) -> str | None:
    """Return what is wrong with the credentials, or None when they are not what is wrong."""
    causes, codes = list(_chain(error)), _all_codes(error)
    names = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    if codes & _EXPIRED_CODES:
        return "the credentials have expired; renew them in the environment or with registry.set_storage_options(…)"
    if codes & _REFUSED_CODES:
        return "the credentials are not valid there; check the environment or storage_options"
    if names & _NO_CREDENTIALS or codes & _ANONYMOUS_CODES:
        return (
            "no usable credentials were found; set them in the environment or as connect(…, storage_options={…}), "
            'for public data {"anon": True}'
        )
    if "400" in codes and codes.isdisjoint({"404"}):
        # A server answers HEAD without a word on the reason.
        return "the request was refused without a reason, which is how servers answer to expired credentials"
    return None


def _translated(error: BaseException, root: str) -> StorageError:
    codes, number, said = _all_codes(error), _number(error), _said(error)
    if refused := _refused(error):
        return AccessDenied(number, f"cannot write to {root}: {refused}: {said}")
    if codes & _FULL or codes & _FULL_CODES:
        return StorageFull(
            number, f"the storage {root} is full (no space, quota or file-size limit left); free some space: {said}"
        )
    if codes & (_READ_ONLY | _FORBIDDEN_CODES) or isinstance(error, PermissionError | NotImplementedError):
        return ReadOnlyStorage(
            number, f"the storage {root} cannot be written to; check its permissions or choose another: {said}"
        )
    if isinstance(error, FileNotFoundError):
        return StorageError(
            number, f"the storage {root} is not there (not mounted, or no such bucket or container? make it): {said}"
        )
    return StorageError(number, f"the storage {root} failed: {said}")


def _all_codes(error: BaseException) -> set[int | str]:
    return {code for cause in _chain(error) for code in _codes(cause)}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _codes(error: BaseException) -> Iterator[int | str]:
    if isinstance(error, OSError) and error.errno is not None:
        yield error.errno
    response = getattr(error, "response", None)  # botocore's errors carry the server's answer
    if isinstance(response, dict):
        yield str(response.get("Error", {}).get("Code", ""))
    # Errors of Azure have a word, those of gcsfs the number of the answer.
    for word in (getattr(error, "error_code", None), getattr(error, "code", None), getattr(error, "status_code", None)):
        text = str(getattr(word, "value", word))
        if not text.isdigit() or text in ("401", "403"):
            yield text


def _is_client_error(error: BaseException) -> bool:
    # Known by name: botocore is optional, and loaded only when it raised this.
    names = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(names & {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure"})


@contextmanager
def writing_copies(folder: str) -> Generator[None, None, None]:
    """Turn what fails in the folder of copies into errors that name the setting, see `writing`."""
    try:
        with writing(folder):
            yield
    except StorageError as error:
        advice = "the folder for copies of remote objects is chosen by connect(cache_dir=…) or LAMART_CACHE_DIR"
        raise type(error)(error.errno, f"{error.strerror or error}; {advice}") from error
