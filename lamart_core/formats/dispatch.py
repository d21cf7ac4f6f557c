"""Which format stores which object, and which one reads which path.

Formats of other distributions register themselves by an entry point of the group ``lamart_core.formats`` that names
a subclass of ``Format``; they are loaded when a format is first looked up. One that cannot be loaded is told in a
warning and does not keep the others from working; where its objects or files are refused, the error says why.
"""

from __future__ import annotations

import threading
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from tempfile import TemporaryDirectory

from upath import UPath

from lamart_core.errors import InvalidArgument, UnsupportedObject
from lamart_core.formats.compression import COMPRESSIONS
from lamart_core.formats.format import Format
from lamart_core.formats.zarr_root import read_root
from lamart_core.logging import logger

ENTRY_POINT_GROUP = "lamart_core.formats"


class _Formats:
    """Formats by name, in order: what is registered later is asked first, the general ones last."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._builtin: tuple[Format, ...] | None = None
        self._added: list[Format] = []
        self._owners: dict[str, Format] | None = None
        self._suffixes: dict[bool, frozenset[str]] = {}  # by whether only those of folders
        self.broken: dict[str, str] = {}  # why, by entry point

    def formats(self) -> tuple[Format, ...]:
        with self._lock:
            if self._builtin is None:
                self._builtin = _builtin_formats()
                for entry in entry_points(group=ENTRY_POINT_GROUP):
                    self._add_entry(entry)
            return (*reversed(self._added), *self._builtin)

    def _add_entry(self, entry: EntryPoint) -> None:
        origin = f"the format {entry.name!r} of {entry.dist.name if entry.dist is not None else entry.value}"
        try:
            new = entry.load()()
            if not isinstance(new, Format):
                raise TypeError(f"{entry.value} is no subclass of lamart_core.formats.Format")
            self.add(new)
        except Exception as error:  # whatever others wrote: it must not take all other formats with it
            self.broken[origin] = f"{type(error).__name__}: {error}"
            logger.warning("%s cannot be used: %s", origin, self.broken[origin])

    def add(self, new: Format) -> None:
        with self._lock:
            taken = {suffix: f for f in self.formats() for suffix in f.suffixes}
            for registered in self.formats():
                if registered.name == new.name:
                    if type(registered) is type(new):
                        return
                    raise InvalidArgument(f"A format named {new.name!r} is registered: {type(registered).__qualname__}")
            clash = next((s for s in new.suffixes if s in taken), None)
            if clash is not None:
                raise InvalidArgument(
                    f"{new.name!r} claims the suffix {clash!r}, which belongs to {taken[clash].name!r}; "
                    "list it under shared_suffixes and implement recognises()"
                )
            self._added.append(new)
            self._owners = None
            self._suffixes.clear()

    def suffixes(self, of_folders: bool) -> frozenset[str]:
        with self._lock:
            formats = self.formats()
            if of_folders not in self._suffixes:
                chosen = [f for f in formats if f.is_folder or not of_folders]
                self._suffixes[of_folders] = frozenset(s for f in chosen for s in (*f.suffixes, *f.shared_suffixes))
            return self._suffixes[of_folders]

    def owners(self) -> dict[str, Format]:
        with self._lock:
            formats = self.formats()
            if self._owners is None:
                self._owners = {suffix: f for f in formats for suffix in f.suffixes}
            return self._owners


def broken_formats() -> str:
    """The end of an error message: which formats of others could not be loaded, and why; empty if all could."""
    return "".join(f". Note that {origin} cannot be used: {why}" for origin, why in _formats.broken.items())


def _builtin_formats() -> tuple[Format, ...]:
    from lamart_core.formats.anndata.h5ad import H5adFormat
    from lamart_core.formats.anndata.zarr import AnnDataZarrFormat
    from lamart_core.formats.arrays.hdf5 import Hdf5Format
    from lamart_core.formats.arrays.tiledb import TileDBFormat
    from lamart_core.formats.arrays.zarr import ZarrFormat
    from lamart_core.formats.documents import JsonFormat, YamlFormat
    from lamart_core.formats.fcs import FcsFormat
    from lamart_core.formats.folder_format import FolderFormat
    from lamart_core.formats.mudata.h5mu import H5muFormat
    from lamart_core.formats.mudata.zarr import MuDataZarrFormat
    from lamart_core.formats.npy import NpyFormat
    from lamart_core.formats.npz import NpzFormat
    from lamart_core.formats.packed import (
        PackedCsvFormat,
        PackedH5adFormat,
        PackedParquetFormat,
        PackedTsvFormat,
    )
    from lamart_core.formats.plain import (
        ArchiveFormat,
        FileFormat,
        ImageFormat,
        PageFormat,
        RdsFormat,
        TextFormat,
    )
    from lamart_core.formats.soma.store import SomaFormat
    from lamart_core.formats.spatialdata.zarr import SpatialDataFormat
    from lamart_core.formats.tables.delimited import CsvFormat, TsvFormat
    from lamart_core.formats.tables.ipc import IpcFormat
    from lamart_core.formats.tables.jsonlines import JsonLinesFormat
    from lamart_core.formats.tables.orc import OrcFormat
    from lamart_core.formats.tables.parquet import ParquetFormat

    # The first that handles an object is its default: text before JSON for str, that before arrays for NumPy's numbers.
    return (
        ParquetFormat(),
        CsvFormat(),
        TsvFormat(),
        IpcFormat(),
        OrcFormat(),
        JsonLinesFormat(),
        H5adFormat(),
        AnnDataZarrFormat(),
        H5muFormat(),
        MuDataZarrFormat(),
        SpatialDataFormat(),
        ZarrFormat(),
        Hdf5Format(),
        TileDBFormat(),
        SomaFormat(),
        FcsFormat(),
        PackedCsvFormat(),
        PackedTsvFormat(),
        PackedParquetFormat(),
        PackedH5adFormat(),
        TextFormat(),
        JsonFormat(),
        YamlFormat(),
        NpyFormat(),
        NpzFormat(),
        FileFormat(),
        PageFormat(),
        ImageFormat(),
        ArchiveFormat(),
        RdsFormat(),
        FolderFormat(),
    )


_formats = _Formats()


def register(new: Format) -> None:
    """Add a format; registering the same class again does nothing.

    Raises:
        InvalidArgument: Its name or one of its suffixes is taken.
    """
    _formats.add(new)


def all_formats() -> tuple[Format, ...]:
    """All formats, in the order in which they are asked."""
    return _formats.formats()


def known_suffixes(*, of_folders: bool = False) -> frozenset[str]:
    """Suffixes that some format writes or reads, composite ones such as ``.csv.gz`` included.

    Args:
        of_folders: Those of folders only.
    """
    return _formats.suffixes(of_folders)


def for_suffix(suffix: str) -> Format | None:
    """The format that a suffix alone tells; None for unknown ones.

    Example:
        >>> for_suffix(".parquet").name
        'parquet'
    """
    return _formats.owners().get(suffix)


def for_path(path: Path, suffix: str) -> Format:
    """The format of a local file or folder: by suffix, and by content where several formats share the suffix.

    Never fails: files that no format knows are a ``file``, folders a ``folder``.
    """
    for candidate in all_formats():
        if suffix in candidate.shared_suffixes and candidate.recognises(path, suffix):
            return candidate
    is_folder = path.is_dir()
    owner = for_suffix(suffix)
    if owner is not None and (owner.is_folder == is_folder or not path.exists()):
        return owner
    return _named("folder" if is_folder else owner.name if owner is not None else "file")


def for_remote(path: UPath, suffix: str, *, is_folder: bool) -> Format:
    """The format of a remote file or folder; one small read where several formats share the suffix.

    Raises:
        OSError: The server failed.
    """
    if is_folder and any(suffix in f.shared_suffixes for f in all_formats()):
        with TemporaryDirectory() as folder:
            root = Path(folder, path.name)
            root.mkdir()
            for name, content in read_root(path).items():
                (root / name).write_bytes(content)
            return for_path(root, suffix)
    files = () if is_folder else (f for f in all_formats() if suffix in f.shared_suffixes and not f.is_folder)
    recognising = next((f for f in files if f.recognises(path, suffix)), None)
    if recognising is not None:
        return recognising
    owner = for_suffix(suffix)
    return owner if owner is not None and owner.is_folder == is_folder else _named("folder" if is_folder else "file")


def for_object(obj: object, suffix: str | None = None) -> Format:
    """The format that writes an object, under a given suffix or by default.

    Args:
        obj: Any object.
        suffix: The suffix of the key, e.g. ``".csv"``; None if the object may choose.

    Raises:
        UnsupportedObject: No format takes such objects.
        InvalidArgument: Such objects cannot be written under this suffix; the message lists those that can.

    Example:
        >>> for_object({"a": 1}).name
        'json'
    """
    handling = [f for f in all_formats() if f.handles(obj)]
    if not handling:
        kind = f"{type(obj).__module__}.{type(obj).__qualname__}"
        takes = ", ".join(dict.fromkeys(str(t) for f in all_formats() for t in f.accepts))
        raise UnsupportedObject(
            f"No format stores objects of type {kind}; there are formats for {takes}, and paths. "
            f"Save it to a file and pass the path, or register a format: entry point group {ENTRY_POINT_GROUP!r}"
            f"{broken_formats() or '.'}"
        )
    if suffix is None:
        return handling[0]
    for candidate in handling:
        if candidate.writes(suffix):
            return candidate
    possible = _listed([s for f in handling for s in (*f.suffixes, *f.shared_suffixes)])
    raise InvalidArgument(
        f"{type(obj).__qualname__} cannot be written as {suffix!r}: possible are {possible}{broken_formats()}"
    )


def _listed(suffixes: list[str]) -> str:
    """Suffixes for a message: compressed forms of those that are listed are not."""
    compressed = {s + compression for s in suffixes for compression in COMPRESSIONS}
    shown = ", ".join(dict.fromkeys(s for s in suffixes if s not in compressed))
    return f"{shown}, some also with {', '.join(COMPRESSIONS)}" if compressed & set(suffixes) else shown


def _named(name: str) -> Format:
    return next(f for f in all_formats() if f.name == name)
