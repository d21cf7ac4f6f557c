"""Zarr folders in general: what they are, and opening them without running foreign code."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

from upath import UPath

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.arrays.accessor import BackedAccessor
from lamart_core.formats.arrays.listing import Member, preview_of_members
from lamart_core.formats.format import Format, Preview, ReadablePath
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import ZARR_ARRAY, ZARR_GROUP, PythonType, require

# zarr.json: version 3; the others: version 2.
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zmetadata")
_V2_ATTRIBUTES = ".zattrs"


class ZarrFormat(Format):
    """A zarr folder that no other format recognises: opened as a ``zarr.Group`` or ``zarr.Array``.

    Groups and arrays in memory, or of other stores, are copied chunk by chunk, with their own version of zarr, chunks
    and compression; chunks that hold nothing but the fill value are not written.
    """

    name = "zarr"
    suffixes: ClassVar[tuple[str, ...]] = (".zarr", ".ome.zarr")
    is_folder: ClassVar[bool] = True
    extra: ClassVar[str | None] = "zarr"
    accepts: ClassVar[tuple[PythonType, ...]] = (ZARR_GROUP, ZARR_ARRAY)
    returns: ClassVar[tuple[PythonType, ...]] = (PythonType("zarr", "Group or Array"), ZARR_GROUP, ZARR_ARRAY)
    modes: ClassVar[tuple[str, ...]] = ("r",)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        import zarr
        import zarr.storage

        store = zarr.storage.LocalStore(path)
        with unannounced():
            if isinstance(obj, zarr.Array):
                _copy_array(cast(Any, obj), store, None)
                return
            attributes = dict(obj.attrs)
            zarr.create_group(store, attributes=attributes, zarr_format=obj.metadata.zarr_format)
            for name, member in sorted(obj.members(max_depth=None, use_consolidated_for_children=False)):
                if isinstance(member, zarr.Array):
                    _copy_array(member, store, name)
                else:
                    version = member.metadata.zarr_format
                    zarr.create_group(store, path=name, attributes=dict(member.attrs), zarr_format=version)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        found = self._open(path, suffix, "r", "", options).storage
        if target in (ZARR_GROUP, ZARR_ARRAY) and not target.matches(found):
            raise UnsupportedObject(f"{path} holds a zarr.{type(found).__name__}, not a {target}")
        return found

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        refuse_pickles(path)
        found = open_zarr(path, mode=mode, **options)
        return BackedAccessor(found.store, found, found.store.close)

    def n_observations(self, obj: object) -> int | None:
        """First dimension of an array."""
        shape: Any = getattr(obj, "shape", None) if ZARR_ARRAY.matches(obj) else None
        return int(shape[0]) if shape else None

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """First dimension of a single array, from its metadata."""
        with reading(path, self.name):
            shape = _described(path, ".").shape
            return shape[0] if shape else None

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The names of groups and arrays, with shapes and types."""
        if not isinstance(obj_or_path, Path):
            return preview_of_members(_members(obj_or_path))
        root = obj_or_path
        with reading(root, self.name):
            return preview_of_members(
                _described(node, Path(str(node)).relative_to(root).as_posix()) for node in _nodes(root)
            )


def _copy_array(array: Any, store: Any, name: str | None) -> None:
    import zarr

    version = array.metadata.zarr_format
    zarr.from_array(
        store,
        data=array,
        name=name,
        fill_value=array.fill_value,
        order=array.order if version == 2 else None,
        attributes=dict(array.attrs),
        dimension_names=getattr(array.metadata, "dimension_names", None),
        zarr_format=version,
    )


def _members(obj: Any) -> Iterator[Member]:
    if ZARR_ARRAY.matches(obj):
        yield Member(".", tuple(obj.shape), str(obj.dtype))
        return
    for name, member in sorted(obj.members(max_depth=None)):
        is_array = ZARR_ARRAY.matches(member)
        yield Member(name, tuple(member.shape), str(member.dtype)) if is_array else Member(name)


def _described(node: ReadablePath, name: str) -> Member:
    """What the metadata of a group or array say of it.

    Raises:
        UnreadableContent: They are no metadata of zarr.
    """
    for file in ("zarr.json", ".zarray"):
        if (node / file).exists():
            metadata = json.loads((node / file).read_bytes())
            if not isinstance(metadata, dict):
                raise UnreadableContent(f"{node / file} holds no metadata of zarr")
            described = cast("dict[str, Any]", metadata)
            if "shape" not in described:
                return Member(name)
            kind = described.get("data_type", described.get("dtype"))
            return Member(name, tuple(int(n) for n in described["shape"]), kind if isinstance(kind, str) else "object")
    return Member(name)


def open_zarr(path: ReadablePath, /, *, mode: str, **options: Any) -> Any:
    """A ``zarr.Group`` or ``zarr.Array`` over a local or remote folder. Call ``refuse_pickles`` before.

    In a remote one, metadata that name the pickle codec are an UnreadableContent whenever they are read.
    """
    require("zarr", extra="zarr", purpose="Opening a zarr folder")
    import zarr

    store: Any = str(path)
    if not isinstance(path, Path):
        store = _watched(_store(path, read_only=mode == "r"))
    try:
        return zarr.open(store, mode=cast(Any, mode), **options)
    except FileNotFoundError as error:
        raise UnreadableContent(f"{path} holds no zarr group or array") from error


def _store(path: UPath, *, read_only: bool) -> Any:
    from zarr.storage import FsspecStore

    if path.protocol not in ("az", "abfs", "gs"):
        return FsspecStore.from_url(str(path), storage_options=dict(path.storage_options), read_only=read_only)
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    # The file system of the path, in threads: one that zarr made for itself would try a dead server for minutes, and
    # that of Azure cannot be closed when the process ends.
    return FsspecStore(AsyncFileSystemWrapper(path.fs, asynchronous=True), path=path.path, read_only=read_only)


def _watched(store: Any) -> Any:
    """A store that hands out no metadata which name the pickle codec.

    Looking through a remote store beforehand would cost requests for every group and array; so what is read is looked
    at when it is read, and nothing else.
    """
    from zarr.storage import WrapperStore

    class WatchedStore(WrapperStore[Any]):
        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            found = await super().get(key, prototype, byte_range)
            return _checked(key, found)

        async def _get_many(self, requests: Any) -> AsyncGenerator[tuple[str, Any], None]:
            async for key, found in super()._get_many(requests):
                yield key, _checked(key, found)

    def _checked(key: str, found: Any) -> Any:
        if found is not None and key.rpartition("/")[2] in _METADATA and _names_pickle(json.loads(found.to_bytes())):
            raise UnreadableContent(f"{store}/{key} names the pickle codec: pickled values are never loaded")
        return found

    return WatchedStore(store)


@contextmanager
def unannounced() -> Generator[None]:
    """Without warnings that are not the user's concern: of coming defaults, and of extensions of zarr version 3."""
    with warnings.catch_warnings():
        for about in ("zarr v2", "[Cc]onsolidated metadata", "autosharding", "does not have a Zarr V3 specification"):
            warnings.filterwarnings("ignore", message=f".*{about}.*")
        yield


def root_attributes(path: Path) -> dict[str, Any]:
    """The user attributes at the root of a local zarr folder, of either version; empty if there are none."""
    for name, key in (("zarr.json", "attributes"), (_V2_ATTRIBUTES, None)):
        try:
            content = json.loads((path / name).read_bytes())
        except (OSError, ValueError):
            continue
        found = content.get(key) if key is not None and isinstance(content, dict) else content
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
    return {}


def refuse_pickles(path: ReadablePath) -> None:
    """Refuse a zarr folder with pickled values, whose decoding could run foreign code.

    Reads the metadata of groups and arrays only, never chunks. Of a remote one nothing: `open_zarr` looks at what is
    read there.

    Raises:
        UnreadableContent: Some array names the pickle codec.
    """
    if not isinstance(path, Path):
        return
    for node in _nodes(path):
        for name in _METADATA:
            file = node / name
            if file.exists() and _names_pickle(json.loads(file.read_bytes())):
                raise UnreadableContent(f"{file} names the pickle codec: pickled values are never loaded")


def _nodes(path: ReadablePath) -> Iterator[ReadablePath]:
    """The groups and arrays of a store; chunks lie below arrays and are not visited."""
    yield path
    for child in sorted(path.iterdir(), key=lambda p: p.name):
        if child.name.startswith(".") or not child.is_dir():
            continue
        if _is_array(child):
            yield child
        elif any((child / name).exists() for name in _METADATA):
            yield from _nodes(child)


def _is_array(node: ReadablePath) -> bool:
    if (node / ".zarray").exists():
        return True
    metadata = node / "zarr.json"
    return metadata.exists() and json.loads(metadata.read_bytes()).get("node_type") == "array"


def _names_pickle(metadata: Any) -> bool:
    if isinstance(metadata, dict):
        members = cast("dict[str, Any]", metadata)
        named = (str(members.get(k, "")).rpartition(".")[2] for k in ("id", "name", "object_codec_id"))
        # User attributes are data: they may say "pickle" as they like.
        return "pickle" in named or any(_names_pickle(v) for k, v in members.items() if k != "attributes")
    return isinstance(metadata, list) and any(_names_pickle(v) for v in cast("list[Any]", metadata))
