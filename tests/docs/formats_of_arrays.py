"""What arrays and annotated matrices come back as, for the docs: the outcomes that the tests of formats prove."""

from __future__ import annotations

from collections.abc import Sequence

from tests.formats.anndata_outcomes import COLUMNS, KEYS, REFUSED, VALUES, Outcome

_HEAD = """
## Arrays and annotated matrices

What is saved comes back **equal** (values, types, names, and where values are missing), or changed as these tables say,
or is **refused** before anything is written: an `UnsupportedObject` that names all places, such as `obs['donor']` or
`uns['fit']['model']`, and what works instead. Files that others wrote are stored as they are.

**h5ad, h5mu, AnnData and MuData as zarr, tables of SpatialData.** Columns of `obs`, `var`, `raw.var`, and of tables in
`obsm`, `varm` and `uns`:

"""
_VALUES = """
Matrices (`X`, `layers`, `obsm`, `varm`, `obsp`, `varp`, `raw.X`) and what is in `uns`:

"""
_KEYS = """
Names and keys:

"""
_REST = """
Views come back as what they show, backed, lazy and dask matrices in memory. Images, labels, points and shapes of a
SpatialData are as its own writer has them.

**npy**: arrays of numbers, text and bytes of fixed width, times, durations, and structures of them come back equal, of
any shape and order. A single value becomes an array without dimensions; `memmap`, `matrix`, `recarray` and masked
arrays without a masked value become plain arrays; metadata of a type are not kept. Refused: Python objects and
`StringDType` (use `.astype(str)`), masked values (`.filled(…)`), subclasses of other libraries, such as quantities with
units (`numpy.asarray(…)`), structures whose fields overlap.

**npz**: sparse matrices and arrays of SciPy in the forms csr, csc, coo, bsr and dia come back equal; lil and dok are
refused (`.tocsr()`). Archives of arrays that were made elsewhere are loaded as a dictionary; those that expand to more
than 100 times their size, and to more than 1 GiB, with `max_bytes=…` only.

**json, yaml**: single integers, floats and truth values of NumPy come back as those of Python; `longdouble` is refused.

**zarr, hdf5**: groups and arrays are copied with their attributes, types, chunks and compression. Refused: references
and links that lead out of the file. **tiledbsoma** is copied as it is.
"""


def section() -> str:
    """The section of the page."""
    return _HEAD + _table(COLUMNS) + _VALUES + _table(VALUES) + _KEYS + _table(KEYS) + _REST


def _table(outcomes: Sequence[Outcome]) -> str:
    return "\n".join(["| element | comes back |", "|---|---|", *map(_row, outcomes)]) + "\n"


def _row(outcome: Outcome) -> str:
    cell = _words(outcome, outcome.becomes)
    if outcome.zarr is not None:
        cell = f"{cell}; in zarr {_words(outcome, outcome.zarr)}"
    return f"| {outcome.what} | {cell} |"


def _words(outcome: Outcome, becomes: str) -> str:
    return f"refused: {outcome.instead}" if becomes == REFUSED and outcome.instead else becomes
