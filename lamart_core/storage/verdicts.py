"""Whether bytes are what they should be: one comparison, as deep as is asked for, and a verdict that says what differs.

*Missing*, *unreachable* and *altered* are three verdicts: only what was seen and differs is altered, and what cannot be
seen at this moment is neither whole nor lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lamart_core import formats
from lamart_core.errors import ContentMismatch, ContentMissing, LamartError, PathNotFound
from lamart_core.hashing import ALGORITHMS, Digest, TreeDigest, hash_file, hash_tree
from lamart_core.storage.failures import reading
from lamart_core.storage.values import ObjectStat, StoredFile, describe_path

if TYPE_CHECKING:
    from lamart_core.storage.backend import Backend

_NAMED = 5  # files in a message


class Depth(IntEnum):
    """How closely bytes are looked at."""

    THERE = 1
    """That something of the right kind is there."""
    SIZE = 2
    """Its size and number of files, and what its server says of its content: by one request."""
    DIGEST = 3
    """Every byte; what is remote is copied to this machine for that."""


class State(StrEnum):
    """What bytes are, compared with what they should be."""

    WHOLE = "whole"
    MISSING = "missing"
    UNREACHABLE = "unreachable"
    ALTERED_SIZE = "altered size"
    ALTERED_CONTENT = "altered content"


@dataclass(frozen=True)
class Expected:
    """What bytes should be. None, of any of these: not known, and not compared.

    Attributes:
        size: Size in bytes; for a folder the sum over its files.
        digest: Their digest; that of a format is compared by what the bytes mean to it.
        is_folder: Whether they are a folder.
        n_files: Number of files of a folder.
        suffix: Suffix of the object.
        stamp: What `ObjectStat.stamp` was when they were hashed, or its beginning. Where it is another one now, they
            are read, however closely one wants to look.
    """

    size: int | None
    digest: Digest | None
    is_folder: bool = False
    n_files: int | None = None
    suffix: str = ""
    stamp: str | None = None

    @property
    def exact_digest(self) -> Digest | None:
        """The digest, if equal ones mean equal content; what only a server vouches for cannot be made from bytes."""
        return self.digest if self.digest is not None and self.digest.is_exact else None


@dataclass(frozen=True)
class Verdict:
    """What bytes are, compared with what they should be.

    Attributes:
        state: What they are.
        what: What differs, or why nothing can be seen; a sentence about "it".
        tree: The files of a folder that was hashed.
        files: The files of a folder that differ, where that is known.
        error: Why nothing can be seen.
        stamp: Their stamp, where it is not the expected one although they are whole.
    """

    state: State
    what: str = ""
    tree: TreeDigest | None = None
    files: Sequence[str] = ()
    error: LamartError | None = None
    stamp: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the bytes are what they should be, as far as was looked."""
        return self.state is State.WHOLE

    @property
    def is_damaged(self) -> bool:
        """Whether the bytes are missing or altered; not so what cannot be seen."""
        return self.state not in (State.WHOLE, State.UNREACHABLE)

    def __str__(self) -> str:
        more = f" and {len(self.files) - _NAMED:,} more" if len(self.files) > _NAMED else ""
        named = f"; it differs in {', '.join(map(repr, self.files[:_NAMED]))}{more}" if self.files else ""
        return f"{self.what}{named}"

    def check(self, name: str) -> None:
        """Raise unless the bytes are whole.

        Args:
            name: What the message calls the bytes.

        Raises:
            ContentMissing: There is nothing.
            ContentMismatch: They are altered.
            LamartError: They cannot be seen; the error that says why.
        """
        if self.error is not None:
            raise self.error
        if self.state is State.MISSING:
            raise ContentMissing(f"{name} are missing: {self}")
        if self.is_damaged:
            raise ContentMismatch(f"{name} were altered: {self}")


_WHOLE = Verdict(State.WHOLE)


def verify(backend: Backend, relpath: str, expected: Expected, depth: Depth) -> Verdict:
    """Compare the bytes at a path of a storage with what they should be.

    Args:
        backend: The storage.
        relpath: Path relative to its root.
        expected: What they should be.
        depth: How closely to look: up to `SIZE` by one request.
    """

    def look() -> Verdict:
        if backend.is_cached and (depth is not Depth.DIGEST or expected.exact_digest is None):
            return compare(backend.stat(relpath), expected, depth)
        with backend.on_disk(relpath, is_folder=expected.is_folder) as path:
            return verify_local(path, expected, depth)

    return _verdict(look, backend)


def verify_files(backend: Backend, files: Sequence[StoredFile], expected: Expected, depth: Depth) -> Verdict:
    """Compare a folder whose files are objects of their own with what it should be.

    Args:
        backend: The storage.
        files: The files.
        expected: What the folder should be.
        depth: How closely to look.
    """

    def look() -> Verdict:
        if depth is not Depth.DIGEST:
            found = verify_sizes(backend, {file.relpath: file.size for file in files if file.relpath is not None})
            wrong = {file.path: found[file.relpath] for file in files if file.relpath in found}
            return replace(next(iter(wrong.values())), files=tuple(wrong)) if wrong else _WHOLE
        with TemporaryDirectory() as temporary:
            copy = Path(temporary) / f"object{expected.suffix}"
            backend.get_files({copy / file.path: file for file in files})
            return verify_local(copy, expected, depth)

    return _verdict(look, backend)


def verify_sizes(backend: Backend, sizes: Mapping[str, int]) -> dict[str, Verdict]:
    """Compare many objects of a version store with their sizes, for fewer requests than one for each.

    Args:
        backend: The storage.
        sizes: What they should have, in bytes, by their paths.

    Returns:
        The verdicts on those that are not whole, by path; on all of them where the storage fails.
    """
    try:
        found = backend.mismatched(sizes)
        if found:
            backend.check_guarded()
    except LamartError as error:
        return dict.fromkeys(sizes, _unreachable(error))
    return {
        path: Verdict(State.MISSING, "there is nothing")
        if size is None
        else Verdict(State.ALTERED_SIZE, _other_size(size, sizes[path]))
        for path, size in found.items()
    }


def verify_any(backend: Backend, relpath: str, several: Sequence[Expected]) -> Verdict:
    """Compare the bytes at a path with several that may be there, up to their digests; they are read once at most.

    Args:
        backend: The storage.
        relpath: Path relative to its root.
        several: What may be there.

    Returns:
        A verdict that says whole if they are one of them, else that of the last one they were compared with.
    """

    def look() -> Verdict:
        found = backend.stat(relpath)
        verdicts = [compare(found, expected, Depth.SIZE) for expected in several]
        alike = [item for item, verdict in zip(several, verdicts, strict=True) if verdict.is_whole]
        if any(expected.exact_digest is None for expected in alike):
            return _WHOLE
        if not alike:
            return verdicts[-1] if verdicts else Verdict(State.ALTERED_CONTENT, "nobody knows it")
        with backend.on_disk(relpath, is_folder=found.is_folder) as path:
            return _first_equal(path, alike)

    return _verdict(look, backend)


def verify_local(path: Path, expected: Expected, depth: Depth) -> Verdict:
    """Compare a file or folder on this machine with what it should be.

    A digest that only a server vouches for cannot be made from bytes, and is not compared.

    Args:
        path: The file or folder.
        expected: What it should be.
        depth: How closely to look.
    """

    def look() -> Verdict:
        with reading(str(path.parent), path.name):
            found = describe_path(path, stamped=expected.stamp is not None)
        verdict = compare(found, replace(expected, digest=expected.exact_digest), depth)
        is_other = depth >= Depth.SIZE and _is_other(found.stamp, expected.stamp)
        if not verdict.is_whole or (depth is not Depth.DIGEST and not is_other):
            return verdict
        verdict = _compare_digest(path, expected)
        return replace(verdict, stamp=found.stamp) if is_other and verdict.is_whole else verdict

    return _verdict(look)


def _is_other(found: str | None, expected: str | None) -> bool:
    if found is None or expected is None or found == expected:
        return False
    return found.partition(".")[0] != expected  # of what only we write, the time is enough


def _verdict(look: Callable[[], Verdict], backend: Backend | None = None) -> Verdict:
    """Return the verdict of a look; in a place where another store lies, or none, nothing can be seen."""
    found = _seen(look)
    if backend is not None and found.is_damaged:
        try:
            backend.check_guarded()
        except LamartError as error:
            return _unreachable(error)
    return found


def _seen(look: Callable[[], Verdict]) -> Verdict:
    try:
        return look()
    except PathNotFound:
        return Verdict(State.MISSING, "there is nothing")
    except ContentMismatch as error:  # what a format says of bytes that it cannot read
        return Verdict(State.ALTERED_CONTENT, str(error))
    except LamartError as error:
        return _unreachable(error)


def _unreachable(error: LamartError) -> Verdict:
    return Verdict(State.UNREACHABLE, f"it cannot be read: {error}", error=error)


def _other_size(found: int, expected: int) -> str:
    return f"it has {found:,} bytes, but {expected:,} were stored"


def compare(found: ObjectStat, expected: Expected, depth: Depth) -> Verdict:
    """Compare what is to be seen of bytes without reading them with what they should be."""
    if found.is_folder != expected.is_folder:
        return Verdict(State.ALTERED_SIZE, "it is a folder" if found.is_folder else "it is no folder")
    if depth < Depth.SIZE:
        return _WHOLE
    if expected.size is not None and found.size not in (None, expected.size):
        return Verdict(State.ALTERED_SIZE, _other_size(found.size, expected.size))
    if expected.n_files is not None and found.n_files not in (None, expected.n_files):
        return Verdict(State.ALTERED_SIZE, f"it has {found.n_files:,} files, but {expected.n_files:,} were stored")
    digest = expected.digest
    if digest is not None and not digest.is_exact and found.digest != digest:
        return Verdict(State.ALTERED_CONTENT, f"its server says {found.digest} now, and said {digest}")
    return _WHOLE


def _compare_digest(path: Path, expected: Expected) -> Verdict:
    digest = expected.exact_digest
    if digest is None:
        return _WHOLE
    made = _hash(path, expected.suffix, digest)
    if made.digest.value == digest.value:
        return Verdict(State.WHOLE, tree=made.tree)
    return Verdict(State.ALTERED_CONTENT, f"its digest is {made.digest}, but {digest} was stored", made.tree)


def _first_equal(path: Path, alike: Sequence[Expected]) -> Verdict:
    """Return whether some bytes are one of several; each algorithm reads them once."""
    hashed: dict[tuple[str, str], Digest] = {}
    for item in alike:
        digest = item.exact_digest
        assert digest is not None
        kind = (item.suffix, digest.algorithm)
        if kind not in hashed:
            hashed[kind] = _hash(path, item.suffix, digest).digest
        if hashed[kind].value == digest.value:
            return _WHOLE
    return Verdict(State.ALTERED_CONTENT, f"its digest is {' or '.join(map(str, hashed.values()))}")


@dataclass(frozen=True)
class _Hashed:
    digest: Digest
    tree: TreeDigest | None = None


def _hash(path: Path, suffix: str, expected: Digest) -> _Hashed:
    """Hash a file or folder as the expected digest was made: its bytes, or what they mean to its format."""
    if expected.file_algorithm not in ALGORITHMS:
        made = formats.for_path(path, suffix).content_digest(path)
        if made is not None:
            return _Hashed(made)
    if path.is_dir():
        tree = hash_tree(path, expected.file_algorithm)
        return _Hashed(tree.digest, tree)
    return _Hashed(hash_file(path, expected.algorithm))
