"""Annotated matrices of all kinds, what becomes of them by the documentation, and whether they are to be refused."""

from __future__ import annotations

import string
import warnings
from dataclasses import dataclass, field
from typing import Any, cast

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from natsort import natsorted

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
KEY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=4).filter(
        lambda key: key not in (".", "..") and key != "_index"
    ),
    st.sampled_from(["X_pca", "0", "c", ".x", "attributes", "__init__", "mask", "codes", "a b", "raw", "obs", "größe"]),
)
BAD_KEYS: tuple[Any, ...] = ("a/b", "", ".", "..", "a\0", "/x", "x/", 1, None, ("a", "b"), "\udc80")
NUMBERS = ("f4", "f8", "f2", "i1", "i8", "u2", "u8", "bool", "c8", "c16")


@dataclass
class Drawn:
    """An object, what it becomes, and where it holds what cannot be stored.

    Attributes:
        obj: The annotated matrix.
        expected: What comes back.
        refused: Places that an error has to name, at least one of them.
    """

    obj: ad.AnnData
    expected: ad.AnnData
    refused: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class _Value:
    """A value and what it becomes; both None where it is refused."""

    given: Any
    expected: Any = None
    is_refused: bool = False


def _array(draw: st.DrawFn, shape: Any, kinds: tuple[str, ...] = NUMBERS) -> Any:
    return draw(hnp.arrays(draw(st.sampled_from(kinds)), shape))


def _texts(draw: st.DrawFn, n: int, *, unique: bool = False) -> list[str]:
    return draw(st.lists(TEXT, min_size=n, max_size=n, unique=unique))


def _holed(draw: st.DrawFn, values: list[Any]) -> list[Any]:
    missing = st.sampled_from([None, np.nan, pd.NA])
    return [draw(missing) if draw(st.booleans()) else value for value in values]


def _category(values: list[Any]) -> Any:
    made = pd.Categorical(pd.Series(values, dtype=object))
    return made.reorder_categories(natsorted(made.categories))


def _text_column(values: list[Any], *, is_annotation: bool) -> Any:
    """A column of text as it comes back: anndata makes categories of those of `obs` and `var` that repeat."""
    is_repeated = len(set(values)) < len(values)
    if any(not isinstance(value, str) for value in values) or (is_annotation and is_repeated):
        return _category(values)
    return pd.Series(values, dtype=object).array


def _column(draw: st.DrawFn, n: int, *, is_annotation: bool, bad: bool) -> _Value:
    if bad and n:
        mixed = draw(st.sampled_from([[True, None], [1, "x"], [2**60, None], [b"x", "y"], [0.5], [("a",)], [pd.NaT]]))
        values = pd.Series([mixed[i % len(mixed)] for i in range(n)], dtype=object)
        others = [
            pd.Series(pd.to_datetime(["2024-01-01"] * n)),
            pd.Series(pd.to_datetime(["2024-01-01"] * n).tz_localize("UTC")),
            pd.Series(pd.to_timedelta([1] * n)),
            pd.Series(pd.period_range("2024", periods=n, freq="D")),
            pd.Series([1.5] * n, dtype="Float64"),
            pd.Series([1] * n, dtype="int64[pyarrow]"),
            pd.Series([0] * n, dtype="Sparse[int]"),
            pd.Series(pd.Categorical(pd.interval_range(0, n))),
            pd.Series(pd.Categorical([1, "x"] * n)[:n]),
        ]
        return _Value(draw(st.sampled_from([values, *others])), is_refused=True)
    kind = draw(st.sampled_from(["numbers", "nullable", "text", "string", "category"]))
    if kind == "numbers":
        array = _array(draw, n)
        return _Value(array, array)
    if kind == "nullable":
        dtype = draw(st.sampled_from(["Int8", "Int64", "UInt64", "boolean"]))
        values = draw(st.lists(st.sampled_from([0, 1, None]), min_size=n, max_size=n))
        return _Value(pd.array(values, dtype=dtype), pd.array(values, dtype=dtype))
    values: list[Any] = _texts(draw, n)
    if draw(st.booleans()):
        values = _holed(draw, values)
    if kind == "text":
        return _Value(pd.Series(values, dtype=object).array, _text_column(values, is_annotation=is_annotation))
    if kind == "string":
        dtype = draw(st.sampled_from(["string[python]", "string[pyarrow]"]))
        return _Value(pd.array(values, dtype=dtype), _text_column(values, is_annotation=is_annotation))
    categories: list[Any] = draw(
        st.one_of(
            st.lists(TEXT, unique=True, max_size=3),
            st.lists(st.integers(-9, 9), unique=True, min_size=1, max_size=3),
            st.lists(st.floats(-9, 9), unique=True, min_size=1, max_size=3),
        )
    )
    codes = draw(st.lists(st.integers(-1, len(categories) - 1), min_size=n, max_size=n))
    is_text = not categories or isinstance(categories[0], str)
    found = pd.Categorical.from_codes(
        codes, pd.Index(categories, dtype=object if is_text else None), ordered=draw(st.booleans())
    )
    return _Value(found, found)


def _frame(draw: st.DrawFn, index: pd.Index, refused: list[str], where: str, *, bad: bool) -> _Value:
    given, expected = pd.DataFrame(index=index), pd.DataFrame(index=index)
    is_annotation = where.endswith(("obs", "var"))
    for name in draw(st.lists(KEY, max_size=3, unique=True)):
        column = _column(draw, len(index), is_annotation=is_annotation, bad=bad and draw(st.integers(0, 3)) == 0)
        given[name] = column.given.array if isinstance(column.given, pd.Series) else column.given
        if column.is_refused:
            refused.append(f"{where}[{name!r}]")
        else:
            expected[name] = column.expected
    if bad and draw(st.integers(0, 5)) == 0:
        # pandas makes NaN of None, and levels of tuples.
        name = draw(st.sampled_from([k for k in BAD_KEYS if k not in ("a/b", None) and not isinstance(k, tuple)]))
        given[name] = np.arange(len(index))
        refused.append(f"{where} has a column {name!r}")
    if draw(st.booleans()) and is_annotation:
        given.index.name = expected.index.name = draw(st.sampled_from([None, "cell", "größe"]))
        if given.index.name in given.columns:
            given.index.name = expected.index.name = None
    return _Value(given, expected)


def _text_array(values: Any, *, is_hdf5: bool) -> Any:
    return np.array(values, dtype=object if is_hdf5 else np.dtypes.StringDType())


def _matrix(draw: st.DrawFn, shape: tuple[int, ...], *, is_hdf5: bool, bad: bool) -> _Value:
    if bad and all(shape):
        array = np.ones(shape)
        return _Value(
            draw(
                st.sampled_from([
                    np.ma.array(array, mask=True),
                    np.full(shape, "2024", dtype="M8[s]"),
                    np.full(shape, None, dtype=object),
                    np.full(shape, 1, dtype=object),
                ])
            ),
            is_refused=True,
        )  # fmt: skip
    kind = draw(st.sampled_from(["dense", "masked", "csr_matrix", "csc_matrix", "csr_array", "csc_array"]))
    if kind in ("dense", "masked"):
        array = _array(draw, shape)
        return _Value(np.ma.array(array) if kind == "masked" else array, array)
    array = _array(draw, shape, ("f4", "f8", "i4", "bool"))
    given = getattr(sp, kind)(array)
    return _Value(given, getattr(sp, kind.replace("array", "matrix"))(given))


def _value(draw: st.DrawFn, refused: list[str], where: str, *, is_hdf5: bool, bad: bool, depth: int = 0) -> _Value:
    if bad and draw(st.integers(0, 3)) == 0:
        refused.append(where)
        return _Value(
            draw(st.sampled_from([
                (1, 2), {1, 2}, 2**70, b"x", 1j, pd.Timestamp("2024"), np.datetime64("2024"), object(),
                [1, "x"], [None], [[1], [1, 2]], [{"a": 1}], [True, 2], [2**63, -1], pd.Series([1]),
                np.matrix([[1]]), np.array([None]), np.zeros(1, "V3"), np.zeros(1, [("a", "S2")]),
                sp.coo_matrix([[1]]), pd.array([1.5], dtype="Float64"),
            ])),
            is_refused=True,
        )  # fmt: skip
    kind = draw(
        st.sampled_from(["dict", "scalar", "numpy", "list", "array", "texts", "matrix", "records", "frame", "pandas"])
    )
    if kind == "dict" and depth < 3:
        return _mapping(draw, refused, where, is_hdf5=is_hdf5, bad=bad, depth=depth + 1)
    if kind == "numpy":
        scalar = draw(
            st.sampled_from([np.float32(0.1), np.int8(3), np.bool_(True), np.uint64(5), np.float16(2), np.str_("x")])
        )
        return _Value(scalar, scalar.item())
    if kind == "list":
        inner: Any = st.one_of(st.integers(-9, 9), st.floats(allow_nan=False))
        values = draw(st.one_of(st.lists(inner, max_size=3), st.lists(TEXT.filter(bool), min_size=1, max_size=3)))
        made = np.array(values)
        return _Value(values, _text_array(values, is_hdf5=is_hdf5) if made.dtype.kind == "U" else made)
    if kind == "array":
        array = _array(draw, draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)), (*NUMBERS, "S3"))
        if array.shape == ():
            return _Value(np.array(3.5), 3.5)
        return _Value(np.asfortranarray(array) if draw(st.booleans()) else array, array)
    if kind == "texts":
        values = _texts(draw, draw(st.integers(0, 3)))
        given = np.array(values, dtype=draw(st.sampled_from([object, np.dtypes.StringDType()])))
        return _Value(given, _text_array(values, is_hdf5=is_hdf5))
    if kind == "matrix":
        return _matrix(draw, (draw(st.integers(0, 3)), draw(st.integers(0, 3))), is_hdf5=is_hdf5, bad=False)
    if kind == "records":
        values = [(draw(st.integers(-9, 9)), draw(st.text(string.ascii_letters, max_size=3))) for _ in range(2)]
        fields = [("a", "i4"), ("größe", "U3")]
        made = np.array(values, dtype=fields)
        expected = np.array(values, dtype=[("a", "i4"), ("größe", "O")])
        return _Value(cast(Any, made).view(np.recarray) if draw(st.booleans()) else made, expected)
    if kind == "frame":
        index = draw(st.sampled_from([pd.Index(["x", "y"]), pd.Index([3, 1]), pd.Index([0.5, 1])]))
        return _frame(draw, index, refused, where, bad=bad)
    if kind == "pandas":
        column = _column(draw, 2, is_annotation=False, bad=False)
        return column if isinstance(column.given, pd.Categorical) else _Value(None, None)
    scalar = draw(st.one_of(TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.none()))
    return _Value(scalar, scalar)


def _mapping(draw: st.DrawFn, refused: list[str], where: str, *, is_hdf5: bool, bad: bool, depth: int) -> _Value:
    given: dict[Any, Any] = {}
    expected: dict[str, Any] = {}
    for key in draw(st.lists(KEY, max_size=3, unique=True)):
        if key == "neighbors":
            continue
        value = _value(draw, refused, f"{where}[{key!r}]", is_hdf5=is_hdf5, bad=bad, depth=depth)
        given[key], expected[key] = value.given, value.expected
    if bad and draw(st.integers(0, 4)) == 0:
        key = draw(st.sampled_from(BAD_KEYS))
        given[key] = 1
        refused.append(f"{where} has the key {key!r}")
    return _Value(given, expected)


@st.composite
def annotated(draw: st.DrawFn, *, is_hdf5: bool) -> Drawn:
    """An annotated matrix; one of two holds nothing that cannot be stored."""
    bad = draw(st.booleans())
    refused: list[str] = []
    n_obs, n_vars = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    obs_names = pd.Index(_texts(draw, n_obs, unique=draw(st.booleans())), dtype=object)
    var_names = pd.Index([f"g{i}" for i in range(n_vars)], dtype=object)
    obs = _frame(draw, obs_names, refused, "obs", bad=bad)
    var = _frame(draw, var_names, refused, "var", bad=bad)
    sizes = {"layers": (n_obs, n_vars), "obsm": (n_obs, 2), "varm": (n_vars, 1), "obsp": (n_obs, n_obs)}
    x = _matrix(draw, (n_obs, n_vars), is_hdf5=is_hdf5, bad=False) if draw(st.integers(0, 5)) else None
    both: list[ad.AnnData] = []
    uns = _mapping(draw, refused, "uns", is_hdf5=is_hdf5, bad=bad, depth=0)
    slots: dict[str, dict[Any, _Value]] = {}
    for slot, shape in sizes.items():
        slots[slot] = {}
        for key in draw(st.lists(KEY, max_size=2, unique=True)):
            found = _matrix(draw, shape, is_hdf5=is_hdf5, bad=bad and draw(st.integers(0, 4)) == 0)
            slots[slot][key] = found
            if found.is_refused:
                refused.append(f"{slot}[{key!r}]")
        if bad and draw(st.integers(0, 6)) == 0:
            key = draw(st.sampled_from([k for k in BAD_KEYS if isinstance(k, str)]))
            slots[slot][key] = _matrix(draw, shape, is_hdf5=is_hdf5, bad=False)
            refused.append(f"{slot} has the key {key!r}")
    with_raw = draw(st.booleans()) and x is not None
    for part in ("given", "expected"):
        members = {
            slot: {key: getattr(value, part) for key, value in found.items()}
            for slot, found in slots.items()
            if part == "given" or not refused  # what is refused has nothing to be compared with
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = ad.AnnData(
                None if x is None else getattr(x, part),
                obs=getattr(obs, part),
                var=getattr(var, part),
                uns=getattr(uns, part),
                **cast(Any, members),
            )
            if with_raw:
                made.raw = ad.AnnData(made.X, obs=made.obs, var=made.var)
        both.append(made)
    return Drawn(both[0], both[1], refused)
