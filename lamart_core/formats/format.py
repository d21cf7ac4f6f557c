"""What a file format must say and do.

A format is one class and one line of registration (``formats.register`` or an entry point of the group
``lamart_core.formats``). Importing a format must be cheap: heavy libraries are imported inside its methods.
"""

from __future__ import annotations

import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from upath import UPath

from lamart_core.errors import InvalidArgument, NoLoader, ObjectExists, PathNotFound, UnsupportedObject
from lamart_core.formats.guards import UnreadableContent, reading, writing
from lamart_core.formats.libraries import PATH, UPATH, PythonType

if TYPE_CHECKING:
    from lamart_core.hashing import Digest

Options = Mapping[str, Mapping[str, Any] | None]
ReadablePath = Path | UPath


@dataclass(frozen=True)
class ColumnInfo:
    """A column as user interfaces show it: its name and the name of its type."""

    name: str
    type: str


@dataclass(frozen=True)
class Preview:
    """What user interfaces show of an object or a file.

    Attributes:
        markdown: A few rows, or a summary.
        row_count: Number of observations, where there are any.
        columns: Columns of a table, or the observation columns of an annotated matrix.
        shape: Dimensions of a table or matrix.
        slots: Columns or keys by the part of a container that has them, e.g. ``{"obs": …, "var": …}``.
    """

    markdown: str
    row_count: int | None = None
    columns: tuple[ColumnInfo, ...] = ()
    shape: tuple[int, ...] | None = None
    slots: Mapping[str, tuple[ColumnInfo, ...]] = field(default_factory=lambda: dict[str, tuple[ColumnInfo, ...]]())


class Format(ABC):
    """One way to store objects as a file or folder.

    Subclasses set the class attributes and implement ``_write``, ``_read`` and, where lazy access exists, ``_open``;
    the public methods around them check arguments, leave nothing behind on failure and raise typed errors.

    Attributes:
        name: Unique name, e.g. ``"parquet"``.
        otype: Kind of object in the registry, e.g. ``"DataFrame"``; None for unstructured content.
        suffixes: Suffixes that tell this format, e.g. ``(".parquet",)``; the first is the default.
        shared_suffixes: Suffixes that it also writes, but that only the content can tell (``.zarr``, ``.h5``).
        is_folder: Whether it is a folder rather than a single file.
        extra: The extra that installs its library; None where the base installation suffices.
        options_name: Keyword of the constructors whose value goes to this format's writer, e.g. ``"parquet_kwargs"``.
        accepts: Types of objects that it writes.
        returns: Types that ``load`` can return beside paths; the first is the default.
        modes: Modes of ``open``; empty when the format has no lazy access.
        has_default_type: Whether ``load`` without a type returns the first of ``returns``; else it points to ``open``.
        needs_own_folder: Whether its library goes to the storage by itself, so that a folder must lie there as it is.
    """

    name: ClassVar[str]
    otype: ClassVar[str | None] = None
    suffixes: ClassVar[tuple[str, ...]] = ()
    shared_suffixes: ClassVar[tuple[str, ...]] = ()
    is_folder: ClassVar[bool] = False
    extra: ClassVar[str | None] = None
    options_name: ClassVar[str | None] = None
    accepts: ClassVar[tuple[PythonType, ...]] = ()
    returns: ClassVar[tuple[PythonType, ...]] = ()
    modes: ClassVar[tuple[str, ...]] = ()
    has_default_type: ClassVar[bool] = True
    needs_own_folder: ClassVar[bool] = False

    # What formats implement

    @abstractmethod
    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        """Write ``obj`` to ``path``, which does not exist; equal content must give equal bytes."""

    @abstractmethod
    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        """Read ``path`` as ``target``, one of ``returns``."""

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        """Open ``path`` for lazy access; called with a mode of ``modes`` only."""
        raise NotImplementedError

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        """Raise InvalidArgument for options that the writer would not understand."""

    # What callers use

    def handles(self, obj: object) -> bool:
        """Whether ``write`` takes this object. Imports no library."""
        return any(accepted.matches(obj) for accepted in self.accepts)

    def writes(self, suffix: str) -> bool:
        """Whether objects can be written under this suffix."""
        return suffix in self.suffixes or suffix in self.shared_suffixes

    def default_suffix(self, obj: object) -> str:
        """The suffix for an object that was given no name."""
        return self.suffixes[0]

    def recognises(self, path: ReadablePath, suffix: str) -> bool:
        """Whether a path with a *shared* suffix holds this format, judged by its content.

        Args:
            path: A local path, which need not be there; or a remote file, where the format is one of single files.
            suffix: The shared suffix.

        Returns:
            True or False, whatever lies there. Only the failure of a server may be raised.
        """
        return False

    def check_options(self, suffix: str, options: Options) -> Mapping[str, Any]:
        """The keyword arguments for this format's writer.

        Args:
            suffix: The suffix that will be written.
            options: Keyword groups by name, e.g. ``{"parquet_kwargs": {"compression": "zstd"}, "csv_kwargs": None}``.

        Returns:
            The group that belongs to this format; empty if it was not given.

        Raises:
            InvalidArgument: A group does not fit this format, or the writer does not know one of its keywords.
        """
        for group, values in options.items():
            if values is not None and group != self.options_name:
                fitting = f"{self.options_name!r} does" if self.options_name else "it takes none"
                raise InvalidArgument(f"{group!r} does not apply to {suffix or self.name!r} ({self.name}): {fitting}")
        own = dict(options.get(self.options_name or "") or {})
        self._check_write_options(suffix, own)
        return own

    def write(self, obj: object, path: Path, *, suffix: str, options: Options | None = None) -> None:
        """Write an object to a new file or folder; equal content gives equal bytes.

        Args:
            obj: An object that ``handles`` accepts.
            path: A local path that does not exist, in a folder that does. Nothing is left there on any error.
            suffix: Suffix of the artifact, which may decide on separators or compression; ``path`` need not have it.
            options: Keyword groups for writers, see ``check_options``.

        Raises:
            UnsupportedObject: Not an object of this format, or its content does not fit into the format.
            InvalidArgument: The suffix or an option does not fit.
            ObjectExists: ``path`` is taken.
            StorageFull: No space left.

        Example:
            >>> import pandas as pd, tempfile
            >>> from lamart_core.formats import dispatch
            >>> df = pd.DataFrame({"a": [1, 2]})
            >>> path = Path(tempfile.mkdtemp()) / "df.parquet"
            >>> dispatch.for_object(df).write(df, path, suffix=".parquet")
        """
        if not self.handles(obj):
            raise UnsupportedObject(
                f"{self.name} takes {_listed(self.accepts)}, not {type(obj).__module__}.{type(obj).__qualname__}"
            )
        if not self.writes(suffix):
            raise InvalidArgument(
                f"{self.name} writes {', '.join(self.suffixes + self.shared_suffixes)}, not {suffix!r}"
            )
        own = self.check_options(suffix, options or {})
        if path.exists() or path.is_symlink():
            raise ObjectExists(f"{path} exists: objects are only written to new paths")
        with writing(obj, path, self.name):
            self._write(obj, path, suffix, own)

    def load(self, path: Path, /, *, suffix: str, as_type: Any = None, **options: Any) -> Any:
        """Read a local file or folder into memory.

        Args:
            path: A local path.
            suffix: Suffix of the artifact.
            as_type: The type to return, one of ``returns`` or a path type; also as an annotation such as
                ``DataFrame | None``. None stands for the format's default.
            **options: Keyword arguments for the library's reader.

        Raises:
            UnsupportedObject: ``as_type`` is not possible; the message lists what is.
            UnreadableContent: The content is not of this format.
            PathNotFound: Nothing is there.
            InvalidArgument: The reader does not know an option.
            NoLoader: The format can only be used as a file.
            MissingExtra: The library of the format is not installed.
        """
        target = self.target_type(as_type)
        if not path.exists():
            raise PathNotFound(f"Nothing to load at {path}")
        if target == PATH:
            return path
        if target == UPATH:
            return UPath(path)
        if path.is_dir() != self.is_folder:
            expected, found = ("a folder", "a file") if self.is_folder else ("a file", "a folder")
            raise UnreadableContent(f"{path} cannot be read as {self.name}: expected {expected}, found {found}")
        with reading(path, self.name, options, is_whole=lambda: self.is_whole(path, suffix)):
            return self._read(path, suffix, target, options)

    def open(
        self, path: ReadablePath, /, *, suffix: str, mode: str = "r", engine: str = "pyarrow", **options: Any
    ) -> Any:
        """Open a local or remote path for lazy access.

        Args:
            path: A local path or a ``UPath``.
            suffix: Suffix of the artifact.
            mode: ``"r"``, or another of ``modes``.
            engine: ``"pyarrow"`` or ``"polars"``; used by tables only.
            **options: Keyword arguments for the library's function that opens.

        Raises:
            InvalidArgument: The format has no lazy access, or not in this mode or with this engine.
            UnreadableContent: The content is not of this format.
            PathNotFound: Nothing is there.
        """
        self.check_mode(mode)
        if not path.exists():
            raise PathNotFound(f"Nothing to open at {path}")

        def is_whole() -> bool:
            return isinstance(path, Path) and self.is_whole(path, suffix)

        with reading(path, self.name, options, is_whole=is_whole):
            return self._open(path, suffix, mode, engine, options)

    def is_whole(self, path: Path, suffix: str) -> bool:
        """Whether all of a local path can be read in some way: asked when a reader failed. Never raises."""
        return False

    def check_mode(self, mode: str) -> None:
        """Raise InvalidArgument, which lists the rules, for a mode that ``open`` does not know."""
        from lamart_core.formats import dispatch

        if not self.modes:
            openable = ", ".join(sorted(s for f in dispatch.all_formats() if f.modes for s in f.suffixes))
            raise InvalidArgument(
                f"{self.name} cannot be opened lazily: use .cache() or .load(). Can be opened: {openable}"
            )
        if mode not in self.modes:
            writing_modes = (
                f"{_any_of(tuple(m for m in f.modes if m != 'r'))} for {f.name}"
                for f in dispatch.all_formats()
                if set(f.modes) - {"r"}
            )
            raise InvalidArgument(
                f"{self.name} can be opened with mode {_any_of(self.modes)}, not {mode!r}. "
                f"All that can be opened takes 'r'; for writing there are {', '.join(writing_modes)}"
            )

    def closing(self, opened: Any, then: Callable[[bool], None]) -> Any:
        """An object to use in place of ``opened``, whose closing calls ``then``; for formats with writing modes.

        Args:
            opened: What ``open`` returned for a writing mode.
            then: Called once, when all is written and ``opened`` is closed: with True after ``close()`` and at the end
                of a ``with`` block, with False when an exception ended the block or closing failed. What it raises
                reaches who closes. It must not outlive the returned object: who never closes, discards.

        Returns:
            ``opened`` itself, or an object that is used like it.
        """
        raise NotImplementedError(f"{self.name} has the modes {self.modes}, but does not implement closing()")

    def n_observations(self, obj: object) -> int | None:
        """First dimension of an object, where there is one."""
        return None

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """First dimension of stored content without reading it all; None where that is not possible."""
        return None

    def content_digest(self, path: Path) -> Digest | None:
        """A digest of what the bytes mean, for formats whose bytes differ for equal content; None: the bytes decide."""
        return None

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """A short view of an object, or of the content of a local path, for user interfaces."""
        if isinstance(obj_or_path, Path):
            return Preview(markdown=f"`{obj_or_path.name}`")
        return Preview(markdown=f"`{type(obj_or_path).__name__}`")

    def target_type(self, as_type: Any) -> PythonType:
        """The type that ``load(as_type=…)`` will return.

        Raises:
            UnsupportedObject: This format cannot return the type; the message lists what it can.
            NoLoader: No type was asked for, and the format has no default one.
        """
        candidates = _candidates(as_type)
        if not candidates:
            if not self.returns or not self.has_default_type:
                lazily = ", or .open() to read parts of it" if self.modes else ""
                raise NoLoader(f"{self.name} has no loader: use .cache() to get a local path{lazily}")
            return self.returns[0]
        for candidate in candidates:
            for possible in (*self.returns, PATH, UPATH):
                if possible.is_class(candidate):
                    return possible
        asked = " | ".join(getattr(c, "__qualname__", str(c)) for c in candidates)
        raise UnsupportedObject(
            f"{self.name} cannot be loaded as {asked}: possible are {_listed(self.returns)} and paths"
        )


def _candidates(as_type: Any) -> list[Any]:
    """The bare classes of an annotation: without Annotated, None and type arguments; empty when anything goes."""
    if as_type is None or as_type is Any or as_type is object:
        return []
    origin = typing.get_origin(as_type)
    if origin is typing.Annotated:
        return _candidates(typing.get_args(as_type)[0])
    if origin is typing.Union or origin is types.UnionType:
        return [c for member in typing.get_args(as_type) if member is not type(None) for c in _candidates(member)]
    return [origin or as_type]


def _listed(possible: tuple[PythonType, ...]) -> str:
    return ", ".join(str(p) for p in possible) or "nothing"


def _any_of(values: tuple[str, ...]) -> str:
    return " or ".join(repr(v) for v in values)
