"""Parquet: the default format of tables. Keeps the index and all dtypes."""

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
from lamart_core.formats.tables.canonical import check_schema, in_one_piece
from lamart_core.formats.tables.frames import frame_of, table_from_pandas
from lamart_core.formats.tables.polars_frames import with_polars_types
from lamart_core.formats.tables.pyarrow_datasets import open_for_jumps
from lamart_core.formats.tables.stored_types import restore_types, with_original_types

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

# Options that only pandas' own reader has.
_OF_PANDAS = frozenset({"dtype_backend", "engine", "storage_options"})
_RESERVED = {
    "path": "the place is chosen by the registry",
    "where": "the place is chosen by the registry",
    "filesystem": "the place is chosen by the registry",
    "storage_options": "the place is chosen by the registry",
    "partition_cols": "it writes a folder; write the folder yourself and pass its path",
}


class ParquetFormat(TableFormat):
    """Tables as Parquet, written by pyarrow with the defaults of ``DataFrame.to_parquet``."""

    name = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    options_name = "parquet_kwargs"
    returns: ClassVar[tuple[PythonType, ...]] = (*TableFormat.returns, GEOPANDAS)

    def _check_write_options(self, suffix: str, options: Mapping[str, Any]) -> None:
        accepted = _writer_keywords() if options else frozenset[str]()
        check_keywords("parquet_kwargs", options, accepted, reserved=_RESERVED)
        if options.get("engine", "pyarrow") not in ("auto", "pyarrow"):
            check_keywords("parquet_kwargs", options, accepted, reserved={"engine": "only pyarrow is used"})

    def _write_pandas(self, df: pd.DataFrame, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        index = options.get("index")
        table = table_from_pandas(df, index=index, schema=options.get("schema"))
        self._write_arrow(table, path, suffix, options)

    def _write_arrow(self, table: ArrowTable, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        import pyarrow.parquet as pq

        passed: dict[str, Any] = {k: v for k, v in options.items() if k not in ("index", "schema", "engine")}
        passed.setdefault("compression", "snappy")
        table = in_one_piece(table)
        pq.write_table(with_original_types(table, passed), str(path), **passed)
        check_schema(restore_types(pq.read_schema(path).empty_table()).schema, table.schema, self.name)

    def _read_pandas(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pd.DataFrame:
        import pandas as pd

        if not _OF_PANDAS.isdisjoint(options):
            passed: dict[str, Any] = {"engine": "pyarrow", **options}
            return pd.read_parquet(path, **passed)
        # With the columns of the index, also where some columns are asked for.
        return frame_of(self._read_arrow(path, suffix, {"use_pandas_metadata": True, **options}))

    def _read_arrow(self, path: Path, suffix: str, options: Mapping[str, Any]) -> ArrowTable:
        import pyarrow.parquet as pq

        # No partitions are read out of the names of the folders above a single file.
        passed: dict[str, Any] = {"partitioning": None, **options}
        passed = check_wanted(passed, pq.read_schema(path).names) if "columns" in passed else passed
        return restore_types(pq.read_table(str(path), **passed))

    def is_whole(self, path: Path, suffix: str) -> bool:
        """Whether Arrow reads all of it, or polars knows a type that Arrow does not."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            pq.read_schema(path)
        except pa.ArrowNotImplementedError:
            require_polars("Reading a parquet file with types that Arrow does not know")
            import polars as pl

            return bool(pl.read_parquet_schema(path))
        except Exception:  # whatever damaged content ends in
            return False
        return super().is_whole(path, suffix)

    def dataset_format(self, suffix: str) -> Any:
        """Parquet."""
        return "parquet"

    def _scan_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.LazyFrame:
        require_polars("Reading a parquet file with polars")
        import polars as pl

        passed: dict[str, Any] = {"glob": False, **options}
        return with_polars_types(pl.scan_parquet(path, **passed), partial(_schema, path))

    def count_observations(self, path: ReadablePath, *, suffix: str) -> int | None:
        """Rows as the footer tells them."""
        import pyarrow.parquet as pq

        def is_whole() -> bool:
            return isinstance(path, Path) and self.is_whole(path, suffix)

        with reading(path, self.name, is_whole=is_whole), open_for_jumps(path) as file:
            return pq.read_metadata(file).num_rows


def _schema(path: Path) -> ArrowSchema:
    import pyarrow.parquet as pq

    return pq.read_schema(path)


@functools.cache
def _writer_keywords() -> frozenset[str]:
    import pandas as pd
    import pyarrow.parquet as pq

    keywords = parameters_of(pd.DataFrame.to_parquet, pq.write_table, pq.ParquetWriter.__init__)
    return (keywords | {"schema"}) - {"table", *_RESERVED}
