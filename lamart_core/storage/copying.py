"""Copy a local file and hash it in the same pass; make files and folders durable."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from queue import SimpleQueue

from lamart_core.errors import InvalidArgument, PathNotFound, SourceChanged, StorageError
from lamart_core.hashing import (
    ALGORITHMS,
    Digest,
    FileState,
    Hasher,
    TreeDigest,
    list_files,
    open_regular,
    reading_source,
    stamp_of,
    state_of,
)
from lamart_core.storage.failures import writing
from lamart_core.storage.progress import NO_BAR, Bar

# Pieces are hashed by another thread while the next ones are copied; below one piece a thread costs more than it saves.
_PIECE = 2 * 2**20
SMALL = _PIECE
_HASHED = 2**20  # what fits into the processor's cache is hashed faster
_FLUSH = 16 * 2**20
_END = -1
_TICK = 20_000_000  # nanoseconds; twice the longest tick of a kernel
_TICKS = 10
_WRITE = 0o222
_ABOUT = "user.lamart.about"
_NUMBER = "user.lamart.number"


@dataclass(frozen=True)
class Copied:
    """What a copy wrote: its size in bytes, its digest and its stamp."""

    size: int
    digest: Digest
    stamp: str


def copy_file(
    source: Path,
    target: Path,
    *,
    root: str,
    algorithm: str,
    durable: bool = True,
    is_stored: bool = False,
    about: str | None = None,
    bar: Bar = NO_BAR,
) -> Copied:
    """Copy a file to a new path, hashing the bytes that are written.

    Args:
        source: An existing file.
        target: A path where nothing is.
        root: Root of the storage that is written to, for messages.
        algorithm: Hash algorithm.
        durable: Whether the bytes are flushed to the disk before this returns.
        is_stored: Whether the copy is what is stored, which nobody writes to any more.
        about: What it is; see `describe`.
        bar: Progress that the copy is part of.

    Raises:
        SourceChanged: The source is gone, or its size or time changed while it was copied.
        StorageFull: No space, quota or file-size limit is left.
        ReadOnlyStorage: The target cannot be written.
        StorageError: The storage failed in another way.
    """
    with open_source(source) as reader:
        before = os.fstat(reader.fileno())
        with writing(root), open(target, "x+b", buffering=0) as file:
            hasher = Hasher(algorithm, parallel=False)
            copy = _copy_small if before.st_size <= _PIECE else _copy_large
            copy(reader, file, hasher, bar)
            describe(file.fileno(), about)  # while it may be written to, and before it is flushed
            if is_stored:
                protect(file.fileno())
            if durable:
                os.fsync(file.fileno())
            stamp = stamp_of(state_of(os.fstat(file.fileno())))
        after = os.fstat(reader.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or hasher.size != after.st_size:
        raise changed(source)
    return Copied(hasher.size, hasher.digest(), stamp)


def protect(path: Path | int) -> None:
    """Give a file, by its path or descriptor, the mode of what is stored: who may read still may, nobody writes."""
    with contextlib.suppress(PermissionError):  # some file systems have no modes
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) & ~_WRITE)


def protect_all(path: Path) -> None:
    """Protect a file, or all files of a folder."""
    for name in [path / file.path for file in list_files(path)] if path.is_dir() else [path]:
        protect(name)


def open_source(source: Path) -> FileIO:
    """Open a file that is going to be stored; unbuffered, to be used as a context manager.

    Raises:
        SourceChanged: The file is not there any more.
        UnreadablePath: This process may not read it.
    """
    try:
        with reading_source(source):
            return open_regular(source)
    except PathNotFound:
        raise SourceChanged(f"{str(source)!r} is not there any more; it was removed since it was staged") from None


def state_at_rest(sources: Sequence[Path]) -> list[FileState]:
    """Return the states of files, once a later change can be told by its time.

    A file system counts time in ticks of some milliseconds. A file that was written within the last one may be
    written again without another time: then this waits for the next tick.

    Raises:
        SourceChanged: A file is not there any more, or they are written all the time.
    """
    for _ in range(_TICKS):
        try:
            states = [state_of(path.stat()) for path in sources]
        except FileNotFoundError as error:
            raise changed(Path(str(error.filename))) from None
        age = time.time_ns() - max((max(state.modified_ns, state.changed_ns) for state in states), default=0)
        # A time in the future is that of another machine's clock: nothing to wait for.
        if age >= _TICK or age < -_TICK:
            return states
        time.sleep(_TICK / 1e9)
    raise changed(sources[0])


def content_state(source: Path) -> dict[str, FileState]:
    """Return the states of a file, or of all files of a folder, by the path relative to it.

    Raises:
        SourceChanged: They are written all the time.
        InvalidArgument, PathNotFound, UnreadablePath: As for `list_files`.
    """
    paths = [file.path for file in list_files(source)] if source.is_dir() else [""]
    return dict(zip(paths, state_at_rest([source / path for path in paths]), strict=True))


def check_state(source: Path, state: Mapping[str, FileState]) -> None:
    """Check that a file or folder is as it was when its state was taken.

    Raises:
        SourceChanged: It was written since, or is gone.
    """
    try:
        now = content_state(source)
    except (FileNotFoundError, InvalidArgument):
        now = {}
    if now != state:
        raise changed(source)


def changed(source: Path) -> SourceChanged:
    """Return the error for a source that is not what it was."""
    return SourceChanged(
        f"{str(source)!r} was modified since it was staged; nothing was stored. "
        "Make the artifact again when the file is at rest"
    )


class _KernelCopy:
    """Copies pieces within the kernel, so that they need not pass through this process."""

    def __init__(self, source: FileIO, target: FileIO) -> None:
        self._source = source.fileno()
        self._target = target.fileno()

    def advance(self) -> int:
        """Copy the next piece and return its size in bytes; 0 at the end."""
        return os.copy_file_range(self._source, self._target, _FLUSH)


class _PlainCopy:
    """Copies pieces by reading and writing."""

    def __init__(self, source: FileIO, target: FileIO) -> None:
        self._source = source
        self._target = target
        self._buffer = memoryview(bytearray(_PIECE))

    def advance(self) -> int:
        """Copy the next piece and return its size in bytes; 0 at the end."""
        count = self._source.readinto(self._buffer) or 0
        self._write(self._buffer[:count])
        return count

    def _write(self, data: memoryview) -> None:
        # An unbuffered write may take a part only: near the end of a disk the rest then raises.
        while data:
            data = data[self._target.write(data) :]


class _HoleCopy(_PlainCopy):
    """Leaves out pieces that are all zero: they read as zeros anyway."""

    def _write(self, data: memoryview) -> None:
        if data.tobytes().count(0) < len(data):
            super()._write(data)
        else:
            self._target.seek(len(data), os.SEEK_CUR)
            self._target.truncate(self._target.tell())


def _way_to_copy(source: FileIO, target: FileIO) -> _KernelCopy | _PlainCopy:
    status = os.fstat(source.fileno())
    if status.st_blocks * 512 < status.st_size:
        return _HoleCopy(source, target)  # it takes less of the disk than its size: so does the copy
    if hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):  # not between these file systems, or not on them at all
            os.copy_file_range(source.fileno(), target.fileno(), 1, 0, 0)
            return _KernelCopy(source, target)
    return _PlainCopy(source, target)


def _copy_small(reader: FileIO, file: FileIO, hasher: Hasher, bar: Bar) -> None:
    while data := reader.read(_PIECE):
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        hasher.update(data)
        bar.advance(len(data))


def _copy_large(reader: FileIO, file: FileIO, hasher: Hasher, bar: Bar) -> None:
    """Copy piece by piece, while another thread reads what was written and hashes it."""
    written: SimpleQueue[int] = SimpleQueue()
    copy = _way_to_copy(reader, file)
    done = flushed = 0
    with ThreadPoolExecutor(1, thread_name_prefix="lamart-hash") as pool:
        hashed = pool.submit(_hash_behind, file.fileno(), hasher, written)
        try:
            while count := copy.advance():
                done += count
                written.put(done)
                bar.advance(count)
                if done - flushed >= _FLUSH:
                    _begin_flush(file, flushed, done - flushed)
                    flushed = done
        finally:
            written.put(_END)
        hashed.result()


def _hash_behind(descriptor: int, hasher: Hasher, written: SimpleQueue[int]) -> None:
    """Hash a file up to each position that it is told, as far as it can be read."""
    buffer = memoryview(bytearray(_HASHED))
    position = 0
    while (end := written.get()) != _END:
        while position < end:
            count = os.preadv(descriptor, [buffer[: end - position]], position)
            if not count:
                return  # somebody else truncated it: then the sizes differ
            hasher.update(buffer[:count])
            position += count


def begin_flush(path: Path) -> None:
    """Let the disk begin with a file that was written and is going to be stored, while it is hashed."""
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
        _begin_flush(file, 0, 0)


def _begin_flush(writer: FileIO, start: int, count: int) -> None:
    """Let the disk begin with what was written, so that the flush at the end finds little left to do."""
    # On Linux this advice starts writing pages that are not on the disk yet, and keeps them in memory.
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(writer.fileno(), start, count, os.POSIX_FADV_DONTNEED)


def sync_file(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path, top: Path) -> None:
    """Create a folder and its parents below `top`, so that they survive a crash.

    Raises:
        StorageError: One of them is a link.
    """
    check_no_links(folder, top)
    missing: list[Path] = []
    current = folder
    while current != top and not current.is_dir():
        missing.append(current)
        current = current.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_file(path.parent)


def check_no_links(folder: Path, top: Path) -> None:
    """Check that a folder is where its path says: what is written or removed there lies below `top`.

    Raises:
        StorageError: It, or a folder that it lies in, is a link.
    """
    current = os.fspath(folder)
    while len(current) > len(os.fspath(top)):
        if os.path.islink(current):
            raise StorageError(
                errno.ELOOP, f"{current} is a link; nothing is written or removed through links inside of a storage"
            )
        current = os.path.dirname(current)


def remove_quietly(path: Path) -> None:
    """Remove a file or folder, if it is there and can be removed.

    Used on the way out, where the error that led there matters; what stays in a folder for staging files is collected
    later.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def check_entries(source: Path, tree: TreeDigest) -> None:
    """Check that a folder still holds the files that were hashed.

    Raises:
        SourceChanged: Files were added, removed or changed their size.
    """
    try:
        now = {file.path: file.size for file in list_files(source)}
    except PathNotFound:
        raise SourceChanged(f"{str(source)!r} is not there any more; it was removed since it was staged") from None
    staged = {entry.path: entry.size for entry in tree.entries}
    if now != staged:
        different = sorted(path for path in now.keys() | staged.keys() if now.get(path) != staged.get(path))
        raise SourceChanged(
            f"{str(source)!r} was modified since it was staged ({', '.join(different[:5])}); nothing was stored. "
            "Make the artifact again when the folder is at rest"
        )


def is_checkable(digest: Digest | None) -> bool:
    """Whether a digest can be compared with one made from the bytes of a file."""
    return digest is not None and digest.is_exact and digest.algorithm in ALGORITHMS


def describe(path: Path | int, about: str | None) -> None:
    """Write down beside the bytes of a file or folder what it is, where the file system has attributes for that."""
    if about is not None and hasattr(os, "setxattr"):
        with contextlib.suppress(OSError):  # a help for the day on which the database is lost, and no more
            os.setxattr(path, _ABOUT, about.encode("ascii"))


def description(path: Path) -> str | None:
    """Return what `describe` wrote.

    Raises:
        FileNotFoundError: There is nothing.
    """
    path.lstat()
    if not hasattr(os, "getxattr"):
        return None
    try:
        return os.getxattr(path, _ABOUT, follow_symlinks=False).decode("ascii", "replace")
    except OSError:
        return None


def note_number(path: str, number: int) -> None:
    """Write a number down beside the bytes of a file, where the file system has attributes for that."""
    if hasattr(os, "setxattr"):
        with contextlib.suppress(OSError):
            os.setxattr(path, _NUMBER, str(number).encode())


def number_at(path: str) -> int:
    """Return the number that `note_number` wrote; 0 where there is none."""
    if not hasattr(os, "getxattr"):
        return 0
    try:
        return int(os.getxattr(path, _NUMBER))
    except (OSError, ValueError):
        return 0
