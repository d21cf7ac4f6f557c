"""Open HDF5 files, local and remote, and see that they lead to no other files."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lamart_core.formats.arrays.open_store import OpenStore
from lamart_core.formats.arrays.remote_file import RemoteFile
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.guards import UnreadableContent


def open_hdf5(path: ReadablePath, mode: str, options: Mapping[str, Any]) -> OpenStore:
    """Open a local or remote HDF5 file; of a remote one only headers, and then what is asked for, are read.

    Raises:
        UnreadableContent: Some of its data lies in other files, which could be any file of this machine.
    """
    import h5py

    connection: Any = None
    if isinstance(path, Path):
        file = h5py.File(path, mode, **options)
    else:
        _check_keywords(options)
        connection = RemoteFile(path)
        try:
            file = h5py.File(connection, mode, **options)
        except BaseException:
            connection.close()
            raise

    def close() -> None:
        file.close()
        if connection is not None:
            connection.close()

    try:
        refuse_other_files(file)
    except BaseException:
        close()
        raise
    return OpenStore(file, close, connection if connection is not None else file)


def root_encoding(path: ReadablePath) -> str:
    """The mark at the root of an HDF5 file that says what it holds, in lower case; empty without one or for others.

    Raises:
        OSError: The server of a remote file failed.
    """
    if isinstance(path, Path) and not path.is_file():
        return ""
    try:
        import h5py
    except ImportError:
        return ""
    opened: Any = path if isinstance(path, Path) else RemoteFile(path)
    try:
        with h5py.File(opened, "r") as file:
            return str(file.attrs.get("encoding-type", "")).lower()
    except Exception:  # no HDF5 file, or a damaged one
        return ""


def refuse_other_files(file: Any) -> None:
    """Refuse an open file with data in other files, which could be any file of this machine.

    Raises:
        UnreadableContent: It leads to another file.
    """
    for node in below(file):
        refuse_outside(node, UnreadableContent)


def _check_keywords(options: Mapping[str, Any]) -> None:
    """Raise TypeError for keywords that h5py would silently ignore for what is no local file."""
    import h5py

    parameters = inspect.signature(h5py.File.__init__).parameters
    for name in options:
        if name not in parameters:
            raise TypeError(f"unexpected keyword argument {name!r}")


def below(group: Any) -> Iterator[Any]:
    """All groups and datasets below a group, each once; soft links are not followed, external ones are refused."""
    import h5py

    if not isinstance(group, h5py.Group):
        return
    seen = {address_of(group)}
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
            address = address_of(node)
            if address in seen:
                continue
            seen.add(address)
            yield node
            if isinstance(node, h5py.Group):
                waiting.append(node)


def refuse_outside(node: Any, error: type[Exception]) -> None:
    """Refuse a dataset whose values lie in other files."""
    import h5py

    if not isinstance(node, h5py.Dataset):
        return
    outside = [name for name, _, _ in node.external or ()]
    if node.is_virtual:
        outside += [source.file_name for source in node.virtual_sources() if source.file_name != "."]
    if outside:
        raise error(f"the values of {node.name} lie in another file, {outside[0]!r}: such files are not opened")


def address_of(node: Any) -> int:
    """Where an object lies in its file: two names of one address are one object."""
    import h5py.h5o

    return int(h5py.h5o.get_info(node.id).addr)
