"""What all table formats have in common: the types in and out, lazy access, previews."""

from __future__ import annotations

import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lamart_core.errors import InvalidArgument, UnsupportedObject
from lamart_core.formats.compression import compression_of
from lamart_core.formats.format import ColumnInfo, Format, Preview, ReadablePath
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import (
    ARROW,
    DATASET,
    GEOPANDAS,
    LAZY,
    PANDAS,
    POLARS,
    ArrowDataset,
    ArrowTable,
    PythonType,
    require,
)
from lamart_core.formats.markdown import MAX_COLUMNS, MAX_ROWS, markdown_table
from lamart_core.formats.tables.flat import with_unnamed_index
from lamart_core.formats.tables.geometry import check_geometry
from lamart_core.formats.tables.names import check_names, listed
from lamart_core.formats.tables.polars_frames import table_from_polars
from lamart_core.formats.tables.pyarrow_datasets import open_dataset

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

ENGINES = ("pyarrow", "polars")
_UNNAMED = re.compile(r"(__index_level_\d+__)?")


class TableFormat(Format):
    """A table in a single file; pandas by default, Arrow and polars on request."""

    otype: ClassVar[str | None] = "DataFrame"
    accepts: ClassVar[tuple[PythonType, ...]] = (PANDAS, ARROW, POLARS, LAZY, DATASET)
    returns: ClassVar[tuple[PythonType, ...]] = (PANDAS, ARROW, DATASET, POLARS, LAZY)
    modes: ClassVar[tuple[str, ...]] = ("r",)

    # What table formats implement

    @abstractmethod
    def _write_pandas(self, df: pd.DataFrame, path: Path, suffix: str, options: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _write_arrow(self, table: ArrowTable, path: Path, suffix: str, options: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _read_pandas(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pd.DataFrame: ...

    @abstractmethod
    def _read_arrow(self, path: Path, suffix: str, options: Mapping[str, Any]) -> ArrowTable: ...

    @abstractmethod
    def dataset_format(self, suffix: str) -> Any:
        """The ``format`` argument of ``pyarrow.dataset.dataset``."""

    @abstractmethod
    def _scan_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.LazyFrame: ...

    def _read_polars(self, path: Path, suffix: str, options: Mapping[str, Any]) -> pl.DataFrame:
        return self._scan_polars(path, suffix, options).collect()

    # The contract

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        if LAZY.matches(obj):
            obj = obj.collect()
        elif DATASET.matches(obj):
            obj = obj.to_table()
        check_names(obj)
        if PANDAS.matches(obj):
            self._write_pandas(obj, path, suffix, options)
        elif ARROW.matches(obj):
            self._write_arrow(obj, path, suffix, options)
        else:
            self._write_arrow(table_from_polars(obj), path, suffix, options)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        readers: dict[PythonType, Callable[[], Any]] = {
            PANDAS: lambda: self._read_pandas(path, suffix, options),
            ARROW: lambda: self._read_arrow(path, suffix, options),
            DATASET: lambda: self.dataset(path, suffix, options),
            POLARS: lambda: self._read_polars(path, suffix, options),
            LAZY: lambda: self._scan_polars(path, suffix, options),
            GEOPANDAS: lambda: check_geometry(self._read_pandas(path, suffix, options)),
        }
        return readers[target]()

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        check_engine(engine)
        if engine == "pyarrow":
            return self.dataset(path, suffix, options)
        return self._lazy_frame(path, suffix, options)

    def is_whole(self, path: Path, suffix: str) -> bool:
        """Whether Arrow reads all rows, a few at a time."""
        return can_read(lambda: self.dataset(path, suffix, {}))

    def dataset(self, path: ReadablePath, suffix: str, options: Mapping[str, Any]) -> ArrowDataset:
        """The file as a ``pyarrow.dataset.Dataset``."""
        return open_dataset(path, {"format": self.dataset_format(suffix), **options}, compression_of(suffix))

    def _lazy_frame(
        self, path: ReadablePath, suffix: str, options: Mapping[str, Any]
    ) -> AbstractContextManager[pl.LazyFrame]:
        require_polars("engine='polars'")
        if isinstance(path, Path):
            return _yielding(lambda: self._scan_polars(path, suffix, options), path, self.name)
        # Remote: read through the storage's own file system, which has the credentials.
        return _yielding(lambda: scan_dataset(self.dataset(path, suffix, options)), path, self.name)

    def n_observations(self, obj: object) -> int | None:
        """Number of rows."""
        return number_of_rows(obj)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The first rows."""
        if not isinstance(obj_or_path, Path):
            return preview_of_object(obj_or_path)
        suffix = suffix or self.suffixes[0]
        with reading(obj_or_path, self.name):
            dataset = self.dataset(obj_or_path, suffix, {})
            return preview_of_dataset(dataset, self.count_observations(obj_or_path, suffix=suffix))


def can_read(open_dataset: Callable[[], ArrowDataset]) -> bool:
    """Whether all rows of a dataset can be read. Never raises."""
    try:
        for _ in open_dataset().to_batches(batch_readahead=1, fragment_readahead=1):
            pass
    except Exception:  # whatever a reader of damaged content raises
        return False
    return True


def check_wanted(options: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Options of a reader, whose ``columns`` are the names that Arrow has for them.

    Raises:
        InvalidArgument: There is no such column; the message names those that there are.
    """
    wanted = options.get("columns")
    if wanted is None or isinstance(wanted, str):
        return dict(options)
    texts = [str(name) for name in wanted]
    absent = [text for text in texts if text not in names and text.partition(".")[0] not in names]
    if absent:
        raise InvalidArgument(f"there is no column {listed(absent)}; there are {listed(names, shown=20)}")
    return {**options, "columns": texts}


def scan_dataset(dataset: ArrowDataset) -> pl.LazyFrame:
    """A dataset as a ``polars.LazyFrame``."""
    import polars as pl

    return pl.scan_pyarrow_dataset(dataset)


def require_polars(purpose: str) -> None:
    """Raise MissingExtra unless polars is installed."""
    require("polars", extra="polars", purpose=purpose)


def check_engine(engine: str) -> None:
    """Raise InvalidArgument for an engine that does not exist."""
    if engine not in ENGINES:
        raise InvalidArgument(f"engine must be {' or '.join(map(repr, ENGINES))}, not {engine!r}")


def check_keywords(
    group: str, given: Mapping[str, Any], accepted: frozenset[str], *, reserved: Mapping[str, str] | None = None
) -> None:
    """Raise InvalidArgument for writer keywords that are unknown or that would write something else than one file."""
    for name, reason in (reserved or {}).items():
        if name in given:
            raise InvalidArgument(f"{group}: {name!r} cannot be set: {reason}")
    unknown = sorted(set(given) - accepted)
    if unknown:
        raise InvalidArgument(
            f"{group}: unknown {', '.join(map(repr, unknown))}; the writer knows {', '.join(sorted(accepted))}"
        )


def parameters_of(*functions: Callable[..., Any]) -> frozenset[str]:
    """Names of all keyword parameters of some functions."""
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = {p.name for f in functions for p in inspect.signature(f).parameters.values() if p.kind in named}
    return frozenset(names - {"self"})


def number_of_rows(obj: object) -> int | None:
    """Rows of a table object; None if it is none, or does not know them yet."""
    if PANDAS.matches(obj) or ARROW.matches(obj) or POLARS.matches(obj):
        return len(obj)  # pyright: ignore[reportArgumentType]
    return None


def preview_of_object(obj: Any) -> Preview:
    """The first rows and the column types of a table of any type; what is not computed yet has no count."""
    if DATASET.matches(obj):
        return preview_of_dataset(obj, None)
    if LAZY.matches(obj):
        return replace(preview_of_object(obj.head(MAX_ROWS).collect()), row_count=None, shape=None)
    rows = number_of_rows(obj)
    if rows is None:
        raise UnsupportedObject(f"{type(obj).__qualname__} is no table")
    if PANDAS.matches(obj):
        columns = tuple(ColumnInfo(str(name), str(dtype)) for name, dtype in obj.dtypes.items())
        return Preview(pandas_markdown(obj), rows, columns, tuple(obj.shape))
    table = obj if ARROW.matches(obj) else obj.head(MAX_ROWS).to_arrow()
    columns = tuple(ColumnInfo(f.name, str(f.type)) for f in table.schema)
    return Preview(pandas_markdown(table.slice(0, MAX_ROWS).to_pandas()), rows, columns, (rows, len(columns)))


def preview_of_dataset(dataset: ArrowDataset, rows: int | None) -> Preview:
    """The first rows and the schema of stored tables."""
    head = dataset.head(MAX_ROWS)
    # An index without a name is stored as a column with a made-up one, or none.
    columns = tuple(ColumnInfo(f.name, str(f.type)) for f in dataset.schema if not _UNNAMED.fullmatch(f.name))
    shape = None if rows is None else (rows, len(columns))
    return Preview(pandas_markdown(with_unnamed_index(head.to_pandas())), rows, columns, shape)


def pandas_markdown(df: pd.DataFrame) -> str:
    """The first rows of a frame, its index as the first column unless it only counts the rows."""
    import pandas as pd

    head = df.iloc[:MAX_ROWS, :MAX_COLUMNS]
    show_index = not isinstance(df.index, pd.RangeIndex) or df.index.name is not None
    names = [*(["" if df.index.name is None else df.index.name] if show_index else []), *head.columns]
    values = head.astype(object).itertuples(index=show_index, name=None)
    text = markdown_table(names, values)
    hidden = df.shape[1] - head.shape[1]
    return f"{text}\n\n… and {hidden} more columns" if hidden > 0 else text


@contextmanager
def _yielding(scan: Callable[[], pl.LazyFrame], path: object, what: str) -> Generator[pl.LazyFrame]:
    with reading(path, what):
        frame = scan()
    yield frame
