"""Some observations and variables of an open AnnData store: chosen now, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import anndata as ad
    import numpy as np
    import pandas as pd

    from lamart_core.formats.anndata.accessor import AnnDataAccessor

    Positions = np.ndarray[Any, np.dtype[np.intp]]

# Rows that are close are read together: a request costs more than some rows that nobody asked for.
_GAP = 32
# Values that are read at once, before those of other columns are dropped.
_PIECE = 8_000_000


class AnnDataSubset:
    """What ``store[observations, variables]`` gives: as lazy as the store.

    ``to_memory()`` reads it as an ``AnnData``, without ``raw``; ``X`` reads the matrix only. At no time more than the
    result and a piece of bounded size are in memory.

    Example:
        .. code-block:: python

            with artifact.open() as store:
                counts = store[store.obs["cell_type"] == "T cell", ["CD4", "CD8A"]].X
    """

    def __init__(self, store: AnnDataAccessor, rows: Positions, columns: Positions) -> None:
        self._store = store
        self._rows = rows
        self._columns = columns

    def __repr__(self) -> str:
        return f"AnnDataSubset({self.n_obs} × {self.n_vars} of {self._store!r})"

    def __getitem__(self, index: Any) -> AnnDataSubset:
        """A part of this part."""
        rows, columns = chosen(self.obs_names, self.var_names, index)
        return AnnDataSubset(self._store, self._rows[rows], self._columns[columns])

    @property
    def n_obs(self) -> int:
        """Number of observations."""
        return len(self._rows)

    @property
    def n_vars(self) -> int:
        """Number of variables."""
        return len(self._columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of observations and variables."""
        return (self.n_obs, self.n_vars)

    @property
    def obs(self) -> pd.DataFrame:
        """Annotation of the observations."""
        return cast("pd.DataFrame", self._annotations.obs)

    @property
    def var(self) -> pd.DataFrame:
        """Annotation of the variables."""
        return cast("pd.DataFrame", self._annotations.var)

    @cached_property
    def _annotations(self) -> ad.AnnData:
        """All but the matrices; AnnData drops categories that do not occur, and their colours."""
        import anndata as ad

        whole = ad.AnnData(obs=self._store.obs, var=self._store.var, uns=self._store.uns)
        return whole[self._rows, self._columns].copy()

    @property
    def obs_names(self) -> pd.Index:
        """Names of the observations."""
        return self._store.obs_names[self._rows]

    @property
    def var_names(self) -> pd.Index:
        """Names of the variables."""
        return self._store.var_names[self._columns]

    @property
    def X(self) -> Any:
        """The values of the matrix, read now."""
        return None if self._store.X is None else read_part(self._store.X, self._rows, self._columns)

    def to_memory(self) -> ad.AnnData:
        """Read the part."""
        store, rows, columns = self._store, self._rows, self._columns
        axes = {
            "layers": (rows, columns),
            "obsm": (rows, None),
            "varm": (columns, None),
            "obsp": (rows, rows),
            "varp": (columns, columns),
        }
        result = self._annotations.copy()
        if store.X is not None:
            result.X = self.X
        for slot, axis in axes.items():
            for name, element in getattr(store, slot).items():
                getattr(result, slot)[name] = read_part(element, *axis)
        return result


def chosen(obs_names: pd.Index, var_names: pd.Index, index: Any) -> tuple[Positions, Positions]:
    """Positions that an index means, by the rules of AnnData itself."""
    import anndata as ad
    import numpy as np
    import pandas as pd

    frames = [pd.DataFrame({"at": np.arange(len(names))}, index=names) for names in (obs_names, var_names)]
    picked = ad.AnnData(obs=frames[0], var=frames[1])[index]
    return picked.obs["at"].to_numpy(), picked.var["at"].to_numpy()


def read_part(element: Any, rows: Positions, columns: Positions | None) -> Any:
    """Read some rows, and of them some columns, of a matrix on disk; None: all columns.

    Args:
        element: A dense or sparse matrix on disk, or what is in memory anyway.
        rows: Positions in any order, repeated ones too.
        columns: Positions likewise.
    """
    import numpy as np

    if hasattr(element, "iloc"):
        return element.iloc[rows]
    if not hasattr(element, "shape"):
        return element[rows]
    by_column = getattr(element, "format", "csr") == "csc"
    width = element.shape[1] if len(element.shape) > 1 else 1
    if columns is None and by_column:
        columns = np.arange(width)
    major, minor = (columns, rows) if by_column else (rows, columns)
    assert major is not None
    wanted, order = np.unique(major, return_inverse=True)
    at_once = max(1, _PIECE // max(1, element.shape[0] if by_column else width))
    pieces = [_read_run(element, run, minor, by_column=by_column) for run in _runs(wanted, at_once)]
    found = _joined(pieces, by_column=by_column)
    if np.array_equal(order, np.arange(len(wanted))):
        return found
    return found[:, order] if by_column else found[order]


@dataclass(frozen=True)
class _Run:
    """Neighbouring rows that are read at once, and which of them are wanted."""

    start: int
    stop: int
    wanted: Positions


def _runs(wanted: Positions, at_once: int) -> Iterator[_Run]:
    import numpy as np

    breaks = np.flatnonzero(np.diff(wanted) > _GAP) + 1
    for near in np.split(wanted, breaks):
        first = 0
        while first < len(near):
            after = int(np.searchsorted(near, near[first] + at_once))
            part = near[first:after]
            yield _Run(int(part[0]), int(part[-1]) + 1, part - part[0])
            first = after
    if not len(wanted):
        yield _Run(0, 0, wanted)


def _read_run(element: Any, run: _Run, minor: Positions | None, *, by_column: bool) -> Any:
    if by_column:
        return element[:, run.start : run.stop][:, run.wanted][minor]
    if hasattr(element, "format") or minor is None or not len(minor):
        found = element[run.start : run.stop]
    else:  # of a dense matrix, only as many columns as needed
        first = int(minor.min())
        found = element[run.start : run.stop, first : int(minor.max()) + 1]
        minor = minor - first
    if len(run.wanted) < run.stop - run.start:
        found = found[run.wanted]
    return found if minor is None else found[:, minor]


def _joined(pieces: list[Any], *, by_column: bool) -> Any:
    import numpy as np

    if len(pieces) == 1:
        return pieces[0]
    if hasattr(pieces[0], "format"):
        from scipy import sparse

        join = sparse.hstack if by_column else sparse.vstack
        return join(pieces, format=pieces[0].format)
    return np.concatenate(pieces)
