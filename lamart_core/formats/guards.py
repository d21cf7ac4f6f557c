"""What libraries raise while they read or write, told in the library's own errors."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lamart_core.errors import (
    ContentMismatch,
    InvalidArgument,
    LamartError,
    PathNotFound,
    ReadOnlyStorage,
    StorageFull,
    UnsupportedObject,
)

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_WAIT_SECONDS = 5.0
_CHECK_SECONDS = 0.02
_QUIET_CHECKS = 5
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
# What anndata notes on an exception while it reads or writes an element.
_KEY_NOTE = re.compile(r"Error raised while (?:writ|read)ing key '(.*)' of .* (?:to|from) (/.*)")
# HDF5 reports the failing system call in its message only.
_HDF5_ERRNO = re.compile(r"errno = (\d+)")


class UnreadableContent(ContentMismatch, InvalidArgument):
    """Bytes that are not what their suffix says: corrupt, truncated, empty or wrongly named.

    It is an ``IntegrityError``, since stored bytes are not intact, and a ``ValueError``, since a path that was
    passed does not hold what it was said to hold.
    """


@contextmanager
def reading(
    path: object,
    what: str,
    options: Mapping[str, object] | None = None,
    *,
    is_whole: Callable[[], bool] | None = None,
) -> Generator[None]:
    """Turn whatever a reader raises into a typed error.

    Args:
        path: What is read, for the message.
        what: Name of the format, e.g. ``"parquet"``.
        options: What the caller passed to the reader.
        is_whole: Asked when the reader fails: whether all of the content can be read in another way.

    Raises:
        UnreadableContent: The content is not of this format.
        PathNotFound: Nothing is there.
        InvalidArgument: The reader does not know an option, or cannot read whole content with the options.
        UnsupportedObject: The content is whole, but cannot become what was asked for.
    """
    try:
        yield
    except (LamartError, MemoryError, ImportError):
        raise
    except FileNotFoundError as error:
        raise PathNotFound(f"Nothing to read at {path}: {error}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system refused or failed (permissions, I/O): says nothing about the content
        if options and isinstance(error, TypeError) and "argument" in str(error):
            raise InvalidArgument(f"The reader of {what} refuses an option: {error}") from error
        if is_whole is not None and is_whole():
            said = f"{type(error).__name__}: {error}"
            if options:
                passed = ", ".join(f"{name}={value!r}" for name, value in options.items())
                raise InvalidArgument(f"{path} cannot be read as {what} with {passed}: {said}") from error
            raise UnsupportedObject(
                f"{path} is whole, but cannot be read as what was asked for: {said}. Another as_type=… may do"
            ) from error
        raise UnreadableContent(
            f"{path} cannot be read as {what}: {_element(error)}{type(error).__name__}: {error}. "
            f"{_verdict(error, what)}"
        ) from error


@contextmanager
def writing(obj: object, path: Path, what: str) -> Generator[None]:
    """Leave nothing behind when a writer fails, and tell why in a typed error.

    Args:
        obj: What is written, for the message.
        path: Where to; removed on any error.
        what: Name of the format.

    Raises:
        UnsupportedObject: The format cannot hold this content.
        StorageFull: No space, quota or file-size limit left.
        ReadOnlyStorage: The place cannot be written to.
    """
    try:
        yield
    except BaseException as error:
        remove(path)
        code = _system_error(error)
        if code in _FULL:
            raise StorageFull(code, f"{os.strerror(code)} while writing {what}", str(path)) from error
        if code in _REFUSED:
            raise ReadOnlyStorage(code, f"{os.strerror(code)} while writing {what}", str(path)) from error
        passed_on = (LamartError, MemoryError, ImportError, OSError)
        if code is not None or isinstance(error, passed_on) or not isinstance(error, Exception):
            raise
        raise UnsupportedObject(f"{what} cannot hold this {type(obj).__name__}: {_element(error)}{error}") from error


def remove(path: Path) -> None:
    """Remove a file or folder; nothing there is fine."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    # Writers of folders (zarr) write chunks in the background, and go on for a moment after one of them failed.
    deadline = time.monotonic() + _WAIT_SECONDS
    quiet = 0
    while quiet < _QUIET_CHECKS and time.monotonic() < deadline:
        quiet = 0 if path.exists() else quiet + 1
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(_CHECK_SECONDS)


def _verdict(error: Exception, what: str) -> str:
    if type(error).__name__ == "IORegistryError":  # of anndata: an encoding that it does not know
        return "A newer version of the library may know it; cache() gives the file itself."
    return f"It is damaged, incomplete, or not a {what} file."


def _element(error: Exception) -> str:
    """Which part of a container an error is about, as anndata notes it: ``"obs['donor']: "``; empty if it does not."""
    for note in getattr(error, "__notes__", ()):
        found = _KEY_NOTE.fullmatch(str(note))
        if found is not None:
            slot, *keys = f"{found.group(2)}/{found.group(1)}".strip("/").split("/")
            return f"{slot}{''.join(f'[{key!r}]' for key in keys)}: "
    return ""


def _system_error(error: BaseException | None) -> int | None:
    """The number of the system error behind ``error``, however deep it lies."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        found = _HDF5_ERRNO.search(str(error))
        if found is not None:
            return int(found.group(1))
        error = error.__cause__ or error.__context__
    return None
