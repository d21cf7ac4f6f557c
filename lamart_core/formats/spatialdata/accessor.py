"""Lazy access to a stored SpatialData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamart_core.errors import InvalidArgument
from lamart_core.formats.anndata.accessor import AnnDataAccessor
from lamart_core.formats.arrays.accessor import Closable
from lamart_core.formats.arrays.open_store import OpenStore
from lamart_core.formats.containers.accessor import close_nothing
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.guards import reading
from lamart_core.formats.spatialdata import elements

if TYPE_CHECKING:
    import spatialdata as sd


class SpatialDataAccessor(Closable):
    """An open SpatialData store, used similarly to a ``SpatialData`` object.

    What elements there are is known from the metadata. Images, labels and points of a local store stay on disk, and so
    do images and labels of a remote one: they are read by chunks, while the store is there. Shapes are read when they
    are first asked for, as are points of a remote store. Tables are accessors whose matrices stay on disk.
    Close it, or use it as a context manager.

    Example:
        .. code-block:: python

            with artifact.open() as store:
                corner = store.images["he"].isel(x=slice(100), y=slice(100)).compute()
                t_cells = store.tables["table"].obs.query("cell_type == 'T cell'")
    """

    def __init__(self, path: ReadablePath, store: OpenStore, *, mode: str) -> None:
        super().__init__(store.close)
        self._path = path
        self._store = store
        self._mode = mode
        try:
            self._names = elements.names_of(store.group)
        except BaseException:
            store.close()
            raise
        self._read_kinds: dict[str, sd.SpatialData] = {}
        self._tables: dict[str, AnnDataAccessor] = {}
        self._kinds = {kind: _Elements(self, kind) for kind in elements.KINDS}

    def __repr__(self) -> str:
        listed = ", ".join(f"{kind}: {', '.join(names)}" for kind, names in self._names.items() if names)
        state = "closed" if self._closed else f"mode {self._mode!r}"
        return f"SpatialDataAccessor({listed or 'no elements'}; {state})"

    def __getitem__(self, name: str) -> Any:
        """The element of this name, of whatever kind."""
        for names in self._kinds.values():
            if name in names:
                return names[name]
        raise KeyError(f"There is no element {name!r}; there are {_listed(self)}")

    def __contains__(self, name: object) -> bool:
        return any(name in names for names in self._names.values())

    def __iter__(self) -> Iterator[str]:
        """The names of all elements, by kind."""
        return (name for names in self._names.values() for name in names)

    @property
    def images(self) -> Mapping[str, Any]:
        """Images by name, as ``xarray`` arrays, or trees of them where they have several resolutions."""
        return self._kinds["images"]

    @property
    def labels(self) -> Mapping[str, Any]:
        """Label images by name."""
        return self._kinds["labels"]

    @property
    def points(self) -> Mapping[str, Any]:
        """Points by name, as ``dask`` data frames."""
        return self._kinds["points"]

    @property
    def shapes(self) -> Mapping[str, Any]:
        """Shapes by name, as ``geopandas`` data frames."""
        return self._kinds["shapes"]

    @property
    def tables(self) -> Mapping[str, AnnDataAccessor]:
        """Tables by name, each an accessor whose matrices stay on disk."""
        return self._kinds["tables"]

    @property
    def attrs(self) -> dict[str, Any]:
        """What the object says of itself."""
        return {name: value for name, value in dict(self._group().attrs).items() if name != elements.ATTRIBUTES}

    def to_memory(self) -> sd.SpatialData:
        """Read everything."""
        import spatialdata as sd

        self._group()
        if isinstance(self._path, Path):
            with reading(self._path, "SpatialData"):
                return elements.in_memory(elements.read(self._path))
        return elements.in_memory(
            sd.SpatialData(
                **{
                    kind: {name: found[name] for name in found}
                    for kind, found in self._kinds.items()
                    if kind != "tables"
                },
                tables={name: table.to_memory() for name, table in self.tables.items()},
                attrs=self.attrs,
            )
        )

    def write_element(self, name: str, element: Any) -> None:
        """Add an element to the store, or replace one of the same kind; needs mode ``"r+"``.

        Args:
            name: Name of the element.
            element: An image, labels, shapes, points or a table that spatialdata accepts.

        Raises:
            InvalidArgument: The store is read-only, there is an element of this name and another kind, or spatialdata
                does not accept the element or the name.
        """
        path = self._writable()
        import spatialdata as sd

        try:
            new = sd.SpatialData.init_from_elements({name: element})
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"{name!r} cannot be added: {error}") from error
        kind = next(kind for kind in elements.KINDS if name in getattr(new, kind))
        taken = next((other for other in elements.KINDS if name in self._names[other]), kind)
        if taken != kind:
            raise InvalidArgument(f"{name!r} is one of the {taken}, and cannot become one of the {kind}")
        if name in self._names[kind]:
            if elements.reads_from(element, path):
                raise InvalidArgument(f"{name!r} is read from where it would be written to: compute it before")
            elements.delete_element(path, name)
        elements.write_element(new, path, name)
        self._changed()

    def delete_element(self, name: str) -> None:
        """Remove an element from the store; needs mode ``"r+"``.

        Raises:
            InvalidArgument: The store is read-only, or has no such element.
        """
        path = self._writable()
        kind = next((kind for kind in elements.KINDS if name in self._names[kind]), None)
        if kind is None:
            raise InvalidArgument(f"There is no element {name!r}; there are {_listed(self)}")
        elements.delete_element(path, name)
        self._changed()

    def _writable(self) -> Path:
        self._group()
        if self._mode != "r+" or not isinstance(self._path, Path):
            raise InvalidArgument(f"The store was opened with mode {self._mode!r}: open it with mode 'r+' to write")
        return self._path

    def _changed(self) -> None:
        self._names = elements.names_of(self._store.group)
        self._read_kinds.clear()
        self._tables.clear()

    def _element(self, kind: str, name: str) -> Any:
        group = self._group()
        if name not in self._names[kind]:
            raise KeyError(f"There is no {name!r} among the {kind}; there are {', '.join(self._names[kind]) or 'none'}")
        with reading(f"{self._path}/{kind}/{name}", "SpatialData"):
            if kind == "tables":
                if name not in self._tables:
                    self._tables[name] = AnnDataAccessor(group[kind][name], close_nothing, mode=self._mode)
                return self._tables[name]
            if not isinstance(self._path, Path):
                return elements.read_remote(self._path, kind, name)
            if kind not in self._read_kinds:
                self._read_kinds[kind] = elements.read(self._path, kind)
            return self._read_kinds[kind][name]

    def _group(self) -> Any:
        self._check_open()
        return self._store.group


class _Elements(Mapping[str, Any]):
    """The elements of one kind in an open store."""

    def __init__(self, store: SpatialDataAccessor, kind: str) -> None:
        self._store = store
        self._kind = kind

    def __getitem__(self, name: str) -> Any:
        return self._store._element(self._kind, name)

    def __contains__(self, name: object) -> bool:
        return name in self._store._names[self._kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._store._names[self._kind])

    def __len__(self) -> int:
        return len(self._store._names[self._kind])

    def __repr__(self) -> str:
        return f"{self._kind}: {', '.join(self)}"


def _listed(store: SpatialDataAccessor) -> str:
    return ", ".join(store) or "none"
