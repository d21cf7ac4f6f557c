"""Query sets of artifacts, whose contents can be read as one."""

from __future__ import annotations

from typing import Any, TypeVar

from lamart_core.lineage.edges import track_inputs
from lamart_core.logging import logger
from lamart_core.query import QuerySet
from lamart_core.reading import concat_artifacts
from lamart_core.records import ArtifactRecord, Run

A = TypeVar("A", bound=ArtifactRecord)


class ArtifactSet(QuerySet[A]):
    """A query for artifacts, whose contents can also be read as one; everything else is as for `QuerySet`.

    Example:
        >>> import lamart_core as ln, pandas as pd
        >>> for day in (1, 2):
        ...     _ = ln.Artifact.from_dataframe(pd.DataFrame({"day": [day]}), key=f"days/{day}.parquet").save()
        >>> days = ln.Artifact.filter(key__startswith="days/").order_by("key")
        >>> days.load()["day"].tolist()
        [1, 2]
        >>> days.open().count_rows()
        2
    """

    def load(
        self, *, join: str = "outer", is_run_input: bool | Run | None = None, mute: bool = False, **kwargs: Any
    ) -> Any:
        """Return the contents in memory, put together in the order of the set.

        Args:
            join: Columns of the result, for AnnData variables: `"outer"` all, `"inner"` those that all contents have.
            is_run_input: Whether to record the artifacts as inputs of the current, or of the given, run.
            mute: Whether to draw no progress.
            **kwargs: `as_type=…`, and keywords for the reader, as for `Artifact.load`.

        Returns:
            A data frame as `pandas.concat` makes it, or an AnnData as `anndata.concat` does, with the uids of the
            artifacts in the column `artifact_uid` of `obs`.

        Raises:
            InvalidArgument: The artifacts have several suffixes, do not fit together, or there is none.
            UnsupportedObject: They are neither tables nor AnnData.
        """
        records = self._in_order()
        content = concat_artifacts.load(records, join=join, mute=mute, **kwargs)
        track_inputs(records, is_run_input)
        return content

    def open(self, engine: str = "pyarrow", is_run_input: bool | Run | None = None, **kwargs: Any) -> Any:
        """Open tables as one dataset, in the order of the set and without downloading them.

        A column that a table does not have is null in its rows; columns of different types get one that holds both.

        Args:
            engine: `"pyarrow"` gives a `pyarrow.dataset.Dataset`, `"polars"` a context manager that yields a
                `polars.LazyFrame`.
            is_run_input: Whether to record the artifacts as inputs of the current, or of the given, run.
            **kwargs: Go to `pyarrow.dataset.dataset`.

        Raises:
            InvalidArgument: The artifacts are no tables of one format, their columns do not fit together, or there is
                none.
        """
        records = self._in_order()
        opened = concat_artifacts.open_lazily(records, engine=engine, **kwargs)
        track_inputs(records, is_run_input)
        return opened

    def _in_order(self) -> list[A]:
        records = self._fetched()
        if len(records) > 1 and not self._statement.order:
            logger.warning("the artifacts are read in the order in which they were made; order_by() says another one")
        return records
