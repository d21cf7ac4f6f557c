"""What stores of anndata give back, element by element: the list that ``docs/formats.md`` shows and tests prove."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

EQUAL = "equal"
REFUSED = "refused"
NAMES = pd.Index(list("abc"))


class Level(enum.StrEnum):
    LOW = "low"


@dataclass(frozen=True)
class Outcome:
    """An element, and what becomes of it.

    Attributes:
        what: The element, as the documentation names it.
        make: Makes it: a column of three values, a value of `uns`, or what `build` is to be done to an object.
        becomes: In words, what comes back of it if that is something else; `EQUAL` or `REFUSED` otherwise.
        expected: Makes what comes back, where it is not equal; given whether the store is an HDF5 file.
        zarr: What becomes of it in zarr, if it is not the same as in HDF5.
        instead: For what is refused: what works.
    """

    what: str
    make: Callable[[], Any]
    becomes: str = EQUAL
    expected: Callable[[bool], Any] | None = None
    zarr: str | None = None
    instead: str = ""

    def of(self, is_hdf5: bool) -> str:
        """What becomes of it in a store."""
        return self.becomes if is_hdf5 or self.zarr is None else self.zarr


def column(values: Any, dtype: Any = None) -> pd.Series:
    return pd.Series(values, index=NAMES, dtype=dtype)


def category(values: list[Any], categories: list[Any]) -> Callable[[bool], pd.Series]:
    return lambda _: column(pd.Categorical(values, categories=pd.Index(categories, dtype=object)))


def texts(values: list[Any]) -> Callable[[bool], Any]:
    return lambda is_hdf5: np.array(values, dtype=object if is_hdf5 else np.dtypes.StringDType())


COLUMNS = [
    Outcome("numbers, complex numbers, truth values of NumPy", lambda: column([1, 2, 3], "int16")),
    Outcome("nullable `Int8` … `UInt64`, `boolean`, also with missing values", lambda: column([1, None, 3], "Int64")),
    Outcome("text, all different", lambda: column(["x", "y", "z"], object)),
    Outcome(
        "text, some of it repeated",
        lambda: column(["x", "y", "x"], object),
        "a category, in `obs`, `var` and `raw.var`; equal in other tables, and in SpatialData",
        category(["x", "y", "x"], ["x", "y"]),
    ),
    Outcome(
        "text with missing values (None, NaN, NA), or nothing but missing values",
        lambda: column(["x", None, "z"], object),
        "a category",
        category(["x", None, "z"], ["x", "z"]),
    ),
    Outcome(
        "`string` of pandas, with either storage",
        lambda: column(["x", "y", "z"], "string"),
        "as text",
        lambda _: column(["x", "y", "z"], object),
    ),
    Outcome(
        "members of an `Enum` of text",
        lambda: column([Level.LOW] * 3, object),
        "as text",
        category(["low"] * 3, ["low"]),
    ),
    Outcome(
        "category of text, numbers or truth values; ordered or not, unused ones too",
        lambda: column(pd.Categorical(["b", None, "a"], categories=["c", "b", "a"], ordered=True)),
    ),
    Outcome(
        "category of `string` of pandas",
        lambda: column(["a", None, "a"], "string").astype("category"),
        "category of text",
        category(["a", None, "a"], ["a"]),
    ),
    Outcome(
        "category of intervals (`pd.cut`), times, nullable numbers, mixed values",
        lambda: pd.cut(column([1.0, 2.0, 3.0]), 2),
        REFUSED,
        instead="`.cat.rename_categories(str)`",
    ),
    Outcome(
        "Python objects: truth values, integers, floats, with None or not",
        lambda: column([True, None, False], object),
        REFUSED,
        instead="`.astype('boolean')`, `'Int64'`, `'float64'`",
    ),
    Outcome(
        "Python objects of several types", lambda: column([1, "x", None], object), REFUSED, instead="`.astype(str)`"
    ),
    Outcome("bytes", lambda: column([b"x", b"y", b"z"], object), REFUSED, instead="`.str.decode('utf-8')`"),
    Outcome(
        "times with or without zone, durations, periods, intervals",
        lambda: column(pd.to_datetime(["2024-01-01"] * 3)),
        REFUSED,
        instead="`.astype(str)`",
    ),
    Outcome(
        "nullable `Float32`, `Float64`", lambda: column([1.5, None, 2], "Float64"), REFUSED, instead="`.astype(float)`"
    ),
    Outcome(
        "sparse columns of pandas", lambda: column([0, 0, 1], "Sparse[int]"), REFUSED, instead="`.sparse.to_dense()`"
    ),
    Outcome(
        "types of pyarrow other than text",
        lambda: column([1, 2, 3], "int64[pyarrow]"),
        REFUSED,
        instead="`.convert_dtypes(dtype_backend='numpy_nullable')`",
    ),
    Outcome("text with NUL in it", lambda: column(["a\0b", "y", "z"], object), REFUSED, zarr=EQUAL),
]

VALUES = [
    Outcome("text, truth values, integers of 64 bits, floats, None", lambda: "größe"),
    Outcome("integers of more than 64 bits", lambda: 2**64, REFUSED, instead="text"),
    Outcome("integers from 2⁶³ on", lambda: 2**63, EQUAL, zarr=REFUSED, instead="text"),
    Outcome(
        "single numbers and texts of NumPy",
        lambda: np.float32(0.1),
        "those of Python",
        lambda _: float(np.float32(0.1)),
    ),
    Outcome("bytes, dates and times, Python's complex numbers", lambda: b"x", REFUSED, instead="text"),
    Outcome("dictionaries with keys of text, nested, also empty ones", lambda: {"b": {"y": 1}, "a": {}}),
    Outcome(
        "list of numbers, or lists of equal length of them",
        lambda: [[1, 2], [3, 4.5]],
        "an array",
        lambda _: np.array([[1, 2], [3, 4.5]]),
    ),
    Outcome("list of text", lambda: ["x", "größe"], "an array, as below", texts(["x", "größe"])),
    Outcome("empty list", list, "an empty array of floats", lambda _: np.array([])),
    Outcome(
        "list of several types, with None, of dictionaries, ragged",
        lambda: [1, "x"],
        REFUSED,
        instead="a dictionary, or JSON as text",
    ),
    Outcome("tuples, sets", lambda: (1, 2), REFUSED, instead="a list"),
    Outcome(
        "array of numbers, complex numbers, truth values, bytes; any shape, also empty", lambda: np.zeros((0, 3), "f2")
    ),
    Outcome(
        "array in the other order of bytes",
        lambda: np.array([1, 2], ">f4"),
        EQUAL,
        lambda is_hdf5: np.array([1, 2], ">f4" if is_hdf5 else "f4"),
        zarr="in the machine's",
    ),
    Outcome("array without dimensions", lambda: np.array(3), "its value", lambda _: 3),
    Outcome(
        "array of text (fixed width, objects, `StringDType`)",
        lambda: np.array(["x", "größe"]),
        "text as objects",
        texts(["x", "größe"]),
        zarr="`StringDType`",
    ),
    Outcome(
        "array of other Python objects, or of text with None",
        lambda: np.array(["x", None], object),
        REFUSED,
        instead="one type",
    ),
    Outcome(
        "array of times or durations", lambda: np.array(["2024-01-01"], "M8[ns]"), REFUSED, instead="`.astype('int64')`"
    ),
    Outcome("structured array; a `recarray` becomes one", lambda: np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")])),
    Outcome(
        "fields of text in it",
        lambda: np.array([("x", 1)], [("a", "U3"), ("b", "i4")]),
        "text as objects",
        lambda _: np.array([("x", 1)], [("a", "O"), ("b", "i4")]),
    ),
    Outcome(
        "fields of bytes, times, arrays or structures in it",
        lambda: np.zeros(1, [("a", "S3")]),
        REFUSED,
        instead="an array of its own",
    ),
    Outcome(
        "masked array with a masked value",
        lambda: np.ma.array([1, 2], mask=[False, True]),
        REFUSED,
        instead="`.filled(…)`",
    ),
    Outcome("masked array without one", lambda: np.ma.array([1, 2]), "a plain array", lambda _: np.array([1, 2])),
    Outcome("`csr_matrix`, `csc_matrix`", lambda: sp.csc_matrix(np.eye(3, 2))),
    Outcome(
        "`csr_array`, `csc_array`",
        lambda: sp.csr_array(np.eye(3, 2)),
        "a matrix of the same form",
        lambda _: sp.csr_matrix(np.eye(3, 2)),
    ),
    Outcome("other sparse forms", lambda: sp.coo_matrix(np.eye(3)), REFUSED, instead="`.tocsr()`"),
    Outcome("tables: columns as above, index of text or numbers", lambda: pd.DataFrame({"x": [1, 2, 3]}, index=NAMES)),
    Outcome(
        "table with levels in its index or columns, or columns that are not named by text",
        lambda: pd.DataFrame({1: [1]}),
        REFUSED,
        instead="`.reset_index()`, `.rename(columns=str)`",
    ),
    Outcome("categorical and nullable arrays of pandas", lambda: pd.array([1, None], dtype="Int64")),
    Outcome("series, index", lambda: pd.Series([1]), REFUSED, instead="`.to_frame()`, `.to_numpy()`"),
    Outcome("text that ends in NUL", lambda: "x\0", REFUSED),
]


Change = Callable[[ad.AnnData], Any]


def setting(slot: str, **members: Any) -> Change:
    return lambda obj: [getattr(obj, slot).__setitem__(name, value) for name, value in members.items()]


def named(name: Any) -> Change:
    return lambda obj: setattr(obj.obs.index, "name", name)


def index(values: Any) -> Change:
    return lambda obj: setattr(obj.obs, "index", pd.Index(values))


NEAR = sp.csr_matrix(np.eye(3))
KEYS = [
    Outcome("names of observations and variables: any text, repeated or not", lambda: index(["x", "x", ""])),
    Outcome(
        "the same as `string` or as categories",
        lambda: index(pd.array(["x", "y", "z"], dtype="string")),
        "text",
        lambda _: index(["x", "y", "z"]),
    ),
    Outcome(
        "names that are numbers, times, missing or have levels",
        lambda: index([1, 2, 3]),
        REFUSED,
        instead="`.astype(str)`",
    ),
    Outcome("name of the index", lambda: named("cell")),
    Outcome("the name `_index` of the index", lambda: named("_index"), "no name", lambda _: named(None)),
    Outcome(
        "keys with `/` in slots and dictionaries",
        lambda: setting("obsm", **{"X/pca": np.ones((3, 1))}),
        REFUSED,
        instead="another sign",
    ),
    Outcome(
        "keys and columns with a backslash",
        lambda: setting("uns", **{"a\\b": 1}),
        EQUAL,
        zarr=REFUSED,
        instead="another sign",
    ),
    Outcome(
        "columns with `/`",
        lambda: setting("obs", **{"G2/M": [1, 2, 3]}),
        EQUAL,
        zarr=REFUSED,
        instead="another sign",
    ),
    Outcome("keys and columns that are no text, empty, `.` or `..`", lambda: setting("uns", **{"": 1}), REFUSED),
    Outcome(
        "the order of keys; that of columns is kept",
        lambda: setting("uns", b=1, a=1),
        "sorted",
        lambda _: setting("uns", a=1, b=1),
    ),
    Outcome(
        "`attrs` of tables, the name of all columns",
        lambda: lambda obj: obj.obs.attrs.update(x=1),
        "not kept",
        lambda _: lambda obj: None,
    ),
    Outcome(
        "matrices in `uns['neighbors']`, as scanpy once had them",
        lambda: setting("uns", neighbors={"distances": NEAR}),
        "in `obsp`",
        lambda _: lambda obj: [setting("uns", neighbors={})(obj), setting("obsp", distances=NEAR)(obj)],
    ),
    Outcome("`raw`; no `X`", lambda: lambda obj: [setattr(obj, "raw", obj.copy()), setattr(obj, "X", None)]),
]
