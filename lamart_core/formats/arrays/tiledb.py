"""TileDB arrays and groups in general."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.arrays.accessor import BackedAccessor
from lamart_core.formats.arrays.listing import Member, preview_of_members
from lamart_core.formats.arrays.tiledb_context import store_uri, tiledb_config
from lamart_core.formats.format import Format, Preview, ReadablePath
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import PythonType, require


class TileDBFormat(Format):
    """A TileDB array or group: written with tiledb and passed as a path, opened where it lies.

    The bytes decide what is equal: two arrays of equal content, written one after the other, are two contents.
    """

    name = "tiledb"
    suffixes: ClassVar[tuple[str, ...]] = (".tiledb",)
    is_folder: ClassVar[bool] = True
    extra: ClassVar[str | None] = "tiledb"
    modes: ClassVar[tuple[str, ...]] = ("r",)
    needs_own_folder: ClassVar[bool] = True

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        raise UnsupportedObject("Write the array with tiledb, and pass the path of its folder")

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        return open_tiledb(path, **options)

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """First dimension of a dense array; None for sparse ones, whose dimensions have no certain length."""
        with reading(path, self.name), open_tiledb(path) as accessor:
            shape = _shape(accessor.storage)
            return shape[0] if shape else None

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Attributes and shape of an array, or the names of the members of a group."""
        if not isinstance(obj_or_path, Path):
            return super().preview(obj_or_path, suffix=suffix)
        with reading(obj_or_path, self.name), open_tiledb(obj_or_path) as accessor:
            return preview_of_members(_members(accessor.storage))


def open_tiledb(path: ReadablePath, **options: Any) -> BackedAccessor:
    """Open a local or remote TileDB array or group for reading.

    Raises:
        UnreadableContent: It is neither, or a group with members that lie elsewhere.
    """
    require("tiledb", extra="tiledb", purpose="Opening a TileDB array")
    import tiledb

    uri = store_uri(path)
    # A context of its own: threads of one that is shared would not survive a fork.
    context = options.pop("ctx", None) or tiledb.Ctx(tiledb.Config(dict(tiledb_config(path))))
    kind = tiledb.object_type(uri, ctx=context)
    if kind == "array":
        storage: Any = tiledb.open(uri, mode="r", ctx=context, **options)
    elif kind == "group":
        storage = tiledb.Group(uri, "r", ctx=context, **options)
    else:
        raise UnreadableContent(f"{path} holds no TileDB array or group")
    accessor = BackedAccessor(context, storage, storage.close)
    if kind == "group" and isinstance(path, Path):
        for member in storage:
            if not storage.is_relative(member.name):
                accessor.close()
                raise UnreadableContent(
                    f"the member {member.name!r} of {path} is stored as a reference to {member.uri}, and a copy of the "
                    "group would not hold it: add members with relative=True"
                )
    return accessor


def _shape(storage: Any) -> tuple[int, ...] | None:
    schema = getattr(storage, "schema", None)
    return tuple(int(n) for n in schema.shape) if schema is not None and not schema.sparse else None


def _members(storage: Any) -> Iterator[Member]:
    schema = getattr(storage, "schema", None)
    if schema is None:
        yield from (Member(str(member.name)) for member in sorted(storage, key=lambda member: str(member.name)))
        return
    shape = _shape(storage)
    for i in range(schema.nattr):
        attribute = schema.attr(i)
        yield Member(str(attribute.name) or ".", shape if shape is not None else (), str(attribute.dtype))
