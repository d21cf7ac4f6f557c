"""Zarr folders in general: what they are, and opening them without running foreign code."""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.arrays.accessor import BackedAccessor
from lamart_core.formats.arrays.listing import Member, preview_of_members
from lamart_core.formats.format import Format, Preview, ReadablePath
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import ZARR_ARRAY, ZARR_GROUP, PythonType, require

# zarr.json: version 3; the others: version 2.
METADATA = ("zarr.json", ".zarray", ".zgroup", ".zmetadata")
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
    """A ``zarr.Group`` or ``zarr.Array`` over a local or remote folder.

    Metadata that name the pickle codec are an UnreadableContent whenever they are read; ``refuse_pickles`` looks for
    them beforehand.
    """
    require("zarr", extra="zarr", purpose="Opening a zarr folder")
    import zarr

    from lamart_core.formats.arrays.watched_store import WatchedStore

    store = WatchedStore(_store(path, read_only=mode == "r"))
    try:
        return zarr.open(store, mode=cast(Any, mode), **options)
    except FileNotFoundError as error:
        raise UnreadableContent(f"{path} holds no zarr group or array") from error


def _store(path: ReadablePath, *, read_only: bool) -> Any:
    from zarr.storage import FsspecStore, LocalStore

    if isinstance(path, Path):
        return LocalStore(path, read_only=read_only)
    if path.protocol not in ("az", "abfs", "gs"):
        return FsspecStore.from_url(str(path), storage_options=dict(path.storage_options), read_only=read_only)
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    # The file system of the path, in threads: one that zarr made for itself would try a dead server for minutes, and
    # that of Azure cannot be closed when the process ends.
    return FsspecStore(AsyncFileSystemWrapper(path.fs, asynchronous=True), path=path.path, read_only=read_only)


@contextmanager
def unannounced() -> Generator[None]:
    """Without warnings that are not the user's concern: of coming defaults, and of extensions of zarr version 3."""
    with warnings.catch_warnings():
        for about in ("zarr v2", "[Cc]onsolidated metadata", "autosharding", "does not have a Zarr V3 specification"):
            warnings.filterwarnings("ignore", message=f".*{about}.*")
        yield


def root_attributes(path: ReadablePath) -> dict[str, Any]:
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
        for name in METADATA:
            file = node / name
            if file.exists() and names_pickle(json.loads(file.read_bytes())):
                raise UnreadableContent(f"{file} names the pickle codec: pickled values are never loaded")


def _nodes(path: ReadablePath) -> Iterator[ReadablePath]:
    """The groups and arrays of a store; chunks lie below arrays and are not visited."""
    if any((path / name).exists() for name in METADATA):
        yield path
    if _is_array(path):
        return
    for child in sorted(path.iterdir(), key=lambda p: p.name):
        if child.is_dir():
            yield from _nodes(child)


def _is_array(node: ReadablePath) -> bool:
    """Whether a folder is an array, and by no file of it a group."""
    metadata = node / "zarr.json"
    if metadata.exists():
        return json.loads(metadata.read_bytes()).get("node_type") == "array" and not (node / ".zgroup").exists()
    return (node / ".zarray").exists() and not (node / ".zgroup").exists()


def names_pickle(document: Any) -> bool:
    """Whether the metadata of a group or array, or those that are consolidated in it, name the pickle codec.

    User attributes are data: they may say "pickle" as they like.
    """
    if not isinstance(document, dict):
        return False
    members = cast("dict[str, Any]", document)
    consolidated = members.get("consolidated_metadata") or members
    inner = cast("Any", consolidated).get("metadata") if isinstance(consolidated, dict) else None
    own = [v for k, v in members.items() if k not in ("attributes", "consolidated_metadata", "metadata")]
    within = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    return _has_codec(own) or any(names_pickle(v) for k, v in within.items() if not k.endswith(_V2_ATTRIBUTES))


def _has_codec(part: Any) -> bool:
    if isinstance(part, dict):
        members = cast("dict[str, Any]", part)
        named = (str(members.get(k, "")).rpartition(".")[2] for k in ("id", "name", "object_codec_id"))
        return "pickle" in named or any(map(_has_codec, members.values()))
    return isinstance(part, list) and any(map(_has_codec, cast("list[Any]", part)))
