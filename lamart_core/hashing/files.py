"""Hash every byte of a file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from lamart_core.errors import InvalidArgument, LamartError, PathNotFound, StorageError, UnreadablePath
from lamart_core.hashing.digests import DEFAULT_ALGORITHM, Digest, Hasher

# Large enough that several threads hash one piece at full speed, small enough for the processor's cache.
PIECE = 4 * 2**20


@dataclass(frozen=True)
class FileState:
    """What tells that a file is still what it was, without reading it; times are those of its file system."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


def state_of(status: os.stat_result) -> FileState:
    """Return the state of a file from its status."""
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def stamp_of(state: FileState) -> str:
    """Return a text that changes when a file is written or replaced, whatever its size: its time and its inode."""
    return f"{state.modified_ns}.{state.inode}"


def hash_file(path: str | os.PathLike[str], algorithm: str = DEFAULT_ALGORITHM, *, parallel: bool = True) -> Digest:
    """Return the digest of all bytes of a file.

    The file is read in pieces and not mapped into memory: that is as fast, and a file that another process truncates
    in the meantime gives another digest and not a bus error.

    Args:
        path: A file, or a link to one.
        algorithm: Name of the algorithm.
        parallel: Whether one large file may be hashed by several threads.

    Raises:
        PathNotFound: There is nothing at the path.
        UnreadablePath: This process may not read it.
        InvalidArgument: It is a folder, pipe, socket or device, or the algorithm is unknown.
        StorageError: The disk failed.

    Examples:
        >>> _ = Path("empty.txt").write_bytes(b"")
        >>> hash_file("empty.txt", "md5")
        Digest(algorithm='md5', value='1B2M2Y8AsgTpgAmY7PhCfg', is_exact=True)
    """
    return measure_file(path, algorithm, parallel=parallel)[0]


def measure_file(
    path: str | os.PathLike[str], algorithm: str = DEFAULT_ALGORITHM, *, parallel: bool = True
) -> tuple[Digest, int]:
    """Return the digest of all bytes of a file and how many they were; see `hash_file`."""
    hasher = Hasher(algorithm, parallel=parallel)
    with reading_source(path), open_regular(path) as file:
        buffer = bytearray(min(PIECE, max(os.fstat(file.fileno()).st_size, 1)))
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            hasher.update(view[:count])
    return hasher.digest(), hasher.size


@contextmanager
def reading_source(path: str | os.PathLike[str]) -> Generator[None, None, None]:
    """Turn what the system says about a source into errors that name it.

    Raises:
        PathNotFound: There is nothing at the path.
        UnreadablePath: This process may not read it.
        StorageError: The path cannot be used, or the disk failed.
    """
    shown = repr(os.fspath(path))
    try:
        yield
    except LamartError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise PathNotFound(f"there is no file {shown}") from None
    except PermissionError as error:
        raise UnreadablePath(f"{shown} may not be read by this user; change its permissions ({error})") from error
    except ValueError as error:  # a zero byte, or half a character
        raise InvalidArgument(f"{shown} is no path: {error}") from error
    except OSError as error:
        raise StorageError(error.errno or errno.EIO, f"{shown} cannot be read: {error}") from error


def open_regular(path: str | os.PathLike[str]) -> FileIO:
    """Open a plain file for reading, unbuffered; anything else is refused, and never waited for.

    Raises:
        InvalidArgument: It is a folder, pipe, socket or device.
        OSError: It is not there or cannot be opened.
    """
    check_regular(path, os.stat(path).st_mode)  # opening alone can already move a device
    # Without waiting: between the two looks a pipe may have taken the place of the file.
    file = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    try:
        check_regular(path, os.fstat(file.fileno()).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def check_regular(path: str | os.PathLike[str], mode: int) -> None:
    """Refuse what is not a plain file: opening a pipe would wait for a writer that may never come.

    Raises:
        InvalidArgument: The mode is that of something else.
    """
    if stat.S_ISREG(mode):
        return
    kinds = [
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISLNK, "a link"),
    ]
    kind = next((name for is_kind, name in kinds if is_kind(mode)), "a device")
    raise InvalidArgument(f"{str(Path(path))!r} is {kind}, not a file")
