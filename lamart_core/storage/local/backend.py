"""A folder of this machine: under a temporary name first, durable, never over something that is there."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from lamart_core.errors import ContentMismatch, PathNotFound, SourceChanged
from lamart_core.hashing import DEFAULT_ALGORITHM, Digest, FileEntry, TreeDigest, list_files, stamp_of, state_of
from lamart_core.storage.backend import Backend
from lamart_core.storage.copying import (
    SMALL,
    Copied,
    changed,
    check_entries,
    check_no_links,
    copy_file,
    describe,
    description,
    is_checkable,
    make_folders,
    note_number,
    number_at,
    protect,
    protect_all,
    remove_quietly,
    sync_file,
)
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.local.linking import link_equal, link_known
from lamart_core.storage.local.publishing import (
    check_free,
    create_file,
    exchange,
    is_flushed_late,
    link,
    publish_file,
    publish_folder,
    remove_empty,
    sync_folders,
)
from lamart_core.storage.names.keys import RESERVED, check_inside, check_names
from lamart_core.storage.names.roots import MARKER
from lamart_core.storage.progress import Bar
from lamart_core.storage.staging import Staging, staging_name
from lamart_core.storage.threads import put_side_by_side, run_all
from lamart_core.storage.values import (
    FilePut,
    KnownFile,
    ObjectStat,
    ReservedName,
    StoredName,
    describe_path,
    measure_path,
)

_THREADS = 8
# A file system writes its journal once for all that are flushed at the same moment: small files wait together.
_MANY_THREADS = 32


@dataclass(frozen=True)
class Local(Backend):
    """A folder of this machine."""

    keeps_links: ClassVar[bool] = True
    takes_staged: ClassVar[bool] = True
    is_cached: ClassVar[bool] = False
    requests: ClassVar[int] = 1

    def path(self, relpath: str = "") -> Path:
        """Return the path of an object. See `Backend.path`."""
        if not relpath:
            return Path(self.root)
        check_inside(relpath)
        return Path(self.root, relpath)

    def url(self, relpath: str = "") -> str:
        """Return the URL of an object. See `Backend.url`."""
        return f"file://{self.path(relpath)}"

    def check_path(self, relpath: str) -> None:
        """Check a path. See `Backend.check_path`: file systems limit the length of names too."""
        super().check_path(relpath)
        check_names(relpath)

    @property
    def region(self) -> str | None:
        """Name of this machine."""
        return platform.node()[:64] or None

    def check_reachable(self) -> None:
        """Check that the folder is there. See `Backend.check_reachable`."""
        if not self.path().is_dir():
            raise PathNotFound(f"there is no folder {self.root} (is its disk mounted?)")

    # ------------------------------------------------------------------ put

    def staging(self, cache_dir: Path | None = None) -> Staging:
        """Return the folder for what is not complete yet: a part of the storage."""
        return Staging(self, Path(self.root, RESERVED, "tmp"), is_inside=True)

    def _put_file(self, put: FilePut, bar: Bar) -> ObjectStat:
        return self._put_one(put, is_alone=True, bar=bar)

    def _put_files(self, puts: Sequence[FilePut], bar: Bar) -> list[ObjectStat]:
        """Store files; each folder that got some is flushed once."""
        folders = [self.path(parent) for parent in {put.relpath.rpartition("/")[0] for put in puts}]
        self.staging().prepare()
        with writing(self.root):
            for folder in folders:
                make_folders(folder, Path(self.root))
        put_one = partial(self._put_one, is_alone=False, bar=bar)

        def remove(relpath: str) -> None:
            self.path(relpath).unlink(missing_ok=True)

        are_small = all(put.size is not None and put.size <= SMALL for put in puts)
        found = put_side_by_side(puts, put_one, remove, _MANY_THREADS if are_small else _THREADS)
        with writing(self.root):
            for folder in folders:
                sync_file(folder)
        return found

    def _put_one(self, put: FilePut, *, is_alone: bool, bar: Bar) -> ObjectStat:
        """Store a file; of those that are stored together the caller makes and flushes the folders."""
        source, digest, staging = put.source, put.digest, self.staging()
        final = self.path(put.relpath)
        check_free(final, self)
        durable = not is_flushed_late(final, is_alone=is_alone)
        if put.move and staging.holds(source):
            with writing(self.root):
                describe(source, put.about)
                state = state_of(source.stat())
                protect(source)
                if durable:
                    sync_file(source)
                publish_file(source, final, self, is_alone=is_alone)
            bar.advance(state.size)
            return ObjectStat(state.size, None, False, digest, stamp=stamp_of(state))
        temporary = staging.new_path() if is_alone else staging.folder / staging_name()
        try:
            algorithm = digest.algorithm if digest is not None and is_checkable(digest) else DEFAULT_ALGORITHM
            copied = copy_file(
                source,
                temporary,
                root=self.root,
                algorithm=algorithm,
                durable=durable,
                is_stored=True,
                about=put.about,
                bar=bar,
            )
            if is_checkable(digest) and copied.digest != digest:
                raise changed(source)
            with writing(self.root):
                publish_file(temporary, final, self, is_alone=is_alone)
        except BaseException:
            remove_quietly(temporary)
            raise
        if put.move:
            source.unlink()
        return ObjectStat(copied.size, None, False, copied.digest, stamp=copied.stamp)

    def _put_folder(
        self,
        source: Path,
        relpath: str,
        *,
        tree: TreeDigest,
        move: bool,
        known: Mapping[str, KnownFile] | None,
        about: str | None,
    ) -> ObjectStat:
        final, staging = self.path(relpath), self.staging()
        check_free(final, self)
        check_entries(source, tree)
        if move and staging.holds(source):
            with writing(self.root):
                new: Sequence[FileEntry] = tree.entries
                if known is not None:
                    new = link_known(tree, source, self, known)
                    link_equal([entry for entry in new if entry.size], source)
                run_all([partial(_protect_and_flush, source / entry.path) for entry in new], _THREADS)
                describe(source, about)
                publish_folder(source, final, self)
        else:
            temporary = staging.new_path()
            try:
                self._copy_folder(source, temporary, tree, known)
                with writing(self.root):
                    describe(temporary, about)
                    publish_folder(temporary, final, self)
            finally:
                remove_quietly(temporary)
            if move:
                shutil.rmtree(source)
        return ObjectStat(tree.size, tree.n_files, True, tree.digest)

    def _copy_folder(
        self, source: Path, temporary: Path, tree: TreeDigest, known: Mapping[str, KnownFile] | None
    ) -> None:
        def copy(entry: FileEntry) -> None:
            algorithm = tree.digest.file_algorithm
            path = source / entry.path
            place = temporary / entry.path
            copied: Copied = copy_file(path, place, root=self.root, algorithm=algorithm, is_stored=True)
            if (copied.size, copied.digest.value) != (entry.size, entry.value):
                raise changed(path)

        with writing(self.root):
            _make_parents(temporary, [entry.path for entry in tree.entries])
            new = link_known(tree, temporary, self, known) if known is not None else list(tree.entries)
        # A content that occurs several times is written once; empty files are no content.
        firsts = {entry.value: entry for entry in reversed(new) if entry.size and known is not None}
        equal = [entry for entry in new if firsts.get(entry.value, entry) is not entry]
        run_all([partial(copy, entry) for entry in new if firsts.get(entry.value, entry) is entry], _THREADS)
        with writing(self.root):
            rest = link_equal([*firsts.values(), *equal], temporary) if equal else []
        run_all([partial(copy, entry) for entry in rest], _THREADS)

    def make_parent(self, relpath: str) -> None:
        """Make the folder that an object will lie in. See `Backend.make_parent`."""
        self.staging().prepare()  # refuses a storage that is not there
        with writing(self.root):
            make_folders(self.path(relpath).parent, Path(self.root))

    def flush(self, relpath: str) -> None:
        """Flush what others wrote. See `Backend.flush`."""
        path = self.path(relpath)
        with writing(self.root):
            if path.is_dir():
                run_all([partial(sync_file, path / file.path) for file in list_files(path)], _THREADS)
                sync_folders(path)
            else:
                sync_file(path)
            sync_file(path.parent)

    # ------------------------------------------------------------------ get

    def _get(self, relpath: str, target: Path, *, is_folder: bool, digest: Digest | None, bar: Bar) -> None:
        source = self.path(relpath)
        paths = self._files_of(relpath, is_folder=is_folder)
        _make_parents(target, paths)
        run_all([partial(self._copy_out, source / path, target / path, relpath, bar) for path in paths], _THREADS)

    def _get_file(self, relpath: str, target: Path, size: int | None, bar: Bar) -> None:
        with reading(self.root, relpath):
            self.path(relpath).stat()
        self._copy_out(self.path(relpath), target, relpath, bar)

    def _copy_out(self, source: Path, target: Path, relpath: str, bar: Bar) -> None:
        try:
            root = str(target.parent)
            copy_file(source, target, root=root, algorithm=DEFAULT_ALGORITHM, durable=False, bar=bar)
        except SourceChanged as error:
            raise ContentMismatch(f"{relpath!r} in {self.root} was modified while it was read") from error

    @contextmanager
    def on_disk(self, relpath: str, *, is_folder: bool) -> Generator[Path, None, None]:
        """Return the path of an object. See `Backend.on_disk`."""
        yield self.path(relpath)

    # ------------------------------------------------------------------ look

    def stat(self, relpath: str) -> ObjectStat:
        """Describe an object. See `Backend.stat`; its digest is not known without reading it."""
        with reading(self.root, relpath):
            return describe_path(self.path(relpath))

    def stamp(self, relpath: str) -> str | None:
        """Return the stamp of an object. See `Backend.stamp`."""
        with reading(self.root, relpath):
            return describe_path(self.path(relpath), stamped=True).stamp

    def protect(self, relpath: str) -> None:
        """Let nobody write to an object any more. See `Backend.protect`."""
        with writing(self.root):
            protect_all(self.path(relpath))

    def check_way(self, relpath: str) -> None:
        """Check that no folder on the way is a link. See `Backend.check_way`."""
        check_no_links(self.path(relpath).parent, Path(self.root))

    def settle(self, relpath: str) -> None:
        """Let a folder count as published now. See `Backend.settle`."""
        with contextlib.suppress(OSError):  # only costs time later
            os.utime(self.path(relpath))

    def exists(self, relpath: str) -> bool:
        """Return whether something is there, also a link that leads nowhere. See `Backend.exists`."""
        return os.path.lexists(self.path(relpath))

    def _list_files(self, relpath: str) -> dict[str, ObjectStat]:
        path = self.path(relpath)
        if not path.is_dir():
            return {}
        with reading(self.root, relpath):
            return {file.path: ObjectStat(file.size, None, False, None) for file in list_files(path)}

    def list_reserved(self) -> Iterator[ReservedName]:
        """Go through the reserved folder. See `Backend.list_reserved`."""
        folder = self.path(RESERVED)
        if not folder.is_dir():
            return
        with reading(self.root, RESERVED), os.scandir(folder) as entries:
            for entry in entries:
                yield ReservedName(f"{RESERVED}/{entry.name}", entry.is_dir(follow_symlinks=False))

    def measure(self, name: ReservedName) -> StoredName | None:
        """Return size and age. See `Backend.measure`."""
        try:
            return measure_path(self.path(name.relpath), name.relpath)
        except FileNotFoundError:
            return None

    def mismatched(self, sizes: Mapping[str, int]) -> dict[str, int | None]:
        """Return what is missing or has another size. See `Backend.mismatched`."""

        def size_of(relpath: str) -> int | None:
            try:
                return self.path(relpath).stat().st_size
            except FileNotFoundError:
                return None

        with reading(self.root, RESERVED):
            found = {relpath: size_of(relpath) for relpath in sizes}
        return {relpath: size for relpath, size in found.items() if size != sizes[relpath]}

    # ------------------------------------------------------------------ change

    def _delete(self, relpath: str, *, is_folder: bool, missing_ok: bool) -> None:
        path = self.path(relpath)
        check_no_links(path.parent, Path(self.root))
        if not os.path.lexists(path):
            if missing_ok:
                return
            raise PathNotFound(f"there is nothing at {relpath!r} in {self.root}")
        with writing(self.root):
            if not is_folder:
                path.unlink(missing_ok=missing_ok)
                return
            # Out of sight at once: nobody finds a folder that has lost half of its files.
            aside = self.staging().new_path()
            os.rename(path, aside)
            if aside.is_symlink():
                aside.unlink()
            else:
                shutil.rmtree(aside)

    def _publish(self, source: str, target: str, *, is_folder: bool, by_link: bool, replace: bool) -> None:
        paths = self._files_of(source, is_folder=is_folder)
        origins = {path: f"{source}/{path}" if path else source for path in paths}
        self._fill(origins, target, is_folder=is_folder, by_link=by_link, replace=replace)

    def _publish_files(self, origins: Mapping[str, str | None], target: str, *, size: int, replace: bool) -> None:
        self._fill(origins, target, is_folder=True, by_link=False, replace=replace)

    def _fill(
        self, origins: Mapping[str, str | None], target: str, *, is_folder: bool, by_link: bool, replace: bool
    ) -> None:
        temporary = self.staging().new_path()
        try:
            if is_folder:
                temporary.mkdir()
            _make_parents(temporary, origins)
            for path, origin in origins.items():
                with reading(self.root, origin or target):
                    self._fill_file(origin, temporary / path, by_link=by_link)
            with writing(self.root):
                sync_folders(temporary)
                aside = self.staging().folder / staging_name()
                exchange(temporary, self.path(target), self, aside=aside, replace=replace)
        finally:
            remove_quietly(temporary)

    def _fill_file(self, origin: str | None, place: Path, *, by_link: bool) -> None:
        if origin is None:
            place.touch()
            return
        source = self.path(origin)
        # Kept versions of a folder share files, and must not get another writer: a file with one name only.
        if not (by_link and source.stat().st_nlink == 1 and link(source, place)):
            copy_file(source, place, root=self.root, algorithm=DEFAULT_ALGORITHM, is_stored=True)

    def _files_of(self, relpath: str, *, is_folder: bool) -> list[str]:
        """Return the paths of the files of a folder, and "" for a file.

        Raises:
            PathNotFound: It is not there.
        """
        path = self.path(relpath)
        with reading(self.root, relpath):
            if not (path.is_dir() if is_folder else path.is_file()):
                raise PathNotFound(f"there is no {'folder' if is_folder else 'file'} {relpath!r} in {self.root}")
            return [file.path for file in list_files(path)] if is_folder else [""]

    # ------------------------------------------------------------------ mark

    def _read(self, relpath: str) -> bytes:
        return self.path(relpath).read_bytes()

    def about(self, relpath: str) -> str | None:
        """Return the extended attribute. See `Backend.about`."""
        with reading(self.root, relpath):
            return description(self.path(relpath))

    def marker_stamp(self) -> Hashable:
        """Return the state of the file. See `Backend.marker_stamp`."""
        with reading(self.root, MARKER):
            status = os.stat(os.path.join(self.root, MARKER))
        return status.st_dev, status.st_ino, status.st_mtime_ns

    def highest(self) -> int:
        """Return the number in the attribute of the marker. See `Marked.highest`."""
        return number_at(os.path.join(self.root, MARKER))

    def note_highest(self, number: int) -> None:
        """Write the attribute of the marker. See `Marked.note_highest`."""
        marker = os.path.join(self.root, MARKER)
        if number > number_at(marker):
            note_number(marker, number)

    def _create_marker(self, text: str) -> None:
        check_no_links(self.path(RESERVED), Path(self.root))
        create_file(self.path(MARKER), text, staged=self.staging().folder / staging_name())

    def _replace_marker(self, text: str) -> None:
        before = self.highest()
        create_file(self.path(MARKER), text, staged=self.staging().folder / staging_name(), replace=True)
        self.note_highest(before)

    def _remove_marker(self) -> None:
        self.path(MARKER).unlink(missing_ok=True)
        temporary = self.staging().folder
        remove_empty([temporary, temporary.parent])

    def _threads(self, sizes: Iterable[int | None]) -> int:
        return _THREADS


def _protect_and_flush(path: Path) -> None:
    protect(path)
    sync_file(path)


def _make_parents(top: Path, paths: Iterable[str]) -> None:
    for folder in sorted({(top / path).parent for path in paths if path}):
        folder.mkdir(parents=True, exist_ok=True)
