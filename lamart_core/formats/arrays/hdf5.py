"""HDF5 files in general."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.arrays.accessor import BackedAccessor
from lamart_core.formats.arrays.hdf5_file import address_of, below, open_hdf5, refuse_outside
from lamart_core.formats.arrays.listing import Member, preview_of_members
from lamart_core.formats.format import Format, Preview, ReadablePath
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import H5_DATASET, H5_FILE, H5_GROUP, PythonType, require


class Hdf5Format(Format):
    """An HDF5 file that no other format claims: opened as ``h5py.File``, written from datasets and groups of h5py.

    An object is copied by the library into a new file: a group's members become those of the root, a dataset keeps
    its name.
    """

    name = "hdf5"
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".ome.h5", ".ome.hdf5")
    extra: ClassVar[str | None] = "hdf5"
    accepts: ClassVar[tuple[PythonType, ...]] = (H5_DATASET, H5_GROUP)
    returns: ClassVar[tuple[PythonType, ...]] = (H5_FILE,)
    modes: ClassVar[tuple[str, ...]] = ("r",)
    has_default_type: ClassVar[bool] = False

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        import h5py

        with h5py.File(path, "w", **options) as file:
            if isinstance(obj, h5py.Dataset):
                _copy_dataset(obj, file, str(obj.name or "").rpartition("/")[2] or "data")
            else:
                _copy_group(obj, file, {})

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        return self._open(path, suffix, "r", "", options).storage

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        return _accessor(path, options)

    def n_observations(self, obj: object) -> int | None:
        """First dimension of a dataset."""
        shape: Any = getattr(obj, "shape", None)
        return int(shape[0]) if shape else None

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """First dimension of the dataset of a file that holds a single one."""
        with reading(path, self.name), _accessor(path) as accessor:
            file = accessor.storage
            only = file[next(iter(file))] if len(file) == 1 else None
            return self.n_observations(only)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Names of groups and datasets, with shapes and types."""
        if not isinstance(obj_or_path, Path):
            return preview_of_members([_member(obj_or_path), *map(_member, below(obj_or_path))])
        with reading(obj_or_path, self.name), _accessor(obj_or_path) as accessor:
            return preview_of_members(map(_member, below(accessor.storage)))


def _accessor(path: ReadablePath, options: Mapping[str, Any] | None = None) -> BackedAccessor:
    require("h5py", extra="hdf5", purpose="Opening an HDF5 file")
    store = open_hdf5(path, "r", options or {})
    return BackedAccessor(store.connection, store.group, store.close)


def _copy_group(source: Any, target: Any, copied: dict[int, Any]) -> None:
    """Copy what a group holds, in the order of names; several names of one object stay that.

    HDF5's own copy of whole groups follows the order in which they were made, and damages some of those with links.
    """
    import h5py

    copied[address_of(source)] = target
    _refuse_references(source)
    for name in sorted(source.attrs):
        target.attrs.create(name, source.attrs[name], dtype=source.attrs.get_id(name).dtype)
    for name in sorted(source):
        link = source.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise UnsupportedObject(f"{source.name}: {name!r} is a link into another file, {link.filename!r}")
        node = source.get(name)
        if node is None:  # a soft link to nothing
            target[name] = h5py.SoftLink(link.path)
            continue
        copy = copied.get(address_of(node))
        if copy is not None:
            target[name] = copy
        elif isinstance(node, h5py.Group):
            _copy_group(node, target.create_group(name), copied)
        elif isinstance(node, h5py.Dataset):
            copied[address_of(node)] = _copy_dataset(node, target, name)
        else:
            raise UnsupportedObject(f"{node.name} is a named type: pass the path of the file")


def _copy_dataset(source: Any, target: Any, name: str) -> Any:
    refuse_outside(source, UnsupportedObject)
    _refuse_references(source)
    source.parent.copy(source, target, name=name)
    return target[name]


def _refuse_references(node: Any) -> None:
    """References mean places in their own file, and would be empty in a copy."""
    import h5py

    types = [node.dtype] if isinstance(node, h5py.Dataset) else []
    types += [node.attrs.get_id(name).dtype for name in node.attrs]
    if any(h5py.check_ref_dtype(part) for kind in types for part in _parts(kind)):
        raise UnsupportedObject(f"{node.name} holds references, which only their own file can hold: pass its path")


def _parts(kind: Any) -> Iterator[Any]:
    """A type and the types that it is made of."""
    import h5py

    yield kind
    for name in kind.names or ():
        yield from _parts(kind[name])
    base = h5py.check_vlen_dtype(kind)
    if base is not None and hasattr(base, "names"):
        yield from _parts(base)


def _member(node: Any) -> Member:
    name = str(node.name or ".").strip("/") or "."
    if not hasattr(node, "dtype"):
        return Member(name)
    return Member(name, tuple(int(n) for n in node.shape or ()), str(node.dtype))
