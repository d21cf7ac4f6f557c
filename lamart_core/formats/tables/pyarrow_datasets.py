"""Tables as datasets of pyarrow, wherever they lie and however they are compressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from lamart_core.errors import InvalidArgument
from lamart_core.formats.compression import expanded
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.libraries import ArrowDataset, ArrowSchema
from lamart_core.formats.tables.compressed_text import KNOWN_TO_ARROW
from lamart_core.formats.tables.exit_guard import GuardedFile, reading_once

# fsspec's own default is 50 MB on S3, which it reads ahead after each jump: a footer would cost as much.
READ_AHEAD_BYTES = 1 << 20
_THREADS = 8  # each schema of a remote file waits for a few answers of the server


def open_dataset(path: ReadablePath, options: Mapping[str, Any], compression: str | None = None) -> ArrowDataset:
    """A file or folder, local or remote, as a ``pyarrow.dataset.Dataset``."""
    import pyarrow.dataset as ds

    if isinstance(path, Path):
        if compression in KNOWN_TO_ARROW:
            return ds.dataset(str(path), **options)
        import fsspec

        local = _filesystem(fsspec.filesystem("file"), compression)
        return ds.dataset(str(path.absolute()), filesystem=local, **options)
    return ds.dataset(path.path, filesystem=_filesystem(path.fs, compression), **options)


def open_files(path: ReadablePath, options: Mapping[str, Any], compression: str | None = None) -> ArrowDataset:
    """A folder of files as one dataset, which has the columns of all files: null where a file does not have one.

    Raises:
        InvalidArgument: A column has types that no type can hold together.
    """
    dataset = open_dataset(path, options, compression)
    if "schema" in options:
        return dataset
    fragments = list(dataset.get_fragments())
    if len(fragments) < 2:
        return dataset
    with ThreadPoolExecutor(_THREADS) as pool:
        schemas: list[ArrowSchema] = list(pool.map(attrgetter("physical_schema"), fragments))
    whole = unified([dataset.schema, *schemas])
    # What only these metadata say holds for files that all say the same.
    if any((schema.metadata or {}) != (schemas[0].metadata or {}) for schema in schemas):
        shared = {key: value for key, value in (whole.metadata or {}).items() if not key.startswith(b"lamart:")}
        whole = whole.with_metadata(shared)
    if whole.equals(dataset.schema, check_metadata=True):
        return dataset
    return open_dataset(path, {**options, "schema": whole}, compression)


def unified(schemas: Sequence[ArrowSchema]) -> ArrowSchema:
    """The columns of several tables, in types that hold the values of all.

    Raises:
        InvalidArgument: There is no such type for a column.
    """
    import pyarrow as pa

    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidArgument(f"the columns do not fit together: {error}") from error


def open_for_jumps(path: ReadablePath) -> Any:
    """A file, local or remote, for jumps to a few small parts of it."""
    if isinstance(path, Path):
        return path.open("rb")
    return path.fs.open(path.path, mode="rb", block_size=READ_AHEAD_BYTES)


def _filesystem(fs: Any, compression: str | None) -> Any:
    from pyarrow.fs import PyFileSystem

    return PyFileSystem(_handler_class()(fs, None if compression in KNOWN_TO_ARROW else compression))


@cache
def _handler_class() -> Any:
    """Make the class on first use: its base is that of a library that is not imported before."""
    import pyarrow as pa
    from pyarrow.fs import FSSpecHandler

    class Handler(FSSpecHandler):
        """Files of fsspec as pyarrow reads them: small steps ahead, and decompressed where pyarrow cannot."""

        def __init__(self, fs: Any, compression: str | None) -> None:
            super().__init__(fs)
            self._compression = compression

        def __eq__(self, other: object) -> bool:
            return super().__eq__(other) and self._compression == getattr(other, "_compression", None)

        def open_input_stream(self, path: str) -> Any:
            return self.open_input_file(path)

        def open_input_file(self, path: str) -> Any:
            with reading_once():
                file = self.fs.open(path, mode="rb", block_size=READ_AHEAD_BYTES)
            return pa.PythonFile(GuardedFile(expanded(file, self._compression)), mode="r")

    return Handler
