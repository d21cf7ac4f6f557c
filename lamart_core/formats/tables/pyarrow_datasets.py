"""Tables as datasets of pyarrow, wherever they lie and however they are compressed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lamart_core.formats.compression import expanded
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.libraries import ArrowDataset
from lamart_core.formats.tables.compressed_text import KNOWN_TO_ARROW
from lamart_core.formats.tables.exit_guard import GuardedFile, reading_once

# fsspec's own default is 50 MB on S3, which it reads ahead after each jump: a footer would cost as much.
READ_AHEAD_BYTES = 1 << 20


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
