"""HDF5 files in general."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.anndata.remote_file import RemoteFile
from lamart_core.formats.arrays.accessor import BackedAccessor
from lamart_core.formats.arrays.listing import Member, preview_of_members
from lamart_core.formats.contract import Format, Preview, ReadablePath
from lamart_core.formats.guards import UnreadableContent, reading
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
        return open_hdf5(path, **options)

    def n_observations(self, obj: object) -> int | None:
        """First dimension of a dataset."""
        shape: Any = getattr(obj, "shape", None)
        return int(shape[0]) if shape else None

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """First dimension of the dataset of a file that holds a single one."""
        with reading(path, self.name), open_hdf5(path) as accessor:
            file = accessor.storage
            only = file[next(iter(file))] if len(file) == 1 else None
            return self.n_observations(only)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Names of groups and datasets, with shapes and types."""
        if not isinstance(obj_or_path, Path):
            return preview_of_members([_member(obj_or_path), *map(_member, _below(obj_or_path))])
        with reading(obj_or_path, self.name), open_hdf5(obj_or_path) as accessor:
            return preview_of_members(map(_member, _below(accessor.storage)))


def open_hdf5(path: ReadablePath, **options: Any) -> BackedAccessor:
    """Open a local or remote HDF5 file for reading; only headers are read.

    Raises:
        UnreadableContent: Some of its data lies in other files, which could be any file of this machine.
    """
    require("h5py", extra="hdf5", purpose="Opening an HDF5 file")
    import h5py

    if isinstance(path, Path):
        file = h5py.File(path, "r", **options)
        accessor = BackedAccessor(file, file, file.close)
    else:
        _check_keywords(options)
        binary: Any = RemoteFile(path)
        try:
            file = h5py.File(binary, "r", **options)
        except BaseException:
            binary.close()
            raise

        def close() -> None:
            file.close()
            binary.close()

        accessor = BackedAccessor(binary, file, close)
    try:
        for node in _below(file):
            _refuse_outside(node, UnreadableContent)
    except BaseException:
        accessor.close()
        raise
    return accessor


def _check_keywords(options: Mapping[str, Any]) -> None:
    """Raise TypeError for keywords that h5py would silently ignore for what is no local file."""
    import h5py

    known = inspect.signature(h5py.File.__init__).parameters
    for name in options:
        if name not in known:
            raise TypeError(f"unexpected keyword argument {name!r}")


def _copy_group(source: Any, target: Any, copied: dict[int, Any]) -> None:
    """Copy what a group holds, in the order of names; several names of one object stay that.

    HDF5's own copy of whole groups follows the order in which they were made, and damages some of those with links.
    """
    import h5py

    copied[_address(source)] = target
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
        known = copied.get(_address(node))
        if known is not None:
            target[name] = known
        elif isinstance(node, h5py.Group):
            _copy_group(node, target.create_group(name), copied)
        elif isinstance(node, h5py.Dataset):
            copied[_address(node)] = _copy_dataset(node, target, name)
        else:
            raise UnsupportedObject(f"{node.name} is a named type: pass the path of the file")


def _copy_dataset(source: Any, target: Any, name: str) -> Any:
    _refuse_outside(source, UnsupportedObject)
    _refuse_references(source)
    source.parent.copy(source, target, name=name)
    return target[name]


def _address(node: Any) -> int:
    import h5py.h5o

    return int(h5py.h5o.get_info(node.id).addr)


def _below(group: Any) -> Iterator[Any]:
    """All groups and datasets below a group, each once; soft links are not followed, external ones are refused."""
    import h5py

    if not isinstance(group, h5py.Group):
        return
    seen = {_address(group)}
    waiting = [group]
    while waiting:
        current = waiting.pop()
        for name in sorted(current):
            link = current.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise UnreadableContent(
                    f"{str(current.name).rstrip('/')}/{name} is a link into another file, {link.filename!r}: such "
                    "files are not opened"
                )
            if not isinstance(link, h5py.HardLink):
                continue
            node: Any = current[name]
            address = _address(node)
            if address in seen:
                continue
            seen.add(address)
            yield node
            if isinstance(node, h5py.Group):
                waiting.append(node)


def _refuse_outside(node: Any, error: type[Exception]) -> None:
    """Refuse a dataset whose values lie in other files."""
    import h5py

    if not isinstance(node, h5py.Dataset):
        return
    outside = [name for name, _, _ in node.external or ()]
    if node.is_virtual:
        outside += [source.file_name for source in node.virtual_sources() if source.file_name != "."]
    if outside:
        raise error(f"the values of {node.name} lie in another file, {outside[0]!r}: such files are not opened")


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
