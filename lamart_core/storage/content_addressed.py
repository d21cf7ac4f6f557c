"""Content-addressed folders: their files lie apart in an object store, each content once. Read like any other."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import fsspec
from fsspec import AbstractFileSystem
from upath import UPath
from upath.registry import register_implementation

from lamart_core.errors import InvalidArgument, ReadOnlyStorage
from lamart_core.storage.backend import Backend
from lamart_core.storage.objectstore.filesystem import Remote
from lamart_core.storage.values import StoredFile

PROTOCOL = "lamart"
_PREFIX = f"{PROTOCOL}://"


@dataclass(frozen=True, repr=False)
class ContentAddressedFolder:
    """A folder of a remote storage whose files are objects of their own.

    Attributes:
        backend: Where the objects lie: an object store.
        relpath: Path that stands for the folder there; nothing lies there.
        files: Its files.
    """

    backend: Backend
    relpath: str
    files: Sequence[StoredFile]

    def __repr__(self) -> str:
        # fsspec makes tokens out of it.
        return f"ContentAddressedFolder({self.backend.root!r}, {self.name!r}, {len(self.files):,} files)"

    @property
    def remote(self) -> Remote:
        """How the store is reached.

        Raises:
            InvalidArgument: It is a folder of this machine, whose folders lie there as they are.
        """
        if not isinstance(self.backend, Remote):
            raise InvalidArgument(f"{self.backend.root} keeps its folders whole; read {self.relpath!r} there")
        return self.backend

    @property
    def name(self) -> str:
        """Name of the folder."""
        return PurePosixPath(self.relpath).name

    @property
    def path(self) -> UPath:
        """The folder as a path object that can be listed and read, and not written."""
        return UPath(f"{_PREFIX}{self.name}", folder=self)

    @cached_property
    def by_path(self) -> dict[str, StoredFile]:
        """The files by their path, which begins with the name of the folder."""
        return {f"{self.name}/{file.path}": file for file in self.files}

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Paths below each folder, in the order of their names."""
        found: dict[str, dict[str, None]] = {"": {self.name: None}, self.name: {}}
        for path in sorted(self.by_path):
            while path != self.name:
                parent = path.rpartition("/")[0]
                known = parent in found
                found.setdefault(parent, {})[path] = None
                if known:
                    break
                path = parent
        return {folder: list(below) for folder, below in found.items()}


class ContentAddressedFileSystem(AbstractFileSystem):  # pyright: ignore[reportUntypedBaseClass]
    """Shows the objects of a `ContentAddressedFolder` under their names in the folder; read-only.

    fsspec's own `ReferenceFileSystem` does the same for chunks of files, but takes writes without an error, reads
    files into memory to download them, and knows no file that is called `version`.
    """

    protocol = PROTOCOL
    root_marker = ""
    # Path objects make one each; what costs time is kept by the folder.
    cachable = False

    def __init__(self, folder: ContentAddressedFolder, **options: Any) -> None:
        super().__init__(**options)
        self.folder = folder

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        return str(path).removeprefix(_PREFIX).strip("/")

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """List a folder, or describe a file."""
        stripped = self._strip_protocol(path)
        below = self.folder.children.get(stripped)
        names = below if below is not None else [stripped]
        infos = [self.info(name) for name in names]
        return infos if detail else [info["name"] for info in infos]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Describe a file or folder."""
        stripped = self._strip_protocol(path)
        if stripped in self.folder.children:
            return {"name": stripped, "size": 0, "type": "directory"}
        file = self._file(stripped)
        return {"name": stripped, "size": file.size, "type": "file", "digest": file.value}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return the bytes of a file, or a part of them."""
        file = self._file(path)
        if file.relpath is None:
            return b""
        content: Any = self.folder.remote.fs.cat_file(self.folder.remote.url(file.relpath), start=start, end=end)
        return content

    def get_file(self, rpath: str, lpath: Any, *args: Any, **kwargs: Any) -> None:
        """Copy a file to this machine."""
        file = self._file(rpath)
        if file.relpath is None:
            super().get_file(rpath, lpath, *args, **kwargs)
        else:
            self.folder.remote.fs.get_file(self.folder.remote.url(file.relpath), lpath, *args, **kwargs)

    def _open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        if mode != "rb":
            raise self._refusal(path)
        file = self._file(path)
        if file.relpath is None:
            return io.BytesIO()
        # The size is known: it need not be asked for.
        return self.folder.remote.fs.open(self.folder.remote.url(file.relpath), mode, size=file.size)

    def _rm(self, path: str) -> None:
        raise self._refusal(path)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Refuse to write."""
        raise self._refusal(path2)

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Refuse to write."""
        raise self._refusal(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Refuse to write."""
        raise self._refusal(path)

    def _file(self, path: str) -> StoredFile:
        stripped = self._strip_protocol(path)
        if stripped in self.folder.children:
            raise IsADirectoryError(path)
        try:
            return self.folder.by_path[stripped]
        except KeyError:
            raise FileNotFoundError(path) from None

    def _refusal(self, path: str) -> ReadOnlyStorage:
        return ReadOnlyStorage(f"{path!r} belongs to a stored version, which is never changed; change a copy of it")


class ContentAddressedPath(UPath):
    """A path in a `ContentAddressedFolder`."""

    __slots__ = ()

    @property
    def address(self) -> str:
        """The URL that stands for it in the storage of the folder, where nothing lies."""
        folder: ContentAddressedFolder = self.storage_options["folder"]  # pyright: ignore[reportUnknownVariableType]
        base, option, endpoint = folder.remote.root.partition("?")
        inside = self.path.removeprefix(folder.name)
        return f"{base.rstrip('/')}/{folder.relpath}{inside}{option}{endpoint}"


fsspec.register_implementation(PROTOCOL, ContentAddressedFileSystem, clobber=True)
register_implementation(PROTOCOL, ContentAddressedPath, clobber=True)
