"""Formats of containers, that is of AnnData, MuData and SpatialData: what they have in common."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import InvalidArgument
from lamart_core.formats.arrays.open_store import OpenStore, opened
from lamart_core.formats.containers.accessor import count
from lamart_core.formats.format import Format, Preview, ReadablePath
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import require
from lamart_core.formats.tables.base import check_keywords

# The zarr version to write is a process-wide setting of anndata.
_format_lock = threading.Lock()


class ContainerFormat(Format):
    """A container of annotated arrays, opened as an accessor.

    Attributes:
        libraries: Libraries that it needs, each installed by the extra of the same name.
        keywords: What its writer knows.
    """

    libraries: ClassVar[tuple[str, ...]]
    keywords: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def _preview(self, container: Any) -> Preview:
        """The preview of an object, or of an accessor to one."""

    def _require(self, doing: str) -> None:
        """Raise MissingExtra unless the libraries are installed."""
        for library in self.libraries:
            require(library, extra=library, purpose=f"{doing} {self.otype} ({self.name})")

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        check_keywords(str(self.options_name), options, self.keywords)

    def closing(self, opened: Any, then: Callable[[bool], None]) -> Any:
        """The accessor itself, which tells of its end."""
        opened.when_closed(then)
        return opened

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Shapes, columns and keys of all parts, and the first rows of a table."""
        if not isinstance(obj_or_path, Path):
            return self._preview(obj_or_path)
        with reading(obj_or_path, self.name), self._open(obj_or_path, "", "r", "", {}) as accessor:
            return self._preview(accessor)


class AnnotatedFormat(ContainerFormat):
    """A container whose observations are a table, ``obs``, of an HDF5 file or zarr folder."""

    @abstractmethod
    def _open_store(self, path: ReadablePath, mode: str, options: Mapping[str, Any]) -> OpenStore:
        """Open the store without reading any of its content."""

    def _check_root(self, group: Any) -> None:
        """Raise ValueError for a store of something else, whose observations are not to be counted."""

    def n_observations(self, obj: Any) -> int | None:
        """Number of observations."""
        return int(obj.n_obs) if any(kind.matches(obj) for kind in self.accepts) else None

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Length of the index of obs, from the metadata."""
        self._require("Reading")
        with reading(path, self.name), opened(self._open_store(path, "r", {})) as group:
            self._check_root(group)
            return count(group["obs"])


class ZarrContainerFormat(ContainerFormat):
    """A container as a zarr folder, told by its content; version 3 of zarr is written unless the options say 2."""

    shared_suffixes: ClassVar[tuple[str, ...]] = (".zarr",)
    is_folder: ClassVar[bool] = True

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        super()._check_write_options(suffix, options)
        if options.get("zarr_format", 3) not in (2, 3):
            raise InvalidArgument(f"zarr_kwargs: zarr_format is 2 or 3, not {options['zarr_format']!r}")


@contextmanager
def writing_zarr_version(version: int) -> Generator[None]:
    """Make anndata write this version of zarr; one thread at a time, since it is a setting of the process."""
    import anndata as ad

    with _format_lock, ad.settings.override(zarr_write_format=version):
        yield
