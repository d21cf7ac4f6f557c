"""Folders of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import InvalidArgument, UnsupportedObject
from lamart_core.formats.compression import compression_of
from lamart_core.formats.format import Format, Preview, ReadablePath
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import (
    ARROW,
    DATASET,
    LAZY,
    PANDAS,
    PATH,
    POLARS,
    ArrowDataset,
    ArrowTable,
    PythonType,
)
from lamart_core.formats.markdown import markdown_table
from lamart_core.formats.tables.base import (
    TableFormat,
    check_engine,
    check_wanted,
    preview_of_dataset,
    require_polars,
    scan_dataset,
)
from lamart_core.formats.tables.flat import with_unnamed_index
from lamart_core.formats.tables.frames import frame_of
from lamart_core.formats.tables.pyarrow_datasets import open_files
from lamart_core.formats.tables.stored_types import restore_types

_PREVIEWED = 50
_TABLES = (PANDAS, ARROW, DATASET, POLARS, LAZY)
# Not asked for by name: the table where the folder holds tables, else the path.
_CONTENT = PythonType("lamart_core.formats.folder_format", "table or path")


class FolderFormat(Format):
    """A folder. Where all its files are tables of one format, it can be loaded and opened as one table.

    Names like ``year=2024/`` of folders inside become columns. Files and folders whose name begins with ``.`` or
    ``_`` are not part of the table.
    """

    name = "folder"
    is_folder: ClassVar[bool] = True
    returns: ClassVar[tuple[PythonType, ...]] = (_CONTENT, PATH, *_TABLES)
    modes: ClassVar[tuple[str, ...]] = ("r",)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        raise UnsupportedObject("Write the folder yourself and pass its path")

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        if target == _CONTENT and table_format(path) is None:
            if options:
                raise TypeError(f"unexpected keyword argument {', '.join(map(repr, options))}: {path} holds no tables")
            return path
        dataset = _dataset(path, {})

        def table() -> ArrowTable:
            return restore_types(dataset.to_table(**check_wanted(options, dataset.schema.names)))

        readers: dict[PythonType, Callable[[], Any]] = {
            _CONTENT: lambda: _frame(table()),
            PANDAS: lambda: _frame(table()),
            ARROW: table,
            DATASET: lambda: _dataset(path, options),
            POLARS: lambda: _lazy(dataset).collect(),
            LAZY: lambda: _lazy(dataset),
        }
        return readers[target]()

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        check_engine(engine)
        dataset = _dataset(path, options)
        return dataset if engine == "pyarrow" else nullcontext(_lazy(dataset))

    def is_whole(self, path: Path, suffix: str) -> bool:
        """Whether all rows of all tables can be read."""
        try:
            found = table_format(path)
        except InvalidArgument:
            return False
        files = (file for file in _each_file(path) if isinstance(file, Path))
        return found is not None and all(found.is_whole(file, _table_suffix(file.name)) for file in files)

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Rows of all tables, as far as each of them tells its own without being read."""
        try:
            found = table_format(path)
        except InvalidArgument:
            return None
        # Where the first does not tell, as text does not, none does.
        if found is None or type(found).count_observations is Format.count_observations:
            return None
        rows = 0
        for file in _files(path):
            counted = found.count_observations(file, suffix=_table_suffix(file.name))
            if counted is None:
                return None
            rows += counted
        return rows

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The first rows of a folder of tables, the first files of any other."""
        if not isinstance(obj_or_path, Path):
            return super().preview(obj_or_path, suffix=suffix)
        found = table_format(obj_or_path)
        if found is not None:
            with reading(obj_or_path, self.name):
                return preview_of_dataset(_dataset(obj_or_path, {}), self.count_observations(obj_or_path, suffix=""))
        files = sorted(p for p in obj_or_path.rglob("*") if p.is_file())
        rows = [(p.relative_to(obj_or_path).as_posix(), f"{p.stat().st_size:,}") for p in files[:_PREVIEWED]]
        text = markdown_table(["file", "bytes"], rows)
        hidden = len(files) - len(rows)
        return Preview(f"{text}\n\n… and {hidden:,} more" if hidden > 0 else text)


def table_format(path: ReadablePath) -> TableFormat | None:
    """The one table format of all files below a folder; None if they are of several, of another, or none.

    Raises:
        InvalidArgument: The files are tables of several formats.
    """
    from lamart_core.formats import dispatch

    tables: set[TableFormat] = set()
    for file in _each_file(path):
        found = dispatch.for_suffix(_table_suffix(file.name))
        if not isinstance(found, TableFormat):
            return None
        tables.add(found)
    if len(tables) > 1:
        raise InvalidArgument(f"{path} holds tables of several formats: {', '.join(sorted(t.name for t in tables))}")
    return tables.pop() if tables else None


def _files(path: ReadablePath) -> list[ReadablePath]:
    """The files that are part of a table, in the order in which pyarrow reads them."""
    return sorted(_each_file(path))


def _each_file(path: ReadablePath) -> Iterator[ReadablePath]:
    """The files that are part of a table, one by one: whoever sees that it is none need not look at the others."""
    if isinstance(path, Path):
        files = (file for file in path.rglob("*") if file.is_file())
    else:  # one listing, instead of one for each folder and a question for each entry
        prefix = path.path.rstrip("/") + "/"
        files = (path / str(name).removeprefix(prefix) for name in path.fs.find(path.path))
    depth = len(path.parts)
    return (f for f in files if not any(part.startswith((".", "_")) for part in f.parts[depth:]))


def _table_suffix(name: str) -> str:
    from lamart_core.formats import dispatch

    _, *parts = name.lower().split(".")
    composite = "." + ".".join(parts[-2:])
    return composite if len(parts) > 1 and composite in dispatch.known_suffixes() else "." + "".join(parts[-1:])


def _dataset(path: ReadablePath, options: Mapping[str, Any]) -> ArrowDataset:
    found = table_format(path)
    if found is None:
        raise InvalidArgument(f"{path} holds other files than tables of one format: use it as a path")
    suffix = next(_table_suffix(file.name) for file in _files(path))
    try:
        passed = {"format": found.dataset_format(suffix), "partitioning": "hive", **options}
        return open_files(path, passed, compression_of(suffix))
    except FileNotFoundError as error:
        raise UnreadableContent(f"{path} changed while it was opened: {error}") from error


def _frame(table: ArrowTable) -> Any:
    return with_unnamed_index(frame_of(table))


def _lazy(dataset: ArrowDataset) -> Any:
    require_polars("Reading a folder of tables with polars")
    return scan_dataset(dataset)
