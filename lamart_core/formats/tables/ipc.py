"""Arrow IPC files, also known as Feather version 2."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.formats.format import ReadablePath
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import GEOPANDAS, ArrowSchema, ArrowTable, PythonType
from lamart_core.formats.tables.base import TableFormat, check_keywords, check_wanted, parameters_of, require_polars
from lamart_core.formats.tables.canonical import check_schema, empty_batch, in_one_piece, without_hidden_values
from lamart_core.formats.tables.frames import frame_of, table_from_pandas
from lamart_core.formats.tables.polars_frames import with_polars_types

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

# The default of Feather. A batch is compressed as a whole before it is written, so it decides on the memory needed.
_ROWS_OF_A_BATCH = 1 << 16


class IpcFormat(TableFormat):
    """Tables as Arrow IPC files with LZ4 compression, the default of Feather; keeps index and dtypes."""

    name = "ipc"
    suffixes: ClassVar[tuple[str, ...]] = (".ipc", ".arrow", ".feather")
    options_name = "ipc_kwargs"
    returns: ClassVar[tuple[PythonType, ...]] = (*TableFormat.returns, GEOPANDAS)

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        check_keywords("ipc_kwargs", options, _writer_keywords() if options else frozenset[str]())

    def _write_pandas(self, df: pd.DataFrame, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        self._write_arrow(table_from_pandas(df), path, suffix, options)

    def _write_arrow(self, table: ArrowTable, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        import pyarrow as pa

        # The file form allows one dictionary per column.
        table = without_hidden_values(in_one_piece(table))
        with pa.ipc.new_file(str(path), table.schema, options=_ipc_options(options)) as writer:
            if table.num_rows == 0:
                writer.write_batch(empty_batch(table))  # no batch at all would lose the dictionaries
            else:
                writer.write_table(table, max_chunksize=options.get("chunksize") or _ROWS_OF_A_BATCH)
        check_schema(_schema(path), table.schema, self.name)

    def _read_pandas(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pd.DataFrame:
        return frame_of(self._read_arrow(path, suffix, options))

    def _read_arrow(self, path: Path, suffix: str, options: Mapping[str, Any]) -> ArrowTable:
        from pyarrow import feather

        if "columns" not in options:
            return feather.read_table(str(path), **options)
        return feather.read_table(str(path), **check_wanted(options, _schema(path).names))

    def dataset_format(self, suffix: str) -> Any:
        """Arrow IPC."""
        return "ipc"

    def _scan_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.LazyFrame:
        require_polars("Reading an Arrow file with polars")
        import polars as pl

        passed: dict[str, Any] = {"glob": False, **options}
        return with_polars_types(pl.scan_ipc(path, **passed), partial(_schema, path))

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Rows of a local file as the headers of its record batches tell them."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        if not isinstance(path, Path):
            return None  # pyarrow reads the batches to get at their headers; of a mapped file it touches these only
        with reading(path, self.name), pa.memory_map(str(path)) as mapped:
            return ds.IpcFileFormat().make_fragment(mapped).count_rows()


def _schema(path: Path) -> ArrowSchema:
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped:
        return pa.ipc.open_file(mapped).schema


def _ipc_options(options: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    compression = options.get("compression", "lz4")
    if compression in (None, "uncompressed"):
        return pa.ipc.IpcWriteOptions()
    level = options.get("compression_level")
    codec = pa.Codec(compression, level) if level is not None else pa.Codec(compression)
    return pa.ipc.IpcWriteOptions(compression=codec)


@functools.cache
def _writer_keywords() -> frozenset[str]:
    from pyarrow import feather

    return parameters_of(feather.write_feather) - {"df", "dest", "version"}
